"""The gallery: every text of a launch on one page, in order, for the people who write them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drumroll.check import Checked
from drumroll.errors import Finding, LaunchRefusedError
from drumroll.launchfile.fields import write_duration
from drumroll.launchfile.method import MomentValue
from drumroll.plan.model import Plan, PlannedStep, remedy_step_id
from drumroll.report.display import audience, moment
from drumroll.report.place import write_page
from drumroll.suspense.rule import Subject
from drumroll.words.pages import render_page
from drumroll.words.templates import SUFFIX, locales

TEMPLATE = "gallery.html.j2"
_FIRST_LINE = 160
_NO_WORDS = re.compile(r"\s*(\{%.*%\}\s*)?")


@dataclass(frozen=True, slots=True)
class Room:
    """A channel that a text goes to: the text's UTF-8 bytes in its longest form, and how many the channel takes."""

    channel: str
    size: int
    limit: int | None

    @property
    def percent(self) -> float:
        """How much of the channel's room it fills, 0 to 100; 0 where there is no limit."""
        return 0.0 if self.limit is None else min(100.0, round(self.size / self.limit * 100, 1))


@dataclass(frozen=True, slots=True)
class Shown:
    """One text as the gallery shows it: `at` in local words, `worst` only where it differs from `text`."""

    step: PlannedStep
    at: str
    label: str
    audience: str
    text: str
    worst: str | None
    rooms: tuple[Room, ...]
    follows: PlannedStep | None
    teaser: dict[str, str] | None


@dataclass(frozen=True, slots=True)
class Unused:
    """A template that the launch could use and does not: its name below `templates/`, its first line with words."""

    name: str
    first_line: str


def write_gallery(checked: Checked, out: Path | None = None) -> Path:
    """Write the gallery of a checked launch; returns its path, by default `.drumroll/gallery/<edition>.html`.

    Raises LaunchRefusedError when `check` refused the launch, otherwise as `write_page` and `render_page` do.
    """
    html = gallery_html(checked)
    default = checked.project / ".drumroll" / "gallery" / f"{checked.accepted().edition}.html"
    return write_page(html, out, default=default, what="the gallery")


def gallery_html(checked: Checked) -> str:
    """The page itself, from the project's `templates/pages/gallery.html.j2`."""
    subject = _accepted(checked)
    plan, launch = subject.plan, subject.launch
    return render_page(
        checked.project,
        TEMPLATE,
        plan=plan,
        launch=launch,
        opens=moment(plan.opens, subject.zone),
        counts=counts(checked),
        leads=launch.persona.leads if launch.persona else {},
        phases=[(phase, list(_texts(subject, phase.name))) for phase in plan.phases],
        remedies=[(phase.name, texts) for phase in plan.phases if (texts := list(_remedies(subject, phase.name)))],
        promises=[
            (*promise, [step for step in plan.steps if step.keeps == promise[0]]) for promise in launch.promises.items()
        ],
        facts=[
            (fact, _value(subject, fact), [step for step in plan.steps if fact in step.reveals])
            for fact in launch.facts
        ],
        labels=subject.labels,
        warnings=[finding for finding in checked.findings if finding.severity == "warning"],
        waived=[(rule, reason, _waived(checked, rule)) for rule, reason in launch.waive.items()],
        unused=unused_templates(checked.project, plan),
    )


def counts(checked: Checked) -> dict[str, Any]:
    """`texts` (remedies among them), `numbered`, `characters` and `longest`: `step`, `bytes` at worst."""
    subject = _accepted(checked)
    longest = max(subject.worst, key=lambda step: len(subject.worst[step].encode()), default=None)
    return {
        "texts": len(subject.texts),
        "numbered": len(subject.serial),
        "characters": sum(map(len, subject.texts.values())),
        "longest": longest and {"step": longest, "bytes": len(subject.worst[longest].encode())},
    }


def _accepted(checked: Checked) -> Subject:
    if checked.subject is None:
        raise LaunchRefusedError(checked.findings)
    return checked.subject


def _waived(checked: Checked, rule: str) -> list[Finding]:
    return [finding for finding in checked.findings if finding.severity == "waived" and finding.rule == rule]


def unused_templates(project: Path, plan: Plan) -> list[Unused]:
    """What the locale's folders hold for every launch (and for this one) that this launch does not use, by name.

    `<locale>/<launch>/<phase>/…` of other launches is theirs and left out.
    """
    root, found = project / "templates", []
    for locale in locales(plan.launch):
        for file in sorted((root / locale).rglob(f"*{SUFFIX}")):
            name, folders = file.relative_to(root).as_posix(), file.relative_to(root / locale).parts[:-1]
            others = len(folders) > 1 and folders[0] != plan.launch.name
            if name not in plan.templates and not others:
                found.append(Unused(name, _first_line(file)))
    return found


def _first_line(file: Path) -> str:
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError):
        return "cannot be read"
    first = next((line.strip() for line in lines if not _NO_WORDS.fullmatch(line)), "")
    return (first.strip("{# }") if first.startswith("{#") else first)[:_FIRST_LINE]


def _texts(subject: Subject, phase: str) -> Iterator[Shown]:
    for step in subject.plan.steps:
        if step.phase == phase:
            yield _shown(subject, step, moment(step.due, subject.zone))


def _remedies(subject: Subject, phase: str) -> Iterator[Shown]:
    gate = subject.launch.phases[phase].gate  # type: ignore[index]
    for remedy in gate.remedy if gate else ():
        step = subject.by_id[remedy_step_id(phase, remedy)]
        yield _shown(subject, step, f"{write_duration(remedy.after)} after the verdict")


def _shown(subject: Subject, step: PlannedStep, at: str) -> Shown:
    text, worst = subject.texts[step.id], subject.worst[step.id]
    teaser = subject.teasers.get(step.id)
    channels = dict.fromkeys(subject.channel_of[group] for group in step.groups)
    return Shown(
        step=step,
        at=at,
        label=subject.labels.get(step.id, ""),
        audience=audience(subject.plan, step),
        text=text,
        worst=None if worst == text else worst,
        rooms=tuple(Room(name, len(worst.encode()), subject.capabilities[name].max_bytes) for name in channels),
        follows=subject.by_id[step.follows_up] if step.follows_up else None,
        teaser=dict(teaser) if teaser else None,
    )


def _value(subject: Subject, name: str) -> str:
    value = subject.launch.facts[name]
    return moment(subject.plan.moments[name], subject.zone) if isinstance(value, MomentValue) else value
