"""What a changed plan changes of a running edition, step by step. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime

from drumroll.launchfile.fields import Part
from drumroll.launchfile.models import Launch, Step
from drumroll.plan.model import Plan, PlannedStep
from drumroll.plan.rebase import is_correction
from drumroll.plan.reread import Read, definition, on_schedule

_PLACE = frozenset({"at", "number"})  # where a step stands, told as moved and renumbered


@dataclass(frozen=True, slots=True)
class Moved:
    """A step that is due at another instant (UTC)."""

    step: PlannedStep
    was: datetime
    becomes: datetime


@dataclass(frozen=True, slots=True)
class Changed:
    """A step that says or does something else: which keys of its entry, `text` among them when its words differ.

    A text that differs only because times moved is not changed. `was` and `becomes` are the texts, where they differ;
    `joined` and `left` the groups it goes to from now on, and those it no longer goes to.
    """

    step: PlannedStep
    fields: tuple[str, ...]
    was: str | None = None
    becomes: str | None = None
    joined: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class InVain:
    """A begun step that the file says otherwise about: which keys of its entry, `text` for its template."""

    step: PlannedStep
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Renumbered:
    """A step that carries another number, or begins or ceases to carry one (None)."""

    step: PlannedStep
    was: int | None
    becomes: int | None


@dataclass(frozen=True, slots=True)
class Difference:
    """What becomes of the steps that have not begun. `kept` have begun and stay, though the file lacks them.

    `settings` are the places of the launch file outside its steps that differ: `facts.closes`, `phases.ignite.gate`,
    `community.groups.east`. `in_vain` and `settings_in_vain` differ as well, of steps that have begun and of phases
    that are over, and change nothing.
    """

    added: tuple[PlannedStep, ...]
    removed: tuple[PlannedStep, ...]
    moved: tuple[Moved, ...]
    changed: tuple[Changed, ...]
    renumbered: tuple[Renumbered, ...]
    kept: tuple[PlannedStep, ...]
    settings: tuple[str, ...]
    in_vain: tuple[InVain, ...] = ()
    settings_in_vain: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        steps = self.added or self.removed or self.moved or self.changed or self.renumbered or self.in_vain
        return bool(steps or self.settings or self.settings_in_vain)


def diff(
    old: Plan, new: Plan, begun: AbstractSet[str], read: Read, *, over: AbstractSet[str] = frozenset()
) -> Difference:
    """The difference between the plan an edition runs and `new`, rebased on it; `over` are phases that are over."""
    before = {step.id: step for step in old.steps}
    after = {step.id: step for step in new.steps}
    both = [(before[step.id], step) for step in new.steps if step.id in before and step.id not in begun]
    settings = tuple(_settings(old.launch, new.launch))
    vain = tuple(setting for setting in settings if any(setting.startswith(f"phases.{name}.") for name in over))
    return Difference(
        added=tuple(step for step in new.steps if step.id not in before),
        removed=tuple(step for step in old.steps if step.id not in after),
        moved=tuple(Moved(step, was.due, step.due) for was, step in both if was.due != step.due),
        changed=tuple(_changes(old, new, both, read)),
        renumbered=tuple(Renumbered(step, was.number, step.number) for was, step in both if was.number != step.number),
        kept=tuple(
            step
            for step in old.steps
            if step.id in begun and not is_correction(step) and definition(new.launch, step.id) is None
        ),
        settings=tuple(setting for setting in settings if setting not in vain),
        in_vain=tuple(_in_vain(old, after, new.launch, begun)),
        settings_in_vain=vain,
    )


def _in_vain(old: Plan, after: Mapping[str, PlannedStep], launch: Launch, begun: AbstractSet[str]) -> Iterator[InVain]:
    """A begun step keeps its words: where the file has others now, rebasing gave its template a name of its own."""
    for step in old.steps:
        if step.id not in begun:
            continue
        one, other = definition(old.launch, step.id), definition(launch, step.id)
        if one is None or other is None:
            continue
        fields = _differing(one, other)
        if after[step.id].template != step.template:
            fields.append("text")
        if fields:
            yield InVain(step, tuple(fields))


def _differing(one: Step, other: Step, *, leaving: AbstractSet[str] = frozenset()) -> list[str]:
    names = type(one).model_fields.keys() - leaving
    return sorted(name for name in names if getattr(one, name) != getattr(other, name))


def _changes(old: Plan, new: Plan, both: Iterable[tuple[PlannedStep, PlannedStep]], read: Read) -> Iterator[Changed]:
    for was, step in both:
        one, other = definition(old.launch, step.id), definition(new.launch, step.id)
        fields = ["phase"] if was.phase != step.phase else []
        if one is not None and other is not None:
            fields += _differing(one, other, leaving=_PLACE)
        joined = tuple(group for group in step.groups if group not in was.groups)
        left = tuple(group for group in was.groups if group not in step.groups)
        fields += ["groups"] if joined or left else []
        said = read(old, was, was.due)
        as_before = read(*on_schedule(new, step, old), was.due)
        if said is not None and as_before is not None and said[0] != as_before[0]:
            now = read(new, step, step.due)
            yield Changed(step, (*fields, "text"), said[0], now[0] if now else None, joined, left)
        elif fields:
            yield Changed(step, tuple(fields), joined=joined, left=left)


def _settings(old: Launch, new: Launch) -> Iterator[str]:
    for name in type(old).model_fields:
        one, other = getattr(old, name), getattr(new, name)
        if one == other or name == "opens":
            continue
        if name == "phases":
            yield from _phase_settings(old, new)
        else:
            yield from sorted(_places(name, one, other, deep=1 if isinstance(one, Mapping) else 2))


def _places(name: str, one: object, other: object, *, deep: int) -> list[str]:
    """Where two values that differ do so, by field, key or id, up to `deep` names down."""
    parts, others = _parts(one), _parts(other)
    if parts is None or others is None or not deep:
        return [name]
    places: list[str] = []
    for key in dict.fromkeys((*parts, *others)):
        if key not in parts or key not in others:
            places.append(f"{name}.{key}")
        elif parts[key] != others[key]:
            places += _places(f"{name}.{key}", parts[key], others[key], deep=deep - 1)
    return places or [name]  # the same in another order


def _parts(value: object) -> Mapping[str, object] | None:
    """What a value is made of, by name; None when it is one thing, or its parts have no names that tell them apart."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, Part):
        return {name: getattr(value, name) for name in type(value).model_fields}
    if isinstance(value, tuple):
        named = {str(getattr(each, "id", None) or getattr(each, "name", "")): each for each in value}
        return named if "" not in named and len(named) == len(value) else None
    return None


def _phase_settings(old: Launch, new: Launch) -> Iterator[str]:
    for phase in [*old.phases, *(name for name in new.phases if name not in old.phases)]:
        one, other = old.phases.get(phase), new.phases.get(phase)
        if one is None or other is None:
            yield f"phases.{phase}"
            continue
        for field in type(one).model_fields:
            if field != "steps" and getattr(one, field) != getattr(other, field):
                yield f"phases.{phase}.{field}"
