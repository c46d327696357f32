"""What an export holds, in numbers; and its channels named as the launch's groups."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from difflib import get_close_matches
from typing import Any

from drumroll.errors import SourceError
from drumroll.sources.base import Export


def summary(export: Export) -> dict[str, Any]:
    """The export counted, as `drumroll ingest --dry-run --json` prints it.

    `messages`, `joins`, `leaves` and `reactions` count events; `authors` are the distinct members who wrote. `first`
    and `last` are those of the messages, RFC 3339 with `Z`, fractions of a second cut off, None without messages.
    `daily` is {UTC date: [messages, distinct authors]} for the days with a message, in order; `active_days` is their
    number. Nobody is left out here: who is staff is only known to the launch.
    """
    messages = [event for event in export.events if event.kind == "message"]
    kinds = Counter(event.kind for event in export.events)
    written: Counter[str] = Counter()
    writers: defaultdict[str, set[str]] = defaultdict(set)
    for event in messages:
        day = event.at.date().isoformat()
        written[day] += 1
        writers[day].add(event.member)
    times = [event.at for event in messages]
    return {
        "messages": len(messages),
        "authors": len({event.member for event in messages}),
        "joins": kinds["join"],
        "leaves": kinds["leave"],
        "reactions": kinds["reaction"],
        "first": _stamp(min(times)) if times else None,
        "last": _stamp(max(times)) if times else None,
        "active_days": len(written),
        "daily": {day: [written[day], len(writers[day])] for day in sorted(written)},
    }


def channels(export: Export) -> list[str]:
    """The export's channels, in order of their first event."""
    return list(dict.fromkeys(event.group for event in export.events))


def left_out(export: Export, *, group: str | None, mapping: Mapping[str, str] | None) -> list[str]:
    """The channels that `relabel` with the same arguments leaves out."""
    return [name for name in channels(export) if mapping and group is None and name not in mapping]


def relabel(export: Export, *, group: str | None, mapping: Mapping[str, str] | None, silent_ok: bool = False) -> Export:
    """The export with groups of the launch in place of its own channels.

    `mapping` is channel → group; a channel that it does not name goes to `group`, or is left out when there is no
    `group` (`left_out` tells which). With neither, an export of one channel keeps its name. People who did nothing in
    what remains are left out too. The group becomes part of the source's name, because two groups' files may number
    their messages alike. SourceError when `mapping` names a channel without any event (unless `silent_ok`: a channel
    that nobody has written in yet), or when there are several channels and nothing says where they belong.
    """
    found = channels(export)
    mapping = mapping or {}
    for name in mapping:
        if name not in found and not silent_ok:
            near = get_close_matches(name, found, n=1)
            remedy = f'did you mean "{near[0]}"?' if near else f"channels: {', '.join(found) or 'none'}"
            raise SourceError(f'the export has no channel "{name}" with any event', remedy=remedy)
    if group is None and not mapping and len(found) > 1:
        raise SourceError(
            f"the export has {len(found)} channels: {', '.join(found)}",
            remedy="name one group for all of them, or map channel=group",
        )
    target = {name: mapping.get(name, group) for name in found} if mapping or group else {name: name for name in found}
    events = tuple(
        replace(event, group=to, source=f"{event.source}:{to}")
        for event in export.events
        if (to := target[event.group]) is not None
    )
    seen = {event.member for event in events}
    return Export(people=tuple(person for person in export.people if person.id in seen), events=events)


def _stamp(at: datetime) -> str:
    return at.replace(microsecond=0, tzinfo=None).isoformat() + "Z"
