"""Editions and the plans they run by."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from drumroll.errors import LedgerError
from drumroll.ledger.home import note_home
from drumroll.ledger.model import DecisionRow, EditionRow, EditionState, NewDelivery
from drumroll.ledger.outbox import insert_deliveries
from drumroll.ledger.store import LedgerPart
from drumroll.ledger.tables import decision, plan_version
from drumroll.ledger.tables import edition as editions_table

_EDITION = tuple(editions_table.c[name] for name in EditionRow.__dataclass_fields__)
_ENDED = frozenset({"done", "aborted"})


class Editions(LedgerPart):
    """One run of a launch file each, with every version of its plan."""

    def begin(
        self,
        edition: str,
        *,
        launch: str,
        title: str,
        opens_at: datetime,
        plan_hash: str,
        document: str,
        deliveries: Sequence[NewDelivery],
        rehearsal: bool,
        now: datetime,
        approval: DecisionRow | None = None,
    ) -> bool:
        """Write edition, plan version 1, its deliveries and the approval behind it, if any, in one transaction.

        Returns False, and writes nothing, when the edition exists.
        """
        if not edition or "/" in edition:
            raise LedgerError(f'"{edition}" cannot name an edition', remedy='use LAUNCH@OPENING-DATE, without "/"')
        row = {
            "id": edition,
            "launch": launch,
            "title": title,
            "opens_at": opens_at,
            "state": "running",
            "plan_version": 1,
            "rehearsal": rehearsal,
            "created_at": now,
        }
        with self._store.write() as connection:
            new = self._store.insert(editions_table).values(row).on_conflict_do_nothing()
            if connection.execute(new).rowcount == 0:
                return False
            connection.execute(insert(plan_version).values(_plan_row(edition, 1, plan_hash, document, now)))
            insert_deliveries(connection, edition, deliveries)
            if not rehearsal:
                note_home(connection, self._store, now=now)
            if approval is not None:
                connection.execute(insert(decision).values(asdict(approval)))
        return True

    def edition(self, name: str) -> EditionRow:
        """The edition of that id, or the newest one of the launch of that name; LedgerError when there is neither."""
        newest_first = (editions_table.c.created_at.desc(), editions_table.c.id.desc())
        with self._store.read() as connection:
            exact = connection.execute(select(*_EDITION).where(editions_table.c.id == name)).first()
            of_launch = select(*_EDITION).where(editions_table.c.launch == name).order_by(*newest_first).limit(1)
            if found := exact or connection.execute(of_launch).first():
                return _edition_row(found)
            known = connection.scalars(select(editions_table.c.id).order_by(*newest_first).limit(5)).all()
        remedy = f"known: {', '.join(known)}" if known else "no launch has been started yet"
        raise LedgerError(f'no edition or launch "{name}"', where=self._store.where, remedy=remedy)

    def editions(self) -> list[EditionRow]:
        """All editions, the oldest first."""
        with self._store.read() as connection:
            in_order = select(*_EDITION).order_by(editions_table.c.created_at, editions_table.c.id)
            return [_edition_row(row) for row in connection.execute(in_order)]

    def set_edition_state(self, edition: str, state: EditionState, now: datetime) -> None:
        """Note where the edition stands; `done` and `aborted` end it."""
        ended_at = now if state in _ENDED else None
        change = update(editions_table).where(editions_table.c.id == edition).values(state=state, ended_at=ended_at)
        with self._store.write() as connection:
            if connection.execute(change).rowcount == 0:
                raise LedgerError(f'no edition "{edition}"', where=self._store.where, remedy="begin it first")

    def plan_document(self, edition: str) -> str:
        """The JSON of the latest version of the edition's plan."""
        return self._latest_plan(edition, "document")

    def plan_hash(self, edition: str) -> str:
        """The hash of the latest version of the edition's plan."""
        return self._latest_plan(edition, "hash")

    def _latest_plan(self, edition: str, column: str) -> str:
        with self._store.read() as connection:
            found = _plan(connection, edition, column)
        if found is None:
            raise LedgerError(f'no plan of an edition "{edition}"', where=self._store.where, remedy="begin it first")
        return found


def _edition_row(row: Sequence[Any]) -> EditionRow:
    return EditionRow(*row)


def _plan(connection: Connection, edition: str, column: str) -> str | None:
    latest = select(func.max(plan_version.c.version)).where(plan_version.c.edition == edition).scalar_subquery()
    wanted = select(plan_version.c[column]).where(plan_version.c.edition == edition, plan_version.c.version == latest)
    found: str | None = connection.scalar(wanted)
    return found


def _plan_row(edition: str, version: int, plan_hash: str, document: str, now: datetime) -> dict[str, object]:
    return {"edition": edition, "version": version, "hash": plan_hash, "document": document, "created_at": now}
