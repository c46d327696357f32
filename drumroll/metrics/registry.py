"""Every metric by name, and the one function that measures."""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from drumroll.metrics import conversation, presence, sales
from drumroll.metrics.intervals import Estimate
from drumroll.metrics.reading import Reading
from drumroll.metrics.scope import EARLIEST, Scope


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. `description` is one sentence for people; the formula is the docstring of `compute`.

    `window` says what the start of the window is when nobody names one: the phase's start, or the edition's first
    event (what grows through the launch: orders, cohorts). `fixed` metrics look at their end alone.
    """

    name: str
    unit: Literal["people", "share", "messages per post", "messages per member"]
    better: Literal["higher", "lower"]
    window: Literal["phase", "edition", "fixed"]
    description: str
    compute: Callable[[Scope, float], Estimate]

    def default_since(self, phase_starts: datetime) -> datetime | None:
        """Start of the window when nobody names one; None: the edition's first event."""
        return phase_starts if self.window == "phase" else None


@dataclass(frozen=True, slots=True)
class Value:
    """A measured metric with its interval.

    `value` is None when there is nothing to measure; `lower` and `upper` are None when there is no interval. `n` is
    the number of observations, `numerator` what was counted or summed over them, `method` how the interval came about.
    """

    metric: str
    value: float | None
    lower: float | None
    upper: float | None
    n: int
    numerator: float
    unit: str
    method: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON: fields in the order above, floats rounded to 6 places."""
        return rounded(asdict(self))


def rounded(fields: dict[str, Any]) -> dict[str, Any]:
    """The same dictionary with floats rounded to 6 places."""
    return {key: round(field, 6) if isinstance(field, float) else field for key, field in fields.items()}


def measure(
    name: str,
    reading: Reading,
    *,
    since: datetime | None,
    until: datetime,
    group: str | None = None,
    members: AbstractSet[tuple[str, str]] | None = None,
    confidence: float = 0.95,
) -> Value:
    """The metric `name` over [since, until): in one group or the whole, for all members or those given.

    `since` None is the beginning of everything. `members` are (group, member) pairs as `in_segment` gives them.
    `confidence` is two-sided. Raises KeyError for an unknown metric or group, ValueError when `until` is later than
    what the reading knows.
    """
    metric = METRICS[name]
    if until > reading.now:
        raise ValueError(f"{name}: the reading ends at {reading.now.isoformat()}, before {until.isoformat()}")
    scope = Scope(reading, EARLIEST if since is None else since, until, group, members)
    found = metric.compute(scope, confidence)
    return Value(
        name, found.value, found.lower, found.upper, found.n, found.numerator, unit=metric.unit, method=found.method
    )


_ALL = (
    Metric("members", "people", "higher", "fixed", "Members who are there.", presence.members),
    Metric("joins", "people", "higher", "phase", "People who joined for the first time.", presence.joins),
    Metric("reach", "share", "higher", "phase", "Members who gave any sign of presence.", presence.reach),
    Metric("active_rate", "share", "higher", "phase", "Members who wrote or reacted.", presence.active_rate),
    Metric(
        "silent_rate",
        "share",
        "lower",
        "fixed",
        "Members there for 7 days or longer who neither wrote nor reacted in the last 7 days.",
        presence.silent_rate,
    ),
    Metric("leave_rate", "share", "lower", "phase", "People who were there and are gone.", presence.leave_rate),
    *(
        Metric(
            f"retention_d{day}",
            "share",
            "higher",
            "edition",
            f"People who wrote or reacted on day {day} after joining.",
            presence.retention(day),
        )
        for day in (1, 3, 7)
    ),
    Metric(
        "stickiness",
        "share",
        "higher",
        "phase",
        "Members active on a day, as a share of those active in the window (DAU ÷ MAU, 30 days at most).",
        presence.stickiness,
    ),
    Metric(
        "replies", "messages per post", "higher", "phase", "Member messages that answer a post.", conversation.replies
    ),
    Metric(
        "messages_per_member",
        "messages per member",
        "higher",
        "phase",
        "Messages that a member wrote.",
        conversation.messages_per_member,
    ),
    Metric("ugc_authors", "people", "higher", "phase", "Members who answered a prompt.", conversation.ugc_authors),
    Metric(
        "value_reply_rate",
        "share",
        "higher",
        "phase",
        "How often a member who was there answered a value post.",
        conversation.value_reply_rate,
    ),
    Metric(
        "share_of_voice",
        "share",
        "lower",
        "phase",
        "Operators' messages as a share of all messages.",
        conversation.share_of_voice,
    ),
    Metric("waitlist", "people", "higher", "edition", "Members on the waitlist.", sales.waitlist),
    Metric("waitlist_rate", "share", "higher", "edition", "Share of members on the waitlist.", sales.waitlist_rate),
    Metric("conversion", "share", "higher", "edition", "Share of members who ordered.", sales.conversion),
)
METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}
