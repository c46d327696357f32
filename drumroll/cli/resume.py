"""`drumroll resume`: let a paused launch, or all of them, go on."""

from collections import Counter
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from drumroll.cli.options import iso, json_option, ledger_option, ledger_url, print_json
from drumroll.cli.pause import brake_document, counted, nudge_all, who
from drumroll.cli.tables import say
from drumroll.errors import DrumrollError
from drumroll.report.display import moment

if TYPE_CHECKING:
    from drumroll.ledger.brakes import BrakeRow
    from drumroll.ledger.ledger import Ledger
    from drumroll.operate.braking import Late

_DONE = {"send": "sent", "rerender": "sent in words of now", "skip": "skipped", "hold": "held for a person"}


@click.command()
@click.argument("launch", required=False)
@click.option("--all", "everything", is_flag=True, help="Lift `pause --all`; launches paused by name stay paused.")
@click.option("--reason", metavar="TEXT", default="", help="Why; kept in the ledger.")
@click.option("--by", metavar="NAME", help="Who lets it go on; kept in the ledger (default: your login name).")
@click.option("--dry-run", is_flag=True, help="Only show what would become of what is overdue.")
@ledger_option
@json_option
def resume(
    launch: str | None,
    everything: bool,
    reason: str,
    by: str | None,
    dry_run: bool,
    ledger: str | None,
    as_json: bool,
) -> None:
    """Let a launch go on after `drumroll pause`, and say what becomes of what is overdue by now.

    LAUNCH is an edition, or a launch (its edition under way). A pause counts like any other stop: one of up to a
    quarter of an hour is caught up in order; after a longer one the newest announcement goes out, those it has
    overtaken are held for a person, and each step's `on_late` and `max_late` hold.

    JSON: `scope` (the edition, or `*`), `changed` (false when it was not paused, and for a dry run), `dry_run`, `by,
    reason`, and `editions`, each with `edition, paused` (null, or `scope, by, reason, since` of the pause that still
    holds it back, or would), `overdue` (deliveries by what becomes of them: `send, rerender, skip, hold`) and `steps`,
    each with `step, number, due, act, deliveries` (null where the recipients are not worked out yet) and `reason`.
    """
    from drumroll.clock import current_clock
    from drumroll.ledger.brakes import ALL
    from drumroll.ledger.ledger import open_ledger
    from drumroll.operate.braking import overdue, to_pause, under_way

    name = who(by, None, launch, everything=everything)
    url = ledger_url(ledger)
    store, now = open_ledger(url, create=False), current_clock().now()
    scope = to_pause(store, launch).id if launch else ALL
    editions = [scope] if launch else under_way(store)
    _see_that_it_helps(store, scope)
    late = {edition: overdue(store, edition, now=now) for edition in editions}
    changed = not dry_run and store.release_brake(scope, by=name, reason=reason.strip(), now=now)
    left = {edition: _left(store, edition, scope) for edition in editions}
    if changed:
        nudge_all([edition for edition in editions if left[edition] is None], url)
    if as_json:
        listed = [_document(edition, late[edition], left[edition]) for edition in editions]
        told = {"scope": scope, "changed": changed, "dry_run": dry_run, "by": name, "reason": reason.strip()}
        print_json({**told, "editions": listed})
        return
    what = "every launch of this ledger" if scope == ALL else scope
    if not dry_run:
        say(f"{what}: {'goes on' if changed else 'was not paused; nothing was changed'}")
    for edition in editions:
        _say(edition, late[edition], left[edition], _zone(store, edition), dry_run=dry_run)
    if store.is_copy():
        say("but this ledger is a copy, and sends nothing before `drumroll db confirm`")


def _see_that_it_helps(store: "Ledger", scope: str) -> None:
    """DrumrollError for one launch that nothing but the pause of all holds back."""
    from drumroll.ledger.brakes import ALL

    brake = store.brake(scope) if scope != ALL else None
    if brake is not None and brake.scope == ALL:
        what = f"is held back with every launch of this ledger, by {brake.by}: {brake.reason}"
        raise DrumrollError(what, where=scope, remedy="`drumroll resume --all` lets all of them go on")


def _left(store: "Ledger", edition: str, released: str) -> "BrakeRow | None":
    """What holds the edition back when that scope's brake is released."""
    own = [brake for brake in store.brakes() if brake.scope in {edition, "*"} and brake.scope != released]
    return own[0] if own else None


def _counts(late: "list[Late]") -> dict[str, int]:
    counts = Counter[str]()
    for each in late:
        counts[each.act] += each.deliveries or 0
    return {act: counts[act] for act in _DONE}


def _document(edition: str, late: "list[Late]", left: "BrakeRow | None") -> dict[str, Any]:
    steps = [
        {
            "step": each.step,
            "number": each.number,
            "due": iso(each.due),
            "act": each.act,
            "deliveries": each.deliveries,
            "reason": each.reason or None,
        }
        for each in late
    ]
    return {"edition": edition, "paused": brake_document(left), "overdue": _counts(late), "steps": steps}


def _zone(store: "Ledger", edition: str) -> ZoneInfo:
    from drumroll.plan.model import Plan

    return ZoneInfo(Plan.model_validate_json(store.plan_document(edition)).launch.timezone)


def _say(edition: str, late: "list[Late]", left: "BrakeRow | None", zone: ZoneInfo, *, dry_run: bool) -> None:
    if left is not None:
        say(f"{edition}: still paused by {left.by} since {moment(left.set_at, zone)}: {left.reason}")
        return
    said = ", ".join(f"{count} {_DONE[act]}" for act, count in _counts(late).items() if count)
    would = "would be" if dry_run else "will be"
    say(f"{edition}: " + (f"overdue deliveries {would}: {said}" if late else "nothing is overdue"))
    for each in late:
        number = f"number {each.number}, " if each.number else ""
        why = f" ({each.reason})" if each.reason else ""
        many = "recipients not worked out yet" if each.deliveries is None else counted(each.deliveries)
        say(f"  {each.step}, {number}due {moment(each.due, zone)}, {many}: {_DONE[each.act]}{why}")
    if any(each.act == "hold" for each in late):
        say(f"  held ones wait for `drumroll deliveries {edition} --state held`, `drumroll resolve`")
