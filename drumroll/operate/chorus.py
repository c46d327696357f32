"""Launches of one process that speak at the same instant: all of them speak before one of them does anything else.

What comes after a message (its settlement, Prefect's server most of all) would otherwise stand before the messages of
others: see `python -m benchmarks lateness`. Meanwhile Python looks less often for garbage in cycles: beside a large
plan each look costs more than there is to find.
"""

import asyncio
import contextlib
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from weakref import WeakKeyDictionary

from drumroll.errors import LedgerError
from drumroll.ledger.ledger import Ledger
from drumroll.ledger.model import Claim
from drumroll.ledger.sending import Wanted

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
        self.wishes: list[Wish] = []

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

    def grant(self) -> None:
        """Claim what is wished for, of one ledger at a time."""
        wishes, self.wishes = [wish for wish in self.wishes if not wish.granted.done()], []  # done: given up
        wishes.sort(key=lambda wish: id(wish.ledger.store.engine))
        for _, same in groupby(wishes, key=lambda wish: wish.ledger.store.engine):
            together = list(same)
            granted: list[list[Claim]] = [[] for _ in together]
            try:
                if len(together) > 1:
                    granted = together[0].ledger.claim_together([(wish.ledger, wish.wanted) for wish in together])
            except LedgerError:
                pass  # each of them meets it again, alone
            finally:
                for wish, claims in zip(together, granted, strict=True):
                    wish.granted.set_result(claims)


@dataclass(frozen=True, slots=True, eq=False)
class Wish:
    """What one step wants to claim."""

    ledger: Ledger
    wanted: Wanted
    granted: asyncio.Future[list[Claim]]


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


async def claim_in_chorus(ledger: Ledger, wanted: Wanted) -> list[Claim]:
    """What was claimed together with what others of this instant want. If nothing, it is this step's turn to claim.

    One after the other then: what one has claimed leaves before the next one claims. Not to be cancelled.
    """
    chorus, loop = _chorus(), asyncio.get_running_loop()
    wish = Wish(ledger, wanted, loop.create_future())
    if not chorus.wishes:
        loop.call_soon(chorus.grant)  # once all that have woken in this round of the loop have said what they want
    chorus.wishes.append(wish)
    if not (claims := await wish.granted):
        async with chorus.turnstile:
            await asyncio.sleep(0)
    return claims


async def hush() -> None:
    """After the last answer: until nobody speaks any more."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_HUSH):
            await _chorus().silent.wait()
