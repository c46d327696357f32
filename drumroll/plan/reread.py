"""The words of one plan on the schedule of another: what a text would have said. Pure."""

from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

from drumroll.launchfile.method import MomentValue
from drumroll.launchfile.models import Launch, Step
from drumroll.moments import instant
from drumroll.plan.model import Plan, PlannedStep
from drumroll.plan.said import Said

Read = Callable[[Plan, PlannedStep, datetime], tuple[str, tuple[Said, ...]] | None]
"""The text of a step of a plan when it is that instant, and what it said; None where it cannot be rendered."""


def definition(launch: Launch, step_id: str) -> Step | None:
    """The step as the launch file has it; None when it has none of that id (a remedy, a correction)."""
    return next((step for phase in launch.phases.values() for step in phase.steps if step.id == step_id), None)


def on_schedule(content: Plan, step: PlannedStep, by: Plan, *, topics: bool = False) -> tuple[Plan, PlannedStep]:
    """`step` with the words of `content`, and the instants and numbers that `by` gives to all of which they tell.

    With `topics`, what it says of the announcement it teases is `by`'s as well. A teased one that `by` lacks stays.
    """
    place = next((each for each in by.steps if each.id == step.id), step)
    told = _instants(content, step, by)
    step = step.model_copy(update={"due": place.due, "number": place.number, **told})
    names = ("due", "number", "topic", "mystery") if topics else ("due", "number")
    teased = next((each for each in by.steps if each.id == step.follows_up), None)
    steps = [
        each.model_copy(update={name: getattr(teased, name) for name in names})
        if teased is not None and each.id == step.follows_up
        else each
        for each in content.steps
        if each.id != step.id
    ]
    moments = {name: by.moments.get(name, at) for name, at in content.moments.items()}
    ordered = tuple(sorted((*steps, step), key=lambda each: each.due))
    return content.model_copy(update={"opens": by.opens, "moments": moments, "steps": ordered}), step


def _instants(content: Plan, step: PlannedStep, by: Plan) -> dict[str, object]:
    """What the step counts to and its vars that are moments, as `by`'s launch file and opening have them.

    Where that has no such step any more, they move as the opening does.
    """
    zone, moved = ZoneInfo(by.launch.timezone), by.opens - content.opens
    found = definition(by.launch, step.id)
    counts = step.counts_to if step.counts_to is None else step.counts_to + moved
    moments = {name: at + moved for name, at in step.moments.items()}
    if found is not None:
        written = {name: value.at for name, value in found.vars.items() if isinstance(value, MomentValue)}
        moments |= {name: instant(written[name], zone=zone, opens=by.opens) for name in moments if name in written}
        if counts is not None and found.counts_to is not None:
            counts = instant(found.counts_to, zone=zone, opens=by.opens)
    return {"counts_to": counts, "moments": moments}
