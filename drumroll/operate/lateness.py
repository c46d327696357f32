"""What becomes of a message whose instant has passed (design.md, "The ledger", rule 5). Pure.

Without this an outage would end in a burst of stale messages: "two hours left" at five to twelve, five announcements
in one second, yesterday's teaser for an evening that is over.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from drumroll.plan.model import PlannedStep

PUNCTUAL = timedelta(seconds=60)
# A short stop is caught up in order; after a longer one, only the newest announcement still goes out by itself.
CATCH_UP = timedelta(minutes=15)
# How long a person's word to send something again holds when the step itself says less.
RELEASE_HOLDS = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class Ruling:
    """`send` with words as of `as_of`; or set the delivery aside as `skipped` or `held`, and say why."""

    act: Literal["send", "skipped", "held"]
    as_of: datetime
    reason: str = ""


def rule(step: PlannedStep, *, now: datetime, overtaken: bool = False) -> Ruling:
    """What to do with `step` at `now`.

    Up to `PUNCTUAL` after its instant a message is on time and says what it would have said then. Later, the step's
    `on_late` decides; past `max_late` a person does, and past `CATCH_UP` when a newer message is due as well
    (`overtaken`). A countdown whose target has passed is always skipped.
    """
    late = now - step.due
    if over := _countdown_over(step, now):
        return over
    if late <= PUNCTUAL:
        return Ruling("send", step.due)
    if step.on_late == "skip":
        return Ruling("skipped", now, f"{_span(late)} late")
    if overtaken and late > CATCH_UP:
        return Ruling("held", now, f"{_span(late)} late, and a newer message is due too; a person decides")
    if step.on_late == "hold" or late > step.max_late:
        return Ruling("held", now, f"{_span(late)} late; a person decides")
    return Ruling("send", step.due if step.on_late == "send" else now)


def rule_released(step: PlannedStep, *, now: datetime, released_at: datetime) -> Ruling:
    """What to do with a delivery that a person asked to send (again) at `released_at`: it goes out as of now.

    Their word holds for `max_late`, two hours at least; a countdown whose target has passed is skipped all the same.
    """
    if over := _countdown_over(step, now):
        return over
    waited = now - released_at
    if waited > max(step.max_late, RELEASE_HOLDS):
        return Ruling("held", now, f"released {_span(waited)} ago and not sent since; a person decides again")
    return Ruling("send", now)


def _countdown_over(step: PlannedStep, now: datetime) -> Ruling | None:
    if step.counts_to is not None and step.counts_to <= now:
        return Ruling("skipped", now, "what it counted down to has passed")
    return None


def _span(late: timedelta) -> str:
    minutes = int(late.total_seconds() // 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "m")]
    return " ".join(f"{count}{unit}" for count, unit in parts if count) or "under a minute"
