"""Who belongs to a segment at an instant: for thresholds, and for addressing members one by one."""

from collections.abc import Iterable
from datetime import datetime

from drumroll.launchfile.community import Segment
from drumroll.metrics.reading import Reading, Seat, any_between
from drumroll.metrics.scope import EARLIEST


def in_segment(
    reading: Reading, segment: Segment, *, at: datetime, groups: Iterable[str] | None = None
) -> set[tuple[str, str]]:
    """(group, member) pairs that meet every condition of the segment at `at`, staff and bots excluded.

    Only members there at `at`. Silence, activity and joining are judged in each group by itself (the current stay
    counts as the joining); waitlist and orders are the person's. `groups` None: all groups of the reading.
    Raises KeyError for a group that the reading does not have.
    """
    wanted = reading.groups if groups is None else groups
    return {
        (group, seat.member)
        for group in wanted
        for seat in reading.seats[group].values()
        if _meets(reading, seat, segment, at)
    }


def _meets(reading: Reading, seat: Seat, segment: Segment, at: datetime) -> bool:
    here_since = seat.here_since(at)
    if here_since is None:
        return False
    if (silent := segment.silent_for) is not None and (
        here_since > at - silent or any_between(seat.acts, at - silent, at)
    ):
        return False
    if (active := segment.active_within) is not None and not any_between(seat.acts, at - active, at):
        return False
    if (fresh := segment.joined_within) is not None and here_since < at - fresh:
        return False
    asked = ((segment.waitlisted, reading.waitlisted), (segment.ordered, reading.ordered))
    return all(
        wanted is None or any_between(instants.get(seat.member, ()), EARLIEST, at) == wanted
        for wanted, instants in asked
    )
