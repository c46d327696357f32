"""`drumroll apply FILE`: the file as it is now becomes the plan of the running edition."""

import shlex
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from drumroll.cli.options import correction_options, json_option, launch_file, ledger_option, ledger_url, print_json
from drumroll.words.templates import find_project


@click.command()
@launch_file
@click.option("--approve", metavar="HASH", help="The plan as `drumroll plan FILE --diff` showed it, 8 digits or more.")
@click.option("--by", metavar="NAME", help="Who approves it; kept in the ledger.")
@click.option("--reason", metavar="TEXT", default="", help="Why; kept in the ledger.")
@correction_options
@ledger_option
@json_option
def apply(
    file: Path,
    approve: str | None,
    by: str | None,
    reason: str,
    correct_at: str | None,
    no_correction: str | None,
    notice: Path | None,
    ledger: str | None,
    as_json: bool,
) -> None:
    """Make the file the plan of the edition that is under way. What has begun stays as it was.

    A person at the terminal is shown the difference and asked; anything else approves the hash that `drumroll plan FILE
    --diff` showed. The opening never moves: that is `drumroll shift`. Promises that no longer hold are corrected by a
    message to every group that was told, unless --no-correction says why not.

    JSON: the fields of `drumroll plan --diff`, `version` (null when nothing has changed), `correction` (null, or `id,
    due, groups, text`) and `overtaken` (keys of deliveries that began meanwhile, and stay as they were).
    """
    from drumroll.cli import differences, proposals
    from drumroll.cli.nudging import nudge
    from drumroll.ledger.ledger import open_ledger
    from drumroll.operate.changes import Proposal, propose
    from drumroll.operate.recompile import from_file
    from drumroll.operate.settling import Correcting, see_that_it_may, settle
    from drumroll.plan.model import shown

    correcting = Correcting(correct_at, no_correction, notice)
    project = find_project(file.parent)
    url = ledger_url(ledger, project=project)
    store = open_ledger(url, create=False)

    def proposal() -> tuple[Proposal, datetime]:
        found = from_file(file, store)
        return propose(found.running, found.plan, now=differences.now_in(found.running)), found.file_opens

    first, file_opens = proposal()
    if first.plan.hash == first.running.version.hash:
        if as_json:
            end: dict[str, Any] = {"version": None, "correction": None, "overtaken": []}
            print_json(differences.document(first, file_opens) | end)
        else:
            click.echo(f"nothing to apply: {first.plan.edition} runs this plan already ({shown(first.plan.hash)})")
        return
    if proposals.asks(first.running, approve, as_json=as_json):
        differences.show(first, file_opens)
        see_that_it_may(first)
        proposals.show_correction(*correcting.plan(first, project))
    look = f"drumroll plan {shlex.quote(str(file))} --diff"
    who = proposals.approved(first, approve, by, look=look, as_json=as_json)
    done = settle(first, lambda: proposal()[0], correcting, what="apply", by=who, reason=reason, project=project)
    nudge(done.plan.edition, url)
    if as_json:
        print_json(proposals.settled_document(done, file_opens))
    else:
        proposals.tell_settled(done)
