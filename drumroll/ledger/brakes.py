"""Brakes: what a person sets to hold one edition back, or all of them, until somebody releases it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ARRAY,
    Connection,
    String,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal_column,
    null,
    select,
    text,
)

from drumroll.ledger.home import is_elsewhere
from drumroll.ledger.lean import Lean
from drumroll.ledger.store import LedgerPart, Store
from drumroll.ledger.tables import brake as brakes_table
from drumroll.ledger.tables import decision, delivery, edition_lease, home
from drumroll.ledger.tables import edition as editions_table

ALL = "*"
"""The scope of a brake on every edition of the ledger, those that begin while it is set included."""


@dataclass(frozen=True, slots=True)
class BrakeRow:
    """Who holds back the edition `scope`, or every edition (`ALL`), since when and why."""

    scope: str
    set_at: datetime
    by: str
    reason: str


_BRAKE = tuple(brakes_table.c[name] for name in BrakeRow.__dataclass_fields__)
_OF_EDITION = brakes_table.c.scope.in_([bindparam("of_edition"), ALL])
# On PostgreSQL a brake is set under a lock on the table that waits for every transaction in which this was asked, and
# makes later ones wait: FOR SHARE takes its counterpart, whether there is a row or not. SQLite has one writer anyway.
_IS_SET = exists(
    select(brakes_table.c.scope).where(brakes_table.c.scope.in_([editions_table.c.id, ALL])).with_for_update(read=True)
)


@lru_cache(maxsize=4)
def _question(*, on_server: bool, fenced: bool) -> Lean:
    """What a claim must know: the edition, brakes, home, and with a fence the lease, locked as the fence does it.

    On a server of several editions at once.
    """
    joined: Any = editions_table.outerjoin(home, home.c.id == 1)
    table = literal_column("home.tableoid") if on_server else null()
    known = [editions_table.c.id, editions_table.c.rehearsal, editions_table.c.state, _IS_SET, home.c.place, table]
    if fenced:
        joined = joined.join(edition_lease, edition_lease.c.edition == editions_table.c.id)
        known += [edition_lease.c.token, edition_lease.c.expires_at]
    wanted: Any = bindparam("of_editions", type_=ARRAY(String)) if on_server else bindparam("of_editions")
    asked = select(*known).select_from(joined).where(editions_table.c.id == (func.any(wanted) if on_server else wanted))
    return Lean(asked.with_for_update(read=True, of=edition_lease) if fenced else asked)


class Brakes(LedgerPart):
    """While a brake is set, `claim` takes nothing: what is due stays due. Rehearsals have no brakes."""

    def set_brake(self, scope: str, *, by: str, reason: str, now: datetime) -> bool:
        """Hold back the edition `scope`, or every one (`ALL`), on record with each; False when it is held back already.

        When this returns, nothing more is claimed. What was claimed before may still be on its way: see `in_flight`.
        """
        row = {"scope": scope, "set_at": now, "by": by, "reason": reason}
        with self._store.write() as connection:
            if self._store.path is None:
                # Not ACCESS EXCLUSIVE: nobody has to wait for a dump that is being made, or for another to look.
                connection.execute(text("LOCK TABLE brake IN EXCLUSIVE MODE"))
            new = self._store.insert(brakes_table).values(row).on_conflict_do_nothing()
            if connection.execute(new).rowcount == 0:
                return False
            _record(connection, "pause", scope, by, reason, now)
        return True

    def release_brake(self, scope: str, *, by: str, reason: str, now: datetime) -> bool:
        """Let go what that brake held back, on record with each edition; False when it was not set."""
        with self._store.write() as connection:
            if connection.execute(delete(brakes_table).where(brakes_table.c.scope == scope)).rowcount == 0:
                return False
            _record(connection, "resume", scope, by, reason, now)
        return True

    def brake(self, edition: str) -> BrakeRow | None:
        """What a person holds the edition back with: its own brake, else the one on all; None when nothing does."""
        is_live = exists().where(editions_table.c.id == edition, editions_table.c.rehearsal.is_(False))
        wanted = select(*_BRAKE).where(_OF_EDITION, is_live).order_by(brakes_table.c.scope == ALL).limit(1)
        with self._store.read() as connection:
            row = connection.execute(wanted, {"of_edition": edition}).first()
        return BrakeRow(*row) if row is not None else None

    def brakes(self) -> list[BrakeRow]:
        """Every brake that is set, by scope; the one on all comes first."""
        with self._store.read() as connection:
            in_order = select(*_BRAKE).order_by(brakes_table.c.scope != ALL, brakes_table.c.scope)
            return [BrakeRow(*row) for row in connection.execute(in_order)]

    def in_flight(self, editions: Sequence[str], *, now: datetime) -> int:
        """How many deliveries of these editions an engine is sending at this moment."""
        flying = (delivery.c.state == literal_column("'sending'"), delivery.c.lease_until > now)
        count = select(func.count()).select_from(delivery).where(delivery.c.edition.in_(editions), *flying)
        with self._store.read() as connection:
            return connection.scalar(count) or 0


def sends_nothing(connection: Connection, store: Store, edition: str) -> bool:
    """Whether the edition is braked or aborted, or the ledger only a copy; asked in the claim's transaction.

    Stands in for the store's fence, in one statement: it is what the instant waits for. Raises FencedError.
    """
    fence, on_server = store.fence, store.path is None
    question = _question(on_server=on_server, fenced=fence is not None)
    rows = question.execute(connection, {"of_editions": [edition] if on_server else edition})
    if fence is not None and not (rows and fence.holds(*rows[0][-2:])):
        fence(connection)  # says why; or there is no such edition
    return bool(rows) and _is_held_back(connection, store, rows[0])


def which_send(connection: Connection, stores: Mapping[str, Store]) -> set[str]:
    """Which of these editions, each behind its own fence, may send now. Only for PostgreSQL."""
    rows = _question(on_server=True, fenced=True).execute(connection, {"of_editions": list(stores)})
    ours = (row for row in rows if (fence := stores[row.id].fence) is not None and fence.holds(*row[-2:]))
    return {row.id for row in ours if not _is_held_back(connection, stores[row.id], row)}


def _is_held_back(connection: Connection, store: Store, row: Any) -> bool:
    _, rehearsal, state, is_braked, place, table = row[:6]
    if rehearsal:
        return False
    return state == "aborted" or bool(is_braked) or is_elsewhere(connection, store, place, table)


def _record(connection: Connection, subject: str, scope: str, by: str, reason: str, now: datetime) -> None:
    theirs = [editions_table.c.id == scope]
    if scope == ALL:
        theirs = [editions_table.c.rehearsal.is_(False), editions_table.c.state.in_(("running", "held"))]
    choice = "all launches" if scope == ALL else "this launch"
    note = {"subject": subject, "choice": choice, "by": by, "reason": reason, "at": now}
    if editions := connection.scalars(select(editions_table.c.id).where(*theirs)).all():
        connection.execute(insert(decision), [{"edition": edition, **note} for edition in editions])
