from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from ledger_rows import EDITION, MINUTE, NOW, begin, key, new, take

from drumroll.errors import LedgerError
from drumroll.ledger.model import Settlement

LATER = NOW + timedelta(hours=1)


def settled(ledger, state, **changes):
    """One delivery, sent off and settled as `state`."""
    begin(ledger, new())
    (claim,) = take(ledger)
    ledger.settle([Settlement(claim, state, **changes)], now=NOW)


@pytest.mark.parametrize("to", ["skipped", "held"])
def test_setting_aside_touches_only_rows_whose_time_has_come(ledger, to):
    begin(ledger, new(group="late"), new(group="early", due=LATER))
    assert ledger.set_aside(EDITION, "welcome", 1, to=to, reason="2 h late", now=NOW) == 1
    row = ledger.delivery(key("late"))
    assert (row.state, row.error, row.updated_at) == (to, "2 h late", NOW)
    assert ledger.delivery(key("early")).state == "due"


def test_cancelling_takes_future_and_held_rows_too(ledger):
    begin(ledger, new(group="held"), new(group="future", due=LATER))
    ledger.set_aside(EDITION, "welcome", 1, to="held", reason="late", now=NOW)
    assert ledger.set_aside(EDITION, "welcome", 1, to="cancelled", reason="removed", now=NOW) == 2
    assert ledger.counts(EDITION) == {"cancelled": 2}


def test_a_whole_edition_or_some_phases_can_be_cancelled_at_once(ledger):
    begin(ledger, new("a"), new("b", phase="ignite"), new("c", phase="ignite"), new("d", phase="aftercare"))
    aborted = {"to": "cancelled", "reason": "aborted", "now": NOW}
    assert ledger.set_aside(EDITION, None, None, phases=["ignite"], **aborted) == 2
    assert ledger.set_aside(EDITION, None, None, **aborted) == 2


def release_one(ledger):
    """Two deliveries of one step that are due; a person released the second after its instant."""
    begin(ledger, new(group="ours"), new(group="released"))
    claims = take(ledger)
    ledger.settle([Settlement(claim, "unknown") for claim in claims[1:]], now=NOW)
    ledger.settle([Settlement(claims[0], "retry", retry_at=LATER)], now=NOW)
    ledger.resolve(key("released"), "resend", by="mei", reason="", now=NOW + MINUTE)


@pytest.mark.parametrize(("released", "left"), [(True, "ours"), (False, "released")])
@pytest.mark.parametrize("to", ["skipped", "held", "cancelled"])
def test_setting_aside_may_spare_what_was_released_or_all_else(ledger, to, released, left):
    release_one(ledger)
    assert ledger.set_aside(EDITION, "welcome", 1, to=to, reason="", now=LATER, released=released) == 1
    assert [row.group for row in ledger.deliveries(EDITION) if row.state != to] == [left]


def test_setting_aside_takes_what_was_released_too_unless_told(ledger):
    release_one(ledger)
    assert ledger.set_aside(EDITION, "welcome", 1, to="skipped", reason="", now=LATER) == 2


def test_setting_aside_never_makes_anything_sent(ledger):
    begin(ledger, new())
    with pytest.raises(LedgerError, match="set_aside never makes a delivery sent"):
        ledger.set_aside(EDITION, "welcome", 1, to="sent", reason="", now=NOW)


def test_what_is_in_flight_is_not_set_aside(ledger):
    begin(ledger, new())
    take(ledger)
    assert ledger.set_aside(EDITION, "welcome", 1, to="cancelled", reason="", now=LATER) == 0


def test_resending_makes_it_due_now_with_its_attempts_forgotten_and_its_token_kept(ledger):
    settled(ledger, "unknown", error="timeout")
    ledger.resolve(key(), "resend", by="mei", reason="not in the group", now=LATER)
    row = ledger.delivery(key())
    assert (row.state, row.fire_at, row.due_at, row.attempts, row.error) == ("due", LATER, NOW, 0, None)
    (claim,) = take(ledger, now=LATER, released=True)
    assert (claim.attempts, claim.token) == (1, 2)


@pytest.mark.parametrize("now", [NOW - MINUTE, NOW])
def test_what_is_resent_before_its_instant_is_over_goes_like_all_others(ledger, now):
    fire_at = NOW - 5 * MINUTE
    begin(ledger, new(fire_at=fire_at))
    ledger.set_aside(EDITION, "welcome", 1, to="held", reason="", now=fire_at)
    ledger.resolve(key(), "resend", by="mei", reason="", now=now)
    assert ledger.delivery(key()).fire_at == fire_at
    assert not ledger.next_moment(EDITION, ["recruit"], now=now).released
    assert len(take(ledger, now=now)) == 1


def test_what_is_resent_twice_stays_released(ledger):
    release_one(ledger)
    (claim,) = take(ledger, now=LATER, released=True)
    ledger.settle([Settlement(claim, "failed")], now=LATER)
    ledger.resolve(key("released"), "resend", by="mei", reason="", now=LATER + MINUTE)
    assert ledger.delivery(key("released")).fire_at == LATER + MINUTE
    assert len(take(ledger, now=LATER + MINUTE, released=True)) == 1


def test_a_person_may_say_that_it_arrived(ledger):
    settled(ledger, "unknown")
    ledger.resolve(key(), "sent", by="mei", reason="saw it", now=LATER)
    row = ledger.delivery(key())
    assert (row.state, row.error, row.sent_at, row.lateness_ms) == ("sent", "saw it", NOW, None)


def test_a_permanent_failure_may_be_skipped(ledger):
    settled(ledger, "failed", error="HTTP 403")
    ledger.resolve(key(), "skip", by="mei", reason="the group is closed", now=LATER)
    assert ledger.delivery(key()).state == "skipped"


