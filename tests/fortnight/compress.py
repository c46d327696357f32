"""A launch of two weeks → the same launch in minutes: every step, number, text, group and gate, closer together.

No rule is waived. What minutes cannot have is left out: quiet hours, and thresholds on metrics that count in whole days
(`retention_d3`). Groups whose messages are posted by hand stay such groups. One gate is made to ask a person.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml

from drumroll.launchfile.fields import parse_duration, write_duration
from drumroll.moments import instant

HELD = "build_up"
"""The phase whose gate asks for more than anybody reaches, and then for a person."""
OUT_OF_REACH = 5000
_IN_DAYS = "retention_"
_SECOND = timedelta(seconds=1)
_MOMENTS = ("at", "counts_to", "starts", "ends")
_LENGTHS = ("after", "recheck", "window", "silent_for", "active_within", "joined_within", "lead")
_TICKS = 1000  # what a simulated operator can tick off in an hour
Spot = tuple[dict[str, Any], str]


@dataclass(frozen=True)
class Timeline:
    """The instants of a launch as written, in order, and when each of them is in the shorter one: whole seconds."""

    written: list[datetime]
    played: list[datetime]

    def __call__(self, at: datetime) -> datetime:
        """When anything that happens `at` happens in the shorter one: in proportion between its neighbours."""
        pairs = list(pairwise(zip(self.written, self.played, strict=True)))
        (left, left_to), (right, right_to) = next((pair for pair in pairs if at <= pair[1][0]), pairs[-1])
        return left_to + (at - left) / (right - left) * (right_to - left_to)


def compress(source: Path, *, starts: datetime, minutes: float, url: str, events: str) -> tuple[str, Timeline]:
    """The launch file at `source` as one that goes from `starts` (UTC) to its end in `minutes`; and its line of time.

    Its messages go to `url`, by webhook or by hand as before; `events` is its community's export (JSON Lines), relative
    to the project.
    """
    launch: dict[str, Any] = yaml.safe_load(source.read_text(encoding="utf-8"))
    phases, zone = list(launch["phases"].values()), ZoneInfo(launch["timezone"])
    opens = instant(launch["opens"], zone=zone)

    def read(text: str) -> datetime:
        return instant(text, zone=zone, opens=opens)

    latest = [read(phase["ends"]) + parse_duration(phase.get("slack", "0s")) for phase in phases]
    spots = [*_spots(launch["facts"], _MOMENTS), *_spots(launch["phases"], _MOMENTS)]
    moments = sorted({opens, *latest, *(read(holder[key]) for holder, key in spots)})
    first, last = read(phases[0]["starts"]), latest[-1]
    factor = timedelta(minutes=minutes) / (last - first)
    line = Timeline(moments, list(_played(moments, lambda at: starts + (at - first) * factor)))

    for phase, at in zip(phases, latest, strict=True):
        if "slack" in phase:
            phase["slack"] = write_duration(line(at) - line(read(phase["ends"])))
    for holder, key in spots:
        holder[key] = f"T{round((line(read(holder[key])) - line(opens)).total_seconds()):+d}s"
    for holder, key in _spots(launch, _LENGTHS):
        holder[key] = write_duration(max(_SECOND, round(parse_duration(holder[key]) * factor / _SECOND) * _SECOND))
    launch["opens"] = f"{line(opens).astimezone(zone):%Y-%m-%d %H:%M:%S}"
    launch["quiet_hours"] = {"starts": "00:00", "ends": "00:00"}
    launch["team"]["hand_offs_per_hour"] = _TICKS
    launch["community"]["channels"]["rooms"] = {"kind": "webhook", "url": url, "idempotent": True, "timeout": "20s"}
    same = {group["id"]: group["id"] for group in launch["community"]["groups"]}
    launch["community"]["sources"] = [{"kind": "jsonl", "path": events, "map": same}]
    _set_gates(launch["phases"])
    return json.dumps(launch, ensure_ascii=False, indent=2), line  # which is YAML, and leaves nothing to guess


def _spots(part: Any, keys: tuple[str, ...]) -> Iterator[Spot]:
    """Every text under one of `keys`, at any depth."""
    if isinstance(part, dict):
        for key, value in part.items():
            if key in keys and isinstance(value, str):
                yield part, key
            else:
                yield from _spots(value, keys)
    elif isinstance(part, list):
        for each in part:
            yield from _spots(each, keys)


def _played(moments: list[datetime], scaled: Callable[[datetime], datetime]) -> Iterator[datetime]:
    """Whole seconds, and different ones for different moments: their order is part of the launch."""
    earliest = datetime.min.replace(tzinfo=UTC)
    for at in moments:
        earliest = max(earliest + _SECOND, (scaled(at) + _SECOND / 2).replace(microsecond=0))
        yield earliest


def _set_gates(phases: dict[str, Any]) -> None:
    for name, phase in phases.items():
        gate = phase["gate"]
        gate["thresholds"] = [each for each in gate["thresholds"] if not each["metric"].startswith(_IN_DAYS)]
        if name == HELD:
            gate["thresholds"][-1]["at_least"] = OUT_OF_REACH
            gate["otherwise"] = ["hold"]
            gate.pop("recheck"), gate.pop("remedy")
