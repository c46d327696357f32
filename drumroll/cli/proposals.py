"""What `apply` and `shift` ask and tell about a change: who approved it, its correction, what was done."""

import sys
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import click

from drumroll.cli.differences import document
from drumroll.cli.options import iso
from drumroll.cli.tables import say
from drumroll.errors import DrumrollError
from drumroll.operate.approval import approved_hash, approver
from drumroll.operate.changes import Proposal
from drumroll.operate.running import Running
from drumroll.operate.settling import Settled
from drumroll.plan.model import Plan, PlannedStep, shown
from drumroll.report.display import moment


def asks(running: Running, approve: str | None, *, as_json: bool) -> bool:
    """Whether there is somebody to ask, so that what changes is to be shown first.

    Where the edition says `approval: required`, a yes at a terminal approves nothing.
    """
    required = running.plan.launch.approval == "required"
    return approve is None and not required and not as_json and sys.stdin.isatty()


def approved(proposal: Proposal, approve: str | None, by: str | None, *, look: str, as_json: bool) -> str:
    """Who approved the plan, as the plan that the edition runs has it: a file cannot take its own approval away.

    Without `approve`, a person at the terminal is asked; DrumrollError when there is none.
    """
    wanted = proposal.plan.hash
    if approve is not None:
        if not wanted.startswith(approved_hash(approve, look=look)):
            remedy = f"look with `{look}`, then approve {shown(wanted)}"
            raise DrumrollError("what you approved is not what is here now", remedy=remedy)
    elif not asks(proposal.running, approve, as_json=as_json):
        remedy = f"look with `{look}`, then add --approve {shown(wanted)} --by NAME"
        raise DrumrollError("nobody has approved this plan", where=proposal.plan.edition, remedy=remedy)
    else:
        click.confirm(f"\nMake {shown(wanted)} the plan of {proposal.plan.edition}?", abort=True)
        by = by or click.prompt("Your name")
    return approver(by, proposal.running.plan)


def tell_settled(settled: Settled) -> None:
    """Say what was done."""
    for key in settled.overtaken:
        say(f"{key} had begun when this was written, and stays as it was")
    show_correction(settled.plan, settled.correction)
    say(f"{settled.plan.edition} runs plan {shown(settled.plan.hash)} now (version {settled.version})")
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
