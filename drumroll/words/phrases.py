"""The few words the compiler itself says: labels, dates, times left, money. Dates and amounts come from Babel."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Literal

EVENING = 18  # from this hour on, people say "tonight" (今晚)


@dataclass(frozen=True, slots=True)
class Phrases:
    """One locale's words. `{clock}` is HH:MM, `{day}` a short date with its weekday.

    `label` begins an announcement, `short_label` names one in the middle of a sentence.
    """

    babel: str
    label: str
    short_label: str
    today: str
    tonight: str
    tomorrow: str
    tomorrow_night: str
    later: str
    day: str
    day_of_year: str
    join: str
    units: Literal["long", "short"] = "long"
    after_tomorrow: str | None = None
    after_tomorrow_night: str | None = None


LOCALES: dict[str, Phrases] = {
    "zh-Hant": Phrases(
        babel="zh_Hant",
        label="【公告{number:02d}】",
        short_label="【公告{number:02d}】",
        today="今天 {clock}",
        tonight="今晚 {clock}",
        tomorrow="明天 {clock}",
        tomorrow_night="明晚 {clock}",
        after_tomorrow="後天 {clock}",
        after_tomorrow_night="後天晚上 {clock}",
        later="{day}{clock}",
        day="M月d日（E）",
        day_of_year="y年M月d日（E）",
        join=" ",
        units="short",  # CLDR gives zh_Hant no long form for durations
    ),
    "zh-Hans": Phrases(
        babel="zh_Hans",
        label="【公告{number:02d}】",
        short_label="【公告{number:02d}】",
        today="今天 {clock}",
        tonight="今晚 {clock}",
        tomorrow="明天 {clock}",
        tomorrow_night="明晚 {clock}",
        after_tomorrow="后天 {clock}",
        after_tomorrow_night="后天晚上 {clock}",
        later="{day}{clock}",
        day="M月d日（E）",
        day_of_year="y年M月d日（E）",
        join="",  # CLDR sets no space between number and unit here: 1小时57分钟
        units="short",
    ),
    "en": Phrases(
        babel="en",
        label="No. {number:02d} ·",
        short_label="No. {number:02d}",
        today="today at {clock}",
        tonight="tonight at {clock}",
        tomorrow="tomorrow at {clock}",
        tomorrow_night="tomorrow at {clock}",
        later="on {day} at {clock}",
        day="EEE, MMM d",
        day_of_year="EEE, MMM d, y",
        join=" ",
    ),
}


def label(phrases: Phrases, number: int | None) -> str:
    """The announcement's number as members see it; empty for an unnumbered message."""
    return "" if number is None else phrases.label.format(number=number)


def short_label(phrases: Phrases, number: int | None) -> str:
    """The same number without what separates it from the words after it."""
    return "" if number is None else phrases.short_label.format(number=number)


def clock(at: datetime) -> str:
    """`23:00` in the zone that `at` carries."""
    return f"{at:%H:%M}"


def day(phrases: Phrases, at: datetime, *, with_year: bool = False) -> str:
    """A short date with its weekday."""
    return _date(at.date(), phrases.day_of_year if with_year else phrases.day, phrases.babel)


@lru_cache(maxsize=1_024)  # Babel takes a tenth of a millisecond for each
def _date(on: date, form: str, locale: str) -> str:
    from babel.dates import format_date

    return format_date(on, form, locale=locale)


def when(phrases: Phrases, at: datetime, *, now: datetime) -> str:
    """How a person would say `at` when it is `now`; both in the launch's zone."""
    days = (at.date() - now.date()).days
    night = at.hour >= EVENING
    by_distance = {
        0: phrases.tonight if night else phrases.today,
        1: phrases.tomorrow_night if night else phrases.tomorrow,
        2: phrases.after_tomorrow_night if night else phrases.after_tomorrow,
    }
    form = by_distance.get(days) or phrases.later
    return form.format(clock=clock(at), day=day(phrases, at) if form is phrases.later else "")


def longest_when(phrases: Phrases, at: datetime) -> str:
    """The form of `when` with most UTF-8 bytes, whatever day it is said on."""
    return max((when(phrases, at, now=at - timedelta(days=days)) for days in range(4)), key=_bytes)


def longest_left(phrases: Phrases, span: timedelta) -> str:
    """The form of `left` with most UTF-8 bytes that `span` passes through within an hour."""
    spans = (span, span - timedelta(minutes=1), span - timedelta(minutes=61), span - timedelta(hours=1))
    return max((left(phrases, each) for each in spans), key=_bytes)


def _bytes(text: str) -> int:
    return len(text.encode())


def left(phrases: Phrases, span: timedelta) -> str:
    """Time left in words, to the minute: `2 小時`, `1 小時 57 分鐘`; never below one minute while any is left."""
    minutes = round(span.total_seconds() / 60)
    if span > timedelta(0):
        minutes = max(minutes, 1)
    minutes = max(minutes, 0)
    days, rest = divmod(minutes, 24 * 60)
    hours, rest = divmod(rest, 60)
    if days == 1:  # "36 hours" reads better than "1 day 12 hours"
        days, hours = 0, hours + 24
    parts = [(days, "day"), (hours, "hour")] if days else [(hours, "hour"), (rest, "minute")]
    said = [(count, unit) for count, unit in parts if count] or [(0, "minute")]
    return phrases.join.join(_unit(phrases, count, unit) for count, unit in said)


@lru_cache(maxsize=1_024)  # Babel takes a tenth of a millisecond for each
def _unit(phrases: Phrases, count: int, unit: str) -> str:
    from babel.units import format_unit

    return format_unit(count, f"duration-{unit}", length=phrases.units, locale=phrases.babel)


def money(phrases: Phrases, amount: Decimal | float, currency: str) -> str:
    """`NT$3,980`, `$490`: an unambiguous symbol, and no cents when there are none."""
    from babel.numbers import format_currency, get_currency_symbol

    locale = phrases.babel
    symbol = get_currency_symbol(currency, locale=locale)
    if symbol == "$" and currency != "USD":
        symbol = get_currency_symbol(currency, locale="en")
    pattern = "#,##0" if Decimal(str(amount)) == int(amount) else "#,##0.00"
    return symbol + format_currency(amount, currency, format=pattern, locale=locale, currency_digits=False)
