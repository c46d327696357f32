"""`drumroll abort LAUNCH`: end a launch before its time."""

import sys

import click

from drumroll.cli.options import json_option, ledger_option, ledger_url, print_json
from drumroll.cli.tables import say
from drumroll.errors import UsageError
from drumroll.login import login


@click.command()
@click.argument("launch")
@click.option("--reason", metavar="TEXT", required=True, help="Why; kept in the ledger.")
@click.option("--by", metavar="NAME", help="Who aborts it; kept in the ledger (default: your login name).")
@click.option("--yes", is_flag=True, help="Do not ask.")
@ledger_option
@json_option
def abort(launch: str, reason: str, by: str | None, yes: bool, ledger: str | None, as_json: bool) -> None:
    """End a launch before its time: what is due is cancelled, for good. What has been sent stays sent.

    LAUNCH is an edition, or a launch (its newest edition). Works without Prefect's server. An engine that runs the
    launch now ends within seconds, once what is on its way has its answer; a run that waits is woken to end, by this
    command or by the watch. To stop for a while, and go on, is `drumroll pause`. Again: changes nothing.

    JSON: `edition, state, cancelled` (deliveries, null when it was aborted before), `by, reason`.
    """
    from drumroll.cli.nudging import nudge
    from drumroll.clock import current_clock
    from drumroll.ledger.ledger import open_ledger
    from drumroll.operate.aborting import abort_edition

    who = by if by is not None else login(remedy="say who aborts it with --by NAME")
    if not (who.strip() and reason.strip()):
        raise UsageError("to abort goes on record", remedy="say who with --by NAME and why with --reason TEXT")
    url = ledger_url(ledger)
    store = open_ledger(url, create=False)
    edition = store.edition(launch)
    if sys.stdin.isatty() and not (yes or as_json or edition.ended_at is not None):
        counts = store.counts(edition.id)
        due = sum(counts.get(state, 0) for state in ("due", "retry", "held"))
        click.confirm(f"End {edition.id} ({edition.title}) now, and never send the {due} deliveries left?", abort=True)
    cancelled = abort_edition(store, edition.id, by=who, reason=reason, now=current_clock().now())
    if not edition.rehearsal:
        nudge(edition.id, url)
    if as_json:
        print_json(
            {"edition": edition.id, "state": "aborted", "cancelled": cancelled, "by": who, "reason": reason.strip()}
        )
    elif cancelled is None:
        say(f"{edition.id} was aborted before; nothing was changed")
    else:
        say(f"{edition.id}: aborted; {cancelled} deliveries cancelled")
        awaiting = store.counts(edition.id).get("awaiting")
        if awaiting:
            say(f"{awaiting} were handed over to be posted by hand: tell those who post them")
