"""What a foreground run needs to know of Prefect: whether the user has a server, and how to use another."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from prefect.settings import PREFECT_API_URL, get_current_settings, temporary_settings


def configured_api() -> str | None:
    """The API of the user's own server, from the environment, the profile or the project's settings."""
    return get_current_settings().api.url


def prefect_home() -> Path:
    """Where Prefect keeps its records on this machine."""
    return get_current_settings().home


def using_api(url: str) -> AbstractContextManager[Any]:
    """Everything inside talks to the API at `url`."""
    return temporary_settings({PREFECT_API_URL: url})
