"""The figures of a report: deliveries by state, lateness, the funnel, every metric."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from drumroll.ledger.model import DeliveryRow
from drumroll.metrics.intervals import Estimate, share
from drumroll.metrics.reading import Reading, Seat, any_between
from drumroll.metrics.registry import METRICS, Value, measure
from drumroll.metrics.scope import EARLIEST, Scope

CONFIDENCE = 0.95
_TO_COME = ("due", "retry", "sending")


@dataclass(frozen=True, slots=True)
class Glance:
    """Deliveries by state; `to_come` is what is due, being sent or to be tried again. The parts add up to `planned`."""

    planned: int
    sent: int
    awaiting: int
    held: int
    skipped: int
    unknown: int
    failed: int
    cancelled: int
    to_come: int


@dataclass(frozen=True, slots=True)
class Lateness:
    """From the planned instant to the sending, in milliseconds (negative: early), over `n` sent deliveries."""

    n: int
    median_ms: float
    max_ms: int


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of the funnel: how many people reached it, as a share of all who joined.

    `onward` is the share of the stage before who reached this one too; None for the first.
    """

    name: str
    people: int
    of_joined: Estimate
    onward: Estimate | None


def glance(rows: Sequence[DeliveryRow]) -> Glance:
    """Count deliveries by state."""
    counts: dict[str, int] = {}
    for row in rows:
        name = "to_come" if row.state in _TO_COME else row.state
        counts[name] = counts.get(name, 0) + 1
    names = ("sent", "awaiting", "held", "skipped", "unknown", "failed", "cancelled", "to_come")
    return Glance(len(rows), *(counts.get(name, 0) for name in names))


def lateness_of(rows: Sequence[DeliveryRow]) -> Lateness | None:
    """Median and largest lateness of what was sent; None when none of it was measured."""
    measured = [row.lateness_ms for row in rows if row.state == "sent" and row.lateness_ms is not None]
    return Lateness(len(measured), median(measured), max(measured)) if measured else None


def funnel(reading: Reading, group: str | None, *, until: datetime) -> list[Stage]:
    """Joined → active → waitlisted → ordered up to `until`, in one group or the whole, with Wilson's 95% intervals.

    Joined is everybody who ever had a seat, also those who left since; active wrote or reacted at least once.
    Waitlist entries and orders are the person's, wherever they were recorded. Staff and bots are outside.
    """
    scope = Scope(reading, EARLIEST, until, group)

    def recorded(instants: dict[str, list[datetime]]) -> Callable[[str, list[Seat]], bool]:
        return lambda member, _seats: any_between(instants.get(member, ()), EARLIEST, until)

    reached: list[tuple[str, Callable[[str, list[Seat]], bool]]] = [
        ("joined", lambda _member, seats: any(start < until for seat in seats for start, _ in seat.stays)),
        ("active", lambda _member, seats: scope.acted(seats, EARLIEST, until)),
        ("waitlisted", recorded(reading.waitlisted)),
        ("ordered", recorded(reading.ordered)),
    ]
    stages: list[Stage] = []
    joined: set[str] | None = None
    before: set[str] | None = None
    for name, test in reached:
        here = {member for member, seats in scope.people.items() if test(member, seats)}
        joined = here if joined is None else joined
        here &= joined
        onward = None if before is None else share(len(here & before), len(before), CONFIDENCE)
        stages.append(Stage(name, len(here), share(len(here), len(joined), CONFIDENCE), onward))
        before = here
    return stages


def measure_all(reading: Reading, group: str | None, *, until: datetime) -> list[Value]:
    """Every metric over the whole edition up to `until`, in one group or the whole, at 95% confidence."""
    return [measure(name, reading, since=None, until=until, group=group, confidence=CONFIDENCE) for name in METRICS]
