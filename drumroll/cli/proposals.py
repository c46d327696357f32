"""Settling a change of a running edition: approved, corrected, written."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import click

from drumroll.cli.differences import document
from drumroll.cli.options import iso
from drumroll.cli.tables import say
from drumroll.errors import DrumrollError, UsageError
from drumroll.ledger.changes import OvertakenError
from drumroll.moments import MomentError, instant
from drumroll.operate.changes import Proposal, enact, refusals
from drumroll.operate.correction import correction_at, with_correction
from drumroll.plan.model import Plan, PlannedStep
from drumroll.report.display import moment

_MOST_OVERTAKEN = 100  # deliveries; a launch in the middle of sending to more is no moment to change it


def see_that_it_may(proposal: Proposal) -> None:
    """DrumrollError with every reason why the change is refused."""
    if reasons := refusals(proposal):
        listed = "".join(f"\n  {reason}" for reason in reasons)
        raise DrumrollError(f"cannot be changed like this:{listed}", where=proposal.plan.edition)


def asks(approve: str | None, *, as_json: bool) -> bool:
    """Whether there is somebody to ask, so that what changes is to be shown first."""
    return approve is None and not as_json and sys.stdin.isatty()


def approved(proposal: Proposal, approve: str | None, by: str | None, *, look: str, as_json: bool) -> str:
    """Who approved the plan. Without `approve`, a person at the terminal is asked; DrumrollError when there is none."""
    wanted = proposal.plan.hash
    if approve is not None:
        if len(approve) < 8 or not wanted.startswith(approve.lower()):
            why = "what you approved is not what is here now"
            if len(approve) < 8:
                why = f'"{approve}" is too short to approve anything'
            raise DrumrollError(why, remedy=f"look with `{look}`, then approve {wanted[:12]}")
    elif not asks(approve, as_json=as_json):
        remedy = f"look with `{look}`, then add --approve {wanted[:12]}"
        raise DrumrollError("nobody has approved this plan", where=proposal.plan.edition, remedy=remedy)
    else:
        click.confirm(f"\nMake {wanted[:12]} the plan of {proposal.plan.edition}?", abort=True)
        by = by or click.prompt("Your name")
    if by is None or not by.strip():
        raise UsageError("a change goes on record", remedy="say who makes it with --by NAME")
    return by.strip()


class Correcting:
    """How broken promises are corrected, as the options of `apply` and `shift` say it."""

    def __init__(self, correct_at: str | None, no_correction: str | None, notice: Path | None) -> None:
        if no_correction is not None and (correct_at or notice):
            remedy = "drop it, or --correct-at and --notice"
            raise UsageError("--no-correction leaves nothing to correct", remedy=remedy)
        if no_correction is not None and not no_correction.strip():
            raise UsageError("--no-correction goes on record", remedy="say why members need none")
        self._at, self.none, self._notice = correct_at, no_correction, _text_of(notice)

    def plan(self, proposal: Proposal, project: Path) -> tuple[Plan, PlannedStep | None]:
        """The proposal's plan with the correction it needs, if any, and that step."""
        if not proposal.broken or self.none is not None:
            return proposal.plan, None
        launch = proposal.plan.launch
        at = correction_at(launch, now=proposal.at)
        if self._at is not None:
            try:
                at = instant(self._at, zone=ZoneInfo(launch.timezone), opens=proposal.plan.opens)
            except MomentError as error:
                raise UsageError(str(error), where="--correct-at") from error
        if at <= proposal.at:
            raise UsageError(f"{moment(at, ZoneInfo(launch.timezone))} has passed", where="--correct-at")
        return with_correction(
            proposal.running, proposal.plan, proposal.broken, at=at, project=project, notice=self._notice
        )


def _text_of(notice: Path | None) -> str | None:
    if notice is None:
        return None
    try:
        text = notice.read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("cannot be read as UTF-8 text", where=str(notice)) from error
    if not text:
        raise UsageError("says nothing", where=str(notice), remedy="write the correction in it")
    return text


@dataclass(frozen=True)
class Settled:
    """A change that was made: the version and the plan it led to, its correction, and what began meanwhile."""

    proposal: Proposal
    version: int
    plan: Plan
    correction: PlannedStep | None
    overtaken: tuple[str, ...]


def settle(
    proposal: Proposal,
    again: Callable[[], Proposal],
    correcting: Correcting,
    *,
    what: Literal["apply", "shift"],
    by: str,
    reason: str,
    project: Path,
) -> Settled:
    """Make the change. What begins while it is made is taken into account and tried again, twice."""
    overtaken: list[str] = []
    while True:
        see_that_it_may(proposal)
        plan, correction = correcting.plan(proposal, project)
        try:
            version = enact(
                proposal, plan, what=what, by=by, reason=reason, no_correction=correcting.none, now=proposal.at
            )
        except OvertakenError as error:
            overtaken += error.what
            approved_hash, proposal = proposal.plan.hash, again()
            if not error.what or len(overtaken) > _MOST_OVERTAKEN or proposal.plan.hash != approved_hash:
                raise
            continue
        return Settled(proposal, version, plan, correction, tuple(overtaken))


def tell_settled(settled: Settled) -> None:
    """Say what was done."""
    for key in settled.overtaken:
        say(f"{key} had begun when this was written, and stays as it was")
    show_correction(settled.plan, settled.correction)
    say(f"{settled.plan.edition} runs plan {settled.plan.hash[:12]} now (version {settled.version})")
    if settled.proposal.running.edition.state == "held":
        say("it is held; `drumroll run` goes on, and sends what is due then")


def settled_document(settled: Settled, file_opens: datetime | None) -> dict[str, Any]:
    """The JSON of a change that was made: a proposal's, `version`, `correction` and `overtaken` (delivery keys)."""
    return document(settled.proposal, file_opens) | {
        "version": settled.version,
        "correction": correction_document(settled.plan, settled.correction),
        "overtaken": list(settled.overtaken),
    }


def correction_document(plan: Plan, step: PlannedStep | None) -> dict[str, Any] | None:
    """The correction as JSON: `id, due, groups, text`; None when there is none."""
    if step is None:
        return None
    return {"id": step.id, "due": iso(step.due), "groups": list(step.groups), "text": text_of(plan, step)}


def text_of(plan: Plan, step: PlannedStep) -> str:
    """What the correction says."""
    from drumroll.words.render import Words

    return Words(plan).text(step, now=step.due)


def show_correction(plan: Plan, step: PlannedStep | None) -> None:
    """Print the correction with its time and its groups."""
    if step is not None:
        at = moment(step.due, ZoneInfo(plan.launch.timezone))
        say(f"\n{step.id}, {at}, to {', '.join(step.groups)}:\n")
        say("\n".join(f"    {line}" if line else "" for line in text_of(plan, step).splitlines()) + "\n")
