"""Reading the gate that ends a phase."""

import asyncio

from prefect import task
from prefect.cache_policies import NO_CACHE

from drumroll.clock import current_clock
from drumroll.operate.edition import Where
from drumroll.operate.gating import read_gate
from tasks.show import show_gate


@task(name="gate", task_run_name="gate of {phase}", cache_policy=NO_CACHE)
async def gate(where: Where, phase: str) -> str:
    """Measure, judge and write down; the verdict, or "" when another engine has just read it."""
    clock = current_clock()
    if clock.patience is None:
        judgement = read_gate(where, phase, now=clock.now())
    else:  # weeks of engagement take their time, and other launches of this process wait for their instants
        judgement = await asyncio.to_thread(read_gate, where, phase, now=clock.now())
    if judgement is None:
        return ""
    await show_gate(where, phase, judgement)
    return judgement.verdict
