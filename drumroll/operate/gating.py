"""Reading a gate: sync, measure, judge, write down, and do what the verdict asks."""

import json
from datetime import datetime
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from drumroll.errors import DrumrollError
from drumroll.gates import RECHECK, Judgement, judge
from drumroll.ledger.ledger import Ledger
from drumroll.ledger.model import GateCheckRow, NewDelivery
from drumroll.metrics.integrity import integrity
from drumroll.metrics.reading import Reading
from drumroll.operate.edition import Where, capabilities_of, deliveries_of
from drumroll.operate.reading import reading_of, sync_sources
from drumroll.operate.story import tell
from drumroll.plan.compile import planned_remedy
from drumroll.plan.model import Plan

Decided = Literal["pass", "extend", "abort"]


def read_gate(where: Where, phase: str, *, now: datetime) -> Judgement:
    """Judge the gate of `phase` on what the ledger knows at `now`, store the verdict with what it saw.

    A remedy's deliveries are written in the same act. A phase without a gate passes when its time is over.
    """
    ledger, plan = where.open(), where.plan()
    sync_sources(ledger, plan, Path(where.project))
    reading = reading_of(ledger, plan, now=now)
    judgement = judged(ledger, plan, phase, reading)
    snapshot = judgement.as_dict() | {"integrity": integrity(reading).sentence()}
    check = GateCheckRow(
        edition=where.edition,
        phase=phase,
        attempt=len(ledger.checks(where.edition, phase)) + 1,
        checked_at=now,
        verdict=judgement.verdict,
        latched=judgement.latched,
        snapshot=json.dumps(snapshot, ensure_ascii=False),
        next_check_at=judgement.next_check,
    )
    ledger.keep_check(check, _remedies(ledger, plan, phase, now) if judgement.verdict == "remedy" else ())
    _tell(plan, phase, judgement, now)
    return judgement


def _tell(plan: Plan, phase: str, judgement: Judgement, now: datetime) -> None:
    line = f"gate of {phase}: {judgement.verdict}"
    line += "".join(f"\n    {result.sentence()}" for result in judgement.results)
    if judgement.next_check is not None:
        line += f"\n    read again {judgement.next_check.astimezone(ZoneInfo(plan.launch.timezone)):%a %m-%d %H:%M}"
    tell(line, at=now, timezone=plan.launch.timezone, edition=plan.edition)


def judged(ledger: Ledger, plan: Plan, phase: str, reading: Reading) -> Judgement:
    """The verdict as it would be on `reading`, without writing anything."""
    gate = plan.launch.phases[plan.phase(phase).name].gate
    if gate is None:
        return Judgement("pass", (), None, latched=True, reason="this phase has no gate")
    planned = plan.phase(phase)
    return judge(
        plan.launch.phases[planned.name],
        gate,
        reading,
        now=reading.now,
        phase_starts=planned.starts,
        latest=planned.latest,
        earlier=[check.verdict for check in ledger.checks(plan.edition, phase)],  # type: ignore[misc]
        segments=plan.launch.community.segments,
    )


def decide(where: Where, phase: str, choice: Decided, *, by: str, reason: str, now: datetime) -> GateCheckRow:
    """Record a person's decision about a held gate; it is what the launch goes by from then on.

    Raises DrumrollError when the gate is not waiting for anybody.
    """
    ledger, plan = where.open(), where.plan()
    last = ledger.last_check(where.edition, phase)
    if last is None or last.verdict != "hold":
        standing = "has not been read yet" if last is None else f"stands at {last.verdict}"
        raise DrumrollError(
            f"the gate of {phase} {standing}", where=where.edition, remedy="only a held gate waits for a decision"
        )
    gate = plan.launch.phases[plan.phase(phase).name].gate
    recheck = (gate.recheck if gate else None) or RECHECK
    row = GateCheckRow(
        edition=where.edition,
        phase=phase,
        attempt=last.attempt + 1,
        checked_at=now,
        verdict=choice,
        latched=choice != "extend",
        snapshot=json.dumps({**json.loads(last.snapshot), "decided_by": by, "reason": reason}, ensure_ascii=False),
        next_check_at=now + recheck if choice == "extend" else None,
    )
    ledger.decide(where.edition, f"gate {phase}", choice, by=by, reason=reason, now=now)
    ledger.keep_check(row)
    return row


def _remedies(ledger: Ledger, plan: Plan, phase: str, now: datetime) -> list[NewDelivery]:
    gate = plan.launch.phases[plan.phase(phase).name].gate
    occurrence = 1 + sum(check.verdict == "remedy" for check in ledger.checks(plan.edition, phase))
    capabilities = capabilities_of(plan)
    return [
        row
        for remedy in (gate.remedy if gate else ())
        for row in deliveries_of(
            plan, planned_remedy(plan, phase, remedy, verdict_at=now), capabilities, occurrence=occurrence
        )
    ]
