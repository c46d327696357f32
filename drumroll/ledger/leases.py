"""After a crash: deliveries whose engine died between the claim and the settlement."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import ColumnElement, bindparam, literal_column, select, update

from drumroll.ledger import states, tally
from drumroll.ledger.brakes import sends_nothing
from drumroll.ledger.model import Claim
from drumroll.ledger.rows import CLAIM, claim
from drumroll.ledger.sending import lease_values
from drumroll.ledger.store import LedgerPart
from drumroll.ledger.tables import delivery


class Leases(LedgerPart):
    """Whether a doubtful message is sent again, looked up or shown to a person, its channel decides, not the ledger."""

    def expired(self, edition: str, *, now: datetime) -> list[Claim]:
        """Deliveries still `sending` though their lease has ended, the first planned first."""
        wanted = select(*CLAIM).where(delivery.c.edition == edition, *_lapsed(now))
        with self._store.read() as connection:
            return [claim(row) for row in connection.execute(wanted.order_by(delivery.c.due_at, delivery.c.id))]

    def reclaim(
        self, claims: Sequence[Claim], *, now: datetime, lease: timedelta, to_send: bool = False
    ) -> list[Claim]:
        """Take lapsed deliveries over, for channels that honour an idempotency key: same key, new token.

        Left out are those that were settled or taken by another engine in the meantime; those that are `to_send` again,
        also while a brake holds the edition back or the ledger is only a copy.
        """
        taken: list[Claim] = []
        with self._store.write() as connection:
            for old in claims:
                if to_send and sends_nothing(connection, self._store, old.edition):
                    continue
                mine = (delivery.c.id == old.id, delivery.c.token == old.token, *_lapsed(now))
                take = update(delivery).where(*mine).values(lease_values(now, lease)).returning(*CLAIM)
                taken += map(claim, connection.execute(take))
        tally.count(self._store, len(taken))
        return taken

    def recover(
        self,
        claims: Sequence[Claim],
        to: Literal["unknown", "sent"],
        *,
        now: datetime,
        reason: str,
        message_id: str | None = None,
    ) -> int:
        """Settle lapsed deliveries that nobody can ask any more; returns how many were still lapsed.

        `sent` when the platform said so on look-up (`message_id` as it gave it), else `unknown`. The time of sending
        is then the time of the claim, and lateness stays unmeasured. `reason` is kept as the row's `error`.
        """
        for old in claims:
            states.require(old.key, "recover", "sending", to)
        if not claims:
            return 0
        mine = (delivery.c.id == bindparam("row"), delivery.c.token == bindparam("held_token"), *_lapsed(now))
        end = update(delivery).where(*mine).values(state=to, lease_until=None, error=reason, updated_at=now)
        if to == "sent":
            end = end.values(sent_at=delivery.c.updated_at, message_id=message_id)
        with self._store.write() as connection:
            return connection.execute(end, [{"row": old.id, "held_token": old.token} for old in claims]).rowcount


def _lapsed(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return delivery.c.state == literal_column("'sending'"), delivery.c.lease_until <= now
