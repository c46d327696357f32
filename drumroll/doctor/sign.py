"""One thing the doctor looked at."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Sign:
    """What was found of `subject`, a stable id like `ledger.disk`; `remedy` says how to get what is missing.

    A `problem` keeps launches from running right here, a `warning` may one day.
    """

    subject: str
    state: State
    what: str
    remedy: str = ""


def ok(subject: str, what: str) -> Sign:
    """All is well."""
    return Sign(subject, "ok", what)


def warning(subject: str, what: str, remedy: str) -> Sign:
    """Works, but not for ever, or not as well as it could."""
    return Sign(subject, "warning", what, remedy)


def problem(subject: str, what: str, remedy: str) -> Sign:
    """Does not work."""
    return Sign(subject, "problem", what, remedy)
