"""Who is there, who came, who left, who takes part.

Every function takes a scope and the confidence level. Unless it says otherwise it speaks of the members who are there
at the end of the window: who left is no longer counted. "Active" is: wrote or reacted.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from drumroll.metrics.intervals import Estimate, count, mean, nothing, share
from drumroll.metrics.reading import Seat, any_between
from drumroll.metrics.scope import Scope

DAY = timedelta(days=1)
SILENCE = timedelta(days=7)
MONTH = 30


def members(scope: Scope, _confidence: float) -> Estimate:
    """Members there at the end of the window; its start plays no part."""
    return count(len(scope.members))


def joins(scope: Scope, _confidence: float) -> Estimate:
    """People whose first join (or first sign of life) lies in the window, also if they left again.

    Who comes back, or moves on from one group to another, is not new to the whole.
    """
    first = (_joined(seats) for seats in scope.people.values())
    return count(sum(1 for at in first if at is not None and scope.since <= at < scope.until))


def reach(scope: Scope, confidence: float) -> Estimate:
    """Members with any sign of presence in the window ÷ members.

    A sign is a read, message, reaction, click, waitlist entry or order in the group.
    """
    present = sum(
        any(any_between(seat.signs, scope.since, scope.until) for seat in seats) for seats in scope.members.values()
    )
    return share(present, len(scope.members), confidence)


def active_rate(scope: Scope, confidence: float) -> Estimate:
    """Members who wrote or reacted in the window ÷ members."""
    active = sum(scope.acted(seats, scope.since, scope.until) for seats in scope.members.values())
    return share(active, len(scope.members), confidence)


def silent_rate(scope: Scope, confidence: float) -> Estimate:
    """Of the members there for 7 days and longer: who neither wrote nor reacted in the last 7 days ÷ those members.

    Always the 7 days before the end of the window; its start plays no part.
    """
    start = scope.until - SILENCE
    settled = [seats for seats in scope.members.values() if _stay(seats, scope.until) <= start]
    silent = sum(not scope.acted(seats, start, scope.until) for seats in settled)
    return share(silent, len(settled), confidence)


def leave_rate(scope: Scope, confidence: float) -> Estimate:
    """Of the people there at any time in the window: those gone at its end ÷ all of them.

    Who left and came back before the end is not lost; who moved to another group has not left the whole.
    """
    there = [
        member
        for member, seats in scope.people.items()
        if any(seat.was_here(scope.since, scope.until) for seat in seats)
    ]
    return share(sum(member not in scope.members for member in there), len(there), confidence)


def retention(day: int) -> Callable[[Scope, float], Estimate]:
    """The metric "day-`day` retention".

    Of the people whose day k after joining, [join + k·24 h, join + (k+1)·24 h), lies wholly in the window: those who
    wrote or reacted in it ÷ all of them. Who left meanwhile stays in the cohort, or leaving would look like loyalty.
    The join is the first join or sign of life; people known by a leave alone are in no cohort.
    """

    def retained(scope: Scope, confidence: float) -> Estimate:
        kept = cohort = 0
        for seats in scope.people.values():
            joined = _joined(seats)
            if joined is None or joined + day * DAY < scope.since or joined + (day + 1) * DAY > scope.until:
                continue
            cohort += 1
            kept += scope.acted(seats, joined + day * DAY, joined + (day + 1) * DAY)
        return share(kept, cohort, confidence)

    return retained


def stickiness(scope: Scope, confidence: float) -> Estimate:
    """DAU ÷ MAU: the mean over days of (members active that day ÷ members active on any of these days).

    Days are whole 24-hour spans counted back from the end of the window, at most 30. The interval is the normal
    approximation over the days, which it treats as independent; n is the number of days, the numerator the sum of the
    daily ratios. Nothing to measure when the window holds no whole day or nobody was active.
    """
    start = max(scope.since, scope.until - MONTH * DAY, scope.reading.begins)
    days = max(0, (scope.until - start) // DAY)
    daily, anyone = [0] * days, 0
    for seats in scope.members.values():
        # Floor division of the negative distance: -1 is the day that ends at `until`.
        active = {(at - scope.until) // DAY for seat in seats for at in seat.acts if at < scope.until}
        active = {-1 - back for back in active if -back <= days}
        anyone += bool(active)
        for index in active:
            daily[index] += 1
    if not anyone:
        return nothing()
    return mean([dau / anyone for dau in daily], confidence, most=1.0)


def _joined(seats: list[Seat]) -> datetime | None:
    return min((seat.joined for seat in seats if seat.joined is not None), default=None)


def _stay(seats: list[Seat], at: datetime) -> datetime:
    return min(since for seat in seats if (since := seat.here_since(at)) is not None)
