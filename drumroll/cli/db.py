"""`drumroll db`: looking after the ledger's database."""

from typing import TYPE_CHECKING

import click

from drumroll.cli.options import json_option, ledger_option, ledger_url, print_json

if TYPE_CHECKING:
    from drumroll.ledger.store import Store


@click.group()
def db() -> None:
    """Look after the ledger's database."""


@db.command()
@ledger_option
@json_option
def upgrade(ledger: str | None, as_json: bool) -> None:
    """Bring the ledger to this Drumroll's schema, making it where there is none yet.

    JSON: `ledger` (its place, without secrets), `before` (the revision it had, null for a new one), `after`.
    """
    from drumroll.ledger.ledger import open_ledger
    from drumroll.ledger.schema import HEAD
    from drumroll.ledger.store import Store, parse_url

    url = ledger_url(ledger)
    before = _revision(Store(parse_url(url)))
    where = open_ledger(url).store.where
    if as_json:
        print_json({"ledger": where, "before": before, "after": HEAD})
    elif before == HEAD:
        click.echo(f"{where}: already at {HEAD}")
    else:
        click.echo(f"{where}: upgraded from {before or 'nothing'} to {HEAD}")


def _revision(store: "Store") -> str | None:
    """The schema's revision in the database as it is, before anything is changed; None when it holds no ledger."""
    try:
        if store.path is not None and not store.path.exists():
            return None
        with store.read() as connection:
            if not connection.dialect.has_table(connection, "alembic_version"):
                return None
            found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
            return None if found is None else str(found)
    finally:
        store.close()
