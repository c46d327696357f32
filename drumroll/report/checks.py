"""What the gates said: every reading as it was written down, and how the same reading would come out today."""

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from drumroll.gates import ThresholdResult
from drumroll.ledger.ledger import Ledger
from drumroll.ledger.model import GateCheckRow
from drumroll.metrics.registry import rounded
from drumroll.operate.gating import judged
from drumroll.operate.reading import reading_of
from drumroll.plan.model import Plan


@dataclass(frozen=True, slots=True)
class Check:
    """One reading of a gate, or a person's decision about it (`decided_by`), whose `reason` is then the person's.

    `results` are the thresholds as the reading saw them; a decision repeats those of the reading before it.
    """

    phase: str
    attempt: int
    checked_at: datetime
    verdict: str
    latched: bool
    reason: str
    next_check_at: datetime | None
    decided_by: str | None
    results: tuple[ThresholdResult, ...]


@dataclass(frozen=True, slots=True)
class Drift:
    """A threshold that reads otherwise today at the same instant: events came in late. Values as in the snapshot."""

    then: ThresholdResult
    today: ThresholdResult


def checks_of(ledger: Ledger, edition: str, phase: str | None = None) -> list[Check]:
    """All readings and decisions of the edition's gates, or of one phase's, the oldest first."""
    return [_check(row) for row in ledger.checks(edition, phase)]


def last_reading(checks: list[Check]) -> Check | None:
    """The latest check that measured, rather than a person's decision."""
    return next((check for check in reversed(checks) if check.decided_by is None), None)


def drift(ledger: Ledger, plan: Plan, check: Check) -> list[Drift]:
    """Where the thresholds of `check`, measured again for its own instant, differ from what it saw.

    Thresholds that the plan no longer has are left out.
    """
    reading = reading_of(ledger, plan, now=check.checked_at)
    again = {_place(result): result for result in judged(ledger, plan, check.phase, reading).results}
    pairs = [(then, again[_place(then)]) for then in check.results if _place(then) in again]
    return [Drift(then, today) for then, today in pairs if _measured(then) != _measured(today)]


def result_as_dict(result: ThresholdResult) -> dict[str, Any]:
    """For JSON: the fields of a threshold's result and its `sentence`; floats rounded to 6 places."""
    return rounded(asdict(result)) | {"sentence": result.sentence()}


def _check(row: GateCheckRow) -> Check:
    seen = json.loads(row.snapshot)
    return Check(
        phase=row.phase,
        attempt=row.attempt,
        checked_at=row.checked_at,
        verdict=row.verdict,
        latched=row.latched,
        reason=seen.get("reason", ""),
        next_check_at=row.next_check_at,
        decided_by=seen.get("decided_by"),
        results=tuple(ThresholdResult(**result) for result in seen.get("results", ())),
    )


def _place(result: ThresholdResult) -> tuple[object, ...]:
    return result.metric, result.group, result.segment, result.at_least, result.at_most


def _measured(result: ThresholdResult) -> dict[str, Any]:
    # The snapshot was rounded when it was stored.
    return rounded({name: getattr(result, name) for name in ("value", "lower", "upper", "n", "outcome")})
