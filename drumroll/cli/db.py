"""`drumroll db`: looking after the ledger's database."""

from contextlib import closing

import click

from drumroll.cli.db_copies import backup, confirm, restore
from drumroll.cli.options import json_option, ledger_option, ledger_url, print_json


@click.group()
def db() -> None:
    """Look after the ledger's database."""


for _command in (backup, restore, confirm):
    db.add_command(_command)


@db.command()
@ledger_option
@json_option
def upgrade(ledger: str | None, as_json: bool) -> None:
    """Bring the ledger to this Drumroll's schema, making it where there is none yet.

    JSON: `ledger` (its place, without secrets), `before` (the revision it had, null for a new one), `after`.
    """
    from drumroll.ledger.ledger import open_ledger
    from drumroll.ledger.schema import HEAD, revision
    from drumroll.ledger.store import Store, parse_url

    url = ledger_url(ledger)
    with closing(Store(parse_url(url))) as store:
        before = revision(store)
    where = open_ledger(url).store.where
    if as_json:
        print_json({"ledger": where, "before": before, "after": HEAD})
    elif before == HEAD:
        click.echo(f"{where}: already at {HEAD}")
    else:
        click.echo(f"{where}: upgraded from {before or 'nothing'} to {HEAD}")
