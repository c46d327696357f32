"""Secrets of channels: a launch file names environment variables, and nothing else ever holds the values.

Where a variable is not set and the launch runs on Prefect, a Secret Block of the same name stands in for it
(TELEGRAM_TOKEN → `telegram-token`); see tasks/credentials.py.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar

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


def by_address(
    value: str, read: Callable[[Any], T], *, shape: str, parts: frozenset[str] = frozenset()
) -> dict[str | None, T]:
    """One value under None, for groups without an `address`, or those of a JSON object by the groups' `address`.

    `read` makes what is wanted of each value, `shape` is how such an object looks; a lone value may be an object
    itself, of `parts`. ValueError, quoting nothing, for what is no such object, and for a group or a value that is
    there twice: what is tried out in a group of staff would reach members.
    """
    value = value.strip()
    if not value.startswith("{"):
        return {None: read(value)}
    try:
        written = json.loads(value, object_pairs_hook=_distinct)
    except (json.JSONDecodeError, RecursionError):
        written = None
    if not isinstance(written, dict) or not written or not all(address.strip() for address in written):
        raise ValueError(f"is no JSON object like {shape}")
    if written.keys() & parts:
        return {None: read(written)}
    found: dict[str | None, T] = {address: read(each) for address, each in written.items()}
    if len(set(found.values())) < len(found):
        raise ValueError("leads to the same place from two addresses; give every group its own")
    return found


def remedy_for_address(found: Mapping[str | None, Any], variable: str, what: str) -> str:
    """What helps a group for which `by_address` found nothing. Its address is not shown: it may be a pasted secret."""
    if None in found:
        alone = f"{variable} holds one {what}, for groups without an `address`"
        return f"{alone}; leave that out, or name each group's own {what} there by its address"
    return f"{variable} must name one under exactly the group's `address`"


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("names a group twice")
    return found


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
