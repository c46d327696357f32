"""`drumroll pause`: hold a launch back, or all of them, from this moment on."""

from datetime import datetime
from typing import Any

import click

from drumroll.cli.options import iso, json_option, ledger_option, ledger_url, print_json
from drumroll.cli.tables import say
from drumroll.errors import UsageError
from drumroll.login import login

_LAND = 30.0  # seconds: longer than most channels give a request


@click.command()
@click.argument("launch", required=False)
@click.option("--all", "everything", is_flag=True, help="Every launch of this ledger, those that begin later included.")
@click.option("--reason", metavar="TEXT", required=True, help="Why; kept in the ledger.")
@click.option("--by", metavar="NAME", help="Who pauses it; kept in the ledger (default: your login name).")
@ledger_option
@json_option
def pause(launch: str | None, everything: bool, reason: str, by: str | None, ledger: str | None, as_json: bool) -> None:
    """Stop a launch at once, until `drumroll resume`: nothing is sent, and no gate is read.

    LAUNCH is an edition, or a launch (its edition under way). Works without Prefect's server, whoever runs the launch:
    once this command has returned, no request leaves. It waits for the answers to those that had left, half a minute
    at most. What falls due meanwhile is late when the launch goes on: nothing is lost, and nothing comes in a burst.

    JSON: `scope` (the edition, or `*`), `changed` (false when it was paused before), `by, reason, since` (of the pause
    that stands), `editions` (those it holds back now), `in_flight` (deliveries still without an answer) and `awaiting`
    (handed over to be posted by hand, and not ticked off).
    """
    from drumroll.clock import current_clock
    from drumroll.ledger.brakes import ALL
    from drumroll.ledger.ledger import open_ledger
    from drumroll.operate.braking import land, to_pause, under_way

    name = who(by, reason, launch, everything=everything)
    url = ledger_url(ledger)
    store = open_ledger(url, create=False)
    scope = to_pause(store, launch).id if launch else ALL
    changed = store.set_brake(scope, by=name, reason=reason.strip(), now=current_clock().now())
    brake = next(each for each in store.brakes() if each.scope == scope)
    editions = [scope] if launch else under_way(store)
    in_flight = land(store, editions, seconds=_LAND)
    awaiting = sum(store.counts(edition).get("awaiting", 0) for edition in editions)
    nudge_all(editions, url)
    if as_json:
        print_json(
            {
                "scope": scope,
                "changed": changed,
                "by": brake.by,
                "reason": brake.reason,
                "since": iso(brake.set_at),
                "editions": editions,
                "in_flight": in_flight,
                "awaiting": awaiting,
            }
        )
        return
    _say(scope, brake.by, brake.set_at, brake.reason, changed=changed, editions=editions)
    if in_flight:
        say(f"{counted(in_flight)} had left before, without an answer yet: drumroll deliveries EDITION")
    if awaiting:
        say(f"{counted(awaiting)} with people to post by hand: tell them to wait (drumroll today)")


def _say(scope: str, by: str, since: datetime, reason: str, *, changed: bool, editions: list[str]) -> None:
    whole = scope == "*"
    what = "every launch of this ledger" if whole else scope
    if changed:
        say(f"{what}: paused; nothing is sent until `drumroll resume {'--all' if whole else scope}`")
    else:
        say(f"{what}: paused already, by {by} since {since:%Y-%m-%d %H:%M} UTC: {reason}")
    if whole:
        say(f"under way: {', '.join(editions) or 'none'}; what begins from now on is paused too")


def who(by: str | None, reason: str | None, launch: str | None, *, everything: bool) -> str:
    """Whose word it is. UsageError when it is nobody's, gives an empty reason, or is not about one thing."""
    if everything == bool(launch):
        raise UsageError("say which launch" if not launch else "one launch, or all?", remedy="give LAUNCH or --all")
    name = by if by is not None else login(remedy="say who with --by NAME")
    if not name.strip() or (reason is not None and not reason.strip()):
        raise UsageError("it goes on record", remedy="say who with --by NAME and why with --reason TEXT")
    return name.strip()


def counted(number: int) -> str:
    """`1 delivery`, `2 deliveries`."""
    return "1 delivery" if number == 1 else f"{number} deliveries"


def nudge_all(editions: list[str], url: str) -> None:
    """Have the launches' flow runs told, where there is a server."""
    from drumroll.cli.nudging import nudge

    for edition in editions:
        nudge(edition, url)


def brake_document(brake: Any) -> dict[str, Any] | None:
    """A BrakeRow for JSON; None stays None."""
    if brake is None:
        return None
    return {"scope": brake.scope, "by": brake.by, "reason": brake.reason, "since": iso(brake.set_at)}
