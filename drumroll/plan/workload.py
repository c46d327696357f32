"""What a plan asks of people: hand-offs to post by hand, and gates that may need somebody. Pure."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from drumroll.capability import Capability
from drumroll.plan.model import Plan


@dataclass(frozen=True, slots=True)
class WorkDay:
    """One local day's work. `busiest_hour` is the local hour (0-23) with most hand-offs, `at_once` how many it has."""

    day: date
    hand_offs: int
    gates: int
    first: datetime | None
    last: datetime | None
    busiest_hour: int | None
    at_once: int


def workload(plan: Plan, capabilities: Mapping[str, Capability]) -> list[WorkDay]:
    """The days on which people have something to do, in order; local times in the launch's zone."""
    zone = ZoneInfo(plan.launch.timezone)
    by_hand = {group.id for group in plan.launch.community.groups if not capabilities[group.channel].unattended}
    posts: dict[date, list[datetime]] = defaultdict(list)
    for step in plan.steps:
        local = step.due.astimezone(zone)
        posts[local.date()] += [local for group in step.groups if group in by_hand]
    gates = Counter(
        phase.gate_at.astimezone(zone).date()
        for phase in plan.phases
        if plan.launch.phases[phase.name].gate is not None
    )
    return [
        _day(day, posts.get(day, []), gates[day]) for day in sorted(set(gates) | {d for d, at in posts.items() if at})
    ]


def _day(day: date, posts: list[datetime], gates: int) -> WorkDay:
    hours = Counter(at.hour for at in posts)
    busiest = min(hours, key=lambda hour: (-hours[hour], hour)) if hours else None
    return WorkDay(
        day=day,
        hand_offs=len(posts),
        gates=gates,
        first=min(posts, default=None),
        last=max(posts, default=None),
        busiest_hour=busiest,
        at_once=hours[busiest] if busiest is not None else 0,
    )
