"""`drumroll start FILE`: live, on the workers of a Prefect server."""

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from drumroll.cli.options import json_option, launch_file, ledger_option, ledger_url, opens_option, print_json
from drumroll.cli.remote import blocks_of, remote
from drumroll.errors import DrumrollError, UsageError
from drumroll.plan.model import Plan, shown
from drumroll.report.display import moment

if TYPE_CHECKING:
    from drumroll.ledger.ledger import Ledger
    from drumroll.operate.approval import Call
    from drumroll.operate.opening import Opening

_WAITS = timedelta(seconds=30)
_DIGITS = 8


@click.command()
@launch_file
@opens_option
@click.option("--approve", "--approved", "approve", metavar="HASH", help="The plan to start: 8 digits or more.")
@click.option("--by", metavar="NAME", help="Who approves it; kept in the ledger (default: your login name).")
@click.option("--deployment", metavar="NAME", default="launch/launch", show_default=True, help="Who runs it.")
@click.option("--no-wait", is_flag=True, help="Do not wait until a worker has begun.")
@ledger_option
@json_option
@click.pass_context
def start(
    context: click.Context,
    file: Path,
    opens: str | None,
    approve: str | None,
    by: str | None,
    deployment: str,
    no_wait: bool,
    ledger: str | None,
    as_json: bool,
) -> None:
    """Start a launch on your Prefect server, as one flow run that waits without a process; or let it go on there.

    Needs a server (`drumroll up`, or PREFECT_API_URL), the project's deployments, and a worker. A person at the
    terminal is shown the plan and types the first 8 digits of its hash; anything else gives them with --approve. Where
    the launch file says `approval: required`, --approve and --by, of team.staff, are needed. An edition that is under
    way goes on by the plan that it began with, and is refused while it has a flow run already.

    JSON: `edition, hash, flow_run, url` and `state` of the run, like Running or Waiting.
    """
    from drumroll.check import check_file
    from drumroll.ledger.ledger import open_ledger
    from drumroll.operate.approval import Call
    from drumroll.operate.open_channels import standing_in, try_channels

    checked = check_file(file, opens=opens, now=datetime.now(UTC))
    plan = checked.accepted()
    for finding in checked.findings:
        click.echo(f"warning: {finding}", err=True)
    url = ledger_url(ledger, project=checked.project)
    typed = context.get_parameter_source("ledger") is click.core.ParameterSource.COMMANDLINE
    parameters = {"file": str(file.absolute()), "opens": checked.opens}
    parameters["ledger"] = _as_parameter(url, typed=typed) if ledger is not None else None
    server = _server(checked.project, file)
    to = asyncio.run(server.target(deployment))
    store = open_ledger(url)
    _see_that_it_is_here(to, checked.project, store)
    call = Call(file, checked.opens, approve, by, ledger=url if typed else None, command="start")
    call, opening = _opening(plan, store, call, as_json=as_json)
    edition, begins = opening.plan.edition, opening.row is None
    _see_that_it_is_free(server, edition, store)
    if begins:
        with standing_in(blocks_of(checked.project)):
            asyncio.run(try_channels(opening.plan, str(checked.project)))
    # To the last digit: what the worker compiles must be what was checked here.
    parameters["approved"] = plan.hash if begins else call.approved
    parameters["approved_by"] = opening.approval.by if opening.approval is not None else call.by
    run = asyncio.run(_start(server, to, parameters, edition, store, wait=not no_wait))
    if as_json:
        runs = plan.hash if begins else store.plan_hash(edition)
        print_json({"edition": edition, "hash": runs, "flow_run": run.id, "url": run.url, "state": run.state})
    else:
        click.echo(f"{edition} {'is started' if begins else 'goes on'}; its flow run is {run.state}\n{run.url}")
    _see_that_it_went_well(run, edition, store, waited=not no_wait)


def _as_parameter(url: str, *, typed: bool) -> str | None:
    """The ledger as the flow's parameter: what was asked for, unless it holds a password, which Prefect would keep."""
    from drumroll.ledger.store import parse_url

    parsed = parse_url(url)
    if parsed.password is None and "password" not in parsed.query:
        return url
    if typed:
        what, remedy = "holds a password, which Prefect would keep", "set DRUMROLL_LEDGER, here and for the workers"
        raise UsageError(what, where="--ledger", remedy=remedy)
    return None


def _server(project: Path, file: Path) -> Any:
    server = remote(project)
    if server is None:
        remedy = f"start `drumroll up`, or set PREFECT_API_URL; `drumroll run {file}` does without"
        raise DrumrollError("no Prefect server is configured", remedy=remedy)
    return server


