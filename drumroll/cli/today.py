"""`drumroll today` and `drumroll done`: what people post by hand, and ticking it off."""

from typing import Any
from zoneinfo import ZoneInfo

import click

from drumroll.cli.options import iso, json_option, ledger_option, ledger_url, print_json
from drumroll.cli.tables import say
from drumroll.errors import DrumrollError, UsageError
from drumroll.ledger.model import EditionRow
from drumroll.login import login
from drumroll.plan.model import Plan
from drumroll.report.display import lateness, moment, span
from drumroll.report.hand_offs import DAY, HandOff, hand_offs
from drumroll.report.standing import answers, resolve_command


@click.command()
@click.argument("launch", required=False)
@click.option("--all", "everything", is_flag=True, help="All of the current phase, not only the next 24 hours.")
@ledger_option
@json_option
def today(launch: str | None, everything: bool, ledger: str | None, as_json: bool) -> None:
    """Show what people must post by hand, with the text to copy: what waits, and what comes in the next 24 hours.

    LAUNCH is an edition, or a launch (its newest edition); without it, all that were not aborted. JSON: `items`, each
    with `key, edition, step, number, group, group_name, member, due, state` (awaiting: post it; due: its text is a
    preview; held: it needs a decision), `overdue_seconds` (of what awaits; else 0), `text` (null when there is none to
    show) and `note` (null, or why: a fact not told yet, what it was held for, or who confirms it in a platform's app).
    Nothing is previewed from behind a gate that has not passed, and no text before the facts in it are told.
    """
    from drumroll.clock import current_clock
    from drumroll.ledger.ledger import open_ledger
    from drumroll.report.standing import as_of

    store = open_ledger(ledger_url(ledger), create=False)
    editions = (
        [store.edition(launch)] if launch else [each for each in store.editions() if _may_need_hands(store, each)]
    )
    found: list[tuple[HandOff, Plan]] = []
    for edition in editions:
        plan = Plan.model_validate_json(store.plan_document(edition.id))
        now = as_of(store, edition, now=current_clock().now())
        found += [(item, plan) for item in hand_offs(store, plan, now=now, within=None if everything else DAY)]
        if (brake := store.brake(edition.id)) is not None:
            click.echo(f"{edition.id} is paused by {brake.by}, post nothing now: {brake.reason}", err=True)
    found.sort(key=lambda pair: (pair[0].due, pair[0].key))
    if as_json:
        print_json({"items": [_document(item) for item, _ in found]})
        return
    for item, plan in found:
        _print(item, plan)
    if not found:
        click.echo("nothing to post by hand" + ("" if everything else " in the next 24 hours"))


@click.command()
@click.argument("keys", nargs=-1, required=True, metavar="KEY…")
@click.option("--by", metavar="NAME", help="Who posted it (default: your login name).")
@click.option("--proof", metavar="TEXT", default="", help="What shows it: a link, the name of a screenshot.")
@ledger_option
@json_option
def done(keys: tuple[str, ...], by: str | None, proof: str, ledger: str | None, as_json: bool) -> None:
    """Tick off what has been posted by hand; `drumroll today` lists the keys. All of them or, on an error, none.

    The proof goes on record with the tick, and into the report.

    JSON: `by`, `proof` (null without) and `done`, each with `key, state, sent, lateness_ms`.
    """
    from drumroll.cli.nudging import nudge
    from drumroll.clock import current_clock
    from drumroll.ledger.ledger import open_ledger

    who = by if by is not None else login(remedy="say who posted it with --by NAME")
    if not who.strip():
        raise UsageError("a tick needs a name", remedy="say who posted it with --by NAME")
    url = ledger_url(ledger)
    store = open_ledger(url, create=False)
    wanted = list(dict.fromkeys(keys))
    for key in wanted:
        _check_awaiting(store.delivery(key))
    for key in wanted:
        store.done(key, by=who, proof=proof.strip(), now=current_clock().now())
    rows = [store.delivery(key) for key in wanted]
    for edition in dict.fromkeys(row.edition for row in rows):
        nudge(edition, url)
    if as_json:
        ticked = [
            {"key": row.key, "state": row.state, "sent": iso(row.sent_at), "lateness_ms": row.lateness_ms}
            for row in rows
        ]
        print_json({"by": who, "proof": proof.strip() or None, "done": ticked})
        return
    for row in rows:
        shown = f" ({proof.strip()})" if proof.strip() else ""
        say(f"{row.key}: sent, {lateness(row.lateness_ms or 0)}, ticked off by {who}{shown}")


def _may_need_hands(store: Any, edition: EditionRow) -> bool:
    """Under way, or ended with something still to be posted."""
    if edition.state in {"done", "aborted"}:
        return edition.state == "done" and bool(store.counts(edition.id).get("awaiting"))
    return True


def _check_awaiting(row: Any) -> None:
    if row.state == "awaiting":
        return
    remedy = "`drumroll today` lists what waits for somebody"
    if answers(row):
        remedy = f"answer it with `{resolve_command(row)}`"
    elif row.state in {"due", "retry"}:
        remedy = "its text has not been handed over yet; `drumroll today` shows when"
    raise DrumrollError(f"is {row.state}, and only what is awaiting can be ticked off", where=row.key, remedy=remedy)


def _document(item: HandOff) -> dict[str, Any]:
    return {
        "key": item.key,
        "edition": item.edition,
        "step": item.step,
        "number": item.number,
        "group": item.group,
        "group_name": item.group_name,
        "member": item.member,
        "due": iso(item.due),
        "state": item.state,
        "overdue_seconds": int(item.overdue.total_seconds()),
        "text": item.text,
        "note": item.note,
    }


def _print(item: HandOff, plan: Plan) -> None:
    to = f"{item.member_name} ({item.member}) in {item.group_name}" if item.member else item.group_name
    who = f", by {item.poster}" if item.poster else ""
    late = f", overdue by {span(item.overdue.total_seconds())}" if item.overdue.total_seconds() >= 1 else ""
    standing = {"awaiting": "", "held": ", held: needs a decision"}.get(item.state, ", to come (preview)")
    due = moment(item.due, ZoneInfo(plan.launch.timezone))
    say(f"── {due} {plan.launch.timezone}{late}{standing} · to {to}{who}")
    say(f"   {item.label} {item.step} · {item.key}" if item.label else f"   {item.step} · {item.key}")
    if item.command:
        say(f"\n{item.note}\n  {item.command}\n")
    else:
        say("\n" + (item.text if item.text is not None else f"({item.note})") + "\n")
