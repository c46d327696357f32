"""`check` as a function: from a launch file to a plan that may run, or to every reason why not."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from drumroll.capability import Capability
from drumroll.errors import Finding, LaunchRefusedError, UsageError
from drumroll.launchfile.load import Findings, did_you_mean, load_launch
from drumroll.launchfile.models import Launch
from drumroll.launchfile.references import check_references
from drumroll.launchfile.strict import Path as DocPath
from drumroll.moments import MomentError, instant
from drumroll.plan.compile import compile_plan, planned_remedy
from drumroll.plan.model import Plan, PlannedStep
from drumroll.words.collect import Collected
from drumroll.words.phrases import LOCALES
from drumroll.words.render import Words, WordsError
from drumroll.words.templates import find_project

_BRACES = re.compile(r"\{\{.{0,60}?\}\}|\{%.{0,60}?%\}|\{\{|\{%")


@dataclass(frozen=True, slots=True)
class Checked:
    """What `check` found. `plan`, `words` and `texts` (step id → text at its instant) are there unless it refused."""

    file: Path
    project: Path
    findings: list[Finding]
    plan: Plan | None
    capabilities: Mapping[str, Capability]
    texts: Mapping[str, str]

    @property
    def errors(self) -> list[Finding]:
        """The findings that refuse the launch."""
        return [finding for finding in self.findings if finding.severity == "error"]

    def accepted(self) -> Plan:
        """The plan. Raises LaunchRefusedError with every finding when there is none."""
        if self.plan is None:
            raise LaunchRefusedError(self.findings)
        return self.plan


def check_file(file: Path, *, opens: str | None = None, now: datetime | None = None) -> Checked:
    """Load, compile and read every text of a launch file.

    `opens` overrides the opening; with `now`, an opening that has passed is a warning. Raises UsageError when the file
    or its project directory is missing, or `opens` is no moment; everything else is a finding.
    """
    launch, findings = load_launch(file)
    if launch is None:
        return Checked(file, file.parent, _sorted(findings), None, {}, {})
    if opens is not None:
        _check_opens(opens, launch)
    project = find_project(file.parent)
    if launch.locale not in LOCALES:
        findings.add(
            "name/locale", ("locale",), f'unknown locale "{launch.locale}"', did_you_mean(launch.locale, LOCALES)
        )
        return Checked(file, project, _sorted(findings), None, {}, {})
    capabilities = check_references(launch, findings)
    collected = Collected(project, launch, findings)
    plan = compile_plan(launch, findings, template_for=collected.template_for, sources=collected.sources, opens=opens)
    texts: dict[str, str] = {}
    if plan is not None:
        texts = _check_words(plan, capabilities, findings)
        if now is not None and plan.opens <= now:
            findings.add(
                "launch/past", ("opens",), "the opening has passed", "give another with --opens", severity="warning"
            )
    return Checked(file, project, _sorted(findings), None if findings.errors else plan, capabilities, texts)


def _check_opens(opens: str, launch: Launch) -> None:
    try:
        instant(opens, zone=ZoneInfo(launch.timezone))
    except MomentError as error:
        raise UsageError(str(error), where="--opens") from error


def _sorted(findings: Findings) -> list[Finding]:
    return sorted(findings.items, key=lambda finding: finding.line)


def _check_words(plan: Plan, capabilities: Mapping[str, Capability], findings: Findings) -> dict[str, str]:
    words, texts = Words(plan), {}
    for step, path in _all_steps(plan):
        try:
            text = texts[step.id] = words.text(step, now=step.due)
        except WordsError as error:
            findings.add("template/render", path, f"{error.where}: {error.message}", error.remedy)
            continue
        if not text:
            findings.add("template/empty", path, f"templates/{step.template} says nothing", "write the text")
            continue
        _check_serial(words, step, text, path, findings)
        _check_braces(text, path, findings)
        _check_reveals(plan, step, text, path, findings)
        _check_size(plan, step, text, capabilities, path, findings)
    return texts


def _all_steps(plan: Plan) -> Iterator[tuple[PlannedStep, DocPath]]:
    known = {step.id: step for step in plan.steps}
    for name, phase in plan.launch.phases.items():
        for index, step in enumerate(phase.steps):
            yield known[step.id], ("phases", name, "steps", index)
        for index, remedy in enumerate(phase.gate.remedy if phase.gate else ()):
            planned = planned_remedy(plan, name, remedy, verdict_at=plan.phase(name).gate_at)
            yield planned, ("phases", name, "gate", "remedy", index)


def _check_serial(words: Words, step: PlannedStep, text: str, path: DocPath, findings: Findings) -> None:
    """Q3: an announcement carries its number, and says when the next one comes and what it will be about."""
    label = words.short_label(step)
    if label and label not in text:
        what = f"templates/{step.template} does not say its number {label}"
        findings.add("serial/label", path, what, "begin it with {{ step.label }}")
    teaser = words.teaser(step, now=step.due)
    if teaser is None:
        return
    for part, name in (("when", "time"), ("topic", "topic")):
        if teaser[part] not in text:
            what = f"templates/{step.template} does not tease the {name} of {teaser['label']} ({teaser[part]})"
            findings.add("teaser/missing", path, what, f"use {{{{ teaser.{part} }}}} in it")


def _check_braces(text: str, path: DocPath, findings: Findings) -> None:
    """What a fact or a var holds is data: it stands in the text as it is."""
    if found := _BRACES.search(text):
        what = f'members would read "{found[0]}"'
        remedy = "vars and facts are not rendered again; write the words out, or use the name in the template"
        findings.add("template/braces", path, what, remedy, severity="warning")


def _check_reveals(plan: Plan, step: PlannedStep, text: str, path: DocPath, findings: Findings) -> None:
    for position, fact in enumerate(step.reveals):
        if plan.launch.facts[fact] not in text:
            what = f'templates/{step.template} does not tell the fact "{fact}" that it reveals'
            remedy = f"use {{{{ facts.{fact} }}}} in it, or reveal it in another step"
            findings.add("reveal/untold", (*path, "reveals", position), what, remedy, severity="warning")


def _check_size(
    plan: Plan, step: PlannedStep, text: str, capabilities: Mapping[str, Capability], path: DocPath, findings: Findings
) -> None:
    size = len(text.encode())
    for group in plan.launch.community.groups:
        capability = capabilities.get(group.channel)
        if group.id not in step.groups or capability is None:
            continue
        if capability.max_bytes is not None and size > capability.max_bytes:
            what = f"{size:,} bytes are more than channel {group.channel} takes ({capability.max_bytes:,})"
            findings.add("words/too-long", path, what, f"shorten templates/{step.template}")
        if step.segment is not None and not capability.direct:
            what = f"goes to single members, but channel {group.channel} of group {group.id} only reaches whole groups"
            findings.add("step/direct", path, what, "limit it with `to:`, or drop `segment:`")
