"""The user's own Prefect server, where there is one. Without one, Prefect is not even imported."""

import contextlib
import fcntl
import json
import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drumroll.cli.foreground import project_module, settle_prefect
from drumroll.errors import UsageError
from drumroll.words.templates import find_project

if TYPE_CHECKING:
    from drumroll.operate.open_channels import StandIn

_VARIABLES = ("PREFECT_API_URL", "PREFECT_PROFILE", "PREFECT_PROFILES_PATH")
_FILES = (".env", "prefect.toml", "pyproject.toml")


def remote(project: Path | None = None) -> Any | None:
    """`tasks.remote` of the project, by default of that around the current folder; None when there is no server.

    That is the one that is configured, else that of the project's `drumroll up`. UsageError where there are no tasks.
    """
    if project is None:
        project = Path.cwd()
        with contextlib.suppress(UsageError):  # some commands are right outside of any
            project = find_project(project)
    of_up = api_of_up(project)
    if of_up is None and not _may_be_configured():
        return None
    settle_prefect()
    module = project_module("tasks.remote", project)
    if module.configured() is None and of_up is not None:
        module.use(of_up)
    return module if module.configured() else None


def blocks_of(project: Path) -> "StandIn":
    """Reads Secret Blocks of the user's server; without one there are none. Prefect is imported when it is asked."""

    async def values(variables: Sequence[str], within: timedelta) -> Mapping[str, str]:
        if remote(project) is None:
            return {}
        found: Mapping[str, str] = await project_module("tasks.credentials", project).blocks(variables, within)
        return found

    return values


def api_of_up(project: Path) -> str | None:
    """The API of the server that the project's `drumroll up` runs or uses; None while it is not up."""
    with contextlib.suppress(OSError), (project / ".drumroll" / "up.json").open(encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # it holds the lock for as long as it lives
        except BlockingIOError:
            api = json.loads(file.read() or "{}").get("api")
            return str(api) if api else None
    return None


def _may_be_configured() -> bool:
    """Whether any of the places that Prefect reads its settings from may name a server: to ask it costs a second."""
    home = Path(os.environ.get("PREFECT_HOME", "~/.prefect")).expanduser()
    if any(os.environ.get(name) for name in _VARIABLES) or (home / "profiles.toml").exists():
        return True
    return any(_mentions_prefect(Path(name)) for name in _FILES)


def _mentions_prefect(file: Path) -> bool:
    try:
        text = file.read_text(errors="replace")
    except OSError:
        return False
    return "PREFECT_" in text if file.name == ".env" else file.name == "prefect.toml" or "[tool.prefect" in text
