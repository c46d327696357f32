"""Copies of a ledger: made while engines run, checked before they take a ledger's place, never half-written."""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from drumroll.errors import LedgerError, UsageError
from drumroll.ledger import postgres_copies, schema
from drumroll.ledger.faults import explain
from drumroll.ledger.ledger import Ledger
from drumroll.ledger.model import EditionRow
from drumroll.ledger.store import BUSY_SECONDS, Store, parse_url

_SIDE_FILES = ("-wal", "-shm")


@dataclass(frozen=True, slots=True)
class Contents:
    """What a ledger holds: its editions, the newest thing it knows (None without any), its schema's revision."""

    editions: tuple[EditionRow, ...]
    last_activity: datetime | None


def contents(ledger: Ledger) -> Contents:
    """What `ledger` holds."""
    return Contents(tuple(ledger.editions()), ledger.last_activity())


def back_up(store: Store, to: Path) -> None:
    """Copy the whole ledger, as it stands at one instant, into the new file `to`; engines go on meanwhile.

    A SQLite file on SQLite, `pg_dump`'s custom format on PostgreSQL. UsageError when the file is there already,
    LedgerError when it cannot be written; then there is no file.
    """
    if to.exists():
        raise UsageError("is there already", where=str(to), remedy="give the copy a name of its own")
    with _beside(to) as unfinished:
        if store.path is not None:
            with _plain_errors(store):
                _copy_sqlite(store.path, unfinished)
        else:
            postgres_copies.dump(store, unfinished)
        _keep(unfinished, to)


def restore(backup: Path, store: Store, *, now: datetime) -> Path | None:
    """Put the backup in the ledger's place; where the old one was kept, None when there was none.

    The result is a copy: nothing is sent from it before somebody has confirmed it. LedgerError when the file is no
    ledger of this kind, or a newer Drumroll wrote it; then everything is as it was.
    """
    stamp = f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    if store.path is None:
        aside = None
        postgres_copies.see_that_it_is_ours(backup, store)
        if schema.revision(store) is not None:
            aside = backup.with_name(f"{backup.name}.before-{stamp}")
            back_up(store, aside)
        postgres_copies.load(backup, store)
        schema.ensure(store, create=False)
        Ledger(store).disown(now=now)
        return aside
    store.path.parent.mkdir(parents=True, exist_ok=True)
    with _beside(store.path) as unfinished:
        _copy_checked(backup, unfinished, now=now)
        aside = _set_aside(store.path, store.path.with_name(f"{store.path.name}.before-{stamp}"))
        store.close()
        _keep(unfinished, store.path)
    return aside


def peek(backup: Path, store: Store, *, now: datetime) -> Contents | None:
    """What a backup holds; None for one of PostgreSQL, which shows it only once it is restored."""
    if store.path is None:
        return None
    with TemporaryDirectory() as folder:
        unfinished = Path(folder) / "ledger.db"
        _copy_checked(backup, unfinished, now=now)
        with closing(Ledger(Store(parse_url(f"sqlite:///{unfinished}")))) as ledger:
            return contents(ledger)


def _copy_sqlite(path: Path, to: Path) -> None:
    with (
        closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=BUSY_SECONDS)) as old,
        closing(sqlite3.connect(to)) as new,
    ):
        old.backup(new)  # all pages in one step: a copy in several would begin anew whenever an engine writes
        new.execute("PRAGMA journal_mode=DELETE")  # one file, without side files
        if (found := new.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            raise sqlite3.DatabaseError(found)


def _copy_checked(backup: Path, to: Path, *, now: datetime) -> None:
    """A copy of the backup that is a ledger of this schema, and knows that it is a copy."""
    if not backup.is_file():
        raise UsageError("no such file", where=str(backup))
    source = Store(parse_url(f"sqlite:///{backup}"))
    with closing(source), _plain_errors(source):
        _copy_sqlite(backup, to)
    store = Store(parse_url(f"sqlite:///{to}"))
    try:
        with closing(Ledger(store)) as ledger:
            schema.ensure(store, create=False)
            ledger.disown(now=now)
    except LedgerError as error:
        raise LedgerError(error.message, where=str(backup), remedy=error.remedy) from error


def _set_aside(path: Path, aside: Path) -> Path | None:
    """Keep the old ledger under another name; at every moment there is one in its place."""
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as old:
            old.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error:
        pass  # damaged, most likely, which is why a backup is wanted
    try:
        os.link(path, aside)
    except OSError:  # not every file system has links
        shutil.copy2(path, aside)
    for name in _SIDE_FILES:  # they belong to the old file, and would be taken for the new one's
        side = path.with_name(path.name + name)
        if side.exists():
            side.replace(aside.with_name(aside.name + name))
    return aside


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A name in the same folder, so that it can be renamed to `path`; nothing is left of it afterwards."""
    try:
        with TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
            yield Path(folder) / path.name
    except OSError as error:
        what = f"cannot be written ({error.strerror})"
        raise LedgerError(what, where=str(path), remedy="check the folder and its free space") from error


def _keep(unfinished: Path, to: Path) -> None:
    with unfinished.open("rb+") as file:
        os.fsync(file.fileno())
    unfinished.replace(to)
    folder = os.open(to.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def _plain_errors(store: Store) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise explain(error, store.url) from error
