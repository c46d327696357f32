"""A real export rescaled onto a launch's span."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drumroll.activity import Event, Person
from drumroll.rehearsal.replay import replay
from drumroll.sources.base import Export

START = datetime(2016, 1, 1, tzinfo=UTC)
OPENS = datetime(2026, 12, 1, tzinfo=UTC)
CLOSES = OPENS + timedelta(days=10)


def event(number, *, after, channel="a", kind="message"):
    return Event("slack", f"{number:03}", kind, START + timedelta(seconds=after), channel, "ann")


def export(*events):
    return Export(people=[Person("ann", "Ann")], events=events)


def dealt(result, source):
    groups = {e.id: e.group for e in result.events}
    return {e.group: groups[e.id] for e in source.events}


def test_time_is_stretched_linearly_from_the_first_to_the_last_event():
    result = replay(
        export(event(0, after=0), event(1, after=25), event(2, after=100)), groups=["g"], starts=OPENS, ends=CLOSES
    )
    assert [e.at for e in result.events] == [OPENS, OPENS + timedelta(days=2.5), CLOSES]


def test_events_keep_who_what_and_id_and_come_from_replay():
    one = event(0, after=0, kind="reaction")
    result = replay(export(one), groups=["g"], starts=OPENS, ends=CLOSES)
    assert list(result.events) == [replace(one, source="replay", group="g", at=OPENS)]
    assert list(result.people) == [Person("ann", "Ann")]


def test_the_largest_channel_goes_first_to_the_group_with_the_fewest_events():
    sizes = {"small": 1, "big": 5, "middle": 3, "also": 3}
    events = [
        event(i, after=i, channel=name) for i, name in enumerate(n for n, size in sizes.items() for _ in range(size))
    ]
    source = export(*events)
    result = replay(source, groups=["one", "two"], starts=OPENS, ends=CLOSES)
    assert dealt(result, source) == {"big": "one", "middle": "two", "also": "two", "small": "one"}


def test_ties_go_by_order():
    source = export(event(0, after=0, channel="x"), event(1, after=1, channel="y"), event(2, after=2, channel="z"))
    result = replay(source, groups=["one", "two"], starts=OPENS, ends=CLOSES)
    assert dealt(result, source) == {"x": "one", "y": "two", "z": "one"}


def test_nobody_gets_a_join_that_the_export_does_not_have():
    result = replay(export(event(0, after=0), event(1, after=5)), groups=["g"], starts=OPENS, ends=CLOSES)
    assert {e.kind for e in result.events} == {"message"}


def test_an_empty_export_replays_as_nothing():
    assert replay(export(), groups=["g"], starts=OPENS, ends=CLOSES).events == ()


@given(
    st.lists(st.tuples(st.integers(0, 10**9), st.sampled_from("abcd")), min_size=1, max_size=30),
    st.integers(0, 10**9),
    st.integers(1, 5),
)
def test_a_replay_keeps_order_bounds_and_channels_together(points, span, count):
    source = export(*(event(i, after=at, channel=name) for i, (at, name) in enumerate(sorted(points))))
    ends = OPENS + timedelta(microseconds=span)
    result = replay(source, groups=[f"g{i}" for i in range(count)], starts=OPENS, ends=ends)
    assert result == replay(source, groups=[f"g{i}" for i in range(count)], starts=OPENS, ends=ends)
    assert len(result.events) == len(points)
    assert result.events[0].at == OPENS
    assert all(OPENS <= e.at <= ends for e in result.events)
    assert result.events[-1].at == (ends if points and len({at for at, _ in points}) > 1 else OPENS)
    originals = {e.id: e for e in source.events}
    for before, after in zip(result.events, result.events[1:], strict=False):
        if before.at < after.at:
            assert originals[before.id].at < originals[after.id].at
    assert all(len({e.group for e in result.events if originals[e.id].group == name}) <= 1 for name in "abcd")


@pytest.mark.parametrize(
    ("groups", "starts", "ends"),
    [([], OPENS, CLOSES), (["g"], CLOSES, OPENS), (["g"], OPENS.replace(tzinfo=None), CLOSES)],
)
def test_a_replay_into_nothing_or_backwards_is_refused(groups, starts, ends):
    with pytest.raises(ValueError, match="a replay"):
        replay(export(event(0, after=0)), groups=groups, starts=starts, ends=ends)
