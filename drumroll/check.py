"""`check` as a function: from a launch file to a plan that may run, or to every reason why not."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from drumroll.attachments import attached
from drumroll.capability import Capability
from drumroll.clock import current_clock
from drumroll.errors import Finding, LaunchRefusedError, UsageError
from drumroll.fit import FitVerdict, check_fit
from drumroll.launchfile.load import Findings, did_you_mean, load_launch
from drumroll.launchfile.models import Launch
from drumroll.launchfile.references import check_references
from drumroll.launchfile.strict import Path as DocPath
from drumroll.ledger.crowd import CEILING, crowded_minutes
from drumroll.moments import MomentError, instant, opening_from
from drumroll.plan.compile import compile_plan, planned_remedy
from drumroll.plan.model import Plan, PlannedStep
from drumroll.plan.said import Use
from drumroll.suspense.judge import judge_launch, known_waivers
from drumroll.suspense.rule import Subject
from drumroll.words.collect import Collected
from drumroll.words.phrases import LOCALES
from drumroll.words.render import Reading, Words, WordsError
from drumroll.words.simplified import in_its_characters
from drumroll.words.templates import find_project

_BRACES = re.compile(r"\{\{.{0,60}?\}\}|\{%.{0,60}?%\}|\{\{|\{%")


@dataclass(frozen=True, slots=True)
class Checked:
    """What `check` found. `plan` and `subject` are there unless it refused; `texts` is step id → text in time.

    `fit` is None where nothing is sold; `opens` is the opening that was asked for instead of the file's, if one was, as
    an absolute local moment.
    """

    file: Path
    project: Path
    findings: list[Finding]
    plan: Plan | None
    capabilities: Mapping[str, Capability]
    texts: Mapping[str, str]
    subject: Subject | None = None
    fit: FitVerdict | None = None
    opens: str | None = None

    @property
    def errors(self) -> list[Finding]:
        """The findings that refuse the launch."""
        return [finding for finding in self.findings if finding.severity == "error"]

    def accepted(self) -> Plan:
        """The plan. Raises LaunchRefusedError with every finding when there is none."""
        if self.plan is None:
            raise LaunchRefusedError(self.findings)
        return self.plan


def check_file(
    file: Path,
    *,
    opens: str | None = None,
    called: datetime | None = None,
    now: datetime | None = None,
    as_run: Callable[[Plan], Plan] | None = None,
) -> Checked:
    """Load, compile, read every text of a launch file and hold it against the rules of suspense.

    `opens` overrides the opening; `+14d 12:00` counts from the local day of `called` (UTC; default: now). With `now`,
    an opening that has passed is a warning, and so is a minute that the project's ledger has crowded. `as_run` gives
    the plan the instants and numbers that it will have in a running edition, before anything is read. Raises UsageError
    when the file or its project directory is missing, or `opens` is no moment; everything else is a finding.
    """
    launch, findings = load_launch(file)
    if launch is None:
        return Checked(file, file.parent, _sorted(findings), None, {}, {})
    if opens is not None:
        opens = _absolute(opens, launch, called or current_clock().now())
    project = find_project(file.parent)
    return check_launch(launch, findings, file=file, project=project, opens=opens, now=now, as_run=as_run)


def check_launch(
    launch: Launch,
    findings: Findings,
    *,
    file: Path,
    project: Path,
    stored: Plan | None = None,
    opens: str | None = None,
    now: datetime | None = None,
    as_run: Callable[[Plan], Plan] | None = None,
) -> Checked:
    """`check_file` for a launch that is loaded already; with `stored`, its sources and attachments come from there."""
    if launch.locale not in LOCALES:
        findings.add(
            "name/locale", ("locale",), f'unknown locale "{launch.locale}"', did_you_mean(launch.locale, LOCALES)
        )
        return Checked(file, project, _sorted(findings), None, {}, {})
    capabilities = check_references(launch, findings)
    known_waivers(launch, findings)
    fit = check_fit(launch, findings)
    launch = in_its_characters(launch)
    collected = Collected(project, launch, findings, None if stored is None else stored.templates)
    files = attached(project, launch, findings) if stored is None else stored.files
    plan = compile_plan(
        launch, findings, template_for=collected.template_for, sources=collected.sources, files=files, opens=opens
    )
    subject = None
    if plan is not None:
        plan = plan if as_run is None else as_run(plan)
        subject = _read(plan, capabilities, collected.uses(), findings)
        judge_launch(subject, findings)
        if now is not None and plan.opens <= now:
            findings.add(
                "launch/past", ("opens",), "the opening has passed", "give another with --opens", severity="warning"
            )
        if now is not None:
            _check_crowd(plan, project, findings, now)
    refused, texts = bool(findings.errors), subject.texts if subject else {}
    return Checked(
        file,
        project,
        _sorted(findings),
        None if refused else plan,
        capabilities,
        texts,
        None if refused else subject,
        fit,
        opens,
    )


def _check_crowd(plan: Plan, project: Path, findings: Findings, now: datetime) -> None:
    """Warn of the minute at which the most launches speak, when those are more than SQLite carries for Prefect."""
    url = os.environ.get("DRUMROLL_LEDGER") or f"sqlite:///{project.absolute()}/.drumroll/ledger.db"
    if not url.startswith("sqlite:///"):
        return
    crowded = crowded_minutes(Path(url.removeprefix("sqlite:///")), now=now)
    ours = {step.due.replace(second=0, microsecond=0) for step in plan.steps}
    shared = ((len(crowded.get(minute, set()) - {plan.edition}) + 1, minute) for minute in ours)
    count, at = max(shared, default=(0, now))
    if count > CEILING:
        findings.add(
            "launch/crowd",
            ("opens",),
            f"{count} launches speak at {at:%Y-%m-%d %H:%M} UTC; Prefect's server on SQLite carries {CEILING}",
            "give that server a PostgreSQL database (docs/running.md), or choose other times",
            severity="warning",
        )


def _absolute(opens: str, launch: Launch, called: datetime) -> str:
    zone = ZoneInfo(launch.timezone)
    try:
        absolute = opening_from(opens, zone=zone, called=called)
        instant(absolute, zone=zone)
    except MomentError as error:
        counted = "" if f'"{opens.strip()}"' in str(error) else f' "{opens}"'
        raise UsageError(str(error), where=f"--opens{counted}") from error
    return absolute


def _sorted(findings: Findings) -> list[Finding]:
    return sorted(findings.items, key=lambda finding: finding.line)


def _read(
    plan: Plan,
    capabilities: Mapping[str, Capability],
    uses: Mapping[str, tuple[Use, ...]],
    findings: Findings,
) -> Subject:
    """Read every text once as it will be, and once in its longest form."""
    words, steps = Words(plan), dict(_all_steps(plan))
    readings: dict[str, Reading] = {}
    worst: dict[str, str] = {}
    for step_id, (step, path) in steps.items():
        try:
            reading = words.read(step, now=step.due)
            longest = words.read(step, now=step.due, worst=True).text
        except WordsError as error:
            if error.rule == "template/render":  # a fact told too early is a rule's to find
                findings.add(error.rule, path, f"{error.where}: {error.message}", error.remedy)
            continue
        if not reading.text:
            findings.add("template/empty", path, f"templates/{step.template} says nothing", "write the text")
            continue
        _check_braces(reading.text, path, findings)
        _check_direct(plan, step, capabilities, path, findings)
        readings[step_id], worst[step_id] = reading, longest
    serial = [step for step in plan.steps if step.number is not None]
    return Subject(
        plan=plan,
        steps=tuple(step for step, _ in steps.values()),
        places={step_id: path for step_id, (_, path) in steps.items()},
        texts={step_id: reading.text for step_id, reading in readings.items()},
        worst=worst,
        said={step_id: reading.said for step_id, reading in readings.items()},
        uses=uses,
        capabilities=capabilities,
        labels={step.id: words.short_label(step) for step in serial},
        teasers={step.id: teaser for step in serial if (teaser := words.teaser(step, now=step.due)) is not None},
    )


def _all_steps(plan: Plan) -> Iterator[tuple[str, tuple[PlannedStep, DocPath]]]:
    """Steps in order of their instants, then remedies, each with its place in the file."""
    places: dict[str, DocPath] = {
        step.id: ("phases", name, "steps", index)
        for name, phase in plan.launch.phases.items()
        for index, step in enumerate(phase.steps)
    }
    for step in plan.steps:
        yield step.id, (step, places[step.id])
    for name, phase in plan.launch.phases.items():
        for index, remedy in enumerate(phase.gate.remedy if phase.gate else ()):
            planned = planned_remedy(plan, name, remedy, verdict_at=plan.phase(name).gate_at)
            yield planned.id, (planned, ("phases", name, "gate", "remedy", index))


def _check_braces(text: str, path: DocPath, findings: Findings) -> None:
    """What a fact or a var holds is data: it stands in the text as it is."""
    if found := _BRACES.search(text):
        what = f'members would read "{found[0]}"'
        remedy = "vars and facts are not rendered again; write the words out, or use the name in the template"
        findings.add("template/braces", path, what, remedy, severity="warning")


def _check_direct(
    plan: Plan, step: PlannedStep, capabilities: Mapping[str, Capability], path: DocPath, findings: Findings
) -> None:
    if step.segment is None:
        return
    addressed = set(step.groups)
    for group in plan.launch.community.groups:
        capability = capabilities.get(group.channel)
        if group.id in addressed and capability is not None and not capability.direct:
            what = f"goes to single members, but channel {group.channel} of group {group.id} only reaches whole groups"
            findings.add("step/direct", path, what, "limit it with `to:`, or drop `segment:`")
