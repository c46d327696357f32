"""Posts that reached a group, and which member messages answer them."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import zip_longest
from operator import attrgetter

from drumroll.activity import Event
from drumroll.launchfile.models import StepKind

ANSWER_TIME = timedelta(minutes=60)


@dataclass(frozen=True, slots=True)
class Post:
    """One announcement that really reached a group: taken from sent deliveries, never from the plan.

    `id` is the platform's message id from the receipt, where there is one: it finds explicit replies, and keeps a post
    from being counted twice when an export holds it too.
    """

    step: str
    kind: StepKind
    group: str
    at: datetime
    number: int | None = None
    id: str | None = None


@dataclass(slots=True)
class Thread:
    """A post and the member messages that answer it.

    `closes` is when answering by time alone ends: 60 minutes after the post, or at the next post in the group.
    """

    post: Post
    closes: datetime
    answers: list[Event] = field(default_factory=list)

    def answers_before(self, until: datetime) -> list[Event]:
        """The answers earlier than `until`, in order of time."""
        return self.answers[: bisect_left(self.answers, until, key=attrgetter("at"))]


def thread_posts(posts: Iterable[Post], talk: Sequence[Event]) -> list[Thread]:
    """The posts of one group in order of time, each with its answers out of `talk`, the group's member messages.

    A message answers the earlier post that it names in `reply_to`, however late; otherwise the last post at or before
    it, when that one has not closed. So no message answers two posts. A reply to another member's message is talk that
    the post drew: it answers by time. `talk` is in order of time.
    """
    ordered = sorted(set(posts), key=lambda post: (post.at, post.step, post.id or ""))
    starts = [post.at for post in ordered]
    found = [
        Thread(post, post.at + ANSWER_TIME if following is None else min(post.at + ANSWER_TIME, following))
        for post, following in zip_longest(ordered, starts[1:])
    ]
    by_id = {thread.post.id: thread for thread in reversed(found) if thread.post.id is not None}
    for message in talk:
        named = by_id.get(message.reply_to) if message.reply_to is not None else None
        if named is not None and named.post.at <= message.at:
            named.answers.append(message)
            continue
        # Exports with whole minutes put an answer at the post's own instant, so that instant is included.
        index = bisect_right(starts, message.at) - 1
        if index >= 0 and message.at < found[index].closes:
            found[index].answers.append(message)
    return found
