"""What a changed plan would do to a running edition, as JSON and for people."""

import difflib
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from drumroll.cli.options import iso
from drumroll.cli.tables import say
from drumroll.clock import VirtualClock, current_clock
from drumroll.operate.changes import Proposal, refusals
from drumroll.operate.correction import in_words
from drumroll.operate.running import Running
from drumroll.plan.diff import Changed
from drumroll.plan.model import Plan, PlannedStep, shown
from drumroll.plan.promises import BrokenPromise
from drumroll.report.display import moment
from drumroll.report.standing import as_of
from drumroll.words import phrases


def now_in(running: Running) -> datetime:
    """The instant at which the edition is changed: a rehearsal's own, else now."""
    clock = current_clock()
    if running.edition.rehearsal and not isinstance(clock, VirtualClock):
        return as_of(running.ledger, running.edition, now=clock.now())
    return clock.now()


def document(proposal: Proposal, file_opens: datetime | None) -> dict[str, Any]:
    """The JSON of a proposal; `drumroll plan --diff` documents its fields."""
    found, old = proposal.difference, proposal.running.plan
    return {
        "edition": old.edition,
        "from_hash": proposal.running.version.hash,
        "to_hash": proposal.plan.hash,
        "opens": iso(old.opens),
        "file_opens": iso(file_opens),
        "added": [_step(step) for step in found.added],
        "removed": [_step(step) for step in found.removed],
        "moved": [
            {"id": m.step.id, "number": m.step.number, "was": iso(m.was), "due": iso(m.becomes)} for m in found.moved
        ],
        "changed": [
            _entry(c.step, c.fields)
            | {"was": c.was, "becomes": c.becomes, "joined": list(c.joined), "left": list(c.left)}
            for c in found.changed
        ],
        "renumbered": [{"id": r.step.id, "was": r.was, "becomes": r.becomes} for r in found.renumbered],
        "kept": [step.id for step in found.kept],
        "settings": list(found.settings),
        "in_vain": [_entry(each.step, each.fields) for each in found.in_vain],
        "settings_in_vain": list(found.settings_in_vain),
        "promises_broken": [_promise(proposal.plan, promise) for promise in proposal.broken],
        "refused": refusals(proposal),
    }


def _step(step: PlannedStep) -> dict[str, Any]:
    return {
        "id": step.id,
        "number": step.number,
        "phase": step.phase,
        "kind": step.kind,
        "due": iso(step.due),
        "groups": list(step.groups),
    }


def _entry(step: PlannedStep, fields: tuple[str, ...]) -> dict[str, Any]:
    return {"id": step.id, "number": step.number, "fields": list(fields)}


def _promise(plan: Plan, promise: BrokenPromise) -> dict[str, Any]:
    spoken = promise.spoken
    return {
        "step": spoken.step.id,
        "label": spoken.label,
        "groups": list(spoken.groups),
        "sent_at": iso(spoken.sent_at),
        "said": promise.said,
        "now": in_words(plan, promise.becomes),
        "about": promise.about,
        "was": iso(promise.was.at) or promise.was.words,
        "becomes": iso(promise.becomes.at) or promise.becomes.words,
    }


def show(proposal: Proposal, file_opens: datetime | None = None) -> None:
    """Print what changes and which promises that breaks, for people; `file_opens` is the opening the file names."""
    plan, old = proposal.plan, proposal.running.plan
    zone = ZoneInfo(plan.launch.timezone)
    say(f"{old.edition} runs plan {shown(proposal.running.version.hash)}; this is {shown(plan.hash)}")
    if file_opens is not None and file_opens != old.opens:
        named, runs = moment(file_opens, zone), moment(old.opens, zone)
        say(f"the file opens {named}, the edition {runs}: apply never moves the opening; use `drumroll shift`")
    for line in _steps(proposal, zone) or ["no step changes"]:
        say(line)
    if proposal.broken:
        say("\nPromises broken:")
    for promise in proposal.broken:
        say(_broken(plan, promise, zone))
    for reason in refusals(proposal):
        say(f"refused: {reason}")


def _steps(proposal: Proposal, zone: ZoneInfo) -> list[str]:
    """One line for each change, and the lines of texts that changed."""
    found, plan = proposal.difference, proposal.plan
    lines = [f"+ {_named(plan, step)}, {moment(step.due, zone)}{_renamed(step, found.removed)}" for step in found.added]
    lines += [f"- {_named(plan, step)}, {moment(step.due, zone)}" for step in found.removed]
    lines += [f"→ {_named(plan, m.step)}, {moment(m.was, zone)} → {moment(m.becomes, zone)}" for m in found.moved]
    for changed in found.changed:
        lines.append(f"~ {_named(plan, changed.step)}: {', '.join(changed.fields)}{_groups(changed)}")
        lines += _text_lines(changed.was or "", changed.becomes or "")
    for each in found.renumbered:
        lines.append(f"# {each.step.id}: {_number(plan, each.was)} → {_number(plan, each.becomes)}")
    lines += [f"~ {setting}{_through(plan, setting)}" for setting in found.settings]
    lines += [f"  {_named(plan, step)} has begun and stays, though the file lacks it" for step in found.kept]
    for vain in found.in_vain:
        lines.append(f"  {_named(plan, vain.step)} has begun; this change has no effect: {', '.join(vain.fields)}")
    lines += [f"  {place}: the phase is over; this change has no effect" for place in found.settings_in_vain]
    return lines


def _renamed(step: PlannedStep, removed: tuple[PlannedStep, ...]) -> str:
    """An id is what a step is known by: under another one it is another step, which is seldom meant."""
    alike = (step.due, step.kind, step.topic, step.mystery)
    was = next((gone.id for gone in removed if (gone.due, gone.kind, gone.topic, gone.mystery) == alike), None)
    return f" (renamed? It is {was} in the edition)" if was else ""


def _text_lines(was: str, becomes: str) -> list[str]:
    """The lines that change, one unchanged line around them for the place."""
    compared = list(difflib.unified_diff(was.splitlines(), becomes.splitlines(), lineterm="", n=1))[2:]
    return ["    …" if line.startswith("@@") else f"    {line[0]} {line[1:]}" for line in compared][1:]


def _groups(changed: Changed) -> str:
    signed = [f"+{group}" for group in changed.joined] + [f"-{group}" for group in changed.left]
    return f" ({' '.join(signed)})" if signed else ""


def _through(plan: Plan, setting: str) -> str:
    """The groups behind a channel that changes."""
    channel = setting.removeprefix("community.channels.")
    groups = [group.id for group in plan.launch.community.groups if group.channel == channel]
    return f" (groups {', '.join(groups)})" if groups and channel != setting else ""


def _broken(plan: Plan, promise: BrokenPromise, zone: ZoneInfo) -> str:
    spoken, becomes = promise.spoken, in_words(plan, promise.becomes)
    now = f'it is now "{becomes}"' if becomes else "that is off"
    what = {"opening": "the opening", "time": "a time"}.get(promise.about, promise.about)
    sent = f"{moment(spoken.sent_at, zone)}, to {', '.join(spoken.groups)}"
    return f'  {_named(plan, spoken.step)}, {sent}: said "{promise.said}" of {what}; {now}'


def _named(plan: Plan, step: PlannedStep) -> str:
    return f"{_number(plan, step.number)} {step.id}" if step.number is not None else step.id


def _number(plan: Plan, number: int | None) -> str:
    return phrases.short_label(phrases.LOCALES[plan.launch.locale], number) or "no number"
