"""`drumroll shift LAUNCH TO`: another opening for the running edition."""

import shlex
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from drumroll.cli.options import correction_options, iso, json_option, ledger_option, ledger_url, print_json
from drumroll.cli.tables import say
from drumroll.errors import DrumrollError, UsageError

if TYPE_CHECKING:
    from drumroll.operate.running import Running


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]})  # TO may be -6h
@click.argument("launch")
@click.argument("to")
@click.option("--approve", metavar="HASH", help="The plan as `--dry-run` showed it, 8 digits or more.")
@click.option("--by", metavar="NAME", help="Who moves it; kept in the ledger.")
@click.option("--reason", metavar="TEXT", default="", help="Why; kept in the ledger.")
@click.option("--dry-run", is_flag=True, help="Only show what it would do.")
@correction_options
@ledger_option
@json_option
def shift(
    launch: str,
    to: str,
    approve: str | None,
    by: str | None,
    reason: str,
    dry_run: bool,
    correct_at: str | None,
    no_correction: str | None,
    notice: Path | None,
    ledger: str | None,
    as_json: bool,
) -> None:
    """Move the opening of an edition that is under way, and with it all that has not begun.

    LAUNCH is an edition, or a launch (its newest edition under way). TO is a local moment ("2026-12-13 12:00") or a
    length ("+1d", "-6h"); whole days keep the time of day. Promises already made that no longer hold are corrected by a
    message to every group that was told, unless --no-correction says why not.

    JSON: the fields of `drumroll plan --diff`, `to` (the new opening), `version` (null for a dry run), `correction`
    (null, or `id, due, groups, text`) and `overtaken` (keys of deliveries that began meanwhile, and stay as they were).
    """
    from drumroll.cli import differences, proposals
    from drumroll.cli.nudging import nudge
    from drumroll.ledger.ledger import open_ledger
    from drumroll.operate.changes import Proposal, propose
    from drumroll.operate.recompile import local_moment, new_opening, with_opening
    from drumroll.operate.running import edition_of, look
    from drumroll.operate.settling import Correcting, see_that_it_may, settle
    from drumroll.plan.model import shown as digits
    from drumroll.words.templates import find_project

    if to.startswith("--"):
        raise UsageError(f"no such option: {to}", remedy="see `drumroll shift --help`")
    correcting = Correcting(correct_at, no_correction, notice)
    url = ledger_url(ledger)
    store = open_ledger(url, create=False)
    row = store.edition(launch)
    edition = row.id if row.id == launch else edition_of(store, row.launch).id
    runs = look(store, edition)
    opens = new_opening(to, runs.plan)
    written = local_moment(opens, ZoneInfo(runs.plan.launch.timezone))
    _see_that_it_is_new(runs, opens, written, now=differences.now_in(runs))

    def proposal() -> Proposal:
        running = look(store, edition)
        return propose(running, with_opening(running, opens), now=differences.now_in(running))

    first = proposal()
    project, call = find_project(Path.cwd()), f"drumroll shift {edition} {shlex.quote(to)}"
    shown = dry_run or proposals.asks(first.running, approve, as_json=as_json)
    if shown and not as_json:
        differences.show(first)
    if shown:
        see_that_it_may(first)
        plan, correction = correcting.plan(first, project)
    if dry_run and as_json:
        drafted = proposals.correction_document(plan, correction)
        end: dict[str, Any] = {"to": iso(opens), "version": None, "correction": drafted, "overtaken": []}
        print_json(differences.document(first, None) | end)
        return
    if shown:
        proposals.show_correction(plan, correction)
    if dry_run:
        say(f"nothing was changed; do it with\n  {call} --approve {digits(first.plan.hash)} --by NAME")
        return
    who = proposals.approved(first, approve, by, look=f"{call} --dry-run", as_json=as_json)
    done = settle(first, proposal, correcting, what="shift", by=who, reason=reason, project=project)
    nudge(edition, url)
    if as_json:
        print_json(proposals.settled_document(done, None) | {"to": iso(opens)})
        return
    proposals.tell_settled(done)
    say(f'write it into the launch file, so that file and edition agree:\n  opens: "{written}"')


def _see_that_it_is_new(runs: "Running", opens: datetime, written: str, *, now: datetime) -> None:
    """Before anything is compiled: in the past, rules would find what is beside the point."""
    if opens == runs.plan.opens:
        raise UsageError(f"it opens then already ({written})", where=runs.edition.id)
    if opens <= now:
        raise DrumrollError(f"that opening has passed ({written})", where=runs.edition.id)
