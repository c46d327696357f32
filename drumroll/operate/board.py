"""A phase at a glance, as Markdown: what was said, to how many, and what came of it."""

from zoneinfo import ZoneInfo

from drumroll.operate.edition import Where
from drumroll.words import phrases


def phase_board(where: Where, phase: str) -> str:
    """A table of the phase's steps with the states of their deliveries."""
    plan, ledger = where.plan(), where.open()
    zone, words = ZoneInfo(plan.launch.timezone), phrases.LOCALES[plan.launch.locale]
    states = ledger.step_states(where.edition)
    lines = [f"# {phase}: {plan.phase(phase).goal}", "", "| time | no. | step | deliveries |", "|---|---|---|---|"]
    for step in plan.steps:
        if step.phase == phase:
            count = ", ".join(f"{n} {state}" for state, n in sorted(states.get((step.id, 1), {}).items()))
            local = f"{step.due.astimezone(zone):%a %m-%d %H:%M}"
            lines.append(f"| {local} | {phrases.label(words, step.number)} | {step.id} | {count} |")
    return "\n".join(lines)