def _see_that_it_is_here(to: Any, project: Path, store: "Ledger") -> None:
    """The workers must find this project, and should write to this ledger."""
    from drumroll.ledger.faults import place
    from drumroll.ledger.store import parse_url

    if to.directory is not None and to.directory != str(project.resolve()):
        raise DrumrollError(
            f"the deployment {to.name} runs the project {to.directory}, and this is {project.resolve()}",
            remedy="start it there, or deploy this one with `prefect --no-prompt deploy --all`",
        )
    if to.ledger is None:
        return
    theirs = place(parse_url(to.ledger))
    if theirs != store.store.where:
        what = f"warning: the deployment {to.name} gives its runs another ledger ({theirs}) than {store.store.where}"
        click.echo(f"{what}; set DRUMROLL_LEDGER to the same in both", err=True)


def _opening(plan: Plan, store: "Ledger", call: "Call", *, as_json: bool) -> "tuple[Call, Opening]":
    """What the call leads to, shown, and approved where it begins; the call with its approval."""
    from dataclasses import replace

    from drumroll.operate.opening import look_up

    asks = call.approved is None and sys.stdin.isatty() and not as_json
    now = datetime.now(UTC)
    found = look_up(plan, store, replace(call, by=None) if asks else call, now=now)
    if found.row is not None and found.row.rehearsal:
        what = "is a rehearsal: nothing of it would be sent"
        raise UsageError(what, where=found.plan.edition, remedy="drop --ledger")
    if found.row is not None and found.row.ended_at is not None:
        remedy = "begin another edition with --opens"
        raise DrumrollError(f"is {found.row.state}", where=found.row.id, remedy=remedy)
    _show(found.plan, store, err=as_json)
    if found.row is not None or found.approval is not None:
        return (replace(call, by=None) if asks else call), found
    if not asks:
        words = ["--approve", shown(plan.hash), *call.where_it_writes()]
        remedy = f"look at `{call.again('plan')}`, then run `{call.again('start', *words)}`"
        raise DrumrollError("nobody has approved this plan", where=plan.edition, remedy=remedy)
    typed = click.prompt(f"Start this plan? Type the first {_DIGITS} digits of its hash")
    call = replace(call, approved=typed)
    return call, look_up(plan, store, call, now=now)


def _show(plan: Plan, store: "Ledger", *, err: bool) -> None:
    launch, zone = plan.launch, ZoneInfo(plan.launch.timezone)
    deliveries = sum(len(step.groups) for step in plan.steps if step.segment is None)
    groups = ", ".join(group.name for group in launch.community.groups)
    single = sum(step.segment is not None for step in plan.steps)
    click.echo(f"{launch.title} · {plan.edition} · ledger {store.store.where}", err=err)
    click.echo(f"  plan {plan.hash}", err=err)
    click.echo(f"  opens {moment(plan.opens, zone)} {launch.timezone}", err=err)
    to_members = f", {single} of them to single members" if single else ""
    click.echo(f"  {len(plan.steps)} messages{to_members}, {deliveries} deliveries to {groups}", err=err)


def _see_that_it_is_free(server: Any, edition: str, store: "Ledger") -> None:
    """DrumrollError while the edition has a flow run, or an engine elsewhere."""
    from drumroll.ledger.edition_lease import FencedError

    run = asyncio.run(server.runs_of([edition], store)).get(edition)
    if run is not None and not run.is_over:
        state = run.state + (f": {run.message}" if run.message else "")
        raise DrumrollError(f"has a flow run already ({state})", where=edition, remedy=f"see {run.url}")
    holder = store.lease(edition)
    if holder is not None and holder.is_live(datetime.now(UTC)):
        raise FencedError(holder)


async def _start(server: Any, to: Any, parameters: dict[str, Any], edition: str, store: "Ledger", *, wait: bool) -> Any:
    run = await server.start(to, parameters, edition=edition, ledger=store)
    if wait:
        click.echo("waiting for a worker …", err=True)
        async for now_is in server.progress(run, within=_WAITS):
            if now_is.state != run.state:
                click.echo(f"its flow run is {now_is.state}", err=True)
            run = now_is
    return run


def _see_that_it_went_well(run: Any, edition: str, store: "Ledger", *, waited: bool) -> None:
    if run.has_failed:
        what = f"its run ended as {run.state}" + (f": {run.message}" if run.message else "")
        raise DrumrollError(what, where=edition, remedy=f"see {run.url}")
    if run.ledger is not None and run.ledger != store.store.where:
        raise DrumrollError(
            f"its run writes to another ledger ({run.ledger}) than this command looks at ({store.store.where})",
            where=edition,
            remedy="set DRUMROLL_LEDGER to the same here and for the workers",
        )
    if waited and run.edition is None and not run.is_over:
        what = f"warning: no worker has begun it within {_WAITS.seconds} s; it begins when one comes"
        click.echo(f"{what}, `drumroll status {edition}` shows it", err=True)
