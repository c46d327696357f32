"""The sending path: schedule, find what is next, claim it, settle it."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    bindparam,
    func,
    literal_column,
    null,
    select,
    union_all,
    update,
)
from sqlalchemy.sql import Select

from drumroll.errors import LedgerError
from drumroll.ledger import states, tally
from drumroll.ledger.brakes import sends_nothing
from drumroll.ledger.bulk import insert_new
from drumroll.ledger.lean import Lean, from_driver, to_driver
from drumroll.ledger.model import Claim, Moment, NewDelivery, Settlement, delivery_key
from drumroll.ledger.rows import lateness, released_is
from drumroll.ledger.store import LedgerPart
from drumroll.ledger.tables import delivery
from drumroll.ledger.tables import edition as editions_table

WAKES = {"due": delivery.c.fire_at, "retry": delivery.c.retry_at, "sending": delivery.c.lease_until}
"""What a row in each of these states waits for."""

_TAKEN = tuple(
    delivery.c[name]
    for name in (
        "id",
        "recipient",
        "phase",
        "channel",
        "group_id",
        "member",
        "due_at",
        "fire_at",
        "token",
        "attempts",
        "wording",
    )
)
_NEW = (
    "edition",
    "step",
    "occurrence",
    "recipient",
    "phase",
    "channel",
    "group_id",
    "member",
    "due_at",
    "fire_at",
    "state",
    "token",
    "attempts",
)


class Outbox(LedgerPart):
    """Deliveries on their way. A claim is committed before it is returned: the network comes after."""

    def schedule(self, edition: str, rows: Sequence[NewDelivery]) -> int:
        """Add deliveries that are not there yet, as `due`; returns how many were new. One transaction."""
        with self._store.write() as connection:
            return insert_deliveries(connection, edition, rows)

    def next_moment(
        self,
        edition: str,
        phases: Sequence[str],
        *,
        now: datetime,  # noqa: ARG002 - part of the contract: what is overdue is next as well
    ) -> Moment | None:
        """The earliest thing wanted of the deliveries in these phases; None when nothing is left to do.

        Rows that wait for a person (`held`, `awaiting`) want nothing. Of equal instants the one planned first comes
        first, then the one written first. Rows that a person released and rows of the same step and instant that
        nobody did are different moments.
        """
        # One row per phase and state straight off its own partial index: cheap beside a million finished rows.
        firsts = [_first(edition, phase, state).subquery() for phase in phases for state in WAKES]
        if not firsts:
            return None
        every = union_all(*(select(first) for first in firsts)).subquery()
        earliest = select(every).order_by(every.c.at, every.c.due_at, every.c.id).limit(1)
        with self._store.read() as connection:
            row = connection.execute(earliest).first()
        return Moment(row.at, row.step, row.occurrence, row.why, row.due_at, row.fire_at) if row else None

    def claim(
        self,
        edition: str,
        step: str,
        occurrence: int,
        *,
        now: datetime,
        limit: int,
        lease: timedelta,
        wording: str | None = None,
        channel: str | None = None,
        released: bool = False,
        plan_version: int | None = None,
    ) -> list[Claim]:
        """Take up to `limit` deliveries of one step whose time has come; no other engine gets them while leased.

        Those never tried, and where there are none of them those to be retried; only those of `channel` when it is
        given. Those that a person released (`Moment.released`) are taken with `released` and not without. `wording`,
        the hash of the text about to go out, is noted before anything leaves. None are taken once the edition runs
        another `plan_version`, while a brake holds it back, or while the ledger is only a copy.
        """
        with self._store.write(fenced=False) as connection:  # the next question is the fence's, too
            if sends_nothing(connection, self._store, edition):
                return []
            at, read = (make(delivery.c.due_at.type, connection.dialect) for make in (to_driver, from_driver))
            wanted = {"edition": edition, "step": step, "occurrence": occurrence, "now": at(now)}
            wanted |= {"until": at(now + lease), "new_wording": wording, "channel": channel, "version": plan_version}
            rows: Sequence[Any] = ()
            for state in ("due", "retry"):
                # Whoever has some comes again for the others: at the instant every statement counts.
                take = _take(state, channel is not None, released, plan_version is not None)
                rows = rows or take.execute(connection, wanted | {"most": limit})
            claims = [_claimed(row, edition, step, occurrence, read) for row in rows]
            taken = sorted(claims, key=lambda each: (each.due_at, each.id))
        tally.count(self._store, len(taken))
        return taken

    def settle(self, results: Sequence[Settlement], *, now: datetime) -> int:
        """Write down how attempts ended, in one transaction; returns how many were accepted.

        One whose token is no longer current, because its lease ended and another took it, is refused without an error.
        No fence stands before it: an engine that was overtaken while the answer was on its way still knows what became
        of rows that nobody has taken since, and without its word they would be doubtful.
        """
        if not results:
            return 0
        with self._store.write(fenced=False) as connection:
            at = to_driver(delivery.c.sent_at.type, connection.dialect)
            written = at(now)
            return _SETTLE.execute_many(connection, [_settled(result, now, written, at) for result in results])


def insert_deliveries(connection: Connection, edition: str, rows: Sequence[NewDelivery]) -> int:
    """Insert what is not there yet, on a transaction of the caller's; returns how many were new.

    LedgerError when one would leave after its planned instant: such rows are the ones that a person released.
    """
    for name in {row.step for row in rows} | {row.group for row in rows}:
        if not name or "/" in name:
            raise LedgerError(f'"{name}" cannot be part of a delivery key', remedy='use a name without "/"')
    for row in rows:
        if row.fire_at > row.due_at:
            raise LedgerError(
                "would leave after its planned instant",
                where=delivery_key(edition, row.step, row.occurrence, row.recipient),
                remedy="fire at the instant or before it",
            )
    values = [
        (
            edition,
            row.step,
            row.occurrence,
            row.recipient,
            row.phase,
            row.channel,
            row.group,
            row.member,
            row.due_at,
            row.fire_at,
            "due",
            0,
            0,
        )
        for row in rows
    ]
    return insert_new(connection, delivery, _NEW, values)


def lease_values(now: datetime, lease: timedelta) -> dict[str, Any]:
    """What an engine writes into the rows it takes: a new token fences whoever held them before."""
    return taken_until(now + lease, now)


def taken_until(until: Any, now: Any) -> dict[str, Any]:
    """`lease_values` of values or of parameters."""
    return {
        "state": literal_column("'sending'"),
        "token": delivery.c.token + literal_column("1"),
        "attempts": delivery.c.attempts + literal_column("1"),
        "lease_until": until,
        "retry_at": null(),
        "updated_at": now,
    }


def in_state(state: str) -> ColumnElement[bool]:
    """The rows in that state."""
    # Spelled out, not bound: a planner uses a partial index only when it sees the index's own condition.
    return delivery.c.state == literal_column(f"'{state}'")


def _first(edition: str, phase: str, state: str) -> Select[Any]:
    wake = WAKES[state]
    return (
        select(
            wake.label("at"),
            delivery.c.step,
            delivery.c.occurrence,
            literal_column(f"'{state}'").label("why"),
            delivery.c.due_at,
            delivery.c.fire_at,
            delivery.c.id,
        )
        .where(delivery.c.edition == edition, delivery.c.phase == phase, in_state(state))
        .order_by(wake, delivery.c.due_at, delivery.c.id)
        .limit(1)
    )


@lru_cache(maxsize=16)
def _take(state: str, on_channel: bool, released: bool, of_version: bool) -> Lean:  # noqa: FBT001 - parts of a key
    """The statement that takes up to `most` deliveries of one step in that state, and returns them."""
    wanted = [delivery.c[name] == bindparam(f"{name}") for name in ("edition", "step", "occurrence")]
    wanted += [released_is(released), in_state(state), WAKES[state] <= bindparam("now")]
    if on_channel:
        wanted.append(delivery.c.channel == bindparam("channel"))
    if of_version:
        runs = select(editions_table.c.plan_version).where(editions_table.c.id == bindparam("edition"))
        wanted.append(runs.scalar_subquery() == bindparam("version"))
    picked = (
        select(delivery.c.id)
        .where(*wanted)
        .order_by(WAKES[state], delivery.c.due_at, delivery.c.id)
        .limit(bindparam("most"))
        .with_for_update(skip_locked=True)
        .cte("picked")
    )
    lock = taken_until(bindparam("until"), bindparam("now"))
    lock["wording"] = func.coalesce(bindparam("new_wording"), delivery.c.wording)
    take = update(delivery).where(delivery.c.id.in_(select(picked.c.id)), in_state(state)).values(lock)
    return Lean(take.returning(*_TAKEN))


def _claimed(row: Any, edition: str, step: str, occurrence: int, read: Callable[[Any], datetime]) -> Claim:
    number, recipient, phase, channel, group, member, due_at, fire_at, token, attempts, wording = row
    key = delivery_key(edition, step, occurrence, recipient)
    times = (read(due_at), read(fire_at))
    place = (edition, step, occurrence, recipient, phase, channel, group, member)
    return Claim(number, key, *place, *times, token, attempts, wording)


def _settled(result: Settlement, now: datetime, written: Any, at: Callable[[datetime | None], Any]) -> dict[str, Any]:
    states.require(result.claim.key, "settle", "sending", result.state)
    if (result.state in {"retry", "sending"}) != (result.retry_at is not None):
        what = "what is tried again, and nothing else, has a time"
        raise LedgerError(what, where=result.claim.key, remedy="set retry_at")
    handed_over = result.state in ("sent", "awaiting")
    sent_at = (result.sent_at or now) if handed_over else None
    late = lateness(sent_at, result.claim.due_at) if sent_at else None
    return {
        "row": result.claim.id,
        "held_token": result.claim.token,
        "now": written,
        "new_state": result.state,
        "new_wording": result.wording,
        "new_message_id": result.message_id,
        "new_error": result.error,
        "new_lease_until": at(result.retry_at) if result.state == "sending" else None,
        "new_retry_at": at(result.retry_at) if result.state == "retry" else None,
        "new_sent_at": at(sent_at),
        "new_lateness_ms": late,
    }


def _settle() -> Lean:
    mine = (delivery.c.id == bindparam("row"), delivery.c.token == bindparam("held_token"), in_state("sending"))
    columns = ("state", "message_id", "error", "lease_until", "retry_at", "sent_at", "lateness_ms")
    values: dict[str, Any] = {name: bindparam(f"new_{name}", type_=delivery.c[name].type) for name in columns}
    values |= {"updated_at": bindparam("now"), "wording": func.coalesce(bindparam("new_wording"), delivery.c.wording)}
    return Lean(update(delivery).where(*mine).values(values))


_SETTLE = _settle()
