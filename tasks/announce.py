"""Sending a step to everyone it is due for."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from drumroll.clock import current_clock
from drumroll.operate.edition import Where
from drumroll.operate.sending import send_step
from drumroll.operate.wording import Ready
from tasks.credentials import blocks_stand_in
from tasks.seat import settled


@task(name="announce", task_run_name="announce {ready.step}", cache_policy=NO_CACHE)
async def announce(where: Where, ready: Ready) -> str:
    """Send the step at its instant; what became of it, in words. The ledger, not Prefect, knows what may be sent."""
    settled()  # a thousand messages that are overdue take their time
    with blocks_stand_in():
        return (await send_step(where, ready, current_clock())).summary()
