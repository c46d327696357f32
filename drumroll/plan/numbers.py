"""Numbers and teasers: serial steps count on from one another, and each sets up the next."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from itertools import pairwise

from drumroll.plan.model import PlannedStep


def numbered(
    steps: Iterable[PlannedStep],
    begun: AbstractSet[str] = frozenset(),
    retired: AbstractSet[int] = frozenset(),
) -> list[PlannedStep]:
    """The steps, given in order of time, with serial ones counted from 1.

    Steps whose id is in `begun` keep their number. Each other one gets the smallest above that of the serial one
    before it which is neither theirs nor `retired`.
    """
    steps = list(steps)
    taken = {step.number for step in steps if step.id in begun} | retired
    done, before = [], 0
    for step in steps:
        if step.number is not None:
            number = step.number
            if step.id not in begun:
                number = before + 1
                while number in taken:
                    number += 1
                taken.add(number)
            before = number
            step = step.model_copy(update={"number": number})  # noqa: PLW2901 - the same step, numbered
        done.append(step)
    return done


def chained(steps: Iterable[PlannedStep]) -> tuple[PlannedStep, ...]:
    """The steps, given in order of time, with each numbered one teasing the next."""
    steps = tuple(steps)
    serial = [step.id for step in steps if step.number is not None]
    following = dict(pairwise(serial))
    return tuple(step.model_copy(update={"follows_up": following.get(step.id)}) for step in steps)
