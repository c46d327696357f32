"""Changing the plan of an edition that is under way: all of it in one transaction, or nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, union, update

from drumroll.errors import LedgerError
from drumroll.ledger import states
from drumroll.ledger.model import DecisionRow, DeliveryRow, NewDelivery
from drumroll.ledger.outbox import insert_deliveries
from drumroll.ledger.store import LedgerPart
from drumroll.ledger.tables import decision, delivery, plan_version, wording
from drumroll.ledger.tables import edition as editions_table

_BATCH = 500  # ids in one condition: a database takes a limited number of parameters


@dataclass(frozen=True, slots=True)
class PlanVersionRow:
    """One version of an edition's plan; `document` is its JSON."""

    version: int
    hash: str
    document: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class RowMove:
    """A delivery, as it was seen, and where it goes instead."""

    row: DeliveryRow
    phase: str
    channel: str
    due_at: datetime
    fire_at: datetime


@dataclass(frozen=True, slots=True)
class PlanChange:
    """A new plan with all that follows from it for the outbox.

    `cancelled` are deliveries as they were seen, set aside for `reason`. `taken_back` were handed to a person ahead of
    time and are due again, to be handed over in other words. `unsaid` are steps to single members of
    which neither words nor recipients may be settled yet.
    """

    plan_hash: str
    document: str
    title: str
    opens_at: datetime
    moved: Sequence[RowMove]
    cancelled: Sequence[DeliveryRow]
    added: Sequence[NewDelivery]
    unsaid: Sequence[str]
    reason: str
    decisions: Sequence[DecisionRow]
    taken_back: Sequence[DeliveryRow] = ()
    reworded: Sequence[DeliveryRow] = ()  # due, and said otherwise from now on: refused once one of them was claimed


class OvertakenError(LedgerError):
    """Something happened between looking and changing; nothing was written. `what` are delivery keys or step ids."""

    def __init__(self, edition: str, what: Sequence[str]) -> None:
        self.what = tuple(what)
        why = f"{', '.join(what)} began meanwhile" if what else "somebody else changed the plan meanwhile"
        super().__init__(why, where=edition, remedy="look again with `drumroll plan FILE --diff`")


class Changes(LedgerPart):
    """Every version of a plan, and the step from one to the next."""

    def plan_versions(self, edition: str) -> list[PlanVersionRow]:
        """All versions of the edition's plan, the first one first; LedgerError when there is none."""
        columns = (plan_version.c.version, plan_version.c.hash, plan_version.c.document, plan_version.c.created_at)
        wanted = select(*columns).where(plan_version.c.edition == edition).order_by(plan_version.c.version)
        with self._store.read() as connection:
            found = [PlanVersionRow(*row) for row in connection.execute(wanted)]
        if not found:
            raise LedgerError(f'no plan of an edition "{edition}"', where=self._store.where, remedy="begin it first")
        return found

    def change_plan(self, edition: str, change: PlanChange, *, since: PlanVersionRow, now: datetime) -> int:
        """Make `change` the edition's plan if it still runs `since`; returns the new version.

        Raises OvertakenError, having written nothing, when another plan was applied or one of the deliveries was
        claimed meanwhile, and LedgerError when the edition is over or a delivery to add is there already.
        """
        with self._store.write() as connection:
            version = self._lock(connection, edition, since)
            if said := _said(connection, edition, change.unsaid):
                raise OvertakenError(edition, said)
            if begun := _not_as_seen(connection, change.reworded):
                raise OvertakenError(edition, begun)
            _move(connection, edition, change.moved, now)
            _cancel(connection, edition, change.cancelled, change.reason, now)
            _take_back(connection, edition, change.taken_back, now)
            if insert_deliveries(connection, edition, change.added) != len(change.added):
                remedy = "look again with `drumroll plan FILE --diff`"
                raise LedgerError("a delivery of the new plan is there already", where=edition, remedy=remedy)
            row = {"edition": edition, "version": version, "created_at": now}
            row |= {"hash": change.plan_hash, "document": change.document}
            connection.execute(insert(plan_version).values(row))
            stands = {"plan_version": version, "opens_at": change.opens_at, "title": change.title}
            connection.execute(update(editions_table).where(editions_table.c.id == edition).values(stands))
            for each in change.decisions:
                values = {name: getattr(each, name) for name in DecisionRow.__dataclass_fields__}
                connection.execute(insert(decision).values(values))
        return version

    def _lock(self, connection: Connection, edition: str, since: PlanVersionRow) -> int:
        """The number of the next version. The row is locked, so that of two changes one sees the other's."""
        columns = (editions_table.c.plan_version, editions_table.c.state)
        row = connection.execute(select(*columns).where(editions_table.c.id == edition).with_for_update()).first()
        if row is None:
            raise LedgerError(f'no edition "{edition}"', where=self._store.where, remedy="begin it first")
        if row.state in {"done", "aborted"}:
            raise LedgerError(f"is {row.state}", where=edition, remedy="begin another edition with --opens")
        stored = (plan_version.c.edition == edition, plan_version.c.version == row.plan_version)
        stored_hash = connection.scalar(select(plan_version.c.hash).where(*stored))
        if (row.plan_version, stored_hash) != (since.version, since.hash):
            raise OvertakenError(edition, ())
        return int(row.plan_version) + 1


