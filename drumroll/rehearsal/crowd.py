"""Who lives through a rehearsal: a synthetic community, or a real one replayed."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from drumroll.activity import Event, Person
from drumroll.metrics.posts import Post
from drumroll.plan.model import Plan
from drumroll.rehearsal.replay import replay
from drumroll.sources.base import Export


class Crowd(Protocol):
    """The members of a rehearsal."""

    def people(self) -> list[Person]:
        """Everybody, staff flagged."""
        ...

    def live(self, since: datetime, until: datetime, posts: Sequence[Post]) -> list[Event]:
        """What they do in [since, until), in order of time, given all posts that reached groups so far."""
        ...


class Replayed:
    """Events that happened already and happen again: each is released once, by the first call that ends after it.

    What lies before the first call's `since` is released by that call, too.
    """

    def __init__(self, export: Export) -> None:
        self._people = list(export.people)
        self._events = sorted(export.events, key=lambda event: (event.at, event.source, event.id))
        self._next = 0

    def people(self) -> list[Person]:
        """Everybody in the export."""
        return list(self._people)

    def live(self, since: datetime, until: datetime, posts: Sequence[Post]) -> list[Event]:  # noqa: ARG002 - a Crowd's; the past hears no posts
        """The events before `until` that were not released yet, in order of time."""
        start = self._next
        while self._next < len(self._events) and self._events[self._next].at < until:
            self._next += 1
        return self._events[start : self._next]


def replayed(export: Export, plan: Plan) -> Replayed:
    """The export in the launch's groups and time, from the first phase's start to the last phase's gate.

    Everyone counts whom neither the export nor the launch file calls staff or a bot.
    """
    # A gate at G reads what happened before G, so the last event must lie before it.
    ends = plan.phases[-1].gate_at - timedelta(microseconds=1)
    again = replay(export, groups=plan.launch.group_ids(), starts=plan.phases[0].starts, ends=ends)
    staff = plan.launch.staff_ids()
    people = [replace(person, is_staff=True) if person.id in staff else person for person in again.people]
    return Replayed(Export(people=people, events=again.events))
