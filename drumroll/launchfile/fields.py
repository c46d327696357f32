"""The small field types of a launch file: durations, rates, names."""

import re
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    AllowInfNan,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)
from pydantic.config import JsonDict

# Five digits of days are 273 years: enough, and no sum of them leaves the calendar. Seven of seconds are four months.
LENGTH = r"(?:([0-9]{1,5})d)?(?:([0-9]{1,6})h)?(?:([0-9]{1,7})m)?(?:([0-9]{1,7})s)?"
_DURATION = re.compile(LENGTH)
MOST_MONEY = Decimal(10) ** 12
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


def countable(amount: Decimal) -> Decimal:
    """An amount of money that people count; sums of numbers with a million digits would never be done."""
    if abs(amount) >= MOST_MONEY:
        raise ValueError(f"{amount:.6g} is beyond all money; write less than {MOST_MONEY:,}")
    if amount != round(amount, 4):
        raise ValueError(f"{amount:.6g} has too many decimals; write at most four")
    return amount


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


def project_path(path: str) -> str:
    """A file's path in the project directory, which never leads out of it."""
    if "\\" in path or path.startswith("/") or any(part in {"", ".", ".."} for part in path.split("/")):
        raise ValueError(f'"{path}" is no file of the project; name one below its folder, like images/poster.png')
    return path


# What editors are told of these types (drumroll/launchfile/schema.py): `title` is the type's name in the reference, the
# pattern takes what the functions above take and refuses what a pattern can. Readers of JSON Schema use different
# dialects of regular expressions, so there is no \w here (ASCII alone in JavaScript) and no look-behind.
SLUG = r"^[a-z0-9]+(?:[-_][a-z0-9]+)*$"
_TIME = "(?:[01]?[0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9])?(?: (?:first|second))?"
_LOCAL = f"2[01][0-9]{{2}}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])[ T]{_TIME}"
_AS_SLUG: JsonDict = {
    "type": "string",
    "title": "name",
    "pattern": SLUG,
    "maxLength": 64,
    "examples": ["spring-course"],
    "patternErrorMessage": "use lower-case letters, digits and single dashes, like spring-course",
}
AS_MOMENT: JsonDict = {
    "type": "string",
    "title": "moment",
    "pattern": rf"^\s*(?:T(?:[+-](?=[0-9]){LENGTH})?|D(?:[+-][0-9]{{1,3}})? {_TIME}|{_LOCAL})\s*$",
    "patternErrorMessage": 'write "T-2h", "D-1 23:00" or "2026-12-11 23:00"',
    "examples": ["T-2h", "D-1 23:00", "2026-12-11 23:00"],
}
AS_LOCAL_TIME: JsonDict = {
    "title": "local time",
    "pattern": rf"^\s*{_LOCAL}\s*$",
    "patternErrorMessage": 'write it like "2026-12-11 23:00"',
    "examples": ["2026-12-11 23:00"],
}
AS_CLOCK: JsonDict = {
    "title": "time of day",
    "pattern": "^(?:[01][0-9]|2[0-3]):[0-5][0-9]$",
    "patternErrorMessage": 'write it like "23:30"',
    "examples": ["23:30"],
}
_AS_DURATION: JsonDict = {
    "type": "string",
    "title": "duration",
    "pattern": f"^(?=[0-9]){LENGTH}$",
    "patternErrorMessage": 'write days, hours, minutes, seconds like "1d12h", "90m" or "30s"',
    "examples": ["1d12h", "90m", "30s"],
}
AS_STRETCH: JsonDict = {**_AS_DURATION, "pattern": f"^(?=.*[1-9]){LENGTH}$"}
_AS_NUMBER: JsonDict = {
    "type": ["number", "string"],
    "title": "number or percentage",
    "pattern": "^-?[0-9]{1,9}(?:\\.[0-9]{1,9})? ?%$",
    "patternErrorMessage": "write a number without quotes, or a percentage like 25%",
    "examples": ["25%", 0.25, 150],
}
_AS_ZONE: JsonDict = {
    "type": "string",
    "title": "time zone",
    "pattern": "^[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)*$",
    "patternErrorMessage": "use an IANA name such as Asia/Taipei",
    "examples": ["Asia/Taipei", "Europe/London", "UTC"],
}
_AS_WORD: JsonDict = {
    "type": "string",
    "title": "word",
    "pattern": "^[^\\s0-9!-/:-@[-^`{-~][^\\s!-/:-@[-^`{-~]*$",
    "patternErrorMessage": "write a word of letters, digits and _",
    "examples": ["order_link"],
}
_AS_TEMPLATE: JsonDict = {
    "type": "string",
    "title": "template name",
    "pattern": r"^(?!\.{1,2}(?:/|$))[^/\\]+(?:/(?!\.{1,2}(?:/|$))[^/\\]+)*$",
    "patternErrorMessage": "name a file below templates/<locale>/, like nurture/three-checks",
    "examples": ["nurture/three-checks"],
}
_AS_PROJECT_PATH: JsonDict = _AS_TEMPLATE | {
    "title": "path",
    "patternErrorMessage": "name a file below the project's folder, like images/poster.png",
    "examples": ["images/poster.png"],
}
_AS_TEXT: JsonDict = {"type": "string", "title": "text", "pattern": "\\S", "patternErrorMessage": "write something"}

Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(write_duration, return_type=str, when_used="json"),
    WithJsonSchema(_AS_DURATION),
]
Stretch = Annotated[Duration, AfterValidator(some_time), WithJsonSchema(AS_STRETCH)]
Number = Annotated[
    float, BeforeValidator(parse_number), AllowInfNan(allow_inf_nan=False), Field(json_schema_extra=_AS_NUMBER)
]
PlainNumber = Annotated[float, BeforeValidator(plain_number)]
Slug = Annotated[str, StringConstraints(pattern=SLUG, max_length=64), WithJsonSchema(_AS_SLUG)]
TimeZone = Annotated[str, AfterValidator(known_zone), WithJsonSchema(_AS_ZONE)]
Word = Annotated[str, AfterValidator(template_word), WithJsonSchema(_AS_WORD)]
ProjectPath = Annotated[str, AfterValidator(project_path), WithJsonSchema(_AS_PROJECT_PATH)]
TemplateName = Annotated[str, AfterValidator(template_name), WithJsonSchema(_AS_TEMPLATE)]
Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True), WithJsonSchema(_AS_TEXT)]
