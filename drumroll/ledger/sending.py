"""The statements of the sending path: taking deliveries, and writing down what became of them. See `lean`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, bindparam, func, literal_column, null, select, update

from drumroll.errors import LedgerError
from drumroll.ledger import states
from drumroll.ledger.lean import Lean, from_driver, to_driver
from drumroll.ledger.model import Claim, Settlement, delivery_key
from drumroll.ledger.rows import lateness, released_is
from drumroll.ledger.tables import delivery
from drumroll.ledger.tables import edition as editions_table

WAKES = {"due": delivery.c.fire_at, "retry": delivery.c.retry_at, "sending": delivery.c.lease_until}
"""What a row in each of these states waits for."""

TAKEN = tuple(
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
"""The columns that `claimed` reads."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to take: up to `limit` deliveries of one step that are due at `now`, for `lease`; see `Outbox.claim`."""

    edition: str
    step: str
    occurrence: int
    now: datetime
    limit: int
    lease: timedelta
    wording: str | None = None
    channel: str | None = None
    released: bool = False
    plan_version: int | None = None


def claim(connection: Connection, wanted: Wanted) -> list[Claim]:
    """Take them; those never tried first, and only where there are none of them those to be retried."""
    at, read = (make(delivery.c.due_at.type, connection.dialect) for make in (to_driver, from_driver))
    step = (wanted.edition, wanted.step, wanted.occurrence)
    values = dict(zip(("edition", "step", "occurrence"), step, strict=True))
    values |= {"now": at(wanted.now), "until": at(wanted.now + wanted.lease), "most": wanted.limit}
    values |= {"new_wording": wanted.wording, "channel": wanted.channel, "version": wanted.plan_version}
    rows: Sequence[Any] = ()
    for state in ("due", "retry"):
        # Whoever has some comes again for the others: at the instant every statement counts.
        take = _take(state, wanted.channel is not None, wanted.released, wanted.plan_version is not None)
        rows = rows or take.execute(connection, values)
    return sorted((claimed(row, *step, read) for row in rows), key=lambda each: (each.due_at, each.id))


def settle(connection: Connection, results: Sequence[Settlement], now: datetime, *, more: bool = False) -> int:
    """Write down how attempts ended; how many were accepted. See `Outbox.settle`."""
    if not results:
        return 0
    at = to_driver(delivery.c.sent_at.type, connection.dialect)
    written = at(now)
    rows = [_settled(result, now, written, at) for result in results]
    if connection.dialect.name == "sqlite":
        return _SETTLE.execute_many(connection, rows)
    # One statement for all of them: a server is asked once.
    document = orjson.dumps(rows).decode()
    return connection.exec_driver_sql(_SETTLE_ALL_SOON if more else _SETTLE_ALL, {"rows": document}).rowcount


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
    return Lean(take.returning(*TAKEN))


def claimed(row: Any, edition: str, step: str, occurrence: int, read: Callable[[Any], datetime]) -> Claim:
    """The claim in a row of `TAKEN`; `read` makes a time of what the driver gives."""
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
_SETTLE_ALL = """
UPDATE delivery SET state = new_state, message_id = new_message_id, error = new_error, lease_until = new_lease_until,
    retry_at = new_retry_at, sent_at = new_sent_at, lateness_ms = new_lateness_ms, updated_at = now,
    wording = coalesce(new_wording, wording)
FROM json_to_recordset(%(rows)s::json) AS done(
    "row" bigint, held_token bigint, now timestamptz, new_state text, new_wording text, new_message_id text,
    new_error text, new_lease_until timestamptz, new_retry_at timestamptz, new_sent_at timestamptz, new_lateness_ms int)
WHERE delivery.id = done."row" AND delivery.token = done.held_token AND delivery.state = 'sending'
"""
# Without a wait for the disk; in the statement itself, for a server is asked once.
_SETTLE_ALL_SOON = _SETTLE_ALL.replace("FROM ", "FROM set_config('synchronous_commit', 'off', true), ")
