"""A changed plan put onto a running edition: what has begun stays as it is, and no number is given twice. Pure."""

import re
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet

from drumroll.plan.model import Plan, PlannedPhase, PlannedStep
from drumroll.plan.numbers import chained, numbered

CORRECTIONS = "corrections/"
"""What the template of a correction begins with; no file's name does, for those begin with a locale."""

_OWN = re.compile(rf"{CORRECTIONS}|.*@[0-9a-f]{{12}}$", re.DOTALL)  # sources that no file of the project can replace


def is_correction(step: PlannedStep) -> bool:
    """Whether a change of the running edition added it, rather than the launch file."""
    return step.template.startswith(CORRECTIONS)


def rebase(
    old: Plan,
    new: Plan,
    begun: AbstractSet[str],
    *,
    over: AbstractSet[str] = frozenset(),
    dropped: AbstractSet[str] = frozenset(),
) -> Plan:
    """`new`, freshly compiled, as the next plan of the edition that runs `old`.

    `begun` are the ids of steps of which something has gone out: they stay as `old` has them, words included, whether
    or not `new` still has them. `over` are phases whose gate has spoken for good. Corrections stay unless `dropped`.
    What `new` no longer has is retired; numbers of begun and retired steps are never given to another one.
    """
    ids = {step.id for step in new.steps}
    stays = [step for step in old.steps if step.id in begun or (is_correction(step) and step.id not in dropped)]
    kept = {step.id for step in stays}
    gone = [step for step in old.steps if step.id not in kept | ids]
    retired = (*old.retired, *gone)
    sources, names = _kept_sources(old, new, [step.template for step in stays])
    steps = [step.model_copy(update={"template": names[step.template]}) for step in stays]
    steps += [step for step in new.steps if step.id not in kept]
    numbers = {step.number for step in retired if step.number is not None}
    return new.model_copy(
        update={
            "edition": old.edition,
            "phases": tuple(_phase(old, phase, begun, over) for phase in new.phases),
            "steps": chained(numbered(sorted(steps, key=lambda step: step.due), begun, numbers)),
            "templates": {**new.templates, **sources},
            "files": {**old.files, **new.files},
            "retired": retired,
        }
    )


def as_it_runs(old: Plan, new: Plan, begun: AbstractSet[str]) -> Plan:
    """`new` with the instants and numbers that its steps will have in the edition that runs `old`, for the rules."""
    runs = {step.id: step for step in rebase(old, new, begun).steps}
    placed = [step.model_copy(update={"due": runs[step.id].due, "number": runs[step.id].number}) for step in new.steps]
    return new.model_copy(update={"steps": chained(sorted(placed, key=lambda step: step.due))})


def _phase(old: Plan, phase: PlannedPhase, begun: AbstractSet[str], over: AbstractSet[str]) -> PlannedPhase:
    """A phase that is over stays; one that has begun keeps its start, from which its gate counts."""
    before = next((each for each in old.phases if each.name == phase.name), None)
    if before is None:
        return phase
    if phase.name in over:
        return before
    if any(step.phase == phase.name and step.id in begun for step in old.steps):
        return phase.model_copy(update={"starts": min(before.starts, phase.starts)})
    return phase


def _kept_sources(old: Plan, new: Plan, templates: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
    """The old sources behind `templates`, by the names they have from now on, and those names by the old ones.

    A source that says something else now goes on under its name and the old plan's hash, and so does every source that
    includes it; an include names its file in quotes.
    """
    includes = {
        name: {other for other in old.templates if f'"{other}"' in source or f"'{other}'" in source}
        for name, source in old.templates.items()
    }
    needed = _reached(templates, includes)
    other = {name for name in needed if not _OWN.match(name) and new.templates.get(name) != old.templates[name]}
    while more := {name for name in needed - other if not _OWN.match(name) and includes[name] & other}:
        other |= more
    names = {name: f"{name}@{old.hash[:12]}" if name in other else name for name in needed}
    sources = {
        names[name]: _renamed(old.templates[name], names) for name in needed if name in other or _OWN.match(name)
    }
    return sources, names


def _reached(templates: Iterable[str], includes: Mapping[str, AbstractSet[str]]) -> set[str]:
    reached: set[str] = set()
    to_visit = list(templates)
    while to_visit:
        if (name := to_visit.pop()) not in reached:
            reached.add(name)
            to_visit += includes[name]
    return reached


def _renamed(source: str, names: Mapping[str, str]) -> str:
    for name, now in names.items():
        if name != now:
            source = source.replace(f'"{name}"', f'"{now}"').replace(f"'{name}'", f"'{now}'")
    return source
