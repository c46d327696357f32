"""Waiting for a moment. The one module that decides what a process does meanwhile."""

from datetime import datetime

from drumroll.clock import current_clock


async def wait_until(at: datetime) -> None:
    """Return when it is `at` (UTC), on the wall clock or a rehearsal's."""
    await current_clock().sleep_until(at)
