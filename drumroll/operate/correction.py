"""The message that takes back what no longer holds: a step of its own, added to a running edition's plan."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from drumroll.launchfile.models import Launch
from drumroll.operate.running import Running
from drumroll.plan.model import Plan, PlannedStep
from drumroll.plan.numbers import chained
from drumroll.plan.promises import GONE, BrokenPromise, Form, Value
from drumroll.plan.rebase import CORRECTIONS
from drumroll.suspense.waking import Waking
from drumroll.words.corrections import draft, literal, time_in_words
from drumroll.words.render import Words

SOON = timedelta(minutes=15)
_MAX_LATE = timedelta(hours=2)


def correction_at(launch: Launch, *, now: datetime, broken: Sequence[BrokenPromise] = ()) -> datetime:
    """A quarter of an hour from `now`, on a full minute, or when the quiet hours that it would fall into end.

    What it corrects has been read by then: where something of it is still on its way, it waits for that.
    """
    read_by = [promise.spoken.read_by for promise in broken if promise.spoken.read_by is not None]
    at = (max([now, *read_by]) + SOON).replace(second=0, microsecond=0) + timedelta(minutes=1)
    return Waking(launch.quiet_hours, ZoneInfo(launch.timezone)).first_allowed(at)


def in_words(plan: Plan, value: Value, *, form: Form = "when", since: datetime | None = None) -> str | None:
    """A value as people read it, a time in `form`, which is with its weekday and date by default; None when it is off.

    The year is named where it is another one than at `since`.
    """
    return time_in_words(plan, value.at, form=form, since=since) if value.at is not None else value.words


def with_correction(
    running: Running,
    plan: Plan,
    broken: Sequence[BrokenPromise],
    *,
    at: datetime,
    project: Path,
    notice: str | None = None,
) -> tuple[Plan, PlannedStep]:
    """`plan` with one more step that corrects `broken` at `at`, to every group that was told; and that step.

    It says `notice`, or what the project's template for corrections makes of it. Its moments and vars note what it
    says by the key of each saying, so that the next change goes by what members know. Raises as `words.corrections`
    does, and WordsError when the text cannot be sent.
    """
    known = [*running.plan.steps, *running.plan.retired, *plan.steps, *plan.retired]
    taken = {step.id for step in known} | {row.step for row in running.rows}
    number = next(number for number in range(1, len(taken) + 2) if f"correction-{number}" not in taken)
    told = {group for promise in broken for group in promise.spoken.groups}
    values = [(key, promise.becomes) for promise in broken for key in promise.keys]
    step = PlannedStep(
        id=f"correction-{number}",
        phase=next((phase.name for phase in plan.phases if phase.name not in running.passed), plan.phases[-1].name),
        kind="heads_up",
        due=at,
        template=f"{CORRECTIONS}correction-{number}",
        vars={key: value.words or "" for key, value in values if value.at is None},
        moments={key: value.at for key, value in values if value.at is not None},
        groups=tuple(group for group in plan.launch.group_ids() if group in told),
        on_late="rerender",
        max_late=_MAX_LATE,
    )
    text = notice if notice is not None else draft(plan, step, changes(plan, broken), project=project, now=at)
    steps = sorted([*plan.steps, step], key=lambda each: each.due)
    sources = {**plan.templates, step.template: literal(text)}
    corrected = plan.model_copy(update={"steps": chained(steps), "templates": sources})
    Words(corrected).text(step, now=at)
    return corrected, step


def changes(plan: Plan, broken: Sequence[BrokenPromise]) -> list[dict[str, str | None]]:
    """What a correction has to say, each thing once, as `words.corrections.draft` documents it.

    A time is quoted as exactly as it was told. Where not every group that is corrected was told, the groups are named.
    """
    everybody = {group for promise in broken for group in promise.spoken.groups}
    told: dict[tuple[object, ...], list[BrokenPromise]] = {}
    for promise in broken:
        key = (promise.about,) if promise.becomes == GONE and promise.source.startswith("teaser.") else ()
        told.setdefault(key or (promise.was, promise.becomes), []).append(promise)
    return [_change(plan, promises, everybody) for promises in told.values()]


def _change(plan: Plan, promises: Sequence[BrokenPromise], everybody: AbstractSet[str]) -> dict[str, str | None]:
    """One thing that several sayings may have told: quoted from the one that told it most exactly."""
    first = min(promises, key=lambda promise: ("when", "clock", "day").index(promise.form))
    form: Form = "day" if first.form == "day" else "when"  # a new hour is nothing without its day
    as_told: Form = first.form if _on_one_day(plan, first) else form  # nor is an old one, on another day
    was = [in_words(plan, promise.was, form=as_told) for promise in promises]
    groups = {group for promise in promises for group in promise.spoken.groups}
    names = [group.name for group in plan.launch.community.groups if group.id in groups]
    return {
        "about": first.about if first.about in {"opening", "price", "promise"} else "",
        "topic": "" if first.source == "teaser.topic" or first.becomes == GONE else _topic(first),
        "name": first.name.replace("_", " ") if first.about == "time" else "",
        "label": first.spoken.label,
        "groups": ", ".join(names) if groups != everybody else "",
        "said": ", ".join(dict.fromkeys(filter(None, was))),
        "now": in_words(plan, first.becomes, form=form, since=first.was.at),
    }


def _on_one_day(plan: Plan, promise: BrokenPromise) -> bool:
    if promise.was.at is None or promise.becomes.at is None:
        return False
    zone = ZoneInfo(plan.launch.timezone)
    return promise.was.at.astimezone(zone).date() == promise.becomes.at.astimezone(zone).date()


def _topic(promise: BrokenPromise) -> str:
    """What members were told of the announcement that it concerns; empty when it concerns none."""
    step = next((step for step in promise.spoken.plan.steps if step.id == promise.about), None)
    return (step.mystery or step.topic or "") if step is not None and step.number is not None else ""
