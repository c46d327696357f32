"""`drumroll status [LAUNCH]`: where launches stand, what is next, what needs a person."""

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from drumroll.cli.options import iso, json_option, ledger_option, ledger_url, print_json
from drumroll.cli.tables import say
from drumroll.errors import DrumrollError
from drumroll.ledger.model import EditionRow, LeaseRow
from drumroll.plan.model import Plan
from drumroll.report.display import moment, span
from drumroll.report.standing import Standing

if TYPE_CHECKING:
    from drumroll.ledger.brakes import BrakeRow
    from drumroll.ledger.ledger import Ledger

SHOWN = 8


@dataclass(frozen=True, slots=True)
class Seen:
    """One edition as it is shown. `run` is its flow run as the server has it (`tasks.remote.Run`), where it answers."""

    standing: Standing
    plan: Plan
    engine: LeaseRow | None
    brake: "BrakeRow | None"
    now: datetime
    run: Any = None


@click.command()
@click.argument("launch", required=False)
@ledger_option
@json_option
def status(launch: str | None, ledger: str | None, as_json: bool) -> int:
    """Show every edition, or one: its state and phase, what is next, what needs a person.

    LAUNCH is an edition, or a launch (its newest edition). Exit code 1 when a gate is held or a delivery is unknown or
    failed; held deliveries, late retries, overdue hand-offs and alarms are listed too. JSON: `editions`, each with
    `edition, launch, title, state, rehearsal, opens, phase, planned, sent` (deliveries), `engine` (null, or `owner,
    since` of the process that runs it now), `run` (null, or `id, state, message, url` of its flow run, where a Prefect
    server is configured and answers at once), `paused` (null, or `by, reason, since`), `next` (null, or `step, number,
    due`) and `needs`, each with `what` (gate, held, unknown, failed, retry, hand-off, alarm), `key, why, command`.
    """
    from drumroll.ledger.ledger import open_ledger

    store = open_ledger(ledger_url(ledger), create=False)
    found = [_seen(store, edition) for edition in ([store.edition(launch)] if launch else store.editions())]
    runs = _runs(store, [one.plan.edition for one in found if not one.standing.edition.rehearsal])
    found = [replace(one, run=runs.get(one.plan.edition)) for one in found]
    if as_json:
        print_json({"editions": [_document(one) for one in found]})
    else:
        for one in found:
            _print(one)
        if not found:
            click.echo("no launch has been started yet")
    if store.is_copy():
        click.echo(f"{store.store.where} is a copy, and sends nothing before `drumroll db confirm`", err=True)
    return int(any(need.urgent for one in found for need in one.standing.needs))


def _seen(store: "Ledger", edition: EditionRow) -> Seen:
    from drumroll.clock import current_clock
    from drumroll.report.standing import as_of, standing

    plan = Plan.model_validate_json(store.plan_document(edition.id))
    now = as_of(store, edition, now=current_clock().now())
    lease = store.lease(edition.id)
    engine = lease if lease is not None and not edition.rehearsal and lease.is_live(current_clock().now()) else None
    return Seen(standing(store, plan, edition, now=now), plan, engine, store.brake(edition.id), now)


def _runs(store: "Ledger", editions: list[str]) -> dict[str, Any]:
    """The editions' flow runs; nothing where no server is configured, or it does not answer at once."""
    from drumroll.cli.remote import remote

    try:
        server = remote() if editions else None
        return asyncio.run(server.runs_of(editions, store)) if server is not None else {}
    except DrumrollError as error:
        click.echo(f"what the server says is not shown: {error}", err=True)
        return {}


def _document(seen: Seen) -> dict[str, Any]:
    one, engine, run, brake = seen.standing, seen.engine, seen.run, seen.brake
    edition, upcoming = one.edition, one.upcoming
    following = upcoming and {"step": upcoming.step, "number": upcoming.number, "due": iso(upcoming.due)}
    return {
        "edition": edition.id,
        "launch": edition.launch,
        "title": edition.title,
        "state": edition.state,
        "rehearsal": edition.rehearsal,
        "opens": iso(edition.opens_at),
        "phase": one.phase,
        "planned": one.planned,
        "sent": one.sent,
        "engine": engine and {"owner": engine.owner, "since": iso(engine.taken_at)},
        "run": run and {"id": run.id, "state": run.state, "message": run.message, "url": run.url},
        "paused": brake and {"by": brake.by, "reason": brake.reason, "since": iso(brake.set_at)},
        "next": following,
        "needs": [{"what": need.what, "key": need.key, "why": need.why, "command": need.command} for need in one.needs],
    }


def _print(seen: Seen) -> None:
    one, plan, engine = seen.standing, seen.plan, seen.engine
    edition, zone = one.edition, ZoneInfo(plan.launch.timezone)
    state = edition.state + (" (rehearsal)" if edition.rehearsal else "")
    say(f"{edition.id}  {state}  {edition.title}")
    place = f"in {one.phase}, " if one.phase else ""
    opening = f"opens {moment(edition.opens_at, zone)} {plan.launch.timezone}"
    say(f"  {place}{one.sent} of {one.planned} deliveries sent, {opening}")
    if engine is not None:
        say(f"  run by {engine.owner} since {moment(engine.taken_at, zone)}")
    if seen.run is not None:
        message = f" · {seen.run.message}" if seen.run.message else ""
        say(f"  flow run: {seen.run.state}{message}\n    {seen.run.url}")
    if (brake := seen.brake) is not None:
        say(f"  paused by {brake.by} since {moment(brake.set_at, zone)}: {brake.reason}")
    if one.upcoming:
        number = f"number {one.upcoming.number}, " if one.upcoming.number else ""
        late = (seen.now - one.upcoming.due).total_seconds()
        overdue = f", {span(late)} ago" if late >= 1 else ""
        say(f"  next: {one.upcoming.step}, {number}{moment(one.upcoming.due, zone)}{overdue}")
    if edition.state == "held" and not any(need.what == "gate" for need in one.needs):
        say("  its gate is decided; `drumroll run` goes on")
    for need in one.needs[:SHOWN]:
        say(f"  needs a person: {need.what} {need.key}: {need.why}\n    {need.command}")
    if len(one.needs) > SHOWN:
        say(f"  and {len(one.needs) - SHOWN} more: drumroll deliveries {edition.id}")
