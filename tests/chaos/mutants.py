"""Broken engines that the harness must catch: each takes one safeguard away, in the engine's process alone."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import update

from drumroll.ledger import tally
from drumroll.ledger.ledger import Ledger
from drumroll.ledger.model import Claim, Settlement
from drumroll.ledger.sending import _settled
from drumroll.ledger.tables import delivery
from drumroll.operate.attempt import Attempts
from drumroll.operate.outbox import Outbox


def blind_resend() -> None:
    """Recovery sends every doubtful row again, whether or not its channel honours keys."""
    original = Outbox._recover

    async def recover(self: Outbox, claim: Claim) -> None:
        trusting = replace(self._capabilities[claim.channel], idempotent=True)
        self._capabilities = {**self._capabilities, claim.channel: trusting}
        await original(self, claim)

    Outbox._recover = recover  # type: ignore[method-assign]


def no_claim() -> None:
    """Rows are picked and sent, but the claim is never committed: only this process knows that it sends them."""
    original, mine = Ledger.claim, set[int]()

    def claim(self: Ledger, *args: Any, limit: int, **kwargs: Any) -> list[Claim]:
        with _undone(self):
            found = original(self, *args, limit=1000, **kwargs)
        taken = [each for each in found if each.id not in mine][:limit]
        mine.update(each.id for each in taken)
        return taken

    # The count beside the file would tell the ledger for a copy that lacks them.
    tally.count = lambda *_: None  # type: ignore[assignment]
    no_row_token()
    settle_anything = Ledger.settle

    def settle(self: Ledger, results: Sequence[Settlement], *, now: datetime, more: bool = False) -> int:
        mine.difference_update(result.claim.id for result in results)
        return settle_anything(self, results, now=now, more=more)

    Ledger.claim, Ledger.settle = claim, settle  # type: ignore[method-assign]


def settle_first() -> None:
    """Written down as sent before the network has seen it."""
    original, initial, ledgers = Attempts.settle, Attempts.__init__, WeakKeyDictionary[Attempts, Ledger]()

    def init(self: Attempts, ledger: Ledger, *args: Any) -> None:
        initial(self, ledger, *args)
        ledgers[self] = ledger

    async def settle(self: Attempts, claim: Claim, *, doubtful: bool = False) -> Settlement:
        ledgers[self].settle([Settlement(claim, "sent")], now=self._clock.now())
        return await original(self, claim, doubtful=doubtful)

    Attempts.__init__, Attempts.settle = init, settle  # type: ignore[method-assign]


def no_fencing() -> None:
    """An engine that was overtaken writes on: the token of its edition's lease is never asked for."""

    def fenced(self: Ledger, edition: str, token: int) -> Ledger:
        return self

    Ledger.fenced = fenced  # type: ignore[method-assign]


def no_row_token() -> None:
    """A settlement is written whatever has become of the row since it was claimed."""

    def settle(self: Ledger, results: Sequence[Settlement], *, now: datetime, more: bool = False) -> int:
        with self.store.write(fenced=False) as connection:
            for result in results:
                settled = _settled(result, now, now, lambda at: at)
                new = {name[4:]: value for name, value in settled.items() if name.startswith("new_")}
                row = update(delivery).where(delivery.c.id == result.claim.id)
                connection.execute(row.values({**new, "updated_at": now}))
        return len(results)

    Ledger.settle = settle  # type: ignore[method-assign]


@contextmanager
def _undone(ledger: Ledger) -> Iterator[None]:
    """What the ledger writes meanwhile is rolled back."""
    store = ledger.store

    @contextmanager
    def write(*, fenced: bool = True) -> Iterator[Any]:
        with store.engine.connect().execution_options(ledger_write=True, preserve_rowcount=True) as connection:
            if fenced and store.fence is not None:
                store.fence(connection)
            yield connection
            connection.rollback()

    store.write = write  # type: ignore[method-assign]
    try:
        yield
    finally:
        del store.write  # the class's own again


MUTANTS: dict[str, Callable[[], None]] = {
    "blind-resend": blind_resend,
    "no-claim": no_claim,
    "settle-first": settle_first,
    "no-fencing": no_fencing,
    "no-row-token": no_row_token,
}
