"""Permits to send: no sliding window ever holds more than a platform allows, whoever asks."""

from datetime import timedelta

from ledger_rows import NOW

from drumroll.capability import Rate
from drumroll.ledger.permits import MARGIN

SECOND = timedelta(seconds=1)
TWENTY = [Rate(20, 60)]


def ask(ledger, most=100, *, at=NOW, edition="spring", bucket="robot", rates=TWENTY):
    return ledger.permit(bucket, rates, edition, most=most, now=at, held=10 * SECOND)


def sent(ledger, most=100, *, at=NOW, **more):
    """Ask, and have all of it answered at once; how many it were."""
    got = ask(ledger, most, at=at, **more)
    ledger.permits_used(got.ids, now=at)
    return len(got.ids)


def test_no_more_than_the_limit_at_once(ledger):
    assert [sent(ledger), sent(ledger)] == [20, 0]


def test_the_next_window_opens_a_minute_after_the_answers(ledger):
    sent(ledger, 20)
    assert ask(ledger).at == NOW + 60 * SECOND + MARGIN
    assert sent(ledger, at=NOW + 60 * SECOND) == 0
    assert sent(ledger, at=NOW + 60 * SECOND + MARGIN) == 20


def test_a_window_slides(ledger):
    for second in range(20):
        assert sent(ledger, 1, at=NOW + second * SECOND) == 1
    assert sent(ledger, at=NOW + 65 * SECOND) == 5


def test_what_is_on_its_way_counts_as_long_as_it_may_take(ledger):
    ask(ledger, 20)
    assert ask(ledger, at=NOW + 61 * SECOND).at == NOW + 70 * SECOND + MARGIN


def test_a_permit_that_was_not_used_is_given_back(ledger):
    got = ask(ledger, 20)
    ledger.permits_back(got.ids[:7])
    assert sent(ledger) == 7


def test_of_two_rates_the_narrower_rules(ledger):
    rates = [Rate(100, 60), Rate(5, 1)]
    assert sent(ledger, rates=rates) == 5
    assert ask(ledger, rates=rates).at == NOW + SECOND + MARGIN


def test_buckets_know_nothing_of_each_other(ledger):
    sent(ledger, 20)
    assert sent(ledger, bucket="another") == 20


def test_an_edition_that_was_refused_finds_its_share_of_the_next_window(ledger):
    assert sent(ledger, edition="spring") == 20
    opens = ask(ledger, edition="autumn").at
    assert [sent(ledger, at=opens, edition=name) for name in ("spring", "autumn")] == [10, 10]


def test_an_edition_that_does_not_come_back_leaves_its_share(ledger):
    sent(ledger, edition="spring")
    opens = ask(ledger, edition="autumn").at
    assert sent(ledger, at=opens + 30 * SECOND, edition="spring") == 20


def test_a_refused_bucket_gives_nothing_until_it_may(ledger):
    until = NOW + 10072 * SECOND
    ledger.refuse("robot", until=until, why="429")
    got = ask(ledger)
    assert (got.ids, got.at, got.why) == ((), until, "429")
    assert ledger.refusals(now=NOW) == [("robot", until, "429")]
    assert sent(ledger, at=until) == 20


def test_a_shorter_refusal_does_not_shorten_a_longer_one(ledger):
    ledger.refuse("robot", until=NOW + 600 * SECOND, why="long")
    ledger.refuse("robot", until=NOW + 60 * SECOND, why="short")
    assert ledger.refusals(now=NOW) == [("robot", NOW + 600 * SECOND, "long")]


def test_whoever_asks_whenever_no_sliding_window_holds_more(ledger):
    """Three editions that ask all the time, each message answered after a moment: arrivals in any minute are counted."""
    arrivals, at = [], NOW
    while at < NOW + 130 * SECOND:
        for name in ("spring", "summer", "autumn"):
            got = ask(ledger, 4, at=at, edition=name, rates=[Rate(3, 60)])
            arrivals += [at + timedelta(milliseconds=30)] * len(got.ids)
            ledger.permits_used(got.ids, now=at + timedelta(milliseconds=50))
        at += timedelta(seconds=7.3)
    most = max(sum(first <= each < first + 60 * SECOND for each in arrivals) for first in arrivals)
    assert most == 3
