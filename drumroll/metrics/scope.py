"""One question to a reading: which window, which group, which members."""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from drumroll.activity import Event
from drumroll.metrics.posts import Thread
from drumroll.metrics.reading import Reading, Seat, any_between

EARLIEST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, eq=False)
class Scope:
    """The window [since, until) of a reading, in one group (None: all), for chosen seats (None: all).

    A person with seats in several groups is one member of the whole, there while in any of the groups.
    `chosen` holds (group, member) pairs.
    """

    reading: Reading
    since: datetime
    until: datetime
    group: str | None = None
    chosen: AbstractSet[tuple[str, str]] | None = None

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups asked about."""
        return tuple(self.reading.groups) if self.group is None else (self.group,)

    def seats_of(self, group: str) -> Iterator[Seat]:
        """The chosen seats of one group, those that were left included."""
        for seat in self.reading.seats[group].values():
            if self.chosen is None or (group, seat.member) in self.chosen:
                yield seat

    @cached_property
    def people(self) -> dict[str, list[Seat]]:
        """Everybody who ever had a seat, with all their seats."""
        people: dict[str, list[Seat]] = {}
        for group in self.groups:
            for seat in self.seats_of(group):
                people.setdefault(seat.member, []).append(seat)
        return people

    @cached_property
    def members(self) -> dict[str, list[Seat]]:
        """The people who are there at `until`, with all their seats."""
        return {
            member: seats
            for member, seats in self.people.items()
            if any(seat.here_since(self.until) is not None for seat in seats)
        }

    def threads(self) -> Iterator[Thread]:
        """The posts in the window, group by group, with the answers to them."""
        for group in self.groups:
            for thread in self.reading.threads[group]:
                if self.since <= thread.post.at < self.until:
                    yield thread

    def answers(self, thread: Thread) -> list[Event]:
        """What the chosen members answered before `until`."""
        found = thread.answers_before(self.until)
        if self.chosen is None:
            return found
        return [event for event in found if (event.group, event.member) in self.chosen]

    def acted(self, seats: list[Seat], since: datetime, until: datetime) -> bool:
        """Whether one person wrote or reacted in [since, until)."""
        return any(any_between(seat.acts, since, until) for seat in seats)
