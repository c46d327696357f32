"""What members did: the value types that sources produce, the ledger keeps and metrics read."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

EventKind = Literal["message", "reaction", "join", "leave", "read", "click", "waitlist", "order"]


@dataclass(frozen=True, slots=True)
class Event:
    """One thing one member did, once.

    `id` is unique within `source`; `at` is UTC-aware and event time rules everywhere; `group` is a group of the launch
    (sources put the export's own channel name there until it is mapped); `reply_to` names the `id` of the message
    answered or reacted to, where the platform tells. Member text is deliberately not kept: no metric reads it.
    """

    source: str
    id: str
    kind: EventKind
    at: datetime
    group: str
    member: str
    reply_to: str | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """A member as a source or the launch file names them. Staff and bots are outside every metric."""

    id: str
    name: str = ""
    is_staff: bool = False
    is_bot: bool = False

    @property
    def counts(self) -> bool:
        """Whether this person is part of metrics, gates, rankings and draws."""
        return not (self.is_staff or self.is_bot)
