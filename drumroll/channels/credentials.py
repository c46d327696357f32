"""Secrets of channels: a launch file names environment variables, and nothing else ever holds the values.

Where a variable is not set and the launch runs on Prefect, a Secret Block of the same name stands in for it
(TELEGRAM_TOKEN → `telegram-token`); see tasks/credentials.py.
"""

import hashlib
from collections.abc import Callable
from typing import Annotated, TypeVar

from pydantic import AfterValidator, WithJsonSchema

from drumroll.channels.base import ChannelContext
from drumroll.errors import DrumrollError
from drumroll.launchfile.fields import Part

T = TypeVar("T")


def _variable(name: str) -> str:
    if name.startswith("whsec_") or not (name.isascii() and name.isidentifier()):
        raise ValueError("not the name of an environment variable; the value itself does not belong into the file")
    return name


VariableName = Annotated[
    str,
    AfterValidator(_variable),
    WithJsonSchema(
        {
            "type": "string",
            "title": "environment variable",
            "pattern": "^(?!whsec_)[A-Za-z_][A-Za-z0-9_]*$",
            "patternErrorMessage": "name an environment variable; the value itself does not belong into the file",
            "examples": ["BRIDGE_URL"],
        }
    ),
]


def variables_of(options: Part) -> tuple[str, ...]:
    """The environment variables that a channel's options name: the values of all that ends in `_env`."""
    named = [name for name in type(options).model_fields if name.endswith("_env")]
    return tuple(value for name in named if (value := getattr(options, name)) is not None)


def credential(context: ChannelContext, variable: str, read: Callable[[str], T], *, where: str) -> T:
    """What `read` makes of the variable's value. DrumrollError, without the value, when it is missing or no good."""
    value = context.environ.get(variable, "")
    if not value:
        remedy = f"set it, or make a Prefect Secret Block named {block_name(variable)}, and start again"
        raise DrumrollError(f"environment variable {variable} is not set", where=where, remedy=remedy)
    try:
        return read(value)
    except ValueError as error:
        problem = str(error)
    # Raised out here, so that the value inside the first error does not travel along with it.
    raise DrumrollError(f"environment variable {variable}: {problem}", where=where)


def block_name(variable: str) -> str:
    """The name of the Prefect Block that may stand in for an environment variable: those have no capitals and no _."""
    return variable.lower().replace("_", "-").strip("-")


def fingerprint(*secrets: str) -> str:
    """16 hexadecimal digits that tell credentials apart and give none of them away."""
    return hashlib.sha256("\0".join(("drumroll bucket", *secrets)).encode()).hexdigest()[:16]


def token_like(value: str) -> str:
    """A secret on one line of printable ASCII, as headers and paths take it. ValueError otherwise."""
    value = value.strip()
    if not value or not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError("is no token: it has blanks or characters that no token has")
    return value
