"""Counting an export and naming its channels as groups."""

from datetime import UTC, datetime, timedelta

import pytest

from drumroll.activity import Event, Person
from drumroll.errors import SourceError
from drumroll.sources.base import Export
from drumroll.sources.summary import left_out, relabel, summary

START = datetime(2026, 1, 5, 23, 59, 59, 999_999, tzinfo=UTC)


def event(ident, kind="message", *, after=0, group="a", member="ann"):
    return Event("csv", ident, kind, START + timedelta(seconds=after), group, member)


def export(*events):
    return Export(people=[Person(name) for name in ("ann", "bob", "cy")], events=events)


def test_the_summary_counts_events_people_and_utc_days():
    counted = summary(
        export(
            event("j", "join", after=-100, member="bob"),
            event("1"),
            event("2", after=1),
            event("3", after=2, member="bob"),
            event("4", after=3, member="bob"),
            event("r", "reaction", after=86_400 * 3),
            event("l", "leave", after=86_400 * 4),
            event("c", "click", after=86_400 * 4),
        )
    )
    assert counted == {
        "messages": 4,
        "authors": 2,
        "joins": 1,
        "leaves": 1,
        "reactions": 1,
        "first": "2026-01-05T23:59:59Z",
        "last": "2026-01-06T00:00:02Z",
        "active_days": 2,
        "daily": {"2026-01-05": [1, 1], "2026-01-06": [3, 2]},
    }


def test_an_export_without_messages_has_no_first_and_no_last():
    counted = summary(export(event("j", "join")))
    assert (counted["first"], counted["last"], counted["active_days"], counted["daily"]) == (None, None, 0, {})


def test_a_mapping_moves_its_channels_and_leaves_the_others_out():
    three = export(event("1"), event("2", group="b", member="bob"), event("3", group="c", member="cy"))
    moved = relabel(three, group=None, mapping={"a": "vip", "b": "new"})
    assert [(e.id, e.group) for e in moved.events] == [("1", "vip"), ("2", "new")]
    assert [person.id for person in moved.people] == ["ann", "bob"]
    assert left_out(three, group=None, mapping={"a": "vip", "b": "new"}) == ["c"]


def test_one_group_takes_every_channel():
    both = export(event("1"), event("2", group="b"))
    assert {e.group for e in relabel(both, group="vip", mapping=None).events} == {"vip"}
    assert left_out(both, group="vip", mapping=None) == []


def test_with_a_mapping_and_a_group_the_rest_goes_to_the_group():
    both = export(event("1"), event("2", group="b"))
    moved = relabel(both, group="rest", mapping={"a": "vip"})
    assert [e.group for e in moved.events] == ["vip", "rest"]
    assert left_out(both, group="rest", mapping={"a": "vip"}) == []


def test_one_channel_may_keep_its_name():
    assert relabel(export(event("1")), group=None, mapping=None).events[0].group == "a"


def test_several_channels_without_a_word_are_refused_and_listed():
    with pytest.raises(SourceError, match="2 channels: a, b; name one group"):
        relabel(export(event("1"), event("2", group="b")), group=None, mapping=None)


def test_a_mapping_of_a_channel_that_is_not_there_is_refused():
    with pytest.raises(SourceError, match='no channel "genral" with any event; did you mean "general"'):
        relabel(export(event("1", group="general")), group=None, mapping={"genral": "vip"})
