"""What happens while a rehearsal's clock moves: members live, and an operator posts what has to be posted by hand."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from drumroll.activity import Event
from drumroll.clock import VirtualClock
from drumroll.ledger.model import DeliveryRow
from drumroll.metrics.posts import Post
from drumroll.operate.edition import Where
from drumroll.operate.reading import post_of
from drumroll.rehearsal.chance import stream
from drumroll.rehearsal.community import Community
from drumroll.rehearsal.crowd import Crowd, replayed
from drumroll.sources.base import Export

OPERATOR = "rehearsal operator"
# Seconds from a hand-off's instant to the tick: from quick to slow, mostly under a minute.
_QUICK, _USUAL, _SLOW = 5, 40, 240


class World:
    """The community and the operator of one rehearsed edition; moves with `clock`, acts through the ledger alone.

    `export` replays a real community, otherwise `members` synthetic ones live. The same arguments and the same sends
    give the same events and ticks.
    """

    def __init__(
        self, where: Where, clock: VirtualClock, *, seed: int, members: int, export: Export | None = None
    ) -> None:
        plan = where.plan()
        self._edition, self._ledger, self._seed = where.edition, where.open(), seed
        self._crowd: Crowd = Community(plan, seed=seed, members=members) if export is None else replayed(export, plan)
        self._strangers = {person.id: person for person in self._crowd.people()}
        self._team_is_known = False
        self._kinds = plan.kinds()
        self._counts: dict[str, int] = {}
        self._posts: dict[int, Post] = {}
        self._awaiting: list[DeliveryRow] = []
        clock.on_advance = self.advance

    async def advance(self, since: datetime, until: datetime) -> None:
        """Let [since, until) pass, in order of time: what was posted by hand is heard from the moment it was."""
        self._look()
        for at, row in self._hand_offs(since, until):
            self._live(since, at)
            self._ledger.done(row.key, by=OPERATOR, now=at)
            self._note(row, at)
            since = at
        self._live(since, until)

    def _look(self) -> None:
        """Read what was sent or handed off since the last time."""
        counts = self._ledger.counts(self._edition)
        # `sent` only ever grows and a hand-off leaves `awaiting` for a final state: equal counts mean nothing new.
        if counts == self._counts:
            return
        self._counts = counts
        for row in self._ledger.deliveries(self._edition, state="sent"):
            self._note(row, row.sent_at or row.due_at)
        self._awaiting = self._ledger.deliveries(self._edition, state="awaiting")

    def _note(self, row: DeliveryRow, at: datetime) -> None:
        if row.member is None and row.id not in self._posts:
            self._posts[row.id] = post_of(row, self._kinds, at=at)

    def _hand_offs(self, since: datetime, until: datetime) -> list[tuple[datetime, DeliveryRow]]:
        """Which hand-offs are ticked off before `until`, when, in order of time."""
        ticks = [(max(since, _tick(self._seed, row)), row) for row in self._awaiting]
        now = sorted(((at, row) for at, row in ticks if at < until), key=lambda tick: (tick[0], tick[1].key))
        done = {row.id for _, row in now}
        self._awaiting = [row for row in self._awaiting if row.id not in done]
        return now

    def _live(self, since: datetime, until: datetime) -> None:
        events = self._crowd.live(since, until, list(self._posts.values()))
        people = [person for person in self._strangers.values() if not person.counts and not self._team_is_known]
        self._team_is_known = True
        people += [self._strangers[name] for name in _members(events) if name in self._strangers]
        if events or people:
            self._ledger.take_in(self._edition, people, events)
        for person in people:
            self._strangers.pop(person.id, None)


def _members(events: Sequence[Event]) -> list[str]:
    return list(dict.fromkeys(event.member for event in events))


def _tick(seed: int, row: DeliveryRow) -> datetime:
    """When the operator ticks a hand-off: a moment after its instant, or after it was handed off if that was later."""
    asked = max(row.due_at, row.sent_at or row.due_at)
    return asked + timedelta(seconds=round(stream(seed, row.key).triangular(_QUICK, _SLOW, _USUAL)))
