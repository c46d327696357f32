"""The plan compiler: a launch file becomes numbered, chained steps at absolute instants. Pure: *now* is never read."""

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from drumroll.launchfile.load import Findings
from drumroll.launchfile.method import MomentValue
from drumroll.launchfile.models import PHASES, Launch, OnLate, Phase, PhaseName, RemedyStep, Step, VarValue
from drumroll.launchfile.strict import Path
from drumroll.moments import MomentError, instant
from drumroll.plan.model import Attached, Plan, PlannedPhase, PlannedStep, remedy_step_id
from drumroll.plan.numbers import chained, numbered

SCHEMA_VERSION = 2

# design.md, "The ledger", rule 5: a late countdown is wrong, a late link is still wanted, the rest waits for a person.
_ON_LATE: dict[str, tuple[OnLate, timedelta]] = {
    "countdown": ("skip", timedelta(0)),
    "link": ("rerender", timedelta(hours=24)),
}
_OTHERS: tuple[OnLate, timedelta] = ("rerender", timedelta(hours=2))

TemplateFor = Callable[[str, "Step | RemedyStep"], str | None]


def compile_plan(
    launch: Launch,
    findings: Findings,
    *,
    template_for: TemplateFor,
    sources: Mapping[str, str],
    files: Mapping[str, Attached] | None = None,
    opens: str | None = None,
) -> Plan | None:
    """Compile `launch` into a plan, or report why not and return None.

    `template_for(phase, step)` names the template of a step (None: reported already); `sources` maps template names to
    their text, `files` paths of attachments to what they hold. `opens` overrides the file's opening (an absolute local
    moment) and with it the edition.
    """
    if opens is not None:
        launch = launch.model_copy(update={"opens": opens})
    zone = ZoneInfo(launch.timezone)
    opening = _at(launch.opens, ("opens",), zone, None, findings)
    if opening is None:
        return None
    phases = _phases(launch, zone, opening, findings)
    steps = _steps(launch, phases, zone, opening, findings, template_for)
    remedies = _remedy_templates(launch, template_for)
    moments = _moments(launch.facts, ("facts",), zone, opening, findings)
    _check_remedy_moments(launch, zone, opening, findings)
    if findings.errors:
        return None
    return Plan(
        schema_version=SCHEMA_VERSION,
        edition=f"{launch.name}@{opening.astimezone(zone):%Y-%m-%d}",
        opens=opening,
        launch=launch,
        phases=tuple(phases.values()),
        steps=chained(numbered(sorted(steps, key=lambda step: step.due))),
        remedy_templates=remedies,
        templates=dict(sources),
        moments=moments,
        files=dict(files or {}),
        hash=plan_hash(launch, sources, files or {}),
    )


def plan_hash(launch: Launch, sources: Mapping[str, str], files: Mapping[str, Attached]) -> str:
    """SHA-256 (hex) over the launch's meaning, the sources and files it uses and the compiler's schema."""
    document = {"schema": SCHEMA_VERSION, "launch": launch.model_dump(mode="json"), "templates": dict(sources)}
    if files:  # a launch without any keeps the hash it always had
        document["files"] = {path: file.sha256 for path, file in files.items()}
    canonical = json.dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def planned_remedy(plan: Plan, phase: str, remedy: RemedyStep, *, verdict_at: datetime) -> PlannedStep:
    """A remedy as a step due `remedy.after` after the verdict that asked for it."""
    name = next(planned.name for planned in plan.phases if planned.name == phase)
    step_id = remedy_step_id(phase, remedy)
    on_late, max_late = _ON_LATE.get(remedy.kind, _OTHERS)
    zone = ZoneInfo(plan.launch.timezone)
    return PlannedStep(
        id=step_id,
        phase=name,
        kind=remedy.kind,
        due=verdict_at + remedy.after,
        topic=remedy.topic,
        template=plan.remedy_templates[step_id],
        vars=_plain(remedy.vars),
        moments=_moments(remedy.vars, (), zone, plan.opens, Findings("")),
        groups=remedy.to or plan.launch.group_ids(),
        on_late=on_late,
        max_late=max_late,
    )


def _at(text: str, path: Path, zone: ZoneInfo, opens: datetime | None, findings: Findings) -> datetime | None:
    try:
        return instant(text, zone=zone, opens=opens)
    except MomentError as error:
        what, _, remedy = str(error).partition("; ")
        findings.add("moment", path, what, remedy)
        return None


def _phases(launch: Launch, zone: ZoneInfo, opening: datetime, findings: Findings) -> dict[PhaseName, PlannedPhase]:
    phases: dict[PhaseName, PlannedPhase] = {}
    order = [name for name in PHASES if name in launch.phases]
    if list(launch.phases) != order:
        findings.add(
            "phase/order",
            ("phases",),
            f"phases stand in the order {', '.join(launch.phases)}",
            f"the method's is {', '.join(order)}",
        )
    before: PlannedPhase | None = None
    for name in order:
        phase, path = launch.phases[name], ("phases", name)
        starts = _at(phase.starts, (*path, "starts"), zone, opening, findings)
        ends = _at(phase.ends, (*path, "ends"), zone, opening, findings)
        if starts is None or ends is None:
            continue
        if ends <= starts:
            findings.add(
                "phase/empty", (*path, "ends"), "the phase ends before it starts", "move `ends` after `starts`"
            )
        if before is not None and starts < before.latest:
            what = f"overlaps {before.name}, which may last until {_local(before.latest, zone)} with its slack"
            findings.add(
                "phase/overlap", (*path, "starts"), what, f"start {name} later, or shorten {before.name} or its slack"
            )
        before = PlannedPhase(name=name, goal=phase.goal, starts=starts, gate_at=ends, latest=ends + phase.slack)
        phases[name] = before
        _check_room_to_extend(phase, path, findings)
    return phases


