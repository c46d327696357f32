"""One engine per edition: it takes the lease, renews it while it lives, and stops when another has taken over."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable
from contextvars import ContextVar
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

from drumroll.clock import current_clock
from drumroll.errors import LedgerError
from drumroll.ledger.edition_lease import FencedError
from drumroll.ledger.model import LeaseRow
from drumroll.operate.edition import Where
from drumroll.operate.patience import patiently
from drumroll.operate.story import tell

T = TypeVar("T")

TTL = timedelta(seconds=12)
BEAT = 3.0  # seconds between two renewals: three may fail before the lease runs out
_LOOK = 0.25  # seconds between two looks at somebody else's lease

_current: ContextVar["Lease | None"] = ContextVar("drumroll_lease", default=None)


class Lease:
    """One engine's hold on one edition. `where` writes behind its fence; `lost` once another engine has taken over."""

    def __init__(self, where: Where, owner: str, token: int, *, ttl: timedelta, beat: float) -> None:
        self.owner = owner
        self.where = replace(where, token=token)
        self.lost = False
        self._ledger, self._clock = where.open(), current_clock()
        self._token, self._ttl = token, ttl
        self._waiting: asyncio.Timeout | None = None
        # A rehearsal's time does not pass by itself, so nothing runs out in it.
        wall = self._clock.patience is not None
        self._heart = asyncio.create_task(self._renew(beat)) if wall else None

    async def unless_lost(self, waiting: Awaitable[T]) -> T:
        """The result of `waiting`, which is cut short by a FencedError when another engine takes over meanwhile."""
        try:
            async with asyncio.timeout(0 if self.lost else None) as self._waiting:
                return await waiting
        except TimeoutError:
            if self.lost:
                raise self._overtaken() from None
            raise
        finally:
            self._waiting = None

    def confirm(self) -> None:
        """Renew it for what is about to be done outside the ledger; FencedError when another engine has taken over."""
        if not self._keep():
            raise self._overtaken()

    def release(self) -> None:
        """Stop renewing it, then let the next engine in; safe to call twice, and once it is lost."""
        if self._heart is not None:
            self._heart.cancel()
        with contextlib.suppress(LedgerError):  # then it runs out by itself
            self._ledger.release_lease(self.where.edition, self._token)

    async def _renew(self, beat: float) -> None:
        kept = True
        while kept:
            await asyncio.sleep(beat)
            with contextlib.suppress(LedgerError):  # a ledger that is busy now may be free at the next beat
                kept = self._keep()
        self.lost = True
        if self._waiting is not None:
            self._waiting.reschedule(asyncio.get_running_loop().time())

    def _keep(self) -> bool:
        return self._ledger.keep_lease(self.where.edition, self._token, now=self._clock.now(), ttl=self._ttl)

    def _overtaken(self) -> FencedError:
        holder = self._ledger.lease(self.where.edition)
        assert holder is not None
        return FencedError(holder)


def current_lease() -> Lease | None:
    """The lease of the engine we are in; None outside of one."""
    return _current.get()


@contextlib.asynccontextmanager
async def holding(where: Where, owner: str, *, ttl: timedelta = TTL, beat: float = BEAT) -> AsyncIterator[Where]:
    """Inside, this is the edition's one engine, and the `where` it gets writes behind the fence of its lease.

    A phase inside the launch shares the launch's lease. `owner` says in words who we are. Raises FencedError when
    another engine holds the lease and shows a sign of life; one that shows none for `ttl` is overtaken.
    """
    outer = _current.get()
    if outer is not None and (outer.where.edition, outer.where.ledger) == (where.edition, where.ledger):
        yield outer.where
        return
    lease = Lease(where, owner, await _take(where, owner, ttl), ttl=ttl, beat=beat)
    mark = _current.set(lease)
    try:
        yield lease.where
    finally:
        _current.reset(mark)
        lease.release()


async def while_ours(waiting: Awaitable[T]) -> T:
    """The result of `waiting`; FencedError at once when another engine takes the edition over meanwhile."""
    lease = _current.get()
    return await (waiting if lease is None else lease.unless_lost(waiting))


async def _take(where: Where, owner: str, ttl: timedelta) -> int:
    ledger, clock = where.open(), current_clock()

    async def take(now: datetime) -> int | None:
        return await patiently(lambda: ledger.take_lease(where.edition, owner=owner, now=now, ttl=ttl))

    token = await take(clock.now())
    while token is None:
        held = ledger.lease(where.edition)
        if held is not None and held.expires_at is not None:
            await _outlast(where, held, ttl)
            # It was silent for as long as a lease lasts, whatever its clock said when it was last heard of.
            token = await take(max(clock.now(), held.expires_at))
        else:
            token = await take(clock.now())
    return token


async def _outlast(where: Where, held: LeaseRow, ttl: timedelta) -> None:
    """Return once the lease is released, or was not renewed while it should have been; FencedError when it was."""
    clock, ledger = current_clock(), where.open()
    if clock.patience is None or held.expires_at is None:
        raise FencedError(held)
    left = max(min(held.expires_at - clock.now(), ttl).total_seconds(), 0)
    _tell(where, f"{held.owner} holds this launch; without a sign of life it goes on here in {left:.0f} s")
    until = time.monotonic() + left
    while time.monotonic() < until:
        await asyncio.sleep(_LOOK)
        seen = ledger.lease(where.edition)
        if seen is None or seen.expires_at is None:
            return
        if seen != held:
            raise FencedError(seen)
    _tell(where, f"{held.owner} is silent; it goes on here")


def _tell(where: Where, line: str) -> None:
    timezone = where.plan().launch.timezone
    tell(line, at=current_clock().now(), timezone=timezone, edition=where.edition, level=logging.WARNING)
