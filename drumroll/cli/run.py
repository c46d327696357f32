"""`drumroll run FILE`: live, in the foreground."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from drumroll.cli.foreground import launch_on_prefect, play, tell_on
from drumroll.cli.options import json_option, launch_file, ledger_option, ledger_url, opens_option, print_json
from drumroll.cli.remote import blocks_of
from drumroll.errors import UsageError


@click.command()
@launch_file
@opens_option
@click.option("--approved", metavar="HASH", help="The one plan that may run: 8 digits of its hash or more.")
@click.option("--by", metavar="NAME", help="Who approved it; kept in the ledger (default: your login name).")
@ledger_option
@json_option
@click.pass_context
def run(
    context: click.Context,
    file: Path,
    opens: str | None,
    approved: str | None,
    by: str | None,
    ledger: str | None,
    as_json: bool,
) -> int:
    """Run a launch for real, here and now, until it ends or a gate holds.

    Stop it with Ctrl-C whenever you like and start it again: what was sent stays sent, what is due goes out. A held
    gate ends the run with exit 1; decide with `drumroll gate`, then run again. Unknown deliveries also exit 1. Beside
    another run of the same edition it says so, does nothing and exits 1.

    `drumroll plan FILE` shows the hash to approve. With --approved, nothing is sent unless the launch begins by just
    that plan, or goes on by it. Where the launch file says `approval: required`, it does not begin without, and --by
    names somebody of team.staff.

    JSON: `edition, state, deliveries` (count by state). The story goes to standard error then.
    """
    from drumroll.check import check_file
    from drumroll.ledger.edition_lease import FencedError
    from drumroll.ledger.ledger import open_ledger
    from drumroll.operate.approval import Call
    from drumroll.operate.open_channels import standing_in, try_channels
    from drumroll.operate.opening import look_up

    checked = check_file(file, opens=opens, now=datetime.now(UTC))
    plan, opens = checked.accepted(), checked.opens
    for finding in checked.findings:
        click.echo(f"warning: {finding}", err=True)
    url = ledger_url(ledger, project=checked.project)
    # Not a parameter of the flow: Prefect keeps those, and a URL may hold a password.
    os.environ["DRUMROLL_LEDGER"] = url
    # What the flow would refuse is told before anything is started.
    store = open_ledger(url)
    typed = context.get_parameter_source("ledger") is click.core.ParameterSource.COMMANDLINE
    call = Call(file, opens, approved, by, ledger=url if typed else None)
    found = look_up(plan, store, call, now=datetime.now(UTC))
    plan = found.plan
    if found.row is None:  # one that has begun goes by its stored plan
        with standing_in(blocks_of(checked.project)):
            asyncio.run(try_channels(plan, str(checked.project)))
    elif found.row.rehearsal:
        raise UsageError("is a rehearsal: nothing of it would be sent", where=plan.edition, remedy="drop --ledger")
    place = store.store.where
    click.echo(f"{plan.launch.title} · {plan.edition} · ledger {place}", err=as_json)
    tell_on(sys.stderr if as_json else sys.stdout)
    with launch_on_prefect(checked.project) as launch:
        ended = play(_play(launch, str(file.absolute()), opens=opens, approved=approved, approved_by=by))
    if ended == "elsewhere" and (holder := store.lease(plan.edition)) is not None:
        raise FencedError(holder)
    return outcome(plan.edition, url, as_json=as_json)


async def _play(launch: Callable[..., Awaitable[Any]], file: str, **call: str | None) -> Any:
    return await launch(file, **call)


def outcome(edition: str, url: str, *, as_json: bool) -> int:
    """Say how the edition stands; 1 when a person is needed."""
    from drumroll.ledger.ledger import open_ledger

    ledger = open_ledger(url)
    state, counts = ledger.edition(edition).state, ledger.counts(edition)
    if as_json:
        print_json({"edition": edition, "state": state, "deliveries": counts})
    else:
        said = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        click.echo(f"{edition}: {state}; {said or 'nothing to send'}")
        _say_what_is_left(edition, state, counts)
    return int(state == "held" or bool(counts.get("unknown")) or bool(counts.get("failed")))


def _say_what_is_left(edition: str, state: str, counts: dict[str, int]) -> None:
    if state == "held":
        click.echo(f"a gate waits for a person: drumroll status {edition}")
    if counts.get("awaiting"):
        click.echo(f"some wait to be posted by hand: drumroll today {edition}")
    if counts.get("held"):
        click.echo(f"some are held for a decision: drumroll deliveries {edition} --state held")
    if counts.get("unknown"):
        click.echo(f"nobody knows whether some arrived: drumroll deliveries {edition} --state unknown")
    if counts.get("failed"):
        click.echo(f"some could not be sent: drumroll deliveries {edition} --state failed")
