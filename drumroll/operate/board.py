"""Boards for the Prefect UI, as Markdown without links: a phase at a glance, an edition at a glance.

They say nothing that changes by itself, so a board is another one only when something has happened.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from drumroll.ledger.model import AlarmRow, GateCheckRow
from drumroll.operate.edition import Where
from drumroll.plan.model import Plan
from drumroll.words import phrases

_MARKUP = re.compile(r"([\\`*_\[\]<>#|~@]|:(?=//)|(?<=www)\.)")
_NEXT = 3
StepStates = Mapping[tuple[str, int], Mapping[str, int]]
"""Per step and occurrence, how many deliveries are in each state: `Ledger.step_states`."""


def phase_board(where: Where, phase: str) -> str:
    """A table of the phase's steps with the states of their deliveries."""
    plan, states = where.plan(), where.open().step_states(where.edition)
    return f"# {phase}: {_plain(plan.phase(phase).goal)}\n\n{_steps(plan, states, phase)}"


def edition_board(where: Where, alarms: Sequence[AlarmRow], *, now: datetime) -> str:
    """State, who runs it, who paused it, what needs a person, what is next, and every phase's table.

    Of an edition that is over: its state and the tables.
    """
    ledger, plan = where.open(), where.plan()
    states = ledger.step_states(where.edition)
    total = sum((Counter(counts) for counts in states.values()), Counter[str]())
    counted = ", ".join(f"{total[state]} {state}" for state in sorted(total))
    edition = ledger.edition(where.edition)
    under_way = edition.ended_at is None
    lines = [f"# {_plain(plan.launch.title)}", "", f"{where.edition}: {edition.state}; {counted}"]
    lease, brake = ledger.lease(where.edition), ledger.brake(where.edition)
    if under_way:
        runs = f"run by {lease.owner}" if lease is not None and lease.is_live(now) else "no process at the moment"
        lines += ["", _plain(runs)]
    if brake is not None and under_way:
        lines += ["", f"**Paused** by {_plain(brake.by)} since {_local(plan, brake.set_at)}: {_plain(brake.reason)}"]
    needs = [f"- {_plain(alarm.what)}; {alarm.remedy}" for alarm in alarms]
    lines += ["", "## Needs a person", "", *needs] if needs else []
    coming = upcoming(plan, states, ledger.checks(where.edition))[:_NEXT] if under_way else []
    following = [f"- {_local(plan, at)}: {_plain(what)}" for at, what in coming]
    lines += ["", "## Next", "", *following] if following else []
    for phase in plan.phases:
        lines += ["", f"## {phase.name}: {_plain(phase.goal)}", "", _steps(plan, states, phase.name)]
    return "\n".join(lines)


def upcoming(plan: Plan, states: StepStates, checks: Sequence[GateCheckRow]) -> list[tuple[datetime, str]]:
    """The planned instants still to come, announcements and gates, with what they are; in order."""
    words, read = phrases.LOCALES[plan.launch.locale], {check.phase: check for check in checks}
    found = [
        (step.due, f"{phrases.short_label(words, step.number)} {step.id}".strip())
        for step in plan.steps
        if "due" in states.get((step.id, 1), {"due": 1} if step.segment else {})
    ]
    for phase in plan.phases:
        check = read.get(phase.name)
        if check is None or not (check.latched or check.verdict == "hold"):
            again = check.next_check_at if check is not None else None
            found.append((max(again or phase.gate_at, phase.gate_at), f"gate of {phase.name}"))
    return sorted(found)


def _local(plan: Plan, at: datetime) -> str:
    return f"{at.astimezone(ZoneInfo(plan.launch.timezone)):%a %m-%d %H:%M} {plan.launch.timezone}"


def _plain(text: str) -> str:
    """Text that Markdown shows as it is, on one line: no heading, no table, no link, not even of a bare address."""
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))


def _steps(plan: Plan, states: StepStates, phase: str) -> str:
    zone, words = ZoneInfo(plan.launch.timezone), phrases.LOCALES[plan.launch.locale]
    rows = ["| time | no. | step | deliveries |", "|---|---|---|---|"]
    for step in plan.steps:
        if step.phase == phase:
            count = ", ".join(f"{n} {state}" for state, n in sorted(states.get((step.id, 1), {}).items()))
            local = f"{step.due.astimezone(zone):%a %m-%d %H:%M}"
            rows.append(f"| {local} | {phrases.short_label(words, step.number)} | {step.id} | {count} |")
    return "\n".join(rows)
