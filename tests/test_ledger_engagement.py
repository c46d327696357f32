from datetime import datetime

import pytest
from ledger_rows import EDITION, MINUTE, NOW, begin, new, take

from drumroll.activity import Event, Person
from drumroll.errors import LedgerError


def event(number, **changes):
    values = {
        "source": "slack",
        "kind": "message",
        "at": NOW + number * MINUTE,
        "group": "g1",
        "member": "u1",
    } | changes
    return Event(id=f"e{number}", **values)


def test_an_event_counts_once_however_often_its_export_is_read(ledger):
    begin(ledger)
    events = [event(1), event(2), event(1)]
    assert ledger.take_in(EDITION, [], events) == 2
    assert ledger.take_in(EDITION, [], [*events, event(3)]) == 1
    assert [each.id for each in ledger.activity(EDITION, until=NOW + 9 * MINUTE)[0]] == ["e1", "e2", "e3"]


def test_the_same_id_from_another_source_or_in_another_edition_is_another_event(ledger):
    begin(ledger)
    begin(ledger, edition="other@2026-01-01")
    assert ledger.take_in(EDITION, [], [event(1), event(1, source="discord")]) == 2
    assert ledger.take_in("other@2026-01-01", [], [event(1)]) == 1


def test_activity_gives_back_exactly_what_was_taken_in(ledger):
    begin(ledger)
    events = [event(1, kind="reaction", reply_to="e0"), event(2, member="王小明")]
    people = [Person("u1", "Ann", is_staff=True), Person("王小明")]
    ledger.take_in(EDITION, people, events)
    assert ledger.activity(EDITION, until=NOW + 9 * MINUTE) == (events, {each.id: each for each in people})


def test_activity_takes_both_ends_of_its_window(ledger):
    begin(ledger)
    ledger.take_in(EDITION, [], [event(number) for number in range(5)])
    events, _ = ledger.activity(EDITION, since=NOW + MINUTE, until=NOW + 3 * MINUTE)
    assert [each.id for each in events] == ["e1", "e2", "e3"]


def test_events_come_in_order_of_time_whatever_order_they_arrived_in(ledger):
    begin(ledger)
    ledger.take_in(EDITION, [], [event(3), event(1)])
    ledger.take_in(EDITION, [], [event(2)])
    assert [each.id for each in ledger.activity(EDITION, until=NOW + 9 * MINUTE)[0]] == ["e1", "e2", "e3"]


def test_once_staff_always_staff(ledger):
    begin(ledger)
    ledger.take_in(EDITION, [Person("u1", "Ann", is_staff=True), Person("u2", is_bot=True)], [])
    ledger.take_in(EDITION, [Person("u1", "Ann"), Person("u2", "Bot")], [])
    people = ledger.activity(EDITION, until=NOW)[1]
    assert people == {"u1": Person("u1", "Ann", is_staff=True), "u2": Person("u2", "Bot", is_bot=True)}


def test_a_name_is_replaced_by_a_newer_one_but_never_by_nothing(ledger):
    begin(ledger)
    for name in ("Ann", "Anna", ""):
        ledger.take_in(EDITION, [Person("u1", name)], [])
    assert ledger.activity(EDITION, until=NOW)[1]["u1"].name == "Anna"


def test_a_bad_event_keeps_its_batch_out_and_the_repaired_export_adds_the_rest(ledger, monkeypatch):
    monkeypatch.setattr("drumroll.ledger.engagement._BATCH", 2)
    begin(ledger)
    events = [event(number) for number in range(6)]
    broken = [*events[:3], event(3, at=datetime(2026, 12, 12)), *events[4:]]
    with pytest.raises(LedgerError, match="without a zone"):
        ledger.take_in(EDITION, [Person("u1")], broken)
    assert ledger.activity(EDITION, until=NOW + 9 * MINUTE) == (events[:2], {"u1": Person("u1")})
    assert ledger.take_in(EDITION, [Person("u1")], events) == 4
    assert ledger.activity(EDITION, until=NOW + 9 * MINUTE)[0] == events


def test_others_may_write_between_the_batches_of_an_intake(ledger, monkeypatch):
    monkeypatch.setattr("drumroll.ledger.engagement._BATCH", 2)
    begin(ledger, *(new(group=f"g{number}") for number in range(3)))
    handled, sent = [], []

    def meanwhile(done):
        handled.append((done, len(ledger.activity(EDITION, until=NOW + 9 * MINUTE)[0])))
        sent.extend(take(ledger, limit=1))

    assert ledger.take_in(EDITION, [Person("u1")], [event(number) for number in range(5)], on_batch=meanwhile) == 5
    assert handled == [(2, 2), (4, 4), (5, 5)]
    assert len(sent) == 3


def test_an_export_longer_than_a_batch_is_taken_in_whole(ledger, monkeypatch):
    monkeypatch.setattr("drumroll.ledger.engagement._BATCH", 3)
    begin(ledger)
    people = [Person(f"u{number}") for number in range(7)]
    assert ledger.take_in(EDITION, people, [event(number) for number in range(10)]) == 10
    events, known = ledger.activity(EDITION, until=NOW + 99 * MINUTE)
    assert (len(events), len(known)) == (10, 7)
