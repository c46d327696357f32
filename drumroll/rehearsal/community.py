"""A synthetic community: seeded, pure, and the same however the time between two calls is sliced."""

import heapq
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from drumroll.activity import Event, EventKind, Person
from drumroll.metrics.posts import Post
from drumroll.plan.model import Plan
from drumroll.rehearsal.chance import delay, how_many, stream
from drumroll.rehearsal.member import Act, Heard, Member, born, respond
from drumroll.rehearsal.rhythm import Rhythm
from drumroll.rehearsal.seating import Seating
from drumroll.rehearsal.temper import Temper

SOURCE = "synthetic"
_WELCOME = timedelta(minutes=2)
_INVITING = frozenset({"announcement", "heads_up"})
_SELLING = frozenset({"link", "countdown"})
_TRUSTED = frozenset({"nurture", "ignite"})


@dataclass(frozen=True, slots=True)
class _Day:
    """A local day that begins for one member."""

    member: str
    day: date


# Instant, rank among equals, unique name, what happens then.
_Item = tuple[datetime, int, str, Act | Post | _Day]


class Community:
    """`members` invented people who live through a launch.

    Everything they do follows from the plan, the seed and the posts that reached them: members draw from streams of
    their own, and from one stream per (member, post), so that neither how time is sliced into calls nor the order of
    `posts` matters. Members for whom every group is full stay outside and do nothing. Staff with registered ids sit in
    every group from the start and write a little, to show that they are not counted. Buyers also join the launch's
    `value` groups, where there are any.
    """

    def __init__(self, plan: Plan, *, seed: int, members: int, temper: Temper | None = None) -> None:
        self._seed = seed
        self._temper = temper or Temper()
        self._rhythm = Rhythm(plan.launch.timezone, self._temper)
        self._staff = plan.launch.team.staff
        self._seating = Seating(plan.launch.community.groups)
        self._phases = {step.id: step.phase for step in plan.steps}
        self._closes = _closing(plan)
        self._members: dict[str, Member] = {}
        self._heard: set[Post] = set()
        self._times: Counter[tuple[str, str]] = Counter()
        self._run: Counter[str] = Counter()
        self._selling: set[str] = set()
        self._heap: list[_Item] = []
        for person in self._staff:
            if person.role != "bot" and person.ids and person.ids[0] not in self._members:
                self._add(Member(person.ids[0], plan.phases[0].starts, staff=True), plan.launch.group_ids())
        for number in range(1, members + 1):
            name = f"member-{number:04}"
            self._add(born(plan, self._temper, self._rhythm, seed=seed, member=name), ("",))

    def people(self) -> list[Person]:
        """Everybody: the registered staff and bots, one entry for each of their ids, then the members."""
        team = [
            Person(each, person.name, is_staff=True, is_bot=person.role == "bot")
            for person in self._staff
            for each in person.ids
        ]
        crowd = (member.id for member in self._members.values() if not member.staff)
        return team + [Person(each, each.replace("member-", "Synthetic member ")) for each in crowd]

    def live(self, since: datetime, until: datetime, posts: Sequence[Post]) -> list[Event]:
        """What everybody does in [since, until), in order of time.

        `posts` are all that reached groups so far; one told late is heard at `since`. What was to happen before the
        first call's `since` happens at it. `until` is the next call's `since`.
        """
        if since >= until:  # not even what is overdue fits in
            return []
        news = set(posts) - self._heard
        self._heard |= news
        for post in sorted(news, key=lambda post: (post.at, post.step, post.group, post.id or "")):
            self._times[post.step, post.group] += 1
            name = f"{post.step}/{post.group}/{self._times[post.step, post.group]}"
            heapq.heappush(self._heap, (post.at, 1, name, post))
        events: list[Event] = []
        while self._heap and self._heap[0][0] < until:
            due, _, name, item = heapq.heappop(self._heap)
            at = max(due, since)
            if isinstance(item, Post):
                self._hear(item, name, at)
            elif isinstance(item, _Day):
                self._spend(self._members[item.member], item.day, at)
            elif (act := self._settle(item, at)) is not None:
                events.append(Event(SOURCE, name, act.kind, at, act.group, act.member, act.reply_to))
        return events

    def _add(self, member: Member, groups: Sequence[str]) -> None:
        self._members[member.id] = member
        for group in groups:
            self._plan(Act(member.joins, "join", member.id, group, f"join/{group}" if group else "join"))

    def _plan(self, act: Act) -> None:
        heapq.heappush(self._heap, (act.at, 0 if act.kind == "join" else 2, f"{act.member}/{act.what}", act))

    def _hear(self, post: Post, name: str, at: datetime) -> None:
        group, asking = post.group, post.kind == "prompt"
        self._run[group] = 0 if asking else self._run[group] + 1
        if post.kind == "link":
            self._selling.add(group)
        selling = group in self._selling
        heard = Heard(
            post,
            at,
            name,
            run=self._run[group],
            inviting=not selling and post.kind in _INVITING and self._phase(post) in _TRUSTED,
            selling=selling and post.kind in _SELLING,
        )
        for member in self._seating.members(group):
            rng = stream(self._seed, member.id, name)
            if not member.staff:
                for act in respond(member, heard, self._temper, self._rhythm, rng):
                    self._plan(act)
            elif rng.random() < (self._temper.staff_answers if asking else self._temper.staff_talks):
                then = at + delay(rng, self._temper.answer_after, self._temper.answer_spread)
                self._plan(Act(then.replace(microsecond=0), "message", member.id, group, f"message/{name}", post.id))

    def _phase(self, post: Post) -> str:
        # A remedy's step is named after its phase.
        return self._phases.get(post.step) or post.step.partition(".")[0]

    def _spend(self, member: Member, day: date, at: datetime) -> None:
        """Plan what is left of a day from `at` on, and the next day."""
        if not member.groups:
            return
        rng, temper = stream(self._seed, member.id, day), self._temper
        age = (day - self._rhythm.day(member.joins)).days
        keen = member.warmth * (1 + (temper.novelty - 1) * 0.5 ** (age / temper.novelty_days))
        for number in range(how_many(rng, temper.chat * keen)):
            then = self._rhythm.some_time(day, rng)
            kind: EventKind = "reaction" if rng.random() < temper.chat_reacts else "message"
            group = rng.choice(sorted(member.groups))
            if then > at:
                self._plan(Act(then, kind, member.id, group, f"{kind}/{day}/{number}"))
        tomorrow = day + timedelta(days=1)
        begins = self._rhythm.midnight(tomorrow)
        heapq.heappush(self._heap, (begins, 2, f"{member.id}/day/{tomorrow}", _Day(member.id, tomorrow)))

    def _settle(self, act: Act, at: datetime) -> Act | None:
        """The act as it comes to pass, with what it changes; None when it does not."""
        member = self._members[act.member]
        if act.kind == "join":
            return self._seat(member, act, at)
        if act.group not in member.groups:
            return None
        if act.kind == "leave":
            # Who has just ordered waits for the parcel where the answers are.
            if member.ordered:
                return None
            self._seating.leave(member, act.group)
        elif act.kind == "waitlist":
            if member.waitlisted:
                return None
            member.waitlisted = True
        elif act.kind == "order":
            if member.ordered or (self._closes is not None and at >= self._closes):
                return None
            member.ordered = True
            self._welcome_buyer(member, at)
        return act

    def _seat(self, member: Member, act: Act, at: datetime) -> Act | None:
        group = self._seating.seat(member, [act.group] if act.group else self._seating.open_to_all)
        if group is None:
            return None
        if not act.group:
            self._spend(member, self._rhythm.day(at), at)
        return replace(act, group=group)

    def _welcome_buyer(self, member: Member, at: datetime) -> None:
        rng = stream(self._seed, member.id, "buyer")
        for group in self._seating.buyers_only:
            self._plan(Act(at + delay(rng, _WELCOME, 1.0), "join", member.id, group, f"join/{group}"))


def _closing(plan: Plan) -> datetime | None:
    """When orders close: the last instant that a countdown after the link counts to; None when nothing says."""
    opened = min((step.due for step in plan.steps if step.kind == "link"), default=None)
    targets = (
        step.counts_to
        for step in plan.steps
        if step.kind == "countdown" and step.counts_to is not None and opened is not None and step.due > opened
    )
    return max(targets, default=None)
