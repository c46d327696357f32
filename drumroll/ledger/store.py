"""The connection: URLs, pragmas, and transactions from which no database error leaks."""

import copy
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol, Self

from sqlalchemy import Connection, Engine, Table, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DisconnectionError, SQLAlchemyError

from drumroll.errors import LedgerError
from drumroll.ledger.faults import explain, place

BUSY_SECONDS = 5
_IDLE_SECONDS = 2.0
_ASK_ANEW_MS = 20  # SQLite asks after 1, 3, 8 and 18 ms (sqliteDefaultBusyCallback in its main.c)
_POSTGRES_SCHEMES = frozenset({"postgres", "postgresql", "postgresql+psycopg"})


def parse_url(text: str) -> URL:
    """The ledger's URL in the one form used inside; LedgerError, without repeating it, when it is none we know."""
    scheme = text.partition(":")[0]
    if "://" not in text or (scheme not in _POSTGRES_SCHEMES and scheme != "sqlite"):
        raise LedgerError(
            f'the ledger\'s URL scheme "{scheme}" is not supported'
            if "://" in text
            else "the ledger's URL has no scheme",
            remedy="write sqlite:///path/to/ledger.db or postgresql://user@host/database",
        )
    try:
        url = make_url(text)
    except (SQLAlchemyError, ValueError):
        # Neither the text nor the cause may show: there may be a password in them.
        raise LedgerError("the ledger's URL cannot be read", remedy="quote special characters as %XX") from None
    if scheme != "sqlite":
        return url.set(drivername="postgresql+psycopg")
    if not url.database or url.database == ":memory:" or url.query:
        raise LedgerError("a ledger lives in a file, without options", remedy="write sqlite:///path/to/ledger.db")
    return url.set(database=str(Path(url.database).absolute()))


class Fencing(Protocol):
    """Who may write: called at the start of every write, it raises to refuse it."""

    def __call__(self, connection: Connection) -> None:
        """Refuse, or say nothing."""

    def holds(self, token: int, expires_at: object) -> bool:
        """Whether a lease with this token, and an end or none, lets the write through."""


class Store:
    """One engine on one database. Every block of `read` and `write` is one transaction and raises LedgerError only."""

    def __init__(self, url: URL) -> None:
        self.url = url
        self.path = Path(str(url.database)) if url.get_backend_name() == "sqlite" else None
        # Parameters are members' data: they stay out of every error text.
        if self.path:
            self.engine = create_engine(url, hide_parameters=True, connect_args={"timeout": BUSY_SECONDS})
            event.listen(self.engine, "connect", _on_connect)
            event.listen(self.engine, "begin", _on_begin)
        else:
            # The URL's own options (a search_path, say) come along: connect_args would replace them.
            options = f"{url.query.get('options', '')} -c lock_timeout={BUSY_SECONDS}s -c timezone=UTC".strip()
            wait = {"connect_timeout": BUSY_SECONDS, "options": options}
            self.engine = create_engine(url, hide_parameters=True, connect_args=wait)
            event.listen(self.engine, "checkin", _note_idle)
            event.listen(self.engine, "checkout", partial(_see_that_it_lives, self.engine))
        self._reached = False
        self._file: tuple[int, int] | None = None
        self.fence: Fencing | None = None
        event.listen(self.engine, "connect", self._on_first_connect, once=True)

    @property
    def where(self) -> str:
        """The path or address for messages, without secrets."""
        return place(self.url)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One transaction that only reads."""
        with self._plain_errors(), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self, *, fenced: bool = True) -> Iterator[Connection]:
        """One transaction, committed when the block ends and undone when it raises.

        Behind a fence it is refused first of all, unless it is not `fenced`.
        """
        with (
            self._plain_errors(),
            self.engine.connect().execution_options(ledger_write=True, preserve_rowcount=True) as connection,
            connection.begin(),
        ):
            if fenced and self.fence is not None:
                self.fence(connection)
            yield connection

    def behind(self, fence: "Fencing") -> Self:
        """The same database behind a fence: called at the start of every write, it raises to refuse it."""
        view = copy.copy(self)
        view.fence = fence
        return view

    def is_its_file(self) -> bool:
        """Whether the path still leads to the file that was prepared; always on PostgreSQL."""
        return self.path is None or self._file == _file_at(self.path)

    def prepare_file(self) -> None:
        """Switch a SQLite file to write-ahead logging, which lasts; nothing to do on PostgreSQL."""
        if not self.path:
            return
        deadline = time.monotonic() + BUSY_SECONDS
        with self._plain_errors():
            raw = self.engine.raw_connection()
            try:
                while raw.cursor().execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                    try:
                        raw.cursor().execute("PRAGMA journal_mode=WAL")
                    except sqlite3.OperationalError as error:
                        # SQLite does not apply its busy timeout to this switch.
                        if error.sqlite_errorname != "SQLITE_BUSY" or time.monotonic() > deadline:
                            raise
                        time.sleep(0.02)
            finally:
                raw.close()
        self._file = _file_at(self.path)

    def insert(self, table: Table) -> "sqlite.Insert | postgresql.Insert":
        """An INSERT that knows ON CONFLICT in this database's dialect."""
        return sqlite.insert(table) if self.path else postgresql.insert(table)

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()

    @contextmanager
    def _plain_errors(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, sqlite3.Error, UnicodeEncodeError) as error:
            raise explain(error, self.url, reached=self._reached) from error

    def _on_first_connect(self, _raw: object, _record: object) -> None:
        self._reached = True


class LedgerPart:
    """Base of the ledger's chapters: what they share is the store."""

    def __init__(self, store: Store) -> None:
        self._store = store


def _file_at(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _on_connect(raw: Any, _record: object) -> None:
    # The driver's own BEGIN comes too late and is never IMMEDIATE; `_on_begin` says it instead.
    raw.isolation_level = None
    raw.execute("PRAGMA foreign_keys=ON")
    raw.execute("PRAGMA synchronous=NORMAL")


def _note_idle(_raw: Any, record: Any) -> None:
    record.info["idle_since"] = time.monotonic()


def _see_that_it_lives(engine: Engine, raw: Any, record: Any, _proxy: Any) -> None:
    """A launch lasts weeks: a pooled connection may have died since it was last used, a moment ago hardly."""
    if time.monotonic() - record.info.get("idle_since", time.monotonic()) > _IDLE_SECONDS:
        try:
            engine.dialect.do_ping(raw)
        except engine.dialect.loaded_dbapi.Error as error:
            raise DisconnectionError from error


def _on_begin(connection: Connection) -> None:
    if not connection.get_execution_options().get("ledger_write"):
        connection.exec_driver_sql("BEGIN")
        return
    # A transaction that starts reading and then writes fails at once when another wrote meanwhile; IMMEDIATE waits.
    # SQLite asks for the lock ever more rarely, down to every 100 ms, and then misses the pauses of whoever writes a
    # lot; starting its wait anew keeps it asking.
    raw: Any = connection.connection.dbapi_connection
    deadline = time.monotonic() + BUSY_SECONDS
    raw.execute(f"PRAGMA busy_timeout={_ASK_ANEW_MS}")
    try:
        while not raw.in_transaction:
            try:
                raw.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if not error.sqlite_errorname.startswith("SQLITE_BUSY") or time.monotonic() > deadline:
                    raise
    finally:
        raw.execute(f"PRAGMA busy_timeout={round(BUSY_SECONDS * 1000)}")