def test_every_resolution_is_a_decision(ledger):
    settled(ledger, "unknown")
    ledger.resolve(key(), "skip", by="mei", reason="too late", now=LATER)
    (decision,) = ledger.decisions(EDITION)
    assert (decision.subject, decision.choice, decision.by) == (key(), "skip", "mei")
    assert (decision.reason, decision.at) == ("too late", LATER)


def test_what_is_sent_cannot_be_resolved_and_no_decision_remains(ledger):
    settled(ledger, "sent")
    with pytest.raises(LedgerError, match=f"^{key()}: cannot go from sent to due by resolve; sent is final$"):
        ledger.resolve(key(), "resend", by="mei", reason="", now=LATER)
    assert ledger.decisions(EDITION) == []


def test_a_choice_that_does_not_exist_is_refused(ledger):
    settled(ledger, "unknown")
    with pytest.raises(LedgerError, match='"maybe" is no choice; say sent or resend or skip'):
        ledger.resolve(key(), "maybe", by="mei", reason="", now=LATER)


def test_ticking_off_makes_an_awaiting_delivery_sent_at_that_moment(ledger):
    settled(ledger, "awaiting")
    ledger.done(key(), by="mei", now=NOW + MINUTE)
    row = ledger.delivery(key())
    assert (row.state, row.sent_at, row.lateness_ms) == ("sent", NOW + MINUTE, 60_000)
    assert [(each.choice, each.by) for each in ledger.decisions(EDITION, key())] == [("done", "mei")]


def test_the_proof_of_a_tick_is_its_reason(ledger):
    settled(ledger, "awaiting")
    ledger.done(key(), by="mei", proof="shot-7.png", now=NOW)
    assert [each.reason for each in ledger.decisions(EDITION, key())] == ["shot-7.png"]


def test_what_awaits_nobody_cannot_be_ticked_off(ledger):
    begin(ledger, new())
    with pytest.raises(LedgerError, match="cannot go from due to sent by done"):
        ledger.done(key(), by="mei", now=NOW)


@pytest.mark.parametrize(("to", "lateness"), [("sent", 60_000), ("failed", None), ("skipped", None)])
def test_the_platform_may_say_what_became_of_an_awaiting_delivery(ledger, to, lateness):
    settled(ledger, "awaiting")
    ledger.platform_result(key(), to, now=NOW + MINUTE, reason="tap")
    row = ledger.delivery(key())
    assert (row.state, row.lateness_ms, row.error) == (to, lateness, "tap")
    assert row.sent_at == (NOW + MINUTE if to == "sent" else None)


def test_many_people_may_tick_off_at_the_same_moment(ledger):
    """Each reads and then writes in one transaction: SQLite fails such a pair at once unless it locks first."""
    groups = [f"g{number}" for number in range(60)]
    begin(ledger, *(new(group=group) for group in groups))
    ledger.settle([Settlement(claim, "awaiting") for claim in take(ledger)], now=NOW)
    with ThreadPoolExecutor(6) as people:
        list(people.map(lambda group: ledger.done(key(group), by="mei", now=LATER), groups))
    assert ledger.counts(EDITION) == {"sent": 60}
    assert len(ledger.decisions(EDITION)) == 60


def test_the_platform_may_say_when_it_went_out(ledger):
    settled(ledger, "awaiting")
    ledger.platform_result(key(), "sent", now=LATER, sent_at=NOW + MINUTE)
    row = ledger.delivery(key())
    assert (row.sent_at, row.lateness_ms, row.updated_at) == (NOW + MINUTE, 60_000, LATER)


# Reminders.


def reminded(ledger, minutes, **changes):
    values = {"by": "drumroll", "wait": 10 * MINUTE, "most": 3, "now": NOW + minutes * MINUTE} | changes
    return ledger.remind(key(), **values)


def test_a_reminder_comes_once_after_its_wait_and_again_after_the_same(ledger):
    settled(ledger, "awaiting")
    assert [minute for minute in range(60) if reminded(ledger, minute)] == [10, 20, 30]
    assert {each.choice for each in ledger.decisions(EDITION, key())} == {"reminded"}


def test_after_an_outage_there_is_one_reminder_and_no_burst(ledger):
    settled(ledger, "awaiting")
    assert [minute for minute in (55, 56, 64, 65) if reminded(ledger, minute)] == [55, 65]


def test_what_awaits_nobody_is_not_reminded_of(ledger):
    settled(ledger, "awaiting")
    ledger.done(key(), by="mei", now=NOW)
    assert not reminded(ledger, 30)


def test_nobody_is_reminded_while_a_brake_holds_the_edition_back(ledger):
    settled(ledger, "awaiting")
    ledger.set_brake(EDITION, by="mei", reason="rain", now=NOW)
    assert not reminded(ledger, 30)
    assert [each.choice for each in ledger.decisions(EDITION, key())] == []


def test_what_is_handed_over_again_is_reminded_of_anew(ledger):
    settled(ledger, "awaiting")
    assert reminded(ledger, 10)
    ledger.platform_result(key(), "failed", now=NOW + 11 * MINUTE)
    ledger.resolve(key(), "resend", by="mei", reason="", now=NOW + 12 * MINUTE)
    (claim,) = take(ledger, now=NOW + 12 * MINUTE, released=True)
    ledger.settle([Settlement(claim, "awaiting")], now=NOW + 12 * MINUTE)
    assert [minute for minute in range(12, 60) if reminded(ledger, minute)] == [22, 32, 42]


def test_of_eight_watches_at_once_one_reminds(ledger):
    settled(ledger, "awaiting")
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda _: reminded(ledger, 10), range(8))) == 1
