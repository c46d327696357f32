"""The small field types of a launch file: durations, rates, names."""

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, StringConstraints

_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


class Part(BaseModel):
    """Base of every part of a launch file: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def parse_duration(text: Any) -> Any:
    """`"1d12h"`, `"90m"`, `"30s"` → timedelta; what is a timedelta already passes."""
    if isinstance(text, timedelta):
        return text
    if isinstance(text, str) and text and (match := _DURATION.fullmatch(text)):
        days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
        return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    raise ValueError(f'"{text}" is not a duration; write days, hours, minutes, seconds like "1d12h", "90m" or "30s"')


def write_duration(length: timedelta) -> str:
    """The shortest text that `parse_duration` reads back: timedelta(hours=36) → `"1d12h"`."""
    seconds, text = round(length.total_seconds()), ""
    for size, letter in ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")):
        count, seconds = divmod(seconds, size)
        text += f"{count}{letter}" if count else ""
    return text or "0s"


def parse_number(value: Any) -> Any:
    """A number, or a percentage in quotes or not (`25%` → 0.25)."""
    if isinstance(value, str) and (match := re.fullmatch(r"(-?\d+(?:\.\d+)?)\s*%", value)):
        return float(match[1]) / 100
    return value


Duration = Annotated[
    timedelta, BeforeValidator(parse_duration), PlainSerializer(write_duration, return_type=str, when_used="json")
]
Number = Annotated[float, BeforeValidator(parse_number)]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(?:[-_][a-z0-9]+)*$", max_length=64)]
Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
