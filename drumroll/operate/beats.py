"""What comes next in an edition, read from the ledger alone: so a run can stop anywhere and go on from there."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from drumroll.errors import DrumrollError
from drumroll.launchfile.models import PHASES
from drumroll.ledger.ledger import Ledger
from drumroll.operate.edition import Where, capabilities_of, lead
from drumroll.plan.compile import planned_remedy
from drumroll.plan.model import Plan, PlannedStep, remedy_step_id


@dataclass(frozen=True, slots=True)
class Beat:
    """The next thing to do and when.

    `announce`: render and send `step` (`released_at`: when a person asked for it again); `gate`: read the phase's gate;
    `over`: the phase has its `verdict` (`pass`, `hold` or `abort`) and nothing of it is left to do.
    """

    what: Literal["announce", "gate", "over"]
    at: datetime
    step: str = ""
    occurrence: int = 1
    released_at: datetime | None = None
    verdict: str = ""


def next_beat(where: Where, phase: str, *, now: datetime) -> Beat:
    """The next beat of `phase`, counting what earlier phases left undone (a retry, a lease that runs out)."""
    ledger, plan = where.open(), where.plan()
    if ledger.edition(where.edition).state == "aborted":  # by a person, and whatever the gates say
        return Beat("over", now, verdict="abort")
    verdict = standing_verdict(ledger, where.edition, phase)
    if verdict is not None:
        return Beat("over", now, verdict=verdict)
    gate_at = _gate_at(ledger, where.edition, plan, phase)
    announcement = _next_announcement(where, plan, ledger, _up_to(phase), now=now)
    if announcement is not None and announcement.at <= gate_at:
        return announcement
    return Beat("gate", gate_at)


def next_leftover(where: Where, phase: str, *, now: datetime, within: timedelta | None = None) -> Beat | None:
    """What `phase` and those before it left on its way when they ended: retries, and leases that run out.

    None when there is nothing, or nothing `within` that time from now.
    """
    beat = _next_announcement(where, where.plan(), where.open(), _up_to(phase), now=now)
    return beat if beat is not None and (within is None or beat.at <= now + within) else None


def enter(where: Where, phase: str) -> None:
    """See that `phase` may run. DrumrollError when the edition is over or a gate before it has not passed."""
    ledger = where.open()
    state = ledger.edition(where.edition).state
    if state in {"done", "aborted"}:
        raise DrumrollError(f"is {state}", where=where.edition, remedy="begin another edition with --opens")
    for earlier in where.plan().phases:
        if earlier.name == phase:
            return
        if standing_verdict(ledger, where.edition, earlier.name) != "pass":
            raise DrumrollError(
                f"{phase} may not begin before the gate of {earlier.name} has passed",
                where=where.edition,
                remedy="run the launch, or decide with `drumroll gate`",
            )
    raise DrumrollError(f"has no phase {phase}", where=where.edition, remedy="run the launch instead")


def standing_verdict(ledger: Ledger, edition: str, phase: str) -> str | None:
    """The verdict that ends the phase for now: a latched one, a person's decision, or `hold`; else None."""
    check = ledger.last_check(edition, phase)
    if check is None:
        return None
    if check.latched:
        return check.verdict
    return "hold" if check.verdict == "hold" else None


def planned_step(plan: Plan, ledger: Ledger, edition: str, step_id: str, occurrence: int) -> PlannedStep:
    """The step behind a delivery: one of the plan's, or a remedy at its occurrence's instant.

    One that was taken out of the plan a moment ago is found as well; nothing of it is due any more.
    """
    for phase in plan.phases:
        gate = plan.launch.phases[phase.name].gate
        for remedy in gate.remedy if gate else ():
            if remedy_step_id(phase.name, remedy) == step_id:
                asked = [check for check in ledger.checks(edition, phase.name) if check.verdict == "remedy"]
                return planned_remedy(plan, phase.name, remedy, verdict_at=asked[occurrence - 1].checked_at)
    retired = next((step for step in plan.retired if step.id == step_id), None)
    return plan.step(step_id) if retired is None else retired


def _up_to(phase: str) -> tuple[str, ...]:
    names: tuple[str, ...] = PHASES
    return names[: names.index(phase) + 1]


def _gate_at(ledger: Ledger, edition: str, plan: Plan, phase: str) -> datetime:
    check = ledger.last_check(edition, phase)
    gate_at = plan.phase(phase).gate_at
    if check is not None and check.next_check_at is not None:
        return max(check.next_check_at, gate_at)  # a shift may have moved the phase's end behind the next reading
    return gate_at


def _next_announcement(
    where: Where, plan: Plan, ledger: Ledger, phases: Sequence[str], *, now: datetime
) -> Beat | None:
    found = []
    moment = ledger.next_moment(where.edition, phases, now=now)
    if moment is not None:
        released_at = moment.fire_at if moment.released else None
        found.append(Beat("announce", moment.at, moment.step, moment.occurrence, released_at))
    found += [Beat("announce", at, step.id) for at, step in unaddressed(plan, ledger, where.edition, phases)]
    return min(found, key=lambda beat: beat.at, default=None)


def unaddressed(plan: Plan, ledger: Ledger, edition: str, phases: Sequence[str]) -> list[tuple[datetime, PlannedStep]]:
    """Steps to single members whose recipients are not worked out yet, and when they leave: nor are words kept."""
    steps = [step for step in plan.steps if step.segment is not None and step.phase in phases]
    if not steps:
        return []
    said = {wording.step for wording in ledger.wordings(edition)}
    capabilities = capabilities_of(plan)
    channels = {group.id: group.channel for group in plan.launch.community.groups}
    return [
        (step.due - max((lead(channels[group], capabilities) for group in step.groups), default=timedelta(0)), step)
        for step in steps
        if step.id not in said
    ]
