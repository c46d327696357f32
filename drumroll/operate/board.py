"""Boards for the Prefect UI, as Markdown: a phase at a glance, an edition at a glance."""

from collections.abc import Sequence
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from drumroll.operate.edition import Where
from drumroll.words import phrases

if TYPE_CHECKING:
    from drumroll.operate.watching import Alarm


def phase_board(where: Where, phase: str) -> str:
    """A table of the phase's steps with the states of their deliveries."""
    return f"# {phase}: {where.plan().phase(phase).goal}\n\n{_steps(where, phase)}"


def edition_board(where: Where, alarms: "Sequence[Alarm]") -> str:
    """State, counts, what needs a person, and every phase's table."""
    ledger, plan = where.open(), where.plan()
    counts = ", ".join(f"{n} {state}" for state, n in ledger.counts(where.edition).items() if n)
    lines = [f"# {plan.launch.title}", "", f"{where.edition}: {ledger.edition(where.edition).state}; {counts}", ""]
    lines += ["## Needs a person", "", *(f"- {alarm}" for alarm in alarms), ""] if alarms else []
    for phase in plan.phases:
        lines += [f"## {phase.name}: {phase.goal}", "", _steps(where, phase.name), ""]
    return "\n".join(lines)


def _steps(where: Where, phase: str) -> str:
    plan = where.plan()
    zone, words = ZoneInfo(plan.launch.timezone), phrases.LOCALES[plan.launch.locale]
    states = where.open().step_states(where.edition)
    rows = ["| time | no. | step | deliveries |", "|---|---|---|---|"]
    for step in plan.steps:
        if step.phase == phase:
            count = ", ".join(f"{n} {state}" for state, n in sorted(states.get((step.id, 1), {}).items()))
            local = f"{step.due.astimezone(zone):%a %m-%d %H:%M}"
            rows.append(f"| {local} | {phrases.short_label(words, step.number)} | {step.id} | {count} |")
    return "\n".join(rows)
