"""Whether an announcement drove people away (brief Q11): the leaves after it beside the edition's own habit."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import exp, fsum, lgamma, log, log1p

from drumroll.metrics.posts import Post
from drumroll.metrics.reading import Reading, Seat

WINDOW = timedelta(hours=2)
CLOSES_AFTER = timedelta(minutes=30)
LEAST = 5
ODDS = 0.001
"""Small, since every announcement of the day is asked, and again at every look; LEAST keeps small groups quiet."""
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Spike:
    """`left` people left after `step` where its edition's habit lets one expect `expected`, with `odds` of as many."""

    step: str
    since: datetime
    until: datetime
    left: int
    expected: float
    odds: float


def windows(posts: Iterable[Post], *, now: datetime) -> list[tuple[Post, datetime]]:
    """Each announcement's first post, and when leaves are no longer put down to it.

    That is after two hours, at the next announcement if that is half an hour away or more, and now at the latest.
    """
    first: dict[str, Post] = {}
    for post in sorted(posts, key=lambda post: post.at):
        first.setdefault(post.step, post)
    ordered = list(first.values())
    return [(post, min(now, post.at + WINDOW, *_closing(post, ordered))) for post in ordered]


def spikes(reading: Reading, *, since: datetime) -> list[Spike]:
    """The announcements from `since` on that more people left after than chance explains.

    Leaves after the announcement and all leaves before it share one rate per member-hour unless the announcement
    changed it; given their sum, those after it are then binomial (the exact conditional test of two Poisson rates: J.
    Przyborowski and H. Wilenski, Biometrika 31, 1940). A spike is `LEAST` leaves or more and one-sided odds below
    `ODDS`. Who moves to another group of the launch has not left.
    """
    people: dict[str, list[Seat]] = {}
    for seats in reading.seats.values():
        for seat in seats.values():
            people.setdefault(seat.member, []).append(seat)
    gone = [at for seats in people.values() for at in _departures(seats)]
    every = [seat for seats in people.values() for seat in seats]
    found = []
    for post, until in windows(reading.posts, now=reading.now):
        left = sum(post.at <= at < until for at in gone)
        if post.at < since or left < LEAST:
            continue
        before, after = _hours(every, reading.begins, post.at), _hours(every, post.at, until)
        share, total = after / (before + after) if before else 1.0, left + sum(at < post.at for at in gone)
        if (odds := at_least(left, total, share)) < ODDS:
            expected = (total - left) * after / before
            found.append(Spike(post.step, post.at, until, left, expected, odds))
    return found


def at_least(part: int, whole: int, share: float) -> float:
    """The probability of `part` successes or more in `whole` trials of probability `share`."""
    if part <= 0 or share >= 1:
        return 1.0
    if share <= 0:
        return 0.0
    terms = (exp(_log_choose(whole, k) + k * log(share) + (whole - k) * log1p(-share)) for k in range(part, whole + 1))
    return min(1.0, fsum(terms))


def _closing(post: Post, ordered: Sequence[Post]) -> list[datetime]:
    return [other.at for other in ordered if other.at >= post.at + CLOSES_AFTER][:1]


def _departures(seats: Sequence[Seat]) -> list[datetime]:
    """When one person left the last of their groups."""
    stays = [stay for seat in seats for stay in seat.stays]
    ends = [end for _, end in stays if end is not None]
    return [at for at in ends if not any(start <= at and (end is None or end > at) for start, end in stays)]


def _hours(seats: Iterable[Seat], since: datetime, until: datetime) -> float:
    """Member-hours in [since, until)."""
    stays = (stay for seat in seats for stay in seat.stays)
    there = (min(end or until, until) - max(start, since) for start, end in stays)
    return fsum(max(0.0, time / _HOUR) for time in there)


def _log_choose(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
