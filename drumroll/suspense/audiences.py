"""Groups that get exactly the same messages: what is true of one is true of all, and has to be worked out once."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from drumroll.plan.model import PlannedStep


@dataclass(frozen=True, slots=True)
class Audience:
    """Some groups, and the messages that each of them gets, in order."""

    groups: tuple[str, ...]
    steps: tuple[PlannedStep, ...]


def audiences(steps: Sequence[PlannedStep]) -> list[Audience]:
    """The groups by what they get of `steps`. Messages to single members of a segment are none to the group."""
    by_groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for position, step in enumerate(steps):
        if step.segment is None:
            by_groups[step.groups].append(position)
    heard: dict[str, list[int]] = defaultdict(list)
    for number, groups in enumerate(by_groups):
        for group in dict.fromkeys(groups):
            heard[group].append(number)
    alike: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for group, numbers in heard.items():
        alike[tuple(numbers)].append(group)
    positions = list(by_groups.values())
    return [
        Audience(tuple(groups), tuple(steps[at] for at in sorted(at for number in numbers for at in positions[number])))
        for numbers, groups in alike.items()
    ]


def named(groups: Sequence[str]) -> str:
    """`group east`, `groups east and west`, `groups a, b and 498 more`."""
    if len(groups) == 1:
        return f"group {groups[0]}"
    if len(groups) > 3:
        return f"groups {groups[0]}, {groups[1]} and {len(groups) - 2} more"
    return f"groups {', '.join(groups[:-1])} and {groups[-1]}"
