"""`drumroll plan FILE`: the run sheet."""

import shlex
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from drumroll.check import Checked, check_file
from drumroll.cli.options import iso, json_option, launch_file, ledger_option, ledger_url, opens_option, print_json
from drumroll.errors import UsageError
from drumroll.plan.model import Plan, shown
from drumroll.plan.workload import WorkDay, workload
from drumroll.report.display import audience, clock, moment
from drumroll.words import phrases
from drumroll.words.templates import find_project

_SHEET_WIDTH = 160  # a narrower table would lose whole columns, in a pipe above all; wrapped lines lose nothing


@click.command()
@launch_file
@opens_option
@click.option("--texts", is_flag=True, help="Print every text in full, in order.")
@click.option("--diff", "as_diff", is_flag=True, help="Compare with the edition of this launch that is under way.")
@ledger_option
@json_option
def plan(file: Path, opens: str | None, texts: bool, as_diff: bool, ledger: str | None, as_json: bool) -> None:
    """Print the run sheet: number, local and UTC time, phase, groups, text, and the work it asks of people.

    With --diff, what FILE would change of its launch's edition under way, and which promises already made that breaks;
    the hash at its end is what `drumroll apply FILE --approve` takes.

    JSON: `edition, title, timezone, opens, hash`, `phases` (`name, goal, starts, gate_at, latest`), `steps` (`id,
    number, label, phase, kind, due, local, groups, segment, topic, teases, text`) and `workload` (`day, hand_offs,
    gates, first, last, busiest_hour, at_once`).

    JSON of --diff: `edition, from_hash, to_hash, opens, file_opens`; `added` and `removed` (`id, number, phase, kind,
    due, groups`); `moved` (`id, number, was, due`); `changed` (`id, number, fields, was, becomes, joined, left`: the
    keys that differ and, where "text" is one, both texts, where "groups" is one, which come and go); `renumbered` (`id,
    was, becomes`); `kept` (ids that have begun and stay, though FILE lacks them); `settings` (other places that
    differ); `in_vain` (`id, number, fields`: steps that have begun, changed without effect) and `settings_in_vain` (of
    phases that are over); `promises_broken` (`step, label, groups, sent_at,
    said, now, about, was, becomes`: `now` is null for what is off, `about` is "opening", a step's id or "time");
    `refused` (why `apply` would refuse it; the exit code is 1 then).
    """
    if as_diff:
        _diff(file, ledger, opens=opens, texts=texts, as_json=as_json)
        return
    checked = check_file(file, opens=opens)
    compiled = checked.accepted()
    if as_json:
        print_json(_document(checked, compiled))
    elif texts:
        _print_texts(checked, compiled)
    else:
        _print_sheet(checked, compiled)


def _diff(file: Path, ledger: str | None, *, opens: str | None, texts: bool, as_json: bool) -> None:
    """Imports the ledger and the engine, which the run sheet does without."""
    from drumroll.cli import differences
    from drumroll.ledger.ledger import open_ledger
    from drumroll.operate.changes import propose, refusals
    from drumroll.operate.recompile import from_file

    if opens is not None or texts:
        remedy = "drop --opens and --texts; `drumroll shift` moves the opening"
        raise UsageError("--diff compares with the edition as it runs", remedy=remedy)
    store = open_ledger(ledger_url(ledger, project=find_project(file.parent)), create=False)
    found = from_file(file, store)
    proposal = propose(found.running, found.plan, now=differences.now_in(found.running))
    refused = refusals(proposal)
    if as_json:
        print_json(differences.document(proposal, found.file_opens))
    else:
        differences.show(proposal, found.file_opens)
    if refused:
        raise SystemExit(1)
    if as_json:
        return
    if proposal.plan.hash == proposal.running.version.hash:
        click.echo("nothing to apply")
    else:
        click.echo(f"\nplan {proposal.plan.hash}; apply it with")
        click.echo(f"  drumroll apply {shlex.quote(str(file))} --approve {shown(proposal.plan.hash)} --by NAME")


