"""What metrics read: the events, people and posts of one edition, indexed once."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from operator import attrgetter

from drumroll.activity import Event, Person
from drumroll.metrics.posts import Post, Thread, thread_posts

_SIGNS = frozenset({"read", "message", "reaction", "click", "waitlist", "order"})
_ACTS = frozenset({"message", "reaction"})
_REOPENS = frozenset({"join", "message"})


@dataclass(slots=True)
class Seat:
    """One member in one group, as their events show it.

    A stay begins with the join or the first sign of life, whichever is first, and ends with a leave; after a leave
    only a join or a message begins another. `stays` are (from, to), to = None while it lasts. A leave with nothing
    before it proves that the member was there until then: a stay of no length, and no `joined`.
    All lists of instants are in order of time: `acts` = wrote or reacted, `signs` = any sign of presence.
    """

    group: str
    member: str
    joined: datetime | None = None
    stays: list[tuple[datetime, datetime | None]] = field(default_factory=list)
    messages: list[datetime] = field(default_factory=list)
    acts: list[datetime] = field(default_factory=list)
    signs: list[datetime] = field(default_factory=list)

    def take(self, event: Event) -> None:
        """Take in the next event; events come in order of time."""
        at = event.at
        here = bool(self.stays) and self.stays[-1][1] is None
        if event.kind == "leave":
            if here:
                self.stays[-1] = (self.stays[-1][0], at)
            elif not self.stays:
                self.stays.append((at, at))
            return
        if not here and (not self.stays or event.kind in _REOPENS):
            self.stays.append((at, None))
            self.joined = self.joined or at
        if event.kind == "message":
            self.messages.append(at)
        if event.kind in _ACTS:
            self.acts.append(at)
        if event.kind in _SIGNS:
            self.signs.append(at)

    def here_since(self, at: datetime) -> datetime | None:
        """When the stay began that events before `at` show as lasting; None when the member is not there."""
        for start, end in reversed(self.stays):
            if start < at:
                return start if end is None or end >= at else None
        return None

    def was_here(self, since: datetime, until: datetime) -> bool:
        """Whether the member was there at any time in [since, until)."""
        return any(start < until and (end is None or end >= since) for start, end in self.stays)


@dataclass(frozen=True, eq=False)
class Reading:
    """Everything known at `now` about the members of `groups` (group ids).

    Staff and bots (`Person.counts`) are outside; members that `people` does not name count. Events and posts of other
    groups are not read, except that waitlist and order events belong to the person wherever they were recorded.
    Nothing later than `now` is read. Events may come in any order; at the same instant the given order holds.
    """

    events: Sequence[Event]
    people: Sequence[Person]
    posts: Sequence[Post]
    groups: Sequence[str]
    now: datetime

    @cached_property
    def outside(self) -> frozenset[str]:
        """Ids of staff and bots; one entry that says so is enough."""
        return frozenset(person.id for person in self.people if not person.counts)

    @cached_property
    def known(self) -> list[Event]:
        """All events up to now, staff's too, in order of time."""
        return sorted((event for event in self.events if event.at <= self.now), key=attrgetter("at"))

    @cached_property
    def counted(self) -> list[Event]:
        """The members' events up to now, in order of time."""
        return [event for event in self.known if event.member not in self.outside]

    @cached_property
    def begins(self) -> datetime:
        """The members' first event, or now."""
        return self.counted[0].at if self.counted else self.now

    @cached_property
    def seats(self) -> dict[str, dict[str, Seat]]:
        """Group → member → seat, for every group of the reading."""
        seats: dict[str, dict[str, Seat]] = {group: {} for group in self.groups}
        for event in self.counted:
            if (members := seats.get(event.group)) is None:
                continue
            seat = members.get(event.member)
            if seat is None:
                seat = members[event.member] = Seat(event.group, event.member)
            seat.take(event)
        return seats

    @cached_property
    def talk(self) -> dict[str, list[Event]]:
        """Group → the members' messages in order of time."""
        return _by_group((event for event in self.counted if event.kind == "message"), self.groups)

    @cached_property
    def threads(self) -> dict[str, list[Thread]]:
        """Group → its posts in order of time, each with the messages that answer it."""
        past = [post for post in self.posts if post.at <= self.now]
        return {
            group: thread_posts((post for post in past if post.group == group), self.talk[group])
            for group in self.groups
        }

    @cached_property
    def operator_talk(self) -> dict[str, list[Event]]:
        """Group → staff's and bots' messages that are not posts themselves, in order of time."""
        posted = {(post.group, post.id) for post in self.posts if post.id is not None}
        said = (event for event in self.known if event.kind == "message" and event.member in self.outside)
        return _by_group((event for event in said if (event.group, event.id) not in posted), self.groups)

    @cached_property
    def waitlisted(self) -> dict[str, list[datetime]]:
        """Member → instants of waitlist events in order."""
        return _by_member(event for event in self.counted if event.kind == "waitlist")

    @cached_property
    def ordered(self) -> dict[str, list[datetime]]:
        """Member → instants of orders in order."""
        return _by_member(event for event in self.counted if event.kind == "order")


def any_between(instants: Sequence[datetime], since: datetime, until: datetime) -> bool:
    """Whether one of the ordered `instants` lies in [since, until)."""
    index = bisect_left(instants, since)
    return index < len(instants) and instants[index] < until


def count_between(instants: Sequence[datetime], since: datetime, until: datetime) -> int:
    """How many of the ordered `instants` lie in [since, until)."""
    return max(0, bisect_left(instants, until) - bisect_left(instants, since))


def _by_group(events: Iterable[Event], groups: Sequence[str]) -> dict[str, list[Event]]:
    found: dict[str, list[Event]] = {group: [] for group in groups}
    for event in events:
        if event.group in found:
            found[event.group].append(event)
    return found


def _by_member(events: Iterable[Event]) -> dict[str, list[datetime]]:
    found: defaultdict[str, list[datetime]] = defaultdict(list)
    for event in events:
        found[event.member].append(event.at)
    return dict(found)
