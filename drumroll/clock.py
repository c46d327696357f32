"""*Now*, as a thing that can be given: the wall clock for live launches, a virtual one for rehearsals."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Tells the time (UTC) and waits for it.

    `patience` is how long to sleep at most before asking the ledger again what is next; None: as long as it takes.
    """

    patience: timedelta | None

    def now(self) -> datetime:
        """The current instant, UTC."""
        ...

    async def sleep_until(self, at: datetime) -> None:
        """Return at `at` or as soon after it as possible; at once when it has passed."""
        ...


class WallClock:
    """The real time. Sleeps in slices, so that a suspended machine or a moved clock is noticed within a second."""

    patience: timedelta | None = timedelta(seconds=15)
    _SLICE = 1.0

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep_until(self, at: datetime) -> None:
        while (left := (at - self.now()).total_seconds()) > 0:
            await asyncio.sleep(min(left, self._SLICE))


class TimeIsUpError(Exception):
    """A rehearsal goes no further: it was asked to stop before the instant that somebody waits for."""


class VirtualClock:
    """A rehearsal's time: waiting is instant, and the world moves while it passes.

    `on_advance(since, until)` is awaited before the clock shows `until`; whatever members or operators did in between
    is then in the ledger. With `stops_at` the clock stands still there, and TimeIsUpError ends every wait beyond it.
    """

    patience: timedelta | None = None

    def __init__(self, start: datetime, *, stops_at: datetime | None = None) -> None:
        self._now = start
        self._stops_at = stops_at
        self.on_advance: Callable[[datetime, datetime], Awaitable[None]] | None = None

    def now(self) -> datetime:
        return self._now

    async def sleep_until(self, at: datetime) -> None:
        if at <= self._now:
            return
        to = at if self._stops_at is None else min(at, self._stops_at)
        if to > self._now:
            if self.on_advance is not None:
                await self.on_advance(self._now, to)
            self._now = to
        if to < at:
            raise TimeIsUpError


_WALL = WallClock()
_current: ContextVar[Clock | None] = ContextVar("drumroll_clock", default=None)


def current_clock() -> Clock:
    """The clock of the run we are in: the wall clock unless a rehearsal set its own."""
    return _current.get() or _WALL


@contextmanager
def using_clock(clock: Clock) -> Iterator[None]:
    """Inside, `clock` is the one of this context (an asyncio task and what it starts)."""
    token = _current.set(clock)
    try:
        yield
    finally:
        _current.reset(token)
