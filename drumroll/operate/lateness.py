"""What becomes of a message whose instant has passed (design.md, "The ledger", rule 5). Pure.

Without this an outage would end in a burst of stale messages: "two hours left" at five to twelve, yesterday's teaser
for an evening that is over.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from drumroll.plan.model import PlannedStep

PUNCTUAL = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Ruling:
    """`send` with words as of `as_of`; or set the delivery aside as `skipped` or `held`, and say why."""

    act: Literal["send", "skipped", "held"]
    as_of: datetime
    reason: str = ""


def rule(step: PlannedStep, *, now: datetime, released: bool = False) -> Ruling:
    """What to do with `step` at `now`.

    Up to `PUNCTUAL` after its instant a message is on time and says what it would have said then. Later, the step's
    `on_late` decides; past `max_late` a person does. `released` means that a person did: it goes out as of now. A
    countdown whose target has passed is always skipped.
    """
    late = now - step.due
    if step.counts_to is not None and step.counts_to <= now:
        return Ruling("skipped", now, "what it counted down to has passed")
    if released:
        return Ruling("send", now)
    if late <= PUNCTUAL:
        return Ruling("send", step.due)
    if step.on_late == "skip":
        return Ruling("skipped", now, f"{_span(late)} late")
    if step.on_late == "hold" or late > step.max_late:
        return Ruling("held", now, f"{_span(late)} late; a person decides")
    return Ruling("send", step.due if step.on_late == "send" else now)


def _span(late: timedelta) -> str:
    minutes = int(late.total_seconds() // 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "m")]
    return " ".join(f"{count}{unit}" for count, unit in parts if count) or "under a minute"
