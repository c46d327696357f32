"""`drumroll status [LAUNCH]`: where launches stand, what is next, what needs a person."""

from typing import Any
from zoneinfo import ZoneInfo

import click

from drumroll.cli.options import iso, json_option, ledger_option, ledger_url, print_json
from drumroll.cli.tables import say
from drumroll.ledger.model import LeaseRow
from drumroll.plan.model import Plan
from drumroll.report.display import moment, span
from drumroll.report.standing import Standing

SHOWN = 8


@click.command()
@click.argument("launch", required=False)
@ledger_option
@json_option
def status(launch: str | None, ledger: str | None, as_json: bool) -> int:
    """Show every edition, or one: its state and phase, what is next, what needs a person.

    LAUNCH is an edition, or a launch (its newest edition). Exit code 1 when a gate is held or a delivery is unknown or
    failed; held deliveries, late retries and overdue hand-offs are listed too. JSON: `editions`, each with `edition,
    launch, title, state, rehearsal, opens, phase, planned, sent` (deliveries), `engine` (null, or `owner, since` of the
    process that runs it now), `next` (null, or `step, number, due`) and `needs`, each with `what` (gate, held, unknown,
    failed, retry, hand-off), `key, why, command`.
    """
    from drumroll.clock import current_clock
    from drumroll.ledger.ledger import open_ledger
    from drumroll.report.standing import as_of, standing

    store = open_ledger(ledger_url(ledger), create=False)
    found: list[tuple[Standing, Plan, LeaseRow | None, Any]] = []
    for edition in [store.edition(launch)] if launch else store.editions():
        plan = Plan.model_validate_json(store.plan_document(edition.id))
        now = as_of(store, edition, now=current_clock().now())
        lease = store.lease(edition.id)
        engine = lease if lease is not None and not edition.rehearsal and lease.is_live(current_clock().now()) else None
        found.append((standing(store, plan, edition, now=now), plan, engine, now))
    if as_json:
        print_json({"editions": [_document(one, engine) for one, _, engine, _ in found]})
    else:
        for one, plan, engine, now in found:
            _print(one, plan, engine, now)
        if not found:
            click.echo("no launch has been started yet")
    return int(any(need.urgent for one, *_ in found for need in one.needs))


def _document(one: Standing, engine: LeaseRow | None) -> dict[str, Any]:
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
        "next": following,
        "needs": [{"what": need.what, "key": need.key, "why": need.why, "command": need.command} for need in one.needs],
    }


def _print(one: Standing, plan: Plan, engine: LeaseRow | None, now: Any) -> None:
    edition, zone = one.edition, ZoneInfo(plan.launch.timezone)
    state = edition.state + (" (rehearsal)" if edition.rehearsal else "")
    say(f"{edition.id}  {state}  {edition.title}")
    place = f"in {one.phase}, " if one.phase else ""
    opening = f"opens {moment(edition.opens_at, zone)} {plan.launch.timezone}"
    say(f"  {place}{one.sent} of {one.planned} deliveries sent, {opening}")
    if engine is not None:
        say(f"  run by {engine.owner} since {moment(engine.taken_at, zone)}")
    if one.upcoming:
        number = f"number {one.upcoming.number}, " if one.upcoming.number else ""
        late = (now - one.upcoming.due).total_seconds()
        overdue = f", {span(late)} ago" if late >= 1 else ""
        say(f"  next: {one.upcoming.step}, {number}{moment(one.upcoming.due, zone)}{overdue}")
    if edition.state == "held" and not any(need.what == "gate" for need in one.needs):
        say("  its gate is decided; `drumroll run` goes on")
    for need in one.needs[:SHOWN]:
        say(f"  needs a person: {need.what} {need.key}: {need.why}\n    {need.command}")
    if len(one.needs) > SHOWN:
        say(f"  and {len(one.needs) - SHOWN} more: drumroll deliveries {edition.id}")
