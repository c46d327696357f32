"""The watch in a hurry, in a process of its own: every few seconds, and with less patience for what looks dead.

python -m tests.chaos.watchman LEDGER PROJECT
"""

import asyncio
import logging
import sys
from datetime import timedelta

import httpx
from prefect.client.schemas.objects import StateType
from prefect.exceptions import PrefectException

from drumroll.clock import current_clock
from drumroll.errors import DrumrollError
from drumroll.operate.watching import ledger_of, recover, running
from tasks import requeue

EVERY, LOOK_AGAIN = 2.0, timedelta(seconds=2)
GRACE = {
    StateType.RUNNING: timedelta(seconds=10),
    StateType.PENDING: timedelta(seconds=25),
    StateType.PAUSED: timedelta(seconds=5),
    StateType.CRASHED: timedelta(0),
}
UNSIGNED = timedelta(seconds=30)  # how old a run without an edition is when it counts as dead


async def watch(ledger: str, project: str) -> None:
    """Until it is killed: what `flows/watch.py` does, but for sources and boards."""
    requeue.GRACE, requeue.OVERDUE = GRACE, UNSIGNED
    while True:
        try:
            await requeue.tend_runs(ledger_of(ledger, project), running(ledger, project), look_again=LOOK_AGAIN)
            for where in running(ledger, project):
                await recover(where, current_clock())
        except (DrumrollError, httpx.HTTPError, PrefectException) as error:
            logging.getLogger("drumroll.watch").warning("%s", error)  # the next round may see better
        await asyncio.sleep(EVERY)


if __name__ == "__main__":
    logging.basicConfig(format="%(asctime)s %(name)s %(message)s", level=logging.INFO)
    asyncio.run(watch(sys.argv[1], sys.argv[2]))
