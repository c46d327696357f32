"""Dumps of a ledger on PostgreSQL, by its own programs."""

import os
import re
import subprocess
from pathlib import Path

from sqlalchemy import text

from drumroll.errors import LedgerError, UsageError
from drumroll.ledger import schema
from drumroll.ledger.store import BUSY_SECONDS, Store
from drumroll.ledger.tables import Base

_NEEDED = "install the client programs of the server's version (postgresql-client) and put them on PATH"


def dump(store: Store, to: Path) -> None:
    """Write the ledger's tables into the file `to`, as they stand at one instant."""
    with store.read() as connection:
        place = connection.scalar(text("SELECT current_schema()"))
    tables = [f'--table="{place}"."{name}"' for name in (*Base.metadata.tables, "alembic_version")]
    _run(
        store, "pg_dump", "--format=custom", "--no-owner", "--no-privileges", *tables, f"--file={to}", *_address(store)
    )


def see_that_it_is_ours(backup: Path, store: Store) -> None:
    """LedgerError for a file that is no ledger's dump, or not of a schema that can take the place of what is there."""
    if not backup.is_file():
        raise UsageError("no such file", where=str(backup))
    try:
        data = _run(store, "pg_restore", "--data-only", "--table=alembic_version", "--file=-", str(backup))
    except LedgerError as error:
        raise LedgerError("is no backup of a ledger on PostgreSQL", where=str(backup), remedy="give another") from error
    found = re.search(r"^COPY \S*alembic_version .*\n(\w+)$", data, re.MULTILINE)
    with store.read() as connection:
        known = schema.known_revisions(connection)
    if found is None or found[1] not in known:
        what = f"was written by a newer Drumroll (revision {found[1]})" if found else "is no backup of a ledger"
        raise LedgerError(
            what, where=str(backup), remedy="upgrade Drumroll, or give another" if found else "give another"
        )
    if found[1] != schema.HEAD and schema.revision(store) is not None:
        what = f"is of an older schema (revision {found[1]}) than the ledger that is there"
        raise LedgerError(what, where=str(backup), remedy="restore it into an empty database: --ledger URL")


def load(backup: Path, store: Store) -> None:
    """Put the dump in the place of the ledger's tables: all of it or nothing."""
    replace = ("--clean", "--if-exists", "--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error")
    _run(store, "pg_restore", *replace, *_address(store), str(backup))


def _address(store: Store) -> list[str]:
    """The database without its password, which is nobody else's business on this machine."""
    url = store.url.set(drivername="postgresql")._replace(password=None)
    return [f"--dbname={url.render_as_string(hide_password=False)}"]


def _run(store: Store, program: str, *arguments: str) -> str:
    environ = dict(os.environ)
    environ["PGOPTIONS"] = f"{environ.get('PGOPTIONS', '')} -c lock_timeout={BUSY_SECONDS}s".strip()
    if store.url.password is not None:
        environ["PGPASSWORD"] = str(store.url.password)
    try:
        ran = subprocess.run(  # noqa: S603 - PostgreSQL's own programs, as the user has them on PATH
            [program, "--no-password", *arguments],
            env=environ,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except FileNotFoundError as error:
        raise LedgerError(f"{program} is not installed", where=store.where, remedy=_NEEDED) from error
    if ran.returncode:
        said = next((line for line in ran.stderr.splitlines() if "error:" in line), "it does not say why")
        remedy = _NEEDED if "version mismatch" in ran.stderr else "mend that, then try again; nothing was changed"
        raise LedgerError(f"{program}: {said.partition('error: ')[2] or said}", where=store.where, remedy=remedy)
    return ran.stdout
