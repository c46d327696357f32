"""What a changed plan changes of a running edition, step by step. Pure."""

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime

from drumroll.launchfile.models import Launch
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

    A text that differs only because times moved is not changed. `was` and `becomes` are the texts, where they differ.
    """

    step: PlannedStep
    fields: tuple[str, ...]
    was: str | None = None
    becomes: str | None = None


@dataclass(frozen=True, slots=True)
class Renumbered:
    """A step that carries another number, or begins or ceases to carry one (None)."""

    step: PlannedStep
    was: int | None
    becomes: int | None


@dataclass(frozen=True, slots=True)
class Difference:
    """What becomes of the steps that have not begun. `kept` have begun and stay, though the file lacks them.

    `settings` are the places of the launch file outside its steps that differ: `facts.closes`, `phases.ignite.gate`.
    """

    added: tuple[PlannedStep, ...]
    removed: tuple[PlannedStep, ...]
    moved: tuple[Moved, ...]
    changed: tuple[Changed, ...]
    renumbered: tuple[Renumbered, ...]
    kept: tuple[PlannedStep, ...]
    settings: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.moved or self.changed or self.renumbered or self.settings)


def diff(old: Plan, new: Plan, begun: AbstractSet[str], read: Read) -> Difference:
    """The difference between the plan an edition runs and `new`, which is rebased on it."""
    before = {step.id: step for step in old.steps}
    after = {step.id: step for step in new.steps}
    both = [(before[step.id], step) for step in new.steps if step.id in before and step.id not in begun]
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
        settings=tuple(_settings(old.launch, new.launch)),
    )


def _changes(old: Plan, new: Plan, both: Iterable[tuple[PlannedStep, PlannedStep]], read: Read) -> Iterator[Changed]:
    for was, step in both:
        one, other = definition(old.launch, step.id), definition(new.launch, step.id)
        fields = ["phase"] if was.phase != step.phase else []
        if one is not None and other is not None:
            names = type(one).model_fields.keys() - _PLACE
            fields += sorted(name for name in names if getattr(one, name) != getattr(other, name))
        said = read(old, was, was.due)
        as_before = read(*on_schedule(new, step, old), was.due)
        if said is not None and as_before is not None and said[0] != as_before[0]:
            now = read(new, step, step.due)
            yield Changed(step, (*fields, "text"), said[0], now[0] if now else None)
        elif fields:
            yield Changed(step, tuple(fields))


def _settings(old: Launch, new: Launch) -> Iterator[str]:
    for name in type(old).model_fields:
        one, other = getattr(old, name), getattr(new, name)
        if one == other or name == "opens":
            continue
        if name == "phases":
            yield from _phase_settings(old, new)
        elif isinstance(one, dict):
            yield from (f"{name}.{key}" for key in sorted(one.keys() | other.keys()) if one.get(key) != other.get(key))
        else:
            yield name


def _phase_settings(old: Launch, new: Launch) -> Iterator[str]:
    for phase in [*old.phases, *(name for name in new.phases if name not in old.phases)]:
        one, other = old.phases.get(phase), new.phases.get(phase)
        if one is None or other is None:
            yield f"phases.{phase}"
            continue
        for field in type(one).model_fields:
            if field != "steps" and getattr(one, field) != getattr(other, field):
                yield f"phases.{phase}.{field}"
