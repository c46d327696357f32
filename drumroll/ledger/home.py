"""Where the ledger lives. In another place it is a copy, which sends nothing before somebody has confirmed it.

A copy does not know what its original has sent since. The place is a file's number and path, or the server's own
identity, its timeline (the next one once it was restored or failed over), the database and the table (a new one once it
was restored from a dump). A file that is moved keeps its number; hosts' names, which change in containers, are no part
of it.
"""

import os
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, and_, func, insert, or_, select, text, union_all, update
from sqlalchemy.exc import DBAPIError

from drumroll.ledger import tally
from drumroll.ledger.store import LedgerPart, Store
from drumroll.ledger.tables import decision, delivery, gate_check
from drumroll.ledger.tables import edition as editions_table
from drumroll.ledger.tables import home as homes_table

RESTORED = "nowhere, it was restored"
"""The place of a ledger that has just been restored: no place is that."""
OLDER = "nowhere, it knows of fewer claims than were made here"

_PLACE = "drumroll place"
_SERVER = (
    "SELECT 'system ' || system_identifier FROM pg_control_system()",
    "SELECT ' timeline ' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)",
    "SELECT ' database ' || oid FROM pg_database WHERE datname = current_database()",
)
_PASSES = ("08", "40", "53", "55P", "57")  # PostgreSQL's classes of what is no answer to the question
_UNDER_WAY = (editions_table.c.rehearsal.is_(False), editions_table.c.state.in_(("running", "held")))


@dataclass(frozen=True, slots=True)
class Confirmed:
    """What confirming a copy came to: the editions under way, and how many deliveries are held for a person now."""

    editions: tuple[str, ...]
    held: int


class Homes(LedgerPart):
    """The ledger's own place, noted when its first live edition begins, and what a person makes of another one."""

    def is_copy(self) -> bool:
        """Whether the ledger stands in another place than the one noted, so that no live edition sends."""
        with self._store.read() as connection:
            noted = connection.scalar(select(homes_table.c.place))
            return noted is not None and not _is_here(connection, self._store, noted)

    def see_home(self, *, now: datetime) -> bool:
        """Note the place of a ledger that has none yet, or whose file was moved; False when it is a copy.

        A copy that was written over the ledger's own file is found out here, and here only.
        """
        counted = tally.counted(self._store)  # before the ledger is asked: engines claim meanwhile
        with self._store.write() as connection:
            noted = connection.scalar(select(homes_table.c.place))
            if noted is None:
                note_home(connection, self._store, now=now)
                return True
            if not _is_here(connection, self._store, noted):
                return False
            tally.start(self._store)
            if counted > _claims(connection):
                connection.execute(update(homes_table).values(place=OLDER))
                return False
            if noted != (here := _place(connection, self._store)):
                connection.execute(update(homes_table).values(place=here, noted_at=now))
        return True

    def confirm_home(self, *, by: str, reason: str, hold: str | None, now: datetime) -> Confirmed:
        """Make this the ledger's place, on record with every edition under way. One transaction.

        What fell due by `now` and has not been sent, as far as this ledger knows, is held with `hold` as the reason;
        with None it is left to the rules for what is late.
        """
        # What was to be tried again was due already.
        late = or_(and_(delivery.c.state == "due", delivery.c.fire_at <= now), delivery.c.state == "retry")
        with self._store.write() as connection:
            editions = tuple(connection.scalars(select(editions_table.c.id).where(*_UNDER_WAY)))
            held = 0
            if hold is not None:
                of_them = (delivery.c.edition.in_(editions), late)
                aside = update(delivery).where(*of_them).values(state="held", error=hold, retry_at=None, updated_at=now)
                held = connection.execute(aside).rowcount
            connection.execute(update(homes_table).values(place=_place(connection, self._store), noted_at=now))
            tally.set_to(self._store, _claims(connection))
            choice = "confirmed, held what was due" if hold is not None else "confirmed, sends what is due"
            note = {"subject": "ledger", "choice": choice, "by": by, "reason": reason, "at": now}
            if editions:
                connection.execute(insert(decision), [{"edition": edition, **note} for edition in editions])
        return Confirmed(editions, held)

    def disown(self, *, now: datetime) -> None:
        """Make this a copy wherever it stands, if live editions ever ran on it: for one that is being restored."""
        live = select(editions_table.c.id).where(editions_table.c.rehearsal.is_(False)).limit(1)
        with self._store.write() as connection:
            if connection.scalar(live) is not None:
                row = {"id": 1, "place": RESTORED, "noted_at": now}
                new = self._store.insert(homes_table).values(row)
                connection.execute(new.on_conflict_do_update(index_elements=[homes_table.c.id], set_=row))

    def last_activity(self) -> datetime | None:
        """The newest thing that the ledger knows of its editions; None when it holds none."""
        newest = (
            select(func.max(at).label("at"))
            for at in (editions_table.c.created_at, delivery.c.updated_at, gate_check.c.checked_at, decision.c.at)
        )
        each = union_all(*newest).subquery()
        with self._store.read() as connection:
            found: datetime | None = connection.scalar(
                select(func.max(each.c.at, type_=editions_table.c.created_at.type))
            )
        return found


