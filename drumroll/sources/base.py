"""What every source promises: an export in, people and events out, nothing kept half-read."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

from drumroll.activity import Event, Person


@dataclass(frozen=True, slots=True)
class Export:
    """Everything one export holds: `events` in order of time, their `group` still the export's own channel name."""

    people: Sequence[Person]
    events: Sequence[Event]


class Source(Protocol):
    """Reads one kind of export. Raises SourceError naming file and line (or message), what is wrong and the remedy."""

    def read(self, path: Path, *, zone: ZoneInfo) -> Export:
        """Read the whole of `path`; `zone` applies to times that carry none."""
        ...
