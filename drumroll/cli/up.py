"""`drumroll up`: Prefect's server, the resident worker and the watch, for one machine."""

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import click

from drumroll.cli.foreground import Stopped, project_module, settle_prefect
from drumroll.cli.options import json_option, ledger_option, ledger_url, print_json
from drumroll.cli.own_server import OwnServer
from drumroll.errors import DrumrollError

POOL = "drumroll-resident"


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), default=4200, show_default=True, help="Of the server it starts.")
@click.option("--pool", default=POOL, show_default=True, metavar="NAME", help="The work pool; made when it is missing.")
@click.option(
    "--watch-every", type=click.FloatRange(1), default=30.0, show_default=True, metavar="SECONDS", help="The round."
)
@ledger_option
@json_option
def up(port: int, pool: str, watch_every: float, ledger: str | None, as_json: bool) -> None:
    """Keep everything that launches need running on this machine, until Ctrl-C.

    That is Prefect's server with its UI on 127.0.0.1, unless PREFECT_API_URL or your profile names one; a worker in
    which all launches live; and the watch. The project's deployments are made anew each time. Start launches from
    another shell with `drumroll start`. Secrets of channels come from the environment of this one.

    Whatever ends it, nothing is lost: launches that wait, and those that lost their process, go on when it is up again.
    A second Ctrl-C does not wait for them to be handed over.

    JSON, printed once it is ready: `ui, api, pool, ledger, pid`. The log goes to standard error.
    """
    from drumroll.ledger.ledger import open_ledger
    from drumroll.words.templates import find_project

    project = find_project(Path.cwd()).absolute()
    url = ledger_url(ledger, project=project)
    with _the_only_one(project) as note:
        store = open_ledger(url)
        os.environ["DRUMROLL_LEDGER"] = url  # not a parameter of flows: it may hold a password
        os.chdir(project)  # where the parameters of its deployments are at home
        os.environ.setdefault("PREFECT_LOGGING_LEVEL", "INFO")
        settle_prefect()
        staying_up = project_module("tasks.staying_up", project)
        with contextlib.ExitStack() as stack:
            alive, kill = _nothing, _nothing
            if not staying_up.configured_api():
                home = Path(os.environ.get("PREFECT_HOME") or project / ".drumroll" / "prefect")
                server = stack.enter_context(OwnServer(home, port))
                alive, kill = server.keep_alive, server.kill
                staying_up.use_server(server.wait(), home)
            api, ui = staying_up.configured_api(), staying_up.ui_url()
            facts = {"ui": ui, "api": api, "pool": pool, "ledger": store.store.where, "pid": os.getpid()}
            note(facts)
            out = sys.stdout

            def ready() -> None:
                with contextlib.redirect_stdout(out):
                    print_json(facts) if as_json else _tell(facts, store.editions())

            with contextlib.redirect_stdout(sys.stderr):  # Prefect prints what troubles it
                _until_stopped(staying_up.stay_up(project, pool, watch_every, alive, ready), kill)


def _tell(facts: dict[str, Any], editions: list[Any]) -> None:
    under_way = [
        f"{row.id} ({row.state})" for row in editions if row.state in {"running", "held"} and not row.rehearsal
    ]
    click.echo(f"Prefect's UI  {facts['ui']}")
    click.echo(f"ledger        {facts['ledger']}")
    click.echo(f"under way     {', '.join(under_way) or 'nothing yet'}")
    click.echo(f"next          export PREFECT_API_URL={facts['api']} in another shell, then `drumroll start FILE`")
    click.echo("up; Ctrl-C stops it and loses nothing")


def _until_stopped(work: Coroutine[Any, Any, None], kill: Callable[[], None]) -> None:
    stopped_by: list[signal.Signals] = []

    async def working() -> None:
        task = asyncio.ensure_future(work)

        def stop(by: signal.Signals) -> None:
            if stopped_by:
                kill()
                os._exit(128 + by)
            stopped_by.append(by)
            click.echo("\nstopping: launches are handed over first …", err=True)
            task.cancel()

        for sign in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(sign, stop, sign)
        await task

    try:
        asyncio.run(working())
    except asyncio.CancelledError:
        raise Stopped(128 + stopped_by[0]) from None


@contextlib.contextmanager
def _the_only_one(project: Path) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Keeps a second one out; what it is given to note is told to whoever comes second."""
    path = project / ".drumroll" / "up.json"
    path.parent.mkdir(exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            there = json.loads(file.read() or "{}")
            what = f"is up already (process {there.get('pid', 'unknown')}, {there.get('ui', 'starting')})"
            raise DrumrollError(what, where=str(project), remedy="use it, or stop it first") from None

        def note(facts: dict[str, Any]) -> None:
            file.truncate(0)
            file.write(json.dumps(facts))
            file.flush()

        note({"pid": os.getpid()})
        try:
            yield note
        finally:
            file.truncate(0)


def _nothing() -> None:
    pass