def _document(checked: Checked, plan: Plan) -> dict[str, Any]:
    zone, words = ZoneInfo(plan.launch.timezone), phrases.LOCALES[plan.launch.locale]
    return {
        "edition": plan.edition,
        "title": plan.launch.title,
        "timezone": plan.launch.timezone,
        "opens": iso(plan.opens),
        "hash": plan.hash,
        "phases": [
            {
                "name": phase.name,
                "goal": phase.goal,
                "starts": iso(phase.starts),
                "gate_at": iso(phase.gate_at),
                "latest": iso(phase.latest),
            }
            for phase in plan.phases
        ],
        "steps": [
            {
                "id": step.id,
                "number": step.number,
                "label": phrases.label(words, step.number),
                "phase": step.phase,
                "kind": step.kind,
                "due": iso(step.due),
                "local": step.due.astimezone(zone).isoformat(),
                "groups": list(step.groups),
                "segment": step.segment,
                "topic": step.topic,
                "teases": step.follows_up,
                "text": checked.texts[step.id],
            }
            for step in plan.steps
        ],
        "workload": [_work_as_dict(day) for day in workload(plan, checked.capabilities)],
    }


def _work_as_dict(day: WorkDay) -> dict[str, Any]:
    def clock(at: datetime | None) -> str | None:
        return None if at is None else at.isoformat()

    return {
        "day": day.day.isoformat(),
        "hand_offs": day.hand_offs,
        "gates": day.gates,
        "first": clock(day.first),
        "last": clock(day.last),
        "busiest_hour": day.busiest_hour,
        "at_once": day.at_once,
    }


def _print_texts(checked: Checked, plan: Plan) -> None:
    zone = ZoneInfo(plan.launch.timezone)
    for step in plan.steps:
        click.echo(f"── {moment(step.due, zone)} · {step.phase} · {step.kind} · {step.id} · {audience(plan, step)}")
        click.echo(checked.texts[step.id] + "\n")
    for phase in plan.phases:
        gate = plan.launch.phases[phase.name].gate
        for remedy in gate.remedy if gate else ():
            step_id = f"{phase.name}.remedy.{remedy.id}"
            click.echo(f"── only if the gate of {phase.name} asks for it · {remedy.kind} · {remedy.id}")
            click.echo(checked.texts[step_id] + "\n")


def _print_sheet(checked: Checked, plan: Plan) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    console.width = max(console.width, _SHEET_WIDTH)
    zone, words = ZoneInfo(plan.launch.timezone), phrases.LOCALES[plan.launch.locale]
    opens = f"opens {moment(plan.opens, zone)} {plan.launch.timezone}"
    console.print(Text(f"{plan.launch.title} · {plan.edition} · {opens} · plan {shown(plan.hash)}"))
    table = Table(box=None, pad_edge=False, header_style="bold", expand=True)  # so that only texts are cut
    for heading in ("No.", f"local ({plan.launch.timezone})", "UTC", "phase", "kind", "step", "to"):
        table.add_column(heading, no_wrap=True)
    table.add_column("text", no_wrap=True, overflow="ellipsis", ratio=1)
    for step in plan.steps:
        table.add_row(
            Text(phrases.short_label(words, step.number)),
            f"{step.due.astimezone(zone):%a %m-%d} {clock(step.due, zone)}",
            f"{step.due:%m-%d} {clock(step.due)}",
            step.phase,
            step.kind,
            step.id,
            Text(audience(plan, step)),
            Text(" ".join(checked.texts[step.id].split())),
        )
    console.print(table)
    console.print("\nGates", style="bold")
    for phase in plan.phases:
        gate = plan.launch.phases[phase.name].gate
        if gate:
            names = ", ".join(threshold.metric for threshold in gate.thresholds)
            at = f"{phase.gate_at.astimezone(zone):%a %m-%d} {clock(phase.gate_at, zone)}"
            console.print(f"  {at}  {phase.name}: {names}; otherwise {' → '.join(gate.otherwise)}")
    console.print("\nWork for people", style="bold")
    for day in workload(plan, checked.capabilities):
        console.print(f"  {_sentence(day)}")
    for finding in checked.findings:
        console.print(Text(f"warning: {finding}"))


def _sentence(day: WorkDay) -> str:
    parts = []
    if day.hand_offs and day.first and day.last:
        span = clock(day.first) if day.first == day.last else f"{clock(day.first)}-{clock(day.last)}"
        parts.append(f"{day.hand_offs} to post by hand, {span}")
        if day.at_once > 1:
            parts.append(f"most at {day.busiest_hour:02d}:00-{day.busiest_hour:02d}:59 ({day.at_once})")
    if day.gates:
        parts.append(f"{day.gates} gate{'s' if day.gates > 1 else ''}: be reachable")
    return f"{day.day:%a %m-%d}  " + "; ".join(parts)
