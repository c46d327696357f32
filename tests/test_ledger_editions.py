from datetime import datetime, timedelta, timezone

import pytest
from ledger_rows import EDITION, MINUTE, NOW, begin, new

from drumroll.errors import LedgerError


def test_an_edition_begins_running_with_its_plan_and_its_deliveries(ledger):
    assert begin(ledger, new(group="g1"), new(group="g2")) is True
    edition = ledger.edition(EDITION)
    assert (edition.state, edition.plan_version, edition.title) == ("running", 1, "學習手機首發")
    assert (ledger.plan_document(EDITION), ledger.plan_hash(EDITION)) == ('{"version": 1}', "hash-1")
    assert ledger.counts(EDITION) == {"due": 2}


def test_beginning_twice_writes_nothing_the_second_time(ledger):
    begin(ledger, new(group="g1"))
    assert begin(ledger, new(group="g2"), plan_hash="other", document="{}", title="other") is False
    assert ledger.counts(EDITION) == {"due": 1}
    assert ledger.plan_hash(EDITION) == "hash-1"
    assert ledger.edition(EDITION).title == "學習手機首發"


def test_a_begin_that_fails_halfway_leaves_nothing_behind(ledger):
    with pytest.raises(LedgerError, match="without a zone"):
        begin(ledger, new(group="g1"), new(group="g2", due=datetime(2026, 12, 12)))
    assert ledger.editions() == []


def test_a_launch_name_means_its_newest_edition(ledger):
    begin(ledger, edition="demo@2026-11-01", now=NOW)
    begin(ledger, edition="demo@2026-10-01", now=NOW + MINUTE)
    assert ledger.edition("demo").id == "demo@2026-10-01"
    assert ledger.edition("demo@2026-11-01").id == "demo@2026-11-01"


def test_an_unknown_name_is_answered_with_the_known_ones(ledger):
    with pytest.raises(LedgerError, match="no launch has been started yet"):
        ledger.edition("nope")
    begin(ledger)
    with pytest.raises(LedgerError, match=f'no edition or launch "nope"; known: {EDITION}'):
        ledger.edition("nope")


def test_editions_are_listed_oldest_first(ledger):
    begin(ledger, edition="b@1", now=NOW)
    begin(ledger, edition="a@1", now=NOW + MINUTE)
    assert [edition.id for edition in ledger.editions()] == ["b@1", "a@1"]


@pytest.mark.parametrize(("state", "ended"), [("held", None), ("done", NOW + MINUTE), ("aborted", NOW + MINUTE)])
def test_only_done_and_aborted_end_an_edition(ledger, state, ended):
    begin(ledger)
    ledger.set_edition_state(EDITION, state, NOW + MINUTE)
    edition = ledger.edition(EDITION)
    assert (edition.state, edition.ended_at) == (state, ended)


@pytest.mark.parametrize("call", ["plan_document", "plan_hash", "set_edition_state", "schedule", "decide"])
def test_an_edition_that_was_never_begun_is_refused(ledger, call):
    arguments = {
        "set_edition_state": (("x@1", "done", NOW), {}),
        "schedule": (("x@1", [new()]), {}),
        "decide": (("x@1", "ignite", "pass"), {"by": "me", "reason": "", "now": NOW}),
    }
    positional, named = arguments.get(call, (("x@1",), {}))
    with pytest.raises(LedgerError, match="begin it first"):
        getattr(ledger, call)(*positional, **named)


def test_times_come_back_in_utc_whatever_zone_they_were_given_in(ledger):
    begin(ledger, opens_at=datetime(2026, 12, 12, 20, tzinfo=timezone(timedelta(hours=8))))
    opens_at = ledger.edition(EDITION).opens_at
    assert opens_at == NOW
    assert opens_at.utcoffset() == timedelta(0)


def test_a_time_without_a_zone_is_refused(ledger):
    with pytest.raises(LedgerError, match="a time without a zone was refused; give UTC-aware datetimes"):
        begin(ledger, now=datetime(2026, 12, 12))


@pytest.mark.parametrize("name", ["", "a/b"])
def test_a_name_that_would_break_delivery_keys_is_refused(ledger, name):
    with pytest.raises(LedgerError, match="cannot name an edition"):
        begin(ledger, edition=name)
    begin(ledger)
    with pytest.raises(LedgerError, match="cannot be part of a delivery key"):
        ledger.schedule(EDITION, [new(step=name)])
