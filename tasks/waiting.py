"""Waiting for a moment. The one module that decides what a process does meanwhile."""

from datetime import datetime

from drumroll.clock import current_clock


async def wait_until(at: datetime) -> bool:
    """True when it is `at` (UTC), on the wall clock or a rehearsal's.

    On the wall clock False comes after a while even so: a person may have released, resolved or decided something, and
    the ledger is to be asked again what is next.
    """
    clock = current_clock()
    await clock.sleep_until(at if clock.patience is None else min(at, clock.now() + clock.patience))
    return clock.now() >= at
