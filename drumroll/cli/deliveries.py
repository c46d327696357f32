"""`drumroll deliveries` and `drumroll resolve`: the outbox and its open questions."""

from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from drumroll.cli.options import iso, json_option, ledger_option, ledger_url, print_json
from drumroll.cli.tables import plain, say, show, table
from drumroll.errors import DrumrollError, UsageError
from drumroll.launchfile.load import did_you_mean
from drumroll.ledger.model import Choice, DeliveryRow, State
from drumroll.ledger.states import STATES
from drumroll.plan.model import Plan, remedy_step_id
from drumroll.report.display import lateness, moment
from drumroll.report.standing import answers, done_command

if TYPE_CHECKING:
    from drumroll.ledger.ledger import Ledger


@click.command()
@click.argument("launch")
@click.option("--state", type=click.Choice(STATES), help="Only those in this state.")
@click.option("--step", metavar="ID", help="Only those of this step.")
@ledger_option
@json_option
def deliveries(launch: str, state: State | None, step: str | None, ledger: str | None, as_json: bool) -> int:
    """List deliveries in order of their planned times. Exit code 1 when any of the edition's is unknown, listed or not.

    LAUNCH is an edition, or a launch (its newest edition). JSON: `edition`, and `deliveries`, each with `key, step,
    number, phase, group, member, channel, state, due, sent, lateness_ms, attempts, message_id, error`.
    """
    from drumroll.ledger.ledger import open_ledger

    store = open_ledger(ledger_url(ledger), create=False)
    edition = store.edition(launch)
    plan = Plan.model_validate_json(store.plan_document(edition.id))
    if step is not None:
        _check_step(plan, step)
    rows = store.deliveries(edition.id, state=state, step=step)
    numbers = {each.id: each.number for each in (*plan.steps, *plan.retired)}
    if as_json:
        listed = [_document(row, numbers.get(row.step)) for row in rows]
        print_json({"edition": edition.id, "deliveries": listed})
    else:
        _print(rows, plan, numbers)
    return int(store.counts(edition.id).get("unknown", 0) > 0)


@click.command()
@click.argument("key")
@click.option("--as", "choice", type=click.Choice(["sent", "resend", "skip"]), required=True, help="The answer.")
@click.option("--by", metavar="NAME", required=True, help="Who answers; kept in the ledger.")
@click.option("--reason", metavar="TEXT", required=True, help="Why; kept in the ledger.")
@ledger_option
@json_option
def resolve(key: str, choice: Choice, by: str, reason: str, ledger: str | None, as_json: bool) -> None:
    """Answer an open question: it was sent, send it again, or leave it.

    Held: resend or skip. Unknown: sent, resend or skip. Failed: resend or skip. No other state asks anything.

    `resend` sends with the same key: a platform that honours keys will not show it twice, others may. A launch that was
    done is under way again then, and has to be started; an aborted one sends nothing. JSON: `by, choice` and
    `delivery` with the fields of `drumroll deliveries`.
    """
    from drumroll.cli.nudging import nudge
    from drumroll.clock import current_clock
    from drumroll.ledger.ledger import open_ledger

    if not (by.strip() and reason.strip()):
        raise UsageError("an answer goes on record", remedy="say who with --by NAME and why with --reason TEXT")
    url = ledger_url(ledger)
    store = open_ledger(url, create=False)
    _check_choice(store.delivery(key), choice)
    now = current_clock().now()
    reopened = choice == "resend" and _reopen(store, key, now=now)
    store.resolve(key, choice, by=by, reason=reason, now=now)
    row = store.delivery(key)
    nudge(row.edition, url)
    plan = Plan.model_validate_json(store.plan_document(row.edition))
    if as_json:
        number = next((each.number for each in plan.steps if each.id == row.step), None)
        print_json({"by": by, "choice": choice, "delivery": _document(row, number)})
        return
    follows = "; it goes out with the launch's next run" if choice == "resend" else ""
    if reopened:
        follows += ", and the launch was done: run it with `drumroll start FILE`, or `drumroll run FILE`"
    say(f"{row.key}: {row.state}{follows}")


def _check_step(plan: Plan, step: str) -> None:
    known = [each.id for each in (*plan.steps, *plan.retired)]
    for phase in plan.phases:
        gate = plan.launch.phases[phase.name].gate
        known += [remedy_step_id(phase.name, remedy) for remedy in gate.remedy if gate] if gate else []
    if step not in known:
        raise UsageError(f'{plan.edition} has no step "{step}"', remedy=did_you_mean(step, known))


def _check_choice(row: DeliveryRow, choice: Choice) -> None:
    fitting = answers(row)
    if choice in fitting:
        return
    if fitting:
        remedy = f"answer with --as {' or --as '.join(fitting)}"
        raise DrumrollError(f'is {row.state}, which "{choice}" does not answer', where=row.key, remedy=remedy)
    remedy = "only held, unknown and failed deliveries take one"
    if row.state == "awaiting":
        remedy = f"tick it off with `{done_command(row)}`"
    raise DrumrollError(f"is {row.state}, which no answer fits", where=row.key, remedy=remedy)


def _reopen(store: "Ledger", key: str, *, now: datetime) -> bool:
    """Whether the launch was done: nobody would send anything of it, so it is under way again until that is out."""
    edition = store.edition(store.delivery(key).edition)
    if edition.state == "aborted":
        what = "its launch is aborted, and sends nothing any more"
        raise DrumrollError(what, where=key, remedy="answer with --as skip, or --as sent where it is unknown")
    if edition.state == "done" and not edition.rehearsal:
        store.set_edition_state(edition.id, "running", now=now)
        return True
    return False


def _document(row: DeliveryRow, number: int | None) -> dict[str, Any]:
    return {
        "key": row.key,
        "step": row.step,
        "number": number,
        "phase": row.phase,
        "group": row.group,
        "member": row.member,
        "channel": row.channel,
        "state": row.state,
        "due": iso(row.due_at),
        "sent": iso(row.sent_at),
        "lateness_ms": row.lateness_ms,
        "attempts": row.attempts,
        "message_id": row.message_id,
        "error": row.error,
    }


def _print(rows: list[DeliveryRow], plan: Plan, numbers: dict[str, int | None]) -> None:
    if not rows:
        click.echo("no such deliveries")
        return
    zone = ZoneInfo(plan.launch.timezone)
    made = table("due", "no.", "phase", "state", "lateness", "channel", "tries", "key", "message id", "error")
    for row in rows:
        made.add_row(
            moment(row.due_at, zone),
            str(numbers.get(row.step) or ""),
            row.phase,
            row.state,
            "" if row.state != "sent" or row.lateness_ms is None else lateness(row.lateness_ms),
            row.channel,
            str(row.attempts),
            plain(row.key),
            plain(row.message_id or ""),
            plain(row.error or ""),
        )
    show(made)
