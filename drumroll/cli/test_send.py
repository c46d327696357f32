"""`drumroll test-send LAUNCH STEP --to GROUP`: the real text through the real channel, to a group of the team's own."""

import asyncio
import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from drumroll.cli.options import json_option, ledger_option, ledger_url, print_json
from drumroll.cli.remote import blocks_of
from drumroll.cli.tables import say
from drumroll.errors import DrumrollError, LedgerError, UsageError
from drumroll.login import login
from drumroll.plan.model import Plan, PlannedStep

if TYPE_CHECKING:
    from drumroll.channels.base import Receipt
    from drumroll.launchfile.community import StaffGroup
    from drumroll.ledger.ledger import Ledger


@click.command("test-send")
@click.argument("launch", metavar="LAUNCH|FILE")
@click.argument("step")
@click.option("--to", "to", metavar="GROUP", required=True, help="One of community.staff_groups of the launch file.")
@click.option("--by", metavar="NAME", help="Who tries it; kept in the ledger (default: your login name).")
@ledger_option
@json_option
def test_send(launch: str, step: str, to: str, by: str | None, ledger: str | None, as_json: bool) -> None:
    """Send one step's real text, as of its planned instant, through the real channel to a group of the team's own.

    LAUNCH is an edition, or a launch (its newest edition), and goes by the plan that runs; FILE is a launch file as it
    is now. STEP is a step's id, or `<phase>.remedy.<id>`. Groups of members are refused. Nothing of it counts as sent:
    the ledger keeps only that it was tried, where the edition has begun. What people post by hand is printed. Exit code
    1 when the platform does not take it.

    JSON: `edition, step, group, channel, state` (sent or awaiting), `message_id, text`.
    """
    from drumroll.channels.base import SendError
    from drumroll.clock import current_clock
    from drumroll.operate.open_channels import standing_in
    from drumroll.operate.trying import is_by_hand, send_test, staff_group, step_to_try, text_to_try

    plan, project, store = _found(launch, ledger)
    group, planned = staff_group(plan, to), step_to_try(plan, step)
    text = text_to_try(plan, planned)
    who = by if by is not None else login(remedy="say who tries it with --by NAME")
    if not who.strip():
        raise UsageError("a test goes on record", remedy="say who tries it with --by NAME")
    try:
        prints_to = sys.stderr if as_json else sys.stdout  # a console channel prints
        with contextlib.redirect_stdout(prints_to), standing_in(blocks_of(Path(project))):
            receipt = asyncio.run(send_test(plan, planned, group, project=project, now=current_clock().now()))
    except SendError as error:
        _record(store, plan, planned, "failed", who, f"to {group.id}: {error}")
        what = f"did not arrive ({error.kind}): {error}" if error.kind != "ambiguous" else f"may have arrived: {error}"
        raise DrumrollError(what, where=f"{planned.id} to {group.id}", remedy="nothing was counted as sent") from error
    _record(store, plan, planned, receipt.state, who, f"to {group.id}")
    if as_json:
        print_json(_document(plan, planned, group, receipt, text))
    elif is_by_hand(plan, group):
        say(f"to post by hand in {group.name}:\n\n{text}")
    else:
        done = "was sent" if receipt.state == "sent" else "waits for somebody's tap to go"
        say(f"{planned.id} {done} to {group.name} ({group.id}) through {group.channel}")


def _found(launch: str, ledger: str | None) -> tuple[Plan, str, "Ledger | None"]:
    """The plan to take the step from, the project's folder, and the ledger of its edition if that has begun."""
    from drumroll.check import check_file
    from drumroll.ledger.ledger import open_ledger
    from drumroll.words.templates import find_project

    if not launch.endswith((".yaml", ".yml")):
        store = open_ledger(ledger_url(ledger), create=False)
        edition = store.edition(launch)
        if edition.rehearsal:
            raise UsageError("is a rehearsal: its channels are not real", where=edition.id, remedy="name the file")
        return Plan.model_validate_json(store.plan_document(edition.id)), str(find_project(Path.cwd())), store
    checked = check_file(Path(launch))
    plan = checked.accepted()
    try:
        store = open_ledger(ledger_url(ledger, project=checked.project), create=False)
    except LedgerError:  # nothing has begun in it, and a text can be tried without
        return plan, str(checked.project), None
    begun = any(row.id == plan.edition and not row.rehearsal for row in store.editions())
    return plan, str(checked.project), store if begun else None


def _record(store: "Ledger | None", plan: Plan, step: PlannedStep, choice: str, by: str, reason: str) -> None:
    from drumroll.clock import current_clock

    if store is not None:
        store.decide(plan.edition, f"test {step.id}", choice, by=by, reason=reason, now=current_clock().now())


def _document(
    plan: Plan, step: PlannedStep, group: "StaffGroup", receipt: "Receipt", text: str
) -> dict[str, str | None]:
    return {
        "edition": plan.edition,
        "step": step.id,
        "group": group.id,
        "channel": group.channel,
        "state": receipt.state,
        "message_id": receipt.message_id,
        "text": text,
    }
