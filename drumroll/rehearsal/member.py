"""One synthetic member: who they are, and what they make of a post."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

from drumroll.activity import EventKind
from drumroll.metrics.posts import Post
from drumroll.plan.model import Plan
from drumroll.rehearsal.chance import delay, happens, stream, temperament
from drumroll.rehearsal.rhythm import Rhythm
from drumroll.rehearsal.temper import Temper

_TRIES = 60
_ON_A_WHIM = timedelta(minutes=2)
_AT_LAST = timedelta(minutes=6)


@dataclass(slots=True)
class Member:
    """A member or, with `staff`, one of the team. `warmth` is for talking, `want` for the product; both average 1."""

    id: str
    joins: datetime
    warmth: float = 1.0
    want: float = 1.0
    staff: bool = False
    groups: set[str] = field(default_factory=set)
    waitlisted: bool = False
    ordered: bool = False


@dataclass(frozen=True, slots=True)
class Act:
    """What a member is going to do, unless they have left by then. `what` is unique among one member's acts.

    Joining without a group means: wherever there is room.
    """

    at: datetime
    kind: EventKind
    member: str
    group: str
    what: str
    reply_to: str | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """A post as it reaches the members of its group at `at`.

    `name` tells it from every other, repeats of the same step included. `run` counts the posts in the group since the
    last prompt, this one included (0: it is one). `inviting`: reading it may bring somebody onto the waitlist.
    `selling`: reading it may make somebody order.
    """

    post: Post
    at: datetime
    name: str
    run: int
    inviting: bool
    selling: bool


def born(plan: Plan, temper: Temper, rhythm: Rhythm, *, seed: int, member: str) -> Member:
    """The member of that id: the same for the same seed, whoever else there is."""
    rng = stream(seed, member)
    warmth = temperament(rng, temper.spread)
    want = temperament(rng, temper.spread, alike=temper.alike, to=warmth)
    return Member(member, _arrival(plan, temper, rhythm, rng), warmth, want)


def _arrival(plan: Plan, temper: Temper, rhythm: Rhythm, rng: Random) -> datetime:
    first, ends = plan.phases[0], plan.phases[-1].gate_at
    early = rng.random() < temper.early
    at = first.starts
    for _ in range(_TRIES):
        if early:
            after = (first.gate_at - first.starts) * rng.random() ** temper.rush
            at = first.starts + after
        else:
            at = first.gate_at + (ends - first.gate_at) * (temper.late * rng.expovariate(1.0))
        if rhythm.suits(at, rng):
            break
    # A launch of one night has no hour that suits: then they come all the same.
    return max(first.starts, at.replace(microsecond=0))


def respond(member: Member, heard: Heard, temper: Temper, rhythm: Rhythm, rng: Random) -> Iterator[Act]:
    """What one member does with one post; nothing when they do not read it."""
    post, pull = heard.post, temper.pulls[heard.post.kind]
    if not happens(rng, pull.read, member.warmth**temper.reading):
        return
    read = rhythm.awake(heard.at + delay(rng, temper.read_after, temper.read_spread), rng)

    def act(kind: EventKind, after: timedelta, reply_to: str | None = None) -> Act:
        at = (read + after).replace(microsecond=0)
        return Act(at, kind, member.id, post.group, f"{kind}/{heard.name}", reply_to)

    yield act("read", timedelta(), post.id)
    if happens(rng, pull.answer, member.warmth):
        quoted = post.id if rng.random() < temper.quotes else None
        yield act("message", delay(rng, temper.answer_after, temper.answer_spread), quoted)
    if happens(rng, pull.react, member.warmth):
        yield act("reaction", delay(rng, _ON_A_WHIM, temper.answer_spread), post.id)
    if heard.inviting and not member.waitlisted and happens(rng, temper.waitlist, member.want):
        yield act("waitlist", delay(rng, _ON_A_WHIM, temper.answer_spread))
    if heard.selling and not member.ordered:
        yield from _buy(member, heard, temper, rng, act)
    if happens(rng, _leaving(heard.run, temper), 1 / (0.5 + member.warmth)):
        yield act("leave", delay(rng, _AT_LAST, temper.answer_spread))


def _buy(
    member: Member, heard: Heard, temper: Temper, rng: Random, act: Callable[[EventKind, timedelta], Act]
) -> Iterator[Act]:
    want = member.want * (temper.waitlist_lift if member.waitlisted else 1.0)
    if not happens(rng, temper.click, want):
        return
    click = delay(rng, _ON_A_WHIM, temper.answer_spread)
    yield act("click", click)
    if heard.post.kind == "link":
        rate, after = temper.order, delay(rng, temper.order_after, temper.order_spread)
    else:
        rate, after = temper.last_call, delay(rng, _AT_LAST, temper.answer_spread)
    if happens(rng, rate, want):
        yield act("order", click + after)


def _leaving(run: int, temper: Temper) -> float:
    return temper.leave * (1 + temper.fatigue * max(0, run - temper.patience))
