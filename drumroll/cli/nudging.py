"""After a person's word: the launch's flow run is told at once, where there is a server; else the watch finds out."""

import asyncio
from pathlib import Path

import click

from drumroll.errors import DrumrollError


def nudge(edition: str, url: str) -> None:
    """Have the edition's run, if it waits on a Prefect server, picked up when the ledger at `url` now says.

    Never a failure, and silent where no server is configured.
    """
    from drumroll.cli.remote import remote
    from drumroll.operate.edition import Where

    try:
        if (server := remote()) is not None:
            # What is next stands in the ledger: the project's folder does not matter.
            asyncio.run(server.nudge(Where(edition, url, str(Path.cwd()))))
    except DrumrollError as error:
        click.echo(f"the launch's run was not told ({error}); the watch does it within five minutes", err=True)
