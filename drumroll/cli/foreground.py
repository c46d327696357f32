"""Running the launch flow in this process, with its story on the terminal."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click

from drumroll.errors import DrumrollError, UsageError

T = TypeVar("T")


def settle_prefect(*, home: Path | None = None) -> None:
    """Prefect's settings for a foreground run; must come before Prefect is imported. What the user set stays.

    With `home`, the run keeps its Prefect records there and talks to no server of the user's.
    """
    # Prefect ships an analytics client; a launch is nobody's business.
    os.environ.setdefault("DO_NOT_TRACK", "1")
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")  # errors are told once, by the command
    os.environ.setdefault("PREFECT_SERVER_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "90")
    if home is not None:
        home.mkdir(parents=True, exist_ok=True)
        os.environ["PREFECT_HOME"] = str(home)
        os.environ.pop("PREFECT_API_URL", None)
        os.environ.pop("PREFECT_PROFILE", None)


def launch_flow(project: Path) -> Callable[..., Awaitable[Any]]:
    """The launch flow of `project`. Raises UsageError when the project directory holds none."""
    try:
        from flows.launch import launch
    except ModuleNotFoundError as error:
        if error.name not in {"flows", "flows.launch"}:
            raise
        # The wheel ships the core alone: the flows are the project directory's.
        sys.path.insert(0, str(project))
        try:
            from flows.launch import launch
        except ModuleNotFoundError:
            raise UsageError(
                "holds no flows/launch.py", where=str(project), remedy="run inside a Drumroll project directory"
            ) from None
    return launch


def play(performance: Coroutine[Any, Any, T]) -> T:
    """Run a launch to its end.

    Raises KeyboardInterrupt after Ctrl-C, once what was on the wire is settled, and DrumrollError when Prefect's own
    server cannot be started.
    """
    stopped = False

    async def until_stopped() -> T:
        running = asyncio.ensure_future(performance)

        def stop() -> None:
            nonlocal stopped
            stopped = True
            running.cancel()
            insisting.append(asyncio.ensure_future(_insist(running)))

        insisting: list[asyncio.Future[None]] = []
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop)
        return await running

    try:
        return asyncio.run(until_stopped())
    except (Exception, asyncio.CancelledError) as error:
        # A terminal's Ctrl-C also ends Prefect's temporary server, and then the flow cannot even report its own end.
        if stopped:
            raise KeyboardInterrupt from None
        if isinstance(error, RuntimeError) and "API server" in str(error):
            raise DrumrollError(
                "Prefect's temporary server did not start",
                where=os.environ.get("PREFECT_HOME", "PREFECT_HOME"),
                remedy="is that folder writable? Or start `prefect server start` and set PREFECT_API_URL",
            ) from error
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
    """Cancel again once nothing is on the wire: Prefect would go on knocking at a server that ended with Ctrl-C."""
    from drumroll.operate.outbox import on_the_wire

    while not running.done():
        await asyncio.sleep(1)
        if not on_the_wire():
            running.cancel()


def tell_on(stream: Any = None) -> None:
    """Print the run's story line by line as it happens."""
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(_StoryFormatter())
    for name in ("drumroll.story", "drumroll.sending"):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(logging.INFO)
        logger.propagate = False


class _StoryFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        message = super().format(record)
        return (
            click.style(f"{record.levelname.lower()}: ", fg="yellow") + message
            if record.levelno > logging.INFO
            else message
        )
