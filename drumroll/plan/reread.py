"""The words of one plan on the schedule of another: what a text would have said. Pure."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from drumroll.launchfile.method import MomentValue
from drumroll.launchfile.models import Launch, Step
from drumroll.moments import instant
from drumroll.plan.model import Plan, PlannedStep
from drumroll.plan.said import Said

Read = Callable[[Plan, PlannedStep, datetime], tuple[str, tuple[Said, ...]] | None]
"""The text of a step of a plan when it is that instant, and what it said; None where it cannot be rendered."""

_MOST = 8  # hybrids kept: a running edition's few versions, each on the old and the new schedule
_hybrids: dict[tuple[int, int, bool], tuple[Plan, Plan, Plan]] = {}


def definition(launch: Launch, step_id: str) -> Step | None:
    """The step as the launch file has it; None when it has none of that id (a remedy, a correction)."""
    return next((step for phase in launch.phases.values() for step in phase.steps if step.id == step_id), None)


def on_schedule(content: Plan, step: PlannedStep, by: Plan, *, topics: bool = False) -> tuple[Plan, PlannedStep]:
    """`step` with the words of `content`, and the instants and numbers that `by` gives to all of which they tell.

    With `topics`, what it tells of the announcement it teases, of facts, promises and the price is `by`'s as well. A
    teased one that `by` lacks stays, unless another step has taken its place (`successor`). The plan that comes with
    it is the same for every step of `content`.
    """
    hybrid = _hybrid(content, by, topics=topics)
    place = next((each for each in hybrid.steps if each.id == step.id), None)
    if place is not None:
        return hybrid, step.model_copy(
            update={name: getattr(place, name) for name in ("due", "number", "counts_to", "moments")}
        )
    return hybrid, step.model_copy(update=_instants(content, step, by, _definitions(by.launch)))  # a remedy


def successor(content: Plan, step: PlannedStep, by: Plan) -> PlannedStep | None:
    """The step of `by` that is what `step` of `content` announced under another id: new, numbered, the same words.

    Of several the one that is nearest to its instant, as far as the opening has moved.
    """
    words = step.mystery or step.topic
    if words is None or step.number is None:
        return None
    known, due = {each.id for each in content.steps}, step.due + (by.opens - content.opens)
    alike = [
        each
        for each in by.steps
        if each.number is not None and each.id not in known and (each.mystery or each.topic) == words
    ]
    return min(alike, key=lambda each: abs(each.due - due), default=None)


def _hybrid(content: Plan, by: Plan, *, topics: bool) -> Plan:
    """`content` on the schedule of `by`, made once for each pair: a plan of thousands of steps is no small copy."""
    key = (id(content), id(by), topics)
    kept = _hybrids.get(key)
    if kept is not None and kept[0] is content and kept[1] is by:
        return kept[2]
    places = {each.id: each for each in by.steps}
    names = ("due", "number", "topic", "mystery") if topics else ("due", "number")
    written = _definitions(by.launch)
    steps = []
    for step in content.steps:
        place = places.get(step.id) or successor(content, step, by)
        moved: dict[str, object] = {} if place is None else {name: getattr(place, name) for name in names}
        steps.append(step.model_copy(update=moved | _instants(content, step, by, written)))
    update: dict[str, object] = {
        "opens": by.opens,
        "moments": {name: by.moments.get(name, at) for name, at in content.moments.items()},
        "steps": tuple(sorted(steps, key=lambda each: each.due)),
    }
    if topics:
        update["launch"] = _telling(content.launch, by.launch)
    hybrid = content.model_copy(update=update)
    while len(_hybrids) >= _MOST:
        _hybrids.pop(next(iter(_hybrids)), None)
    _hybrids[key] = content, by, hybrid
    return hybrid


def _telling(content: Launch, by: Launch) -> Launch:
    """`content` with `by`'s facts, promises and price; what `by` lacks, or has as another kind of value, stays."""
    facts = {name: _like(value, by.facts.get(name)) for name, value in content.facts.items()}
    promises = {name: by.promises.get(name, text) for name, text in content.promises.items()}
    product = content.product
    if by.product.price is not None and product.price is not None:
        product = product.model_copy(update={"price": by.product.price, "currency": by.product.currency})
    return content.model_copy(update={"facts": facts, "promises": promises, "product": product})


def _like(value: Any, other: Any) -> Any:
    return other if type(other) is type(value) else value


def _definitions(launch: Launch) -> Mapping[str, Step]:
    return {step.id: step for phase in launch.phases.values() for step in phase.steps}


def _instants(content: Plan, step: PlannedStep, by: Plan, written: Mapping[str, Step]) -> dict[str, object]:
    """What the step counts to and its vars that are moments, as `by`'s launch file and opening have them.

    Where that has no such step any more, they move as the opening does.
    """
    if step.counts_to is None and not step.moments:
        return {}
    zone, moved = ZoneInfo(by.launch.timezone), by.opens - content.opens
    found = written.get(step.id)
    counts = step.counts_to if step.counts_to is None else step.counts_to + moved
    moments = {name: at + moved for name, at in step.moments.items()}
    if found is not None:
        values = {name: value.at for name, value in found.vars.items() if isinstance(value, MomentValue)}
        moments |= {name: instant(values[name], zone=zone, opens=by.opens) for name in moments if name in values}
        if counts is not None and found.counts_to is not None:
            counts = instant(found.counts_to, zone=zone, opens=by.opens)
    return {"counts_to": counts, "moments": moments}
