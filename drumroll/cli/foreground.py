"""Running the launch flow in this process, with its story on the terminal."""

import asyncio
import contextlib
import importlib
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click

from drumroll.errors import DrumrollError, UsageError

T = TypeVar("T")
Launch = Callable[..., Awaitable[Any]]


@contextlib.contextmanager
def launch_on_prefect(project: Path, *, home: Path | None = None) -> Iterator[Launch]:
    """The launch flow of `project`, with a Prefect API to run against.

    That is the user's own server when one is configured, else one of ours whose records are in PREFECT_HOME. With
    `home`, always one of ours with its records there: a rehearsal is nothing for the user's server.
    """
    from drumroll.cli.own_server import OwnServer, make_home

    if home is not None:
        make_home(home)  # before Prefect is imported: it makes the folder itself, but none above it
    settle_prefect(home)
    prefect = project_module("flows.foreground", project)
    if home is None and prefect.configured_api():
        yield project_module("flows.launch", project).launch
        return
    with OwnServer(home or prefect.prefect_home()) as server:
        launch = project_module("flows.launch", project).launch  # while the server starts
        with prefect.using_api(server.wait()):
            yield launch


def settle_prefect(home: Path | None = None) -> None:
    """Prefect's settings for a command; must come before Prefect is imported. What the user set stays."""
    # Prefect ships an analytics client; a launch is nobody's business.
    os.environ.setdefault("DO_NOT_TRACK", "1")
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")  # errors are told once, by the command
    if home is not None:
        os.environ.pop("PREFECT_API_URL", None)
        os.environ.pop("PREFECT_PROFILE", None)
        os.environ["PREFECT_HOME"] = str(home)


def project_module(name: str, project: Path) -> Any:
    """A module of the project directory. UsageError when the project holds no flows."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name not in {name.partition(".")[0], name}:
            raise
    # The wheel ships the core alone: the flows are the project directory's.
    sys.path.insert(0, str(project))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        remedy = "run inside a Drumroll project directory"
        raise UsageError(f"holds no {name.replace('.', '/')}.py", where=str(project), remedy=remedy) from None


class Stopped(KeyboardInterrupt):
    """The run was asked to stop; everything on the wire is settled."""

    def __init__(self, exit_code: int) -> None:
        self.exit_code = exit_code
        super().__init__()


def play(performance: Coroutine[Any, Any, T]) -> T:
    """Run a launch to its end.

    Raises Stopped after Ctrl-C or SIGTERM, once what was on the wire is settled, and DrumrollError when Prefect's
    server goes away.
    """
    stopped_by: list[signal.Signals] = []

    async def until_stopped() -> T:
        running = asyncio.ensure_future(performance)
        insisting: list[asyncio.Future[None]] = []

        def stop(by: signal.Signals) -> None:
            if not stopped_by:
                click.echo("\nstopping: what is on its way gets its answer first …", err=True)
            stopped_by.append(by)
            running.cancel()
            insisting.append(asyncio.ensure_future(_insist(running)))

        for sign in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(sign, stop, sign)
        return await running

    try:
        return asyncio.run(until_stopped())
    except BaseException as error:
        # Prefect puts a SIGTERM handler of its own in place of ours while a flow runs.
        if type(error).__name__ == "TerminationSignal":
            stopped_by.append(signal.SIGTERM)
        if stopped_by:
            raise Stopped(128 + stopped_by[0]) from None
        if _is_connection_lost(error):
            raise DrumrollError(
                f"Prefect's server went away ({type(error).__name__}); nothing is lost",
                remedy="see that it runs, then run the same command again",
            ) from error
        raise


def _is_connection_lost(error: BaseException) -> bool:
    """Whether Prefect's client gave up on its server."""
    import httpx

    return isinstance(error, httpx.TransportError)


async def _insist(running: asyncio.Future[Any]) -> None:
    """Cancel again once nothing is on the wire: Prefect may be waiting for a server that is gone."""
    from drumroll.operate.flying import on_the_wire

    while not running.done():
        await asyncio.sleep(1)
        if not on_the_wire():
            running.cancel()


def tell_on(stream: Any) -> None:
    """Print the run's story line by line as it happens; with DRUMROLL_LOG=json it is on standard error already."""
    from drumroll.logs import wants_json

    if wants_json():
        return
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_StoryFormatter(colour=stream.isatty()))
    for name in ("drumroll.story", "drumroll.sending"):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(logging.INFO)
        logger.propagate = False


class _StoryFormatter(logging.Formatter):
    def __init__(self, *, colour: bool) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        if record.levelno <= logging.INFO:
            return super().format(record)
        word = f"{record.levelname.lower()}: "
        return (click.style(word, fg="yellow") if self._colour else word) + super().format(record)