def note_home(connection: Connection, store: Store, *, now: datetime) -> None:
    """Make this the place of a ledger that has none yet, on a transaction of the caller's."""
    row = {"id": 1, "place": _place(connection, store), "noted_at": now}
    tally.start(store)
    connection.execute(store.insert(homes_table).values(row).on_conflict_do_nothing())


def is_elsewhere(connection: Connection, store: Store, noted: str | None, table: int | None) -> bool:
    """Whether a ledger whose noted place is `noted` stands in another; `table`: the table's number, on PostgreSQL.

    Asked before every claim: it costs a look at the file, which may have been replaced under our feet.
    """
    if noted is None:
        return False
    if store.path is None:
        return noted != f"{_server(connection)} table {table}"
    try:
        found = store.path.stat()
    except OSError:
        return True
    kind, number, path = noted.split(" ", 2) if noted.startswith("file ") else ("", ":", "")
    device, _, inode = number.partition(":")
    if kind != "file" or inode != str(found.st_ino):
        return True
    # The device's number may change when the machine starts anew.
    return device != str(found.st_dev) and path != os.path.realpath(store.path)


def _claims(connection: Connection) -> int:
    return connection.scalar(select(func.sum(delivery.c.token))) or 0


def _is_here(connection: Connection, store: Store, noted: str) -> bool:
    return not is_elsewhere(connection, store, noted, _table(connection, store))


def _place(connection: Connection, store: Store) -> str:
    if store.path is None:
        return f"{_server(connection)} table {_table(connection, store)}"
    found = store.path.stat()
    return f"file {found.st_dev}:{found.st_ino} {os.path.realpath(store.path)}"


def _table(connection: Connection, store: Store) -> int | None:
    if store.path is not None:
        return None
    number: int = connection.scalar(text("SELECT CAST(CAST('home' AS regclass) AS oid)"))
    return number


def _server(connection: Connection) -> str:
    """What this user may know of the server's identity; asked once per connection, which another server would end."""
    known: str | None = connection.info.get(_PLACE)
    if known is None:
        known = connection.info[_PLACE] = "".join(_asked(connection, question) for question in _SERVER)
    return known


def _asked(connection: Connection, question: str) -> str:
    try:
        with connection.begin_nested():
            return str(connection.scalar(text(question)))
    except DBAPIError as error:
        # What was only cut off would be answered differently next time, and this would be taken for another place.
        if error.connection_invalidated or str(getattr(error.orig, "sqlstate", "")).startswith(_PASSES):
            raise
        return ""  # some providers let nobody see it
