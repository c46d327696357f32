"""The small field types of a launch file: durations, rates, names."""

import re
from datetime import timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    AllowInfNan,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    StringConstraints,
)

# Five digits of days are 273 years: enough, and no sum of them leaves the calendar. Seven of seconds are four months.
LENGTH = r"(?:([0-9]{1,5})d)?(?:([0-9]{1,6})h)?(?:([0-9]{1,7})m)?(?:([0-9]{1,7})s)?"
_DURATION = re.compile(LENGTH)
_PERCENTAGE = re.compile(r"(-?[0-9]{1,9}(?:\.[0-9]{1,9})?) ?%")


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


def some_time(length: timedelta) -> timedelta:
    """A duration that is not nothing."""
    if not length:
        raise ValueError("is no time at all; write a longer duration")
    return length


def write_duration(length: timedelta) -> str:
    """The shortest text that `parse_duration` reads back: timedelta(hours=36) → `"1d12h"`."""
    seconds, text = round(length.total_seconds()), ""
    for size, letter in ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")):
        count, seconds = divmod(seconds, size)
        text += f"{count}{letter}" if count else ""
    return text or "0s"


def parse_number(value: Any) -> Any:
    """A number, or a percentage in quotes or not (`25%` → 0.25)."""
    if isinstance(value, str) and (match := _PERCENTAGE.fullmatch(value)):
        return float(match[1]) / 100
    return plain_number(value)


def plain_number(value: Any) -> Any:
    """What is a number already: text and true/false are not taken for one."""
    if isinstance(value, str):
        raise ValueError(f'"{value}" is text; write a number without quotes')  # noqa: TRY004 - pydantic's convention
    if isinstance(value, bool):
        raise ValueError(f"{str(value).lower()} is no number; write one")  # noqa: TRY004 - pydantic's convention
    return value


def known_zone(name: str) -> str:
    """An IANA time zone that this machine knows."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f'unknown time zone "{name}"; use an IANA name such as Asia/Taipei') from error
    return name


def template_word(name: str) -> str:
    """A name that a template can say after a dot."""
    if not name.isidentifier():
        raise ValueError(f'"{name}" cannot be used in a template; write a word of letters, digits and _')
    return name


def template_name(name: str) -> str:
    """A template's name below `templates/<locale>/`, which never leads out of it."""
    if "\\" in name or any(part in {"", ".", ".."} for part in name.split("/")):
        raise ValueError(
            f'"{name}" is no template name; name a file below templates/<locale>/, like nurture/three-checks'
        )
    return name


Duration = Annotated[
    timedelta, BeforeValidator(parse_duration), PlainSerializer(write_duration, return_type=str, when_used="json")
]
Stretch = Annotated[Duration, AfterValidator(some_time)]
Number = Annotated[float, BeforeValidator(parse_number), AllowInfNan(allow_inf_nan=False)]
PlainNumber = Annotated[float, BeforeValidator(plain_number)]
SLUG = r"^[a-z0-9]+(?:[-_][a-z0-9]+)*$"
Slug = Annotated[str, StringConstraints(pattern=SLUG, max_length=64)]
TimeZone = Annotated[str, AfterValidator(known_zone)]
Word = Annotated[str, AfterValidator(template_word)]
TemplateName = Annotated[str, AfterValidator(template_name)]
Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
