"""Waiting out what passes: a ledger that somebody else is writing to, a cancellation while answers are on their way."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from drumroll.errors import LedgerBusyError

T = TypeVar("T")

_PAUSE = 0.5  # seconds


async def patiently(act: Callable[[], T], *, seconds: float = 30.0) -> T:
    """`act()`, tried again while the ledger is busy; LedgerBusyError when it still is after `seconds`."""
    left = seconds
    while True:
        try:
            return act()
        except LedgerBusyError:
            if left <= 0:
                raise
        await asyncio.sleep(_PAUSE)  # real time, whatever clock the launch runs on
        left -= _PAUSE


async def undisturbed(work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is done whole however often the caller is cancelled meanwhile (several Ctrl-C).

    CancelledError afterwards when it was: a cancellation is put off, never lost.
    """
    task, cancelled = asyncio.ensure_future(work), False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            cancelled = True
        except Exception:  # noqa: BLE001 - the work's own: raised below
            break
    result = task.result()
    if cancelled:
        raise asyncio.CancelledError
    return result
