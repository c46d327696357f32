"""A real community's export as a rehearsal's community: the same people and the same order, in the launch's time."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from drumroll.sources.base import Export

_MICROSECOND = timedelta(microseconds=1)


def replay(export: Export, *, groups: Sequence[str], starts: datetime, ends: datetime) -> Export:
    """The export with its time from first to last event stretched linearly onto `starts`–`ends`.

    The export's channels are dealt to `groups`, the largest first, each to the group that has the fewest events so
    far; ties go by order (of first event, of `groups`). Events keep their ids and their members, and their source
    becomes `replay`; nobody gets a join that the export does not have. The same arguments give the same result. An
    export whose events all share one instant is put at `starts`. Events are in order of (time, id).

    ValueError when there are no groups, or when `starts` is after `ends` or either has no time zone.
    """
    if not groups:
        raise ValueError("a replay needs at least one group")
    if starts.tzinfo is None or ends.tzinfo is None or starts > ends:
        raise ValueError("a replay starts before it ends, both with a time zone")
    if not export.events:
        return export
    first = min(event.at for event in export.events)
    span = (max(event.at for event in export.events) - first) // _MICROSECOND or 1
    room = (ends - starts) // _MICROSECOND
    dealt = _deal(export, groups)
    events = [
        replace(
            event,
            source="replay",
            group=dealt[event.group],
            # Whole microseconds: floats would put the last event a hair beyond the end.
            at=starts + (event.at - first) // _MICROSECOND * room // span * _MICROSECOND,
        )
        for event in export.events
    ]
    return Export(people=tuple(export.people), events=tuple(sorted(events, key=lambda event: (event.at, event.id))))


def _deal(export: Export, groups: Sequence[str]) -> dict[str, str]:
    """Channel → group. Counter and min both keep the first of equals, which is what makes ties go by order."""
    load = dict.fromkeys(groups, 0)
    dealt: dict[str, str] = {}
    for channel, size in Counter(event.group for event in export.events).most_common():
        dealt[channel] = min(load, key=lambda group: load[group])
        load[dealt[channel]] += size
    return dealt
