"""Quiet hours: nothing is sent while people sleep."""

from collections.abc import Iterator
from datetime import datetime

from drumroll.gates import RECHECK
from drumroll.launchfile.models import Gate
from drumroll.plan.model import PlannedPhase, remedy_step_id
from drumroll.suspense.rule import Breach, Edit, Rule, Subject
from drumroll.suspense.waking import Waking, local, waking_of


def _hours(subject: Subject) -> Iterator[Breach]:
    waking = waking_of(subject)
    for step in subject.plan.steps:
        if waking.is_quiet(step.due):
            what = f"is due {local(step.due, subject.zone)}, in the quiet hours ({_quiet(waking)})"
            yield Breach((*subject.places[step.id], "at"), what, f"allowed are {_allowed(waking, step.due)}")
    for phase in subject.plan.phases:
        gate = subject.launch.phases[phase.name].gate
        if gate is not None:
            yield from _remedies(subject, waking, phase, gate)


def _remedies(subject: Subject, waking: Waking, phase: PlannedPhase, gate: Gate) -> Iterator[Breach]:
    readings = remedy_readings(gate, phase)
    for remedy in gate.remedy:
        asked = next((at for at in readings if waking.is_quiet(at + remedy.after)), None)
        if asked is None:
            continue
        due = asked + remedy.after
        what = (
            f"comes {local(due, subject.zone)}, in the quiet hours ({_quiet(waking)}), "
            f"when the gate asks for it {local(asked, subject.zone)}"
        )
        change = "change `after`" if asked == phase.gate_at else "change `after`, or the gate's `recheck`"
        place = (*subject.places[remedy_step_id(phase.name, remedy)], "after")
        yield Breach(place, what, f"{change}: allowed are {_allowed(waking, due)}")


def remedy_readings(gate: Gate, phase: PlannedPhase) -> list[datetime]:
    """The instants (UTC) at which a gate read on time may ask for its remedy; `drumroll.gates.judge` walks the same.

    A rung that waits or ends comes before whatever is written after it, so only the remedies at its head are asked for.
    """
    ladder, readings, at = gate.otherwise, [], phase.gate_at
    if ladder[0] != "remedy" or not gate.remedy:
        return []
    wait = max(remedy.after for remedy in gate.remedy) + (gate.recheck or RECHECK)
    for _ in range(ladder.count("remedy")):
        if at >= phase.latest:
            break
        readings.append(at)
        at += wait
    return readings


def _quiet(waking: Waking) -> str:
    return f"{waking.quiet.starts}–{waking.quiet.ends}"


def _allowed(waking: Waking, at: datetime) -> str:
    before, after = waking.last_allowed(at), waking.first_allowed(at)
    return f"{local(before, waking.zone)} before it and {local(after, waking.zone)} after it"


HOURS = Rule(
    id="quiet/hours",
    title="Nothing is sent in the quiet hours",
    reason=(
        "A phone that lights up at night costs the group a member, and the message is buried by morning. The hours are "
        "`quiet_hours`, local time of the launch. A gate's remedies count too, at every reading that may ask for them."
    ),
    check=_hours,
    example=(Edit('at: "D-1 23:00"', 'at: "D-1 23:45"'),),
)
RULES = (HOURS,)
