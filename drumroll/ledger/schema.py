"""Bringing a database to the schema this program knows, or saying why not. Alembic is imported only when needed."""

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from drumroll.errors import LedgerError
from drumroll.ledger.store import Store

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0005"
"""The newest revision in `migrations/versions`; kept here so that opening a current ledger costs no Alembic."""

_MIGRATION_LOCK = 0x6472756D  # "drum": any number, as long as every Drumroll takes the same


def revision(store: Store) -> str | None:
    """The revision that the database is at, which is left as it is; None when it holds no ledger yet."""
    if store.path is not None and not store.path.exists():
        return None
    with store.read() as connection:
        return _revision(connection)


def ensure(store: Store, *, create: bool) -> None:
    """Make the ledger current. LedgerError: nothing there and not `create`, another program's, or a newer schema's."""
    if revision(store) == HEAD:
        return
    with store.write() as connection:
        if not store.path:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
        found = _revision(connection)
        if found != HEAD:
            _check_ours(connection, found, store.where, create=create)
            _upgrade(connection)


def alembic_config(connection: Connection) -> "Config":
    """Alembic's settings for work on `connection`, inside its transaction."""
    from alembic.config import Config  # noqa: PLC0415 - half the cost of opening a ledger, and mostly not needed

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def _check_ours(connection: Connection, revision: str | None, where: str, *, create: bool) -> None:
    tables = set(inspect(connection).get_table_names())
    if tables - {"alembic_version"} and not {"edition", "delivery"} <= tables:
        raise LedgerError("holds another program's tables", where=where, remedy="give the ledger a database of its own")
    if not tables and not create:
        raise LedgerError(
            "holds no ledger yet", where=where, remedy="start a launch first, or run `drumroll db upgrade`"
        )
    if revision is None and tables:
        raise LedgerError("does not say its schema's revision", where=where, remedy="restore a backup")
    if revision is not None and revision not in known_revisions(connection):
        raise LedgerError(
            f"was written by a newer Drumroll (revision {revision})",
            where=where,
            remedy="upgrade Drumroll or restore a backup",
        )


def known_revisions(connection: Connection) -> set[str]:
    """The revisions that this program can bring to its own."""
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    scripts = ScriptDirectory.from_config(alembic_config(connection))
    return {script.revision for script in scripts.walk_revisions()}


def _upgrade(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415

    command.upgrade(alembic_config(connection), "head")
