"""Running the launch flow in this process, with its story on the terminal."""

import logging
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import click

from drumroll.errors import UsageError


def settle_prefect(*, home: Path | None = None) -> None:
    """Prefect's settings for a foreground run; must come before Prefect is imported. What the user set stays.

    With `home`, the run keeps its Prefect records there and talks to no server of the user's.
    """
    # Prefect ships an analytics client; a launch is nobody's business.
    os.environ.setdefault("DO_NOT_TRACK", "1")
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")  # errors are told once, by the command
    os.environ.setdefault("PREFECT_SERVER_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")
    if home is not None:
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