def _said(connection: Connection, edition: str, steps: Sequence[str]) -> list[str]:
    if not steps:
        return []
    kept = select(wording.c.step).where(wording.c.edition == edition, wording.c.step.in_(steps))
    members = (delivery.c.edition == edition, delivery.c.step.in_(steps), delivery.c.member.is_not(None))
    return sorted(connection.scalars(union(kept, select(delivery.c.step).where(*members))))


def _move(connection: Connection, edition: str, moves: Sequence[RowMove], now: datetime) -> None:
    new = {
        "phase": bindparam("new_phase"),
        "channel": bindparam("new_channel"),
        "due_at": bindparam("new_due", type_=delivery.c.due_at.type),
        "fire_at": bindparam("new_fire", type_=delivery.c.fire_at.type),
        "updated_at": now,
    }
    values = [
        _seen(move.row)
        | {
            "new_phase": move.phase,
            "new_channel": move.channel,
            "new_due": move.due_at,
            "new_fire": move.fire_at,
        }
        for move in moves
    ]
    _only_as_seen(connection, edition, [move.row for move in moves], new, values)


def _cancel(connection: Connection, edition: str, rows: Sequence[DeliveryRow], reason: str, now: datetime) -> None:
    for row in rows:
        states.require(row.key, "set_aside", row.state, "cancelled")
    new = {"state": "cancelled", "error": reason, "retry_at": None, "updated_at": now}
    _only_as_seen(connection, edition, rows, new, [_seen(row) for row in rows])


def _take_back(connection: Connection, edition: str, rows: Sequence[DeliveryRow], now: datetime) -> None:
    for row in rows:
        states.require(row.key, "take_back", row.state, "due")
    new = {"state": "due", "message_id": None, "sent_at": None, "lateness_ms": None, "updated_at": now}
    _only_as_seen(connection, edition, rows, new, [_seen(row) for row in rows])


def _seen(row: DeliveryRow) -> dict[str, Any]:
    return {"row": row.id, "seen_state": row.state, "seen_token": row.token, "seen_fire": row.fire_at}


def _only_as_seen(
    connection: Connection,
    edition: str,
    rows: Sequence[DeliveryRow],
    new: dict[str, Any],
    values: Sequence[dict[str, Any]],
) -> None:
    """Update the rows while each is as it was seen; OvertakenError with the keys of those that are not."""
    if not rows:
        return
    as_seen = (
        delivery.c.id == bindparam("row"),
        delivery.c.state == bindparam("seen_state"),
        delivery.c.token == bindparam("seen_token"),
        delivery.c.fire_at == bindparam("seen_fire", type_=delivery.c.fire_at.type),
    )
    if overtaken := _not_as_seen(connection, rows):
        raise OvertakenError(edition, overtaken)
    if connection.execute(update(delivery).where(*as_seen).values(new), values).rowcount != len(rows):
        raise OvertakenError(edition, _not_as_seen(connection, rows))


def _not_as_seen(connection: Connection, rows: Sequence[DeliveryRow]) -> list[str]:
    """Keys of the rows that another process has taken up; those seen as they were are locked against it."""
    columns = (delivery.c.id, delivery.c.state, delivery.c.token, delivery.c.fire_at)
    found: set[tuple[Any, ...]] = set()
    for start in range(0, len(rows), _BATCH):
        ids = [row.id for row in rows[start : start + _BATCH]]
        wanted = select(*columns).where(delivery.c.id.in_(ids)).order_by(delivery.c.id).with_for_update()
        found |= {tuple(row) for row in connection.execute(wanted)}
    return [row.key for row in rows if (row.id, row.state, row.token, row.fire_at) not in found]
