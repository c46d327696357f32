"""`drumroll gate LAUNCH PHASE`: why a gate stands where it stands; a person's decision."""

from typing import Any, Literal
from zoneinfo import ZoneInfo

import click

from drumroll.cli.options import iso, json_option, ledger_option, ledger_url, print_json
from drumroll.cli.tables import say
from drumroll.errors import UsageError
from drumroll.gates import Judgement
from drumroll.launchfile.load import did_you_mean
from drumroll.plan.model import Plan
from drumroll.report.checks import Check, Drift, checks_of, drift, last_reading, result_as_dict
from drumroll.report.display import amount, local

_DECIDED = {"pass": "passed", "extend": "extended", "abort": "aborted"}


@click.command()
@click.argument("launch")
@click.argument("phase")
@click.option("--decide", type=click.Choice(["pass", "extend", "abort"]), help="Decide about a held gate.")
@click.option("--by", metavar="NAME", help="Who decides; kept in the ledger.")
@click.option("--reason", metavar="TEXT", help="Why; kept in the ledger.")
@ledger_option
@json_option
def gate(
    launch: str,
    phase: str,
    decide: Literal["pass", "extend", "abort"] | None,
    by: str | None,
    reason: str | None,
    ledger: str | None,
    as_json: bool,
) -> int:
    """Show a gate's last verdict, its history, and how it would come out now. Exit code 1 while it is held.

    LAUNCH is an edition, or a launch (its newest edition). JSON: `edition, phase, goal, held`; `last` (null before the
    first reading) and `history`, each with `attempt, checked_at, verdict, latched, reason, next_check_at, decided_by,
    results`; `now` with `verdict, reason, results`; `drift`, each with `metric, group, segment, then, today` (`value,
    lower, upper, n, outcome`): thresholds that read otherwise today at the same instant. A result has the fields of a
    gate's snapshot and its `sentence`.
    """
    from drumroll.clock import current_clock
    from drumroll.ledger.ledger import open_ledger
    from drumroll.operate.gating import judged
    from drumroll.operate.reading import reading_of
    from drumroll.report.standing import as_of

    url = ledger_url(ledger)
    store = open_ledger(url, create=False)
    edition = store.edition(launch)
    plan = Plan.model_validate_json(store.plan_document(edition.id))
    name = _phase(plan, phase)
    _check_decision(decide, by, reason)
    clock = current_clock().now()
    if decide and by and reason:
        _decide(edition.id, url, name, decide, by=by, reason=reason)
    checks = checks_of(store, edition.id, name)
    would = judged(store, plan, name, reading_of(store, plan, now=as_of(store, edition, now=clock)))
    reading = last_reading(checks)
    changed = drift(store, plan, reading) if reading else []
    held = bool(checks) and checks[-1].verdict == "hold"
    if as_json:
        print_json(_document(plan, name, checks, would, changed, held=held))
    else:
        _print(plan, name, checks, would, changed)
    return int(held)


def _phase(plan: Plan, given: str) -> str:
    known = [phase.name for phase in plan.phases]
    if (name := given.replace("-", "_")) not in known:
        raise UsageError(f'{plan.edition} has no phase "{given}"', remedy=did_you_mean(name, known))
    return name


def _check_decision(decide: str | None, by: str | None, reason: str | None) -> None:
    signed = bool(by and by.strip()) and bool(reason and reason.strip())
    if decide and not signed:
        raise UsageError("--decide goes on record", remedy="say who with --by NAME and why with --reason TEXT")
    if not decide and (by or reason):
        raise UsageError("--by and --reason belong to a decision", remedy="add --decide pass, extend or abort")


def _decide(
    edition: str, url: str, phase: str, choice: Literal["pass", "extend", "abort"], *, by: str, reason: str
) -> None:
    from pathlib import Path

    from drumroll.cli.nudging import nudge
    from drumroll.clock import current_clock
    from drumroll.operate.edition import Where
    from drumroll.operate.gating import decide
    from drumroll.operate.opening import close_edition

    # A decision reads the ledger alone, so it may be taken outside the project's folder.
    where = Where(edition, url, str(Path.cwd()))
    decide(where, phase, choice, by=by, reason=reason, now=current_clock().now())
    if choice == "abort":
        close_edition(where, "abort")
    nudge(edition, url)


def _document(
    plan: Plan, phase: str, checks: list[Check], would: Judgement, changed: list[Drift], *, held: bool
) -> dict[str, Any]:
    history = [_check_as_dict(check) for check in checks]
    return {
        "edition": plan.edition,
        "phase": phase,
        "goal": plan.phase(phase).goal,
        "held": held,
        "last": history[-1] if history else None,
        "history": history,
        "now": {
            "verdict": would.verdict,
            "reason": would.reason,
            "results": [result_as_dict(result) for result in would.results],
        },
        "drift": [_drift_as_dict(each) for each in changed],
    }


def _check_as_dict(check: Check) -> dict[str, Any]:
    return {
        "attempt": check.attempt,
        "checked_at": iso(check.checked_at),
        "verdict": check.verdict,
        "latched": check.latched,
        "reason": check.reason,
        "next_check_at": iso(check.next_check_at),
        "decided_by": check.decided_by,
        "results": [result_as_dict(result) for result in check.results],
    }


def _drift_as_dict(each: Drift) -> dict[str, Any]:
    fields = ("value", "lower", "upper", "n", "outcome")
    then, today = result_as_dict(each.then), result_as_dict(each.today)
    return {
        "metric": each.then.metric,
        "group": each.then.group,
        "segment": each.then.segment,
        "then": {name: then[name] for name in fields},
        "today": {name: today[name] for name in fields},
    }


def _print_reading(check: Check, zone: ZoneInfo, *, last: bool) -> None:
    who = f" by {check.decided_by}" if check.decided_by else ""
    say(f"\n{local(check.checked_at, zone)}  {check.verdict}{who}: {check.reason}")
    for result in check.results if check.decided_by is None else ():
        say(f"  {result.sentence()}")
    if check.next_check_at and last:
        say(f"  read again {local(check.next_check_at, zone)}")


def _print(plan: Plan, phase: str, checks: list[Check], would: Judgement, changed: list[Drift]) -> None:
    zone = ZoneInfo(plan.launch.timezone)
    if checks and checks[-1].decided_by is not None:
        say(f"{_DECIDED.get(checks[-1].verdict, checks[-1].verdict)} by {checks[-1].decided_by}: {checks[-1].reason}")
    say(f"{plan.edition} · gate of {phase} · {plan.phase(phase).goal}")
    if not checks:
        say(f"not read yet; planned for {local(plan.phase(phase).gate_at, zone)} {plan.launch.timezone}")
    for check in checks:
        _print_reading(check, zone, last=check is checks[-1])
    if not (checks and checks[-1].latched):
        say(f"\nnow it would be: {would.verdict}" + ("" if would.results else f" ({would.reason})"))
        for result in would.results:
            say(f"  {result.sentence()}")
    for each in changed:
        unit = each.then.unit
        then, today = amount(each.then.value, unit), amount(each.today.value, unit)
        say(f"drift: {each.then.metric} was {then}, and is {today} for the same instant: events came in late")
    if checks and checks[-1].verdict == "hold":
        say("\nheld: decide with --decide pass|extend|abort --by NAME --reason TEXT")
