"""The message that takes back what no longer holds: a step of its own, added to a running edition's plan."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from drumroll.launchfile.models import Launch
from drumroll.operate.running import Running
from drumroll.plan.model import Plan, PlannedStep
from drumroll.plan.promises import BrokenPromise, Value
from drumroll.plan.rebase import CORRECTIONS, chained
from drumroll.words.corrections import draft, full_time, literal
from drumroll.words.render import Words

SOON = timedelta(minutes=15)
_MAX_LATE = timedelta(hours=2)


def correction_at(launch: Launch, *, now: datetime) -> datetime:
    """A quarter of an hour from `now`, on a full minute, or when the quiet hours that it would fall into end."""
    zone = ZoneInfo(launch.timezone)
    at = (now + SOON).replace(second=0, microsecond=0) + timedelta(minutes=1)
    for _ in range(24 * 60):
        local = at.astimezone(zone)
        if not launch.quiet_hours.holds(local.hour * 60 + local.minute):
            break
        at += timedelta(minutes=1)
    return at


def in_words(plan: Plan, value: Value) -> str | None:
    """A value as people read it, a time with its weekday and date; None when it is off."""
    return full_time(plan, value.at) if value.at is not None else value.words


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
    """What a correction has to say, each thing once: `label`, `said` and `now` of `words.corrections.draft`."""
    said: dict[tuple[object, ...], dict[str, str | None]] = {}
    for promise in broken:
        now = in_words(plan, promise.becomes)
        gone = promise.becomes == Value()
        key = (promise.about,) if gone else (promise.was, promise.becomes)
        was = in_words(plan, promise.was)
        entry = said.setdefault(key, {"label": promise.spoken.label, "said": was, "now": now})
        if gone and was and was not in str(entry["said"]):
            entry["said"] = f"{entry['said']}, {was}"
    return list(said.values())
