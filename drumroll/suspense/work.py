"""What people post by hand must fit into their hours."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from drumroll.plan.model import PlannedStep
from drumroll.suspense.rule import Breach, Edit, Rule, Subject
from drumroll.suspense.waking import local

_HOUR = timedelta(hours=1)
_POSTING_ROLES = frozenset({"host", "operator", "support"})

Load = list[tuple[PlannedStep, int]]


def _hour(subject: Subject) -> Iterator[Breach]:
    each = subject.launch.team.hand_offs_per_hour
    for who, load in _loads(subject).items():
        people = 1 if who else _everyone(subject)
        posters = who or ("one person" if people == 1 else f"{people} people")
        for step, starts, count in _overflows(load, each * people):
            what = (
                f"{count} messages to post by hand from {local(starts, subject.zone)} to "
                f"{(starts + _HOUR).astimezone(subject.zone):%H:%M} are more than {posters} can ({each * people})"
            )
            remedy = (
                f"spread them out, or let more people post; raise `team.hand_offs_per_hour` ({each}) only if they "
                "really can"
            )
            yield Breach((*subject.places[step.id], "at"), what, remedy)


def _loads(subject: Subject) -> dict[str, Load]:
    """Who posts ("": whoever of the team is free) → steps in order, with how many groups each is posted to.

    How many single members a step to a segment has is known only when it fires; it counts once for each group, as in
    the run sheet.
    """
    who = {group: _poster(subject, channel) for group, channel in subject.channel_of.items()}
    by_groups: dict[tuple[str, ...], Mapping[str, int]] = {}
    loads: dict[str, Load] = defaultdict(list)
    for step in subject.plan.steps:
        if step.groups not in by_groups:
            by_groups[step.groups] = _counted(who, step.groups)
        for poster, count in by_groups[step.groups].items():
            loads[poster].append((step, count))
    return loads


def _counted(who: Mapping[str, str | None], groups: tuple[str, ...]) -> Mapping[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for group in groups:
        poster = who[group]
        if poster is not None:
            counts[poster] += 1
    return counts


def _poster(subject: Subject, channel: str) -> str | None:
    capability = subject.capabilities.get(channel)
    if capability is None or capability.unattended:
        return None
    return str(subject.launch.community.channels[channel].options.get("to") or "")


def _everyone(subject: Subject) -> int:
    return max(1, sum(person.role in _POSTING_ROLES for person in subject.launch.team.staff))


def _overflows(load: Load, limit: int) -> Iterator[tuple[PlannedStep, datetime, int]]:
    """The step that overflows an hour, when that hour starts, and how much falls into it; each hour once."""
    first, position, count = 0, 0, 0
    while position < len(load):
        step, groups = load[position]
        count += groups
        while load[first][0].due <= step.due - _HOUR:
            count -= load[first][1]
            first += 1
        position += 1
        if count > limit:
            starts = load[first][0].due
            while position < len(load) and load[position][0].due < starts + _HOUR:
                count += load[position][1]
                position += 1
            yield step, starts, count
            first, count = position, 0


HOUR = Rule(
    id="work/hour",
    title="What is posted by hand fits into an hour's work",
    reason=(
        "A person who has to copy forty messages at once posts the last one late, or into the wrong group. Counted "
        "over any 60 minutes, for the person named by the channel's `to`, or for all hosts, operators and support "
        "together."
    ),
    check=_hour,
    example=(
        Edit('at: "D 15:00"', 'at: "D 12:30"'),
        Edit("  name: the team ", "  hand_offs_per_hour: 1\n  name: the team "),
    ),
)
RULES = (HOUR,)
