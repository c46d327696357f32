"""Launches of one process that speak at the same instant: all of them speak before one of them does anything else.

What comes after a message (its settlement, Prefect's server most of all) would otherwise stand before the messages of
others: see `python -m benchmarks lateness`. Meanwhile Python looks less often for garbage in cycles, of which sending
makes none: that took a seventh of a fan-out's time, see `python -m benchmarks fanout`.
"""

import asyncio
import contextlib
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

_PAUSE = 0.3  # seconds before a step's first settlement: a kill meanwhile makes no more rows doubtful than it sends
_RARELY = (10_000, 10, 10)  # instead of every 700 objects
_HUSH = 2.0  # seconds after one's own last answer: a long fan-out of one launch does not hold the others up


class Chorus:
    """The steps that go out in one event loop."""

    def __init__(self) -> None:
        self.turnstile = asyncio.Lock()
        self.voices: set[Voice] = set()
        self._usually = gc.get_threshold()
        self.heard, self.silent = asyncio.Event(), asyncio.Event()

    def begin(self, voice: "Voice") -> None:
        """One more speaks."""
        if not self.voices:
            self._usually = gc.get_threshold()
            gc.set_threshold(*_RARELY)
        self.voices.add(voice)
        self.listen()

    def end(self, voice: "Voice") -> None:
        """It has spoken."""
        self.voices.discard(voice)
        if not self.voices:
            gc.set_threshold(*self._usually)
        self.listen()

    def listen(self) -> None:
        """Whether all have been heard, and whether nobody speaks any more."""
        if all(voice.has_begun and not voice.under_way for voice in self.voices):
            self.heard.set()
        else:
            self.heard.clear()
        if self.voices:
            self.silent.clear()
        else:
            self.silent.set()


class Voice:
    """One step on its way out."""

    def __init__(self, chorus: Chorus) -> None:
        self._chorus = chorus
        self.has_begun = self._has_settled = False
        self.under_way = 0

    def begun(self) -> None:
        """Its first claims have been made, and what was claimed is on its way."""
        if not self.has_begun:
            self.has_begun = True
            self._chorus.listen()

    def count(self, requests: int) -> None:
        """So many requests more, or less, have no answer yet."""
        self.under_way += requests
        if not self.under_way or self.under_way == requests:
            self._chorus.listen()

    async def others_first(self) -> None:
        """Before its first settlement: until all of this instant have been heard, for a moment at most."""
        if not self._has_settled:
            self._has_settled = True
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PAUSE):
                    await self._chorus.heard.wait()


_choruses: WeakKeyDictionary[asyncio.AbstractEventLoop, Chorus] = WeakKeyDictionary()


def _chorus() -> Chorus:
    return _choruses.setdefault(asyncio.get_running_loop(), Chorus())


@contextmanager
def speaking() -> Iterator[Voice]:
    """While this step goes out."""
    chorus = _chorus()
    voice = Voice(chorus)
    chorus.begin(voice)
    try:
        yield voice
    finally:
        chorus.end(voice)


async def turn() -> None:
    """One after the other: what one has claimed leaves before the next one claims."""
    async with _chorus().turnstile:
        await asyncio.sleep(0)


async def hush() -> None:
    """After the last answer: until nobody speaks any more."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_HUSH):
            await _chorus().silent.wait()
