"""Numbers, spans and times as people read them, the same in the report and in the terminal."""

from datetime import datetime
from zoneinfo import ZoneInfo

from drumroll.plan.model import Plan, PlannedStep

NOTHING = "–"


def amount(value: float | None, unit: str) -> str:
    """A measured value: `31.2%` for a share, `1,204` people, else two decimals; `–` when there is none."""
    if value is None:
        return NOTHING
    if unit == "share":
        return f"{value * 100:.1f}%"
    return f"{value:,.0f}" if unit == "people" else f"{value:.2f}"


def interval(lower: float | None, upper: float | None, unit: str) -> str:
    """`25.5–36.6%`; empty when there is no interval."""
    if lower is None or upper is None:
        return ""
    return f"{amount(lower, unit).removesuffix('%')}–{amount(upper, unit)}"


def limit(value: float, unit: str) -> str:
    """A limit exactly as it was asked for: `12.5%`, `60`."""
    return f"{value * 100:.10g}%" if unit == "share" else f"{value:,.10g}"


def lateness(ms: float) -> str:
    """`40 ms late`, `3 m 20 s late`, `1.2 s early`, `on time`."""
    if round(ms) == 0:
        return "on time"
    return f"{span(abs(ms) / 1000)} {'late' if ms > 0 else 'early'}"


def span(seconds: float) -> str:
    """A length of time (0 or more) in its two largest units: `40 ms`, `1.2 s`, `3 m 20 s`, `2 d 5 h`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "m"), (rest, "s")]
    first = next(index for index, (count, _) in enumerate(parts) if count)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count)


def clock(at: datetime, zone: ZoneInfo | None = None) -> str:
    """`12:00`, or `12:00:30` for a moment that has seconds; in `zone`, or in the one that `at` carries."""
    return f"{at.astimezone(zone) if zone else at:{_clock_format(at)}}"


def moment(at: datetime, zone: ZoneInfo) -> str:
    """`Sat 2027-01-16 12:00` in the launch's zone, with the seconds of a moment that has some."""
    return f"{at.astimezone(zone):%a %Y-%m-%d} {clock(at, zone)}"


def _clock_format(at: datetime) -> str:
    return "%H:%M:%S" if at.second else "%H:%M"


def local(at: datetime, zone: ZoneInfo, *, seconds: bool = False) -> str:
    """`Sat 2027-01-16 12:00` in the launch's zone."""
    return f"{at.astimezone(zone):%a %Y-%m-%d %H:%M:%S}" if seconds else f"{at.astimezone(zone):%a %Y-%m-%d %H:%M}"


def audience(plan: Plan, step: PlannedStep) -> str:
    """Whom a step goes to: `all groups`, `east, west`, `silent members of east`."""
    groups = "all groups" if step.groups == plan.launch.group_ids() else ", ".join(step.groups)
    return f"{step.segment} members of {groups}" if step.segment else groups