def _check_room_to_extend(phase: Phase, path: Path, findings: Findings) -> None:
    ladder = phase.gate.otherwise if phase.gate else ()
    if not phase.slack and {"extend", "remedy"} & set(ladder):
        what = "the gate may extend or remedy, but the phase declares no slack to do it in"
        findings.add("gate/slack", (*path, "gate", "otherwise"), what, "add `slack:` to the phase", severity="warning")


def _steps(
    launch: Launch,
    phases: Mapping[PhaseName, PlannedPhase],
    zone: ZoneInfo,
    opening: datetime,
    findings: Findings,
    template_for: TemplateFor,
) -> list[PlannedStep]:
    steps, everyone = [], launch.group_ids()
    for name, phase in launch.phases.items():
        for index, step in enumerate(phase.steps):
            path = ("phases", name, "steps", index)
            template = template_for(name, step)
            due = _at(step.at, (*path, "at"), zone, opening, findings)
            if due is None or template is None or name not in phases:
                continue
            _check_inside(due, phases[name], path, zone, findings)
            target = _target(step, due, path, zone, opening, findings)
            moments = _moments(step.vars, (*path, "vars"), zone, opening, findings)
            steps.append(_planned(everyone, name, step, due, template, target, moments))
    return steps


def _remedy_templates(launch: Launch, template_for: TemplateFor) -> dict[str, str]:
    names = {}
    for phase, plan in launch.phases.items():
        for remedy in plan.gate.remedy if plan.gate else ():
            template = template_for(phase, remedy)
            if template is not None:
                names[remedy_step_id(phase, remedy)] = template
    return names


def _check_inside(due: datetime, phase: PlannedPhase, path: Path, zone: ZoneInfo, findings: Findings) -> None:
    if due < phase.starts:
        what = f"{_local(due, zone)} is before {phase.name} starts ({_local(phase.starts, zone)})"
        findings.add("step/outside-phase", (*path, "at"), what, "move the step, or start the phase earlier")
    elif due > phase.gate_at:
        what = f"{_local(due, zone)} is after {phase.name} ends ({_local(phase.gate_at, zone)})"
        findings.add("step/outside-phase", (*path, "at"), what, "move the step, or end the phase later")


def _target(
    step: Step, due: datetime, path: Path, zone: ZoneInfo, opening: datetime, findings: Findings
) -> datetime | None:
    if step.kind != "countdown" and step.counts_to is None:
        return None
    target = opening if step.counts_to is None else _at(step.counts_to, (*path, "counts_to"), zone, opening, findings)
    if target is not None and target <= due:
        what = f"counts down to {_local(target, zone)}, which is not after it"
        findings.add("step/countdown", (*path, "at"), what, "send it earlier, or set `counts_to` to a later moment")
    return target


def _moments(
    values: Mapping[str, object], path: Path, zone: ZoneInfo, opening: datetime, findings: Findings
) -> dict[str, datetime]:
    """The facts or vars that are points in time, as instants."""
    found = {}
    for name, value in values.items():
        if isinstance(value, MomentValue):
            at = _at(value.at, (*path, name, "at"), zone, opening, findings)
            if at is not None:
                found[name] = at
    return found


def _plain(values: Mapping[str, VarValue]) -> dict[str, str | int | float | bool]:
    return {name: value for name, value in values.items() if not isinstance(value, MomentValue)}


def _check_remedy_moments(launch: Launch, zone: ZoneInfo, opening: datetime, findings: Findings) -> None:
    """A remedy is planned when a gate asks for it; a wrong moment in its vars must be found before."""
    for name, phase in launch.phases.items():
        for index, remedy in enumerate(phase.gate.remedy if phase.gate else ()):
            _moments(remedy.vars, ("phases", name, "gate", "remedy", index, "vars"), zone, opening, findings)


def _planned(
    everyone: tuple[str, ...],
    phase: PhaseName,
    step: Step,
    due: datetime,
    template: str,
    counts_to: datetime | None,
    moments: dict[str, datetime],
) -> PlannedStep:
    on_late, max_late = _ON_LATE.get(step.kind, _OTHERS)
    return PlannedStep(
        id=step.id,
        phase=phase,
        kind=step.kind,
        due=due,
        number=0 if step.is_serial else None,
        topic=step.topic,
        mystery=step.mystery,
        counts_to=counts_to,
        template=template,
        vars=_plain(step.vars),
        moments=moments,
        keeps=step.keeps,
        groups=step.to or everyone,
        segment=step.segment,
        reveals=step.reveals,
        format=step.format,
        attach=step.attach,
        pin=step.pin,
        mention_all=step.mention_all,
        on_late=step.on_late or on_late,
        max_late=max_late if step.max_late is None else step.max_late,
    )


def _local(at: datetime, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M}"
