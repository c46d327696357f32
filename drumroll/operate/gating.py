"""Reading a gate: sync, measure, judge, write down, and do what the verdict asks."""

import json
import logging
from datetime import datetime
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from drumroll.errors import DrumrollError, SourceError
from drumroll.gates import RECHECK, Judgement, judge
from drumroll.ledger.ledger import Ledger
from drumroll.ledger.model import DecisionRow, GateCheckRow, NewDelivery
from drumroll.metrics.integrity import integrity
from drumroll.metrics.reading import Reading
from drumroll.operate.edition import Where, capabilities_of, deliveries_of
from drumroll.operate.reading import reading_of, sync_sources
from drumroll.operate.story import tell
from drumroll.plan.compile import planned_remedy
from drumroll.plan.model import Plan

Decided = Literal["pass", "extend", "abort"]


def read_gate(where: Where, phase: str, *, now: datetime) -> Judgement | None:
    """Judge the gate of `phase` on what the ledger knows at `now`, and store the verdict with what it saw.

    A remedy's deliveries are written in the same act. A phase without a gate passes when its time is over. None when
    there was nothing to judge, or another engine was faster: its verdict stands, and nothing is written.
    """
    ledger, plan = where.open(), where.plan()
    last = ledger.last_check(where.edition, phase)
    if last is not None and (last.latched or last.next_check_at is None or last.next_check_at > now):
        return None
    broken = _sync(ledger, plan, where, phase, now)
    reading = reading_of(ledger, plan, now=now)
    judgement = judged(ledger, plan, phase, reading)
    snapshot = judgement.as_dict() | {"integrity": integrity(reading).sentence(), "source_error": broken}
    check = GateCheckRow(
        edition=where.edition,
        phase=phase,
        attempt=last.attempt + 1 if last else 1,
        checked_at=now,
        verdict=judgement.verdict,
        latched=judgement.latched,
        snapshot=json.dumps(snapshot, ensure_ascii=False),
        next_check_at=judgement.next_check,
    )
    remedies = _remedies(ledger, plan, phase, now) if judgement.verdict == "remedy" else ()
    if not ledger.keep_check(check, remedies):
        return None
    _tell(plan, phase, judgement, now)
    return judgement


def judged(ledger: Ledger, plan: Plan, phase: str, reading: Reading) -> Judgement:
    """The verdict as it would be on `reading`, without writing anything."""
    planned = plan.phase(phase)
    gate = plan.launch.phases[planned.name].gate
    if gate is None:
        return Judgement("pass", (), None, latched=True, reason="this phase has no gate")
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


def decide(
    where: Where, phase: str, choice: Decided, *, by: str, reason: str, now: datetime, attempt: int | None = None
) -> GateCheckRow:
    """Record a person's decision about a held gate; it is what the launch goes by from then on.

    With `attempt`, about that reading and no other. To extend uses the phase's slack. Raises DrumrollError when the
    gate is not waiting for anybody, no slack is left to extend into, or somebody else was faster.
    """
    ledger, plan = where.open(), where.plan()
    last = ledger.last_check(where.edition, phase)
    if last is None or last.verdict != "hold":
        standing = "has not been read yet" if last is None else f"stands at {last.verdict}"
        remedy = "only a held gate waits for a decision"
        raise DrumrollError(f"the gate of {phase} {standing}", where=where.edition, remedy=remedy)
    gate = plan.launch.phases[plan.phase(phase).name].gate
    latest = plan.phase(phase).latest
    if choice == "extend" and now >= latest:
        what = f"the phase {phase} has no slack left to extend into"
        raise DrumrollError(what, where=where.edition, remedy="let the gate pass, or abort; until then it stays held")
    again = min(now + ((gate.recheck if gate else None) or RECHECK), latest)
    row = GateCheckRow(
        edition=where.edition,
        phase=phase,
        attempt=(attempt or last.attempt) + 1,
        checked_at=now,
        verdict=choice,
        latched=choice != "extend",
        snapshot=json.dumps({**json.loads(last.snapshot), "decided_by": by, "reason": reason}, ensure_ascii=False),
        next_check_at=again if choice == "extend" else None,
    )
    decision = DecisionRow(where.edition, f"gate {phase}", choice, by, reason, now)
    if not ledger.keep_check(row, decision=decision):
        raise DrumrollError(
            f"somebody else has just decided the gate of {phase}",
            where=where.edition,
            remedy=f"see `drumroll gate {where.edition} {phase}`",
        )
    return row


def _sync(ledger: Ledger, plan: Plan, where: Where, phase: str, now: datetime) -> str | None:
    """A source that cannot be read does not stop the gate: it is judged on what is known, and that is said."""
    try:
        sync_sources(ledger, plan, Path(where.project))
    except SourceError as error:
        line = f"judged without the newest engagement: {error}"
        tell(line, at=now, timezone=plan.launch.timezone, edition=plan.edition, level=logging.WARNING, phase=phase)
        return str(error)
    return None


def _tell(plan: Plan, phase: str, judgement: Judgement, now: datetime) -> None:
    line = f"gate of {phase}: {judgement.verdict}"
    line += "".join(f"\n    {result.sentence()}" for result in judgement.results)
    if judgement.next_check is not None:
        line += f"\n    read again {judgement.next_check.astimezone(ZoneInfo(plan.launch.timezone)):%a %m-%d %H:%M}"
    tell(line, at=now, timezone=plan.launch.timezone, edition=plan.edition, phase=phase)


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
