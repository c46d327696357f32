"""What members say, and how much of the talk is the operators' own."""

from collections import Counter, defaultdict

from drumroll.metrics.intervals import Estimate, clustered_share, count, mean, share
from drumroll.metrics.reading import count_between
from drumroll.metrics.scope import Scope


def replies(scope: Scope, confidence: float) -> Estimate:
    """Mean number of member messages that answer a post, over the posts in the window (one per group and post).

    What answers a post: see `thread_posts`. A post that can still be answered by time at the window's end is not yet
    among them, or each new post would pull the mean down. Messages of people who left since count.
    """
    ripe = (thread for thread in scope.threads() if thread.closes <= scope.until)
    return mean([len(scope.answers(thread)) for thread in ripe], confidence)


def messages_per_member(scope: Scope, confidence: float) -> Estimate:
    """Mean number of messages in the window, over the members there at its end."""
    written = [
        sum(count_between(seat.messages, scope.since, scope.until) for seat in seats)
        for seats in scope.members.values()
    ]
    return mean(written, confidence)


def ugc_authors(scope: Scope, _confidence: float) -> Estimate:
    """Distinct members, there at the window's end, who answered a `prompt` post of the window before that end."""
    authors = {
        event.member for thread in scope.threads() if thread.post.kind == "prompt" for event in scope.answers(thread)
    }
    return count(len(authors & scope.members.keys()))


def value_reply_rate(scope: Scope, confidence: float) -> Estimate:
    """Pairs (value post, member there when it came) in which the member answered ÷ all such pairs.

    Posts that can still be answered by time at the window's end are left out, as in `replies`. One member's pairs
    resemble each other, so the interval treats members, not pairs, as independent; n is the number of pairs.
    """
    answered: Counter[str] = Counter()
    asked: defaultdict[str, int] = defaultdict(int)
    for thread in scope.threads():
        if thread.post.kind != "value" or thread.closes > scope.until:
            continue
        authors = {event.member for event in scope.answers(thread)}
        for seat in scope.seats_of(thread.post.group):
            if seat.here_since(thread.post.at) is not None:
                asked[seat.member] += 1
                answered[seat.member] += seat.member in authors
    return clustered_share([(answered[member], pairs) for member, pairs in asked.items()], confidence)


def share_of_voice(scope: Scope, confidence: float) -> Estimate:
    """Operators' messages ÷ all messages in the window; the only metric that reads what staff and bots wrote.

    Operators' are staff's and bots' messages and our posts. A post that an export holds too is counted once where the
    receipt gave its message id, twice where it did not (hand-off channels).
    """
    since, until = scope.since, scope.until
    ours = sum(1 for _ in scope.threads())
    for group in scope.groups:
        ours += count_between([event.at for event in scope.reading.operator_talk[group]], since, until)
    theirs = sum(count_between(seat.messages, since, until) for seats in scope.people.values() for seat in seats)
    return share(ours, ours + theirs, confidence)
