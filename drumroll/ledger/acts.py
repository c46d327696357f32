"""What happens to a delivery beside the sending path: set aside by rule, decided by a person, told by the platform."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, insert, select, update

from drumroll.errors import LedgerError
from drumroll.ledger import states
from drumroll.ledger.brakes import sends_nothing
from drumroll.ledger.listings import find
from drumroll.ledger.model import Choice, DeliveryRow, State
from drumroll.ledger.rows import lateness, released_is
from drumroll.ledger.store import LedgerPart
from drumroll.ledger.tables import decision, delivery

REMINDED = "reminded"
"""The choice under which a reminder stands in the audit log."""


class Acts(LedgerPart):
    """Moves by rule and by hand. A person's are written with who, why and when, in the same transaction."""

    def set_aside(
        self,
        edition: str,
        step: str | None,
        occurrence: int | None,
        *,
        to: Literal["skipped", "held", "cancelled"],
        reason: str,
        now: datetime,
        phases: Sequence[str] | None = None,
        released: bool | None = None,
    ) -> int:
        """Do not send what is `due` or `retry`; returns how many rows. None stands for every step or occurrence.

        `skipped` and `held` touch only rows whose time has come; `cancelled` takes all, those held for a person too.
        With `released`, only those that a person released (True), or only those that nobody did (False). `reason` is
        kept as the rows' `error`.
        """
        chosen = [delivery.c.edition == edition, delivery.c.state.in_(states.sources("set_aside", to))]
        if step is not None:
            chosen.append(delivery.c.step == step)
        if occurrence is not None:
            chosen.append(delivery.c.occurrence == occurrence)
        if phases is not None:
            chosen.append(delivery.c.phase.in_(phases))
        if released is not None:
            chosen.append(released_is(released))
        if to != "cancelled":
            chosen.append(delivery.c.fire_at <= now)
        aside = update(delivery).where(*chosen).values(state=to, error=reason, retry_at=None, updated_at=now)
        with self._store.write() as connection:
            return connection.execute(aside).rowcount

    def resolve(self, key: str, choice: Choice, *, by: str, reason: str, now: datetime) -> None:
        """A person's word on a `held`, `unknown` or `failed` delivery.

        `resend` makes it due, with its attempts forgotten and the same key: *now* and released (`fire_at > due_at`)
        when its planned instant is over, at its own `fire_at` like any other when it is not. `sent` says that it
        arrived; `skip` leaves it. LedgerError when the key is unknown or its state does not allow the choice.
        """
        if choice not in states.CHOICES:
            raise LedgerError(f'"{choice}" is no choice', where=key, remedy=f"say {' or '.join(states.CHOICES)}")
        new = states.CHOICES[choice]
        with self._store.write() as connection:
            row = find(connection, key, lock=True)
            states.require(key, "resolve", row.state, new)
            change: dict[str, Any] = {"error": reason}
            if new == "due":
                change = {"error": None, "fire_at": now if now > row.due_at else row.fire_at, "attempts": 0}
            elif new == "sent":
                change["sent_at"] = row.updated_at
            _move(connection, row, new, now, change)
            connection.execute(insert(decision).values(_decided(row, choice, by, reason, now)))

    def done(self, key: str, *, by: str, now: datetime, proof: str = "") -> None:
        """A person did what an `awaiting` delivery asked for: it is sent. LedgerError when it does not await anyone.

        `proof` (a link, the name of a screenshot) is kept as the decision's reason.
        """
        with self._store.write() as connection:
            row = find(connection, key, lock=True)
            states.require(key, "done", row.state, "sent")
            _move(connection, row, "sent", now, {"sent_at": now, "lateness_ms": lateness(now, row.due_at)})
            connection.execute(insert(decision).values(_decided(row, "done", by, proof, now)))

    def platform_result(
        self,
        key: str,
        to: Literal["sent", "failed", "skipped"],
        *,
        now: datetime,
        reason: str | None = None,
        sent_at: datetime | None = None,
    ) -> None:
        """What the platform says became of an `awaiting` delivery (a member tapped, refused or let it lapse).

        `sent_at` is when it went out, where the platform says so (default: `now`).
        """
        with self._store.write() as connection:
            row = find(connection, key, lock=True)
            states.require(key, "platform", row.state, to)
            at = (sent_at or now) if to == "sent" else None
            lateness_ms = lateness(at, row.due_at) if at else None
            _move(connection, row, to, now, {"error": reason, "sent_at": at, "lateness_ms": lateness_ms})

    def remind(self, key: str, *, by: str, wait: timedelta, most: int, now: datetime) -> bool:
        """Whether the one that an `awaiting` delivery waits for is to be reminded now; then that is on record already.

        At most `most` times in all, `wait` after it was handed over and after one another, and of two that ask at once
        one gets the word. Never while a brake holds the edition back, nor in a ledger that is only a copy.
        """
        with self._store.write() as connection:
            row = find(connection, key, lock=True)
            if row.state != "awaiting" or sends_nothing(connection, self._store, row.edition):
                return False
            of_row = (decision.c.edition == row.edition, decision.c.subject == key, decision.c.choice == REMINDED)
            since = row.updated_at or row.due_at
            told = [at for at in connection.scalars(select(decision.c.at).where(*of_row)) if at >= since]
            if len(told) >= most or now < max(told, default=since) + wait:
                return False
            connection.execute(insert(decision).values(_decided(row, REMINDED, by, "", now)))
        return True


def _move(connection: Connection, row: DeliveryRow, new: State, now: datetime, change: dict[str, Any]) -> None:
    still = (delivery.c.id == row.id, delivery.c.state == row.state)
    connection.execute(update(delivery).where(*still).values({**change, "state": new, "updated_at": now}))


def _decided(row: DeliveryRow, choice: str, by: str, reason: str, now: datetime) -> dict[str, object]:
    return {"edition": row.edition, "subject": row.key, "choice": choice, "by": by, "reason": reason, "at": now}
