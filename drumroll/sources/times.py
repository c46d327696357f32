"""Times as exports write them → UTC."""

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d*)?")
# Nine to eleven digits are 1973 to 5138; thirteen are milliseconds, eight are a date without dashes.
_SECONDS = re.compile(r"(\d{9,11})(?:\.(\d+))?")


def from_epoch(text: str) -> datetime:
    """Seconds since 1970 in decimal digits, exact to the microsecond (further digits are cut). ValueError otherwise.

    Read as digits and not as a float: a float of today's seconds is only exact to a quarter of a microsecond, and
    Slack names a message by all six decimals.
    """
    match = _SECONDS.fullmatch(text)
    if not match:
        raise ValueError(f'"{text}" is not a time in seconds since 1970')
    micros = int((match[2] or "").ljust(6, "0")[:6])
    try:
        return _EPOCH + timedelta(seconds=int(match[1]), microseconds=micros)
    except OverflowError as error:
        raise ValueError(f'"{text}" is beyond the year 9999') from error


def instant(text: str, zone: ZoneInfo) -> datetime:
    """An ISO 8601 time or epoch seconds → UTC-aware. ValueError saying what is wrong.

    `zone` applies to times without an offset. A wall-clock time that occurs twice (the end of summer time) is read as
    the first of the two; one that the zone skips is an error, because then the zone is wrong.
    """
    if _NUMBER.fullmatch(text):
        if len(text.partition(".")[0]) in (13, 16):
            raise ValueError(f'"{text}" looks like milliseconds or microseconds; epoch times must be in seconds')
        return from_epoch(text)
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f'"{text}" is not a time') from error
    try:
        exact = (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC)
        back = exact.astimezone(zone).replace(tzinfo=None)
    except OverflowError as error:
        raise ValueError(f'"{text}" is outside the years 1 to 9999') from error
    if at.tzinfo is None and back != at:
        raise ValueError(f'"{text}" does not exist in {zone.key} (the clocks skip it)')
    return exact
