"""Moments as people say them, and the instants they mean.

Three forms: `T-2h` (elapsed time before or after the opening), `D-1 23:00` (a day relative to the opening's local date,
at a wall-clock time there), `2026-12-11 23:00` (absolute, local). Each compiles once to a UTC instant. A wall-clock
time that the zone skips is an error; one that it has twice must say which (`D-1 02:30 first`, `… second`).

An opening that is given with a call may also count from the day of that call: `+14d 12:00`.
"""

import re
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from drumroll.launchfile.fields import LENGTH, parse_duration

_RELATIVE = re.compile(rf"T(?:([+-])({LENGTH}))?")
_CLOCK = r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?(?: (first|second))?"
_DAY = re.compile(r"D(?:([+-])([0-9]{1,3}))? " + _CLOCK)
_ABSOLUTE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})[ T]" + _CLOCK)
_AHEAD = re.compile(r"\+([0-9]{1,3})d " + _CLOCK)
_YEARS = range(2000, 2200)  # all else is a slip of the pen, and sums of it leave the calendar
FORMS = 'write "T-2h", "D-1 23:00" or "2026-12-11 23:00"'


class MomentError(ValueError):
    """A moment that means no instant, or more than one."""


def instant(text: str, *, zone: ZoneInfo, opens: datetime | None = None) -> datetime:
    """The UTC instant `text` means in `zone`; `opens` (UTC) is what `T` and `D` count from.

    Raises MomentError for an unknown form, a date that does not exist, a wall-clock time in a DST gap, or an ambiguous
    one that does not say `first` or `second`.
    """
    text = text.strip()
    if (match := _ABSOLUTE.fullmatch(text)) is not None:
        year, month, day, *clock = match.groups()
        try:
            on = date(int(year), int(month), int(day))
        except ValueError as error:
            raise MomentError(f'"{text}" is no date: {error}') from error
        if on.year not in _YEARS:
            raise MomentError(f'"{text}" is not in this age; write a year from {_YEARS[0]} to {_YEARS[-1]}')
        return _wall(on, clock, zone, text)
    if opens is None:
        raise MomentError(f'"{text}" is not an absolute local time; write it like "2026-12-11 23:00"')
    if (match := _RELATIVE.fullmatch(text)) is not None:
        sign, length = match[1], match[2]
        if sign is None:
            return opens
        if not length:
            raise MomentError(f'"{text}" has no length; {FORMS}')
        delta: timedelta = parse_duration(length)
        return opens - delta if sign == "-" else opens + delta
    if (match := _DAY.fullmatch(text)) is not None:
        sign, days, *clock = match.groups()
        shift = timedelta(days=int(days or 0)) * (-1 if sign == "-" else 1)
        return _wall(opens.astimezone(zone).date() + shift, clock, zone, text)
    raise MomentError(f'"{text}" is not a moment; {FORMS}')


def opening_from(text: str, *, zone: ZoneInfo, called: datetime) -> str:
    """`+14d 12:00`, said at `called` (UTC), as an absolute local moment; any other text as it is, unless it begins so.

    Days count from the local date of the call. That the time exists on that day is for `instant` to say.
    """
    text = text.strip()
    if not text.startswith("+"):
        return text
    if (match := _AHEAD.fullmatch(text)) is None:
        raise MomentError(f'"{text}" is no opening; write "+14d 12:00": 14 days ahead, at that local time')
    on = called.astimezone(zone).date() + timedelta(days=int(match[1]))
    return f"{on.isoformat()} {text.partition(' ')[2]}"


def _wall(on: date, clock: list[str | None], zone: ZoneInfo, text: str) -> datetime:
    hour, minute, second, which = clock
    try:
        at = time(int(hour or 0), int(minute or 0), int(second or 0))
    except ValueError as error:
        raise MomentError(f'"{text}" is no time of day: {error}') from error
    early = datetime.combine(on, at, tzinfo=zone)
    late = early.replace(fold=1)
    back = early.astimezone(UTC).astimezone(zone)
    if back.replace(tzinfo=None) != early.replace(tzinfo=None):
        raise MomentError(f'"{text}" does not exist in {zone.key}: clocks go forward over it; choose another time')
    if early.utcoffset() != late.utcoffset():
        if which is None:
            raise MomentError(f'"{text}" happens twice in {zone.key}: clocks go back; add "first" or "second"')
        return (early if which == "first" else late).astimezone(UTC)
    if which is not None:
        raise MomentError(f'"{text}" happens only once in {zone.key}; remove "{which}"')
    return early.astimezone(UTC)
