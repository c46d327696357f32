"""Launches of one process that speak at the same instant: all of them speak before one of them does anything else.

What comes after a message (its settlement, Prefect's server most of all) would otherwise stand before the messages
of others: see `python -m benchmarks lateness`.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

_HUSH = 2.0  # seconds after one's own last answer: a long fan-out of one launch does not hold the others up
_PAUSE = 0.3  # seconds before a settlement: answers are not lost meanwhile, and a kill makes no more rows doubtful
_turnstiles: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()
_speaking: set["Voice"] = set()


class Voice:
    """One step on its way out. `under_way` counts its requests that have no answer yet."""

    def __init__(self) -> None:
        self.has_begun = False
        self.has_settled = False
        self.under_way = 0


@contextmanager
def speaking() -> Iterator[Voice]:
    """While this step goes out."""
    voice = Voice()
    _speaking.add(voice)
    try:
        yield voice
    finally:
        _speaking.discard(voice)


async def turn() -> None:
    """One after the other: what one has claimed leaves before the next one claims."""
    loop = asyncio.get_running_loop()
    async with _turnstiles.setdefault(loop, asyncio.Lock()):
        await asyncio.sleep(0)


async def others_first(voice: Voice) -> None:
    """Before the first settlement: until all of this instant have been heard, for a moment at most."""
    if voice.has_settled:
        return
    voice.has_settled = True
    deadline = time.monotonic() + _PAUSE
    others = [each for each in _speaking if each is not voice]
    while any(each.under_way or not each.has_begun for each in others) and time.monotonic() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.005)


async def hush() -> None:
    """After the last answer: until nobody speaks any more."""
    deadline = time.monotonic() + _HUSH
    while _speaking and time.monotonic() < deadline:  # noqa: ASYNC110 - several loops may be in this process
        await asyncio.sleep(0.02)
