import multiprocessing
import threading
from datetime import UTC, datetime, timedelta, timezone

import pytest
from ledger_rows import EDITION, MINUTE, NOW, begin, key, new, take
from sqlalchemy.dialects import sqlite

from drumroll.errors import LedgerError
from drumroll.ledger.lean import to_driver
from drumroll.ledger.ledger import open_ledger
from drumroll.ledger.model import Moment, Settlement, idempotency_key, split_key
from drumroll.ledger.tables import delivery

HOUR = timedelta(hours=1)


def test_scheduling_again_adds_only_what_is_new(ledger):
    begin(ledger, new(group="g1"))
    assert (
        ledger.schedule(EDITION, [new(group="g1"), new(group="g2"), new(group="g2"), new(group="g1", member="m")]) == 2
    )
    assert [row.recipient for row in ledger.deliveries(EDITION)] == ["g1", "g2", "g1/m"]


def test_a_repeat_of_a_remedy_is_a_delivery_of_its_own(ledger):
    begin(ledger, new())
    assert ledger.schedule(EDITION, [new(occurrence=2)]) == 1
    assert ledger.step_states(EDITION) == {("welcome", 1): {"due": 1}, ("welcome", 2): {"due": 1}}


def test_an_empty_schedule_is_no_work(ledger):
    begin(ledger)
    assert ledger.schedule(EDITION, []) == 0


def test_nothing_is_planned_to_leave_after_its_instant(ledger):
    """Only what a person released may: that is how it is told apart."""
    begin(ledger)
    with pytest.raises(LedgerError, match=f"^{key()}: would leave after its planned instant"):
        ledger.schedule(EDITION, [new(fire_at=NOW + MINUTE)])
    assert ledger.deliveries(EDITION) == []


def test_a_claim_carries_what_a_sender_needs(ledger):
    begin(ledger, new(group="g1", member="王/小明", due=NOW, fire_at=NOW - MINUTE))
    (claim,) = take(ledger)
    assert claim.key == f"{EDITION}/welcome/1/g1/王/小明"
    assert (claim.group, claim.member, claim.channel, claim.phase) == ("g1", "王/小明", "webhook", "recruit")
    assert (claim.attempts, claim.token, claim.wording) == (1, 1, None)
    assert (claim.due_at, claim.fire_at) == (NOW, NOW - MINUTE)


def test_a_claim_is_committed_before_it_is_returned(ledger):
    begin(ledger, new())
    take(ledger)
    row = ledger.delivery(key())
    assert (row.state, row.lease_until, row.updated_at) == ("sending", NOW + MINUTE, NOW)


def test_what_is_claimed_cannot_be_claimed_again(ledger):
    begin(ledger, new())
    assert len(take(ledger)) == 1
    assert take(ledger) == []


def test_what_is_not_due_yet_is_not_claimed(ledger):
    begin(ledger, new(group="early", fire_at=NOW - MINUTE), new(group="late", due=NOW + MINUTE))
    assert [claim.group for claim in take(ledger)] == ["early"]


def test_a_claim_takes_no_more_than_its_limit_and_goes_in_order(ledger):
    begin(ledger, *(new(group=f"g{n}") for n in range(5)))
    assert [claim.group for claim in take(ledger, limit=2)] == ["g0", "g1"]
    assert [claim.group for claim in take(ledger, limit=10)] == ["g2", "g3", "g4"]


def test_a_claim_may_be_for_one_channel(ledger):
    begin(ledger, new(group="g1"), new(group="g2", channel="hand"), new(group="g3", channel="hand"))
    (first,) = take(ledger, channel="hand", limit=1)
    ledger.settle([Settlement(first, "retry", retry_at=NOW + MINUTE)], now=NOW)
    later = NOW + MINUTE
    assert take(ledger, channel="file", now=later) == []
    assert [claim.group for claim in take(ledger, channel="hand", now=later)] == ["g3"]
    assert [claim.group for claim in take(ledger, channel="hand", now=later)] == [
        "g2"
    ]  # tried before: after the others
    assert [claim.group for claim in take(ledger, now=later)] == ["g1"]


def release_one(ledger, now):
    """Three deliveries of one step; a person releases the second, which was held, at `now`."""
    begin(ledger, new(group="g2"))
    ledger.set_aside(EDITION, "welcome", 1, to="held", reason="late", now=NOW)
    ledger.schedule(EDITION, [new(group="g1"), new(group="g3")])
    ledger.resolve(key("g2"), "resend", by="mei", reason="", now=now)


def test_what_a_person_released_is_claimed_apart(ledger):
    release_one(ledger, NOW + MINUTE)
    later = NOW + MINUTE
    assert [claim.group for claim in take(ledger, now=later, limit=1)] == ["g1"]
    (mine,) = take(ledger, now=later, released=True)
    assert (mine.group, mine.fire_at, mine.due_at) == ("g2", later, NOW)
    ledger.settle([Settlement(mine, "retry", retry_at=later + MINUTE)], now=later)
    assert [claim.group for claim in take(ledger, now=later + MINUTE)] == ["g3"]
    assert [claim.group for claim in take(ledger, now=later + MINUTE, released=True)] == ["g2"]


def test_a_released_delivery_is_a_moment_of_its_own_from_due_to_sending_and_retry(ledger):
    release_one(ledger, NOW + MINUTE)
    at = NOW + MINUTE

    def next_moment():
        moment = ledger.next_moment(EDITION, ["recruit"], now=at)
        return moment.at, moment.why, moment.released, moment.fire_at

    claims = take(ledger, now=at)
    assert next_moment() == (at, "due", True, at)
    (mine,) = take(ledger, now=at, released=True)
    assert next_moment() == (at + MINUTE, "sending", True, at), "written first, of three at one instant"
    again = [Settlement(each, "retry", retry_at=at + MINUTE) for each in [mine, *claims]]
    ledger.settle(again, now=at)
    assert next_moment() == (at + MINUTE, "retry", True, at)
    take(ledger, now=at + MINUTE, released=True, lease=HOUR)
    assert next_moment() == (at + MINUTE, "retry", False, NOW)


def test_the_wording_is_noted_before_anything_leaves(ledger):
    begin(ledger, new())
    take(ledger, wording="abc")
    assert ledger.delivery(key()).wording == "abc"


def claim_all(url, start, found):
    ledger = open_ledger(url)
    start.wait()
    mine = []
    while claims := take(ledger, limit=7):
        mine += [claim.id for claim in claims]
    found.put(mine)


def test_two_processes_never_claim_the_same_delivery(ledger, ledger_url):
    begin(ledger, *(new(group=f"g{n}") for n in range(300)))
    spawn = multiprocessing.get_context("spawn")
    start, found = spawn.Barrier(2), spawn.Queue()
    engines = [spawn.Process(target=claim_all, args=(ledger_url, start, found)) for _ in range(2)]
    for engine in engines:
        engine.start()
    taken = [number for _ in engines for number in found.get(timeout=30)]
    for engine in engines:
        engine.join()
    assert len(taken) == len(set(taken)) == 300


def test_two_threads_never_claim_the_same_delivery(ledger):
    begin(ledger, *(new(group=f"g{n}") for n in range(200)))
    start, taken = threading.Barrier(4), []

    def claim():
        start.wait()
        while claims := take(ledger, limit=3):
            taken.extend(each.id for each in claims)

    threads = [threading.Thread(target=claim) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len(set(taken)) == 200


def test_a_sent_delivery_keeps_receipt_wording_and_lateness(ledger):
    begin(ledger, new())
    (claim,) = take(ledger)
    sent_at = NOW + timedelta(milliseconds=250)
    result = Settlement(claim, "sent", message_id="m-1", wording="abc", sent_at=sent_at)
    assert ledger.settle([result], now=NOW + MINUTE) == 1
    row = ledger.delivery(key())
    assert (row.state, row.message_id, row.wording, row.sent_at) == ("sent", "m-1", "abc", sent_at)
    assert (row.lateness_ms, row.lease_until, row.updated_at) == (250, None, NOW + MINUTE)


def test_what_leaves_early_is_late_by_a_negative_time(ledger):
    begin(ledger, new(fire_at=NOW - MINUTE))
    claims = take(ledger, now=NOW - MINUTE)
    ledger.settle([Settlement(claims[0], "sent")], now=NOW - MINUTE)
    assert ledger.delivery(key()).lateness_ms == -60_000


@pytest.mark.parametrize("state", ["failed", "unknown"])
def test_what_was_not_surely_sent_has_no_time_of_sending(ledger, state):
    begin(ledger, new())
    (claim,) = take(ledger)
    ledger.settle([Settlement(claim, state, error="HTTP 400")], now=NOW)
    row = ledger.delivery(key())
    assert (row.state, row.error, row.sent_at, row.lateness_ms) == (state, "HTTP 400", None, None)


def test_a_stale_token_is_refused_without_an_error(ledger):
    begin(ledger, new())
    (old,) = take(ledger)
    (current,) = ledger.reclaim(ledger.expired(EDITION, now=NOW + HOUR), now=NOW + HOUR, lease=MINUTE)
    assert ledger.settle([Settlement(old, "failed")], now=NOW + HOUR) == 0
    assert ledger.settle([Settlement(current, "sent")], now=NOW + HOUR) == 1
    assert ledger.delivery(key()).state == "sent"


def test_settling_counts_only_the_accepted(ledger):
    begin(ledger, new(group="g1"), new(group="g2"))
    first, second = take(ledger)
    ledger.settle([Settlement(first, "sent")], now=NOW)
    assert ledger.settle([Settlement(first, "failed"), Settlement(second, "awaiting")], now=NOW) == 1
    assert ledger.counts(EDITION) == {"sent": 1, "awaiting": 1}


def test_nothing_to_settle_is_no_work(ledger):
    assert ledger.settle([], now=NOW) == 0


def test_a_retry_waits_for_its_time_and_keeps_its_wording(ledger):
    begin(ledger, new())
    (claim,) = take(ledger)
    ledger.settle([Settlement(claim, "retry", retry_at=NOW + HOUR, wording="abc", error="HTTP 503")], now=NOW)
    assert take(ledger, now=NOW + HOUR - MINUTE) == []
    (again,) = take(ledger, now=NOW + HOUR)
    assert (again.key, again.attempts, again.token, again.wording) == (claim.key, 2, 2, "abc")


def test_a_retry_without_a_time_is_refused(ledger):
    begin(ledger, new())
    (claim,) = take(ledger)
    with pytest.raises(LedgerError, match="what is tried again, and nothing else, has a time; set retry_at"):
        ledger.settle([Settlement(claim, "retry")], now=NOW)


def test_a_settlement_to_an_impossible_state_is_refused(ledger):
    begin(ledger, new())
    (claim,) = take(ledger)
    with pytest.raises(LedgerError, match="cannot go from sending to cancelled by settle"):
        ledger.settle([Settlement(claim, "cancelled")], now=NOW)


def test_a_naive_time_of_sending_is_refused(ledger):
    begin(ledger, new())
    (claim,) = take(ledger)
    with pytest.raises(LedgerError, match="without a zone"):
        ledger.settle([Settlement(claim, "sent", sent_at=datetime(2026, 12, 12))], now=NOW)


def test_the_next_moment_is_the_earliest_of_due_retry_and_lease(ledger):
    begin(ledger, new("a", due=NOW), new("b", due=NOW), new("c", due=NOW + HOUR))
    (a,), (b,) = take(ledger, "a", lease=20 * MINUTE), take(ledger, "b")

    def next_moment():
        return ledger.next_moment(EDITION, ["recruit"], now=NOW)

    ledger.settle([Settlement(b, "retry", retry_at=NOW + 10 * MINUTE)], now=NOW)
    assert next_moment() == Moment(NOW + 10 * MINUTE, "b", 1, "retry", NOW, NOW)
    ledger.set_aside(EDITION, "b", 1, to="skipped", reason="", now=NOW)
    assert next_moment() == Moment(NOW + 20 * MINUTE, "a", 1, "sending", NOW, NOW)
    ledger.settle([Settlement(a, "sent")], now=NOW)
    assert next_moment() == Moment(NOW + HOUR, "c", 1, "due", NOW + HOUR, NOW + HOUR)


def test_the_next_moment_looks_only_at_the_phases_asked_for(ledger):
    begin(ledger, new("a"), new("b", phase="ignite", due=NOW + HOUR))
    assert ledger.next_moment(EDITION, ["ignite", "aftercare"], now=NOW).step == "b"
    assert ledger.next_moment(EDITION, ["recruit", "ignite"], now=NOW).step == "a"
    assert ledger.next_moment(EDITION, ["nurture"], now=NOW) is None
    assert ledger.next_moment(EDITION, [], now=NOW) is None


def test_of_equal_moments_the_one_planned_first_then_written_first_comes_first(ledger):
    begin(ledger, new("b"), new("a"), new("later", due=NOW + HOUR, fire_at=NOW))
    assert ledger.next_moment(EDITION, ["recruit"], now=NOW).step == "b"
    ledger.set_aside(EDITION, "b", 1, to="skipped", reason="", now=NOW)
    assert ledger.next_moment(EDITION, ["recruit"], now=NOW).step == "a"


def test_what_waits_for_a_person_has_no_next_moment(ledger):
    begin(ledger, new("a"), new("b"))
    (claim,) = take(ledger, "a")
    ledger.settle([Settlement(claim, "awaiting")], now=NOW)
    ledger.set_aside(EDITION, "b", 1, to="held", reason="late", now=NOW)
    assert ledger.next_moment(EDITION, ["recruit"], now=NOW) is None


def test_the_next_moment_and_claims_read_indexes_and_sort_nothing(tmp_path):
    """On a million rows a scan or a sort would be felt at every wake."""
    from sqlalchemy import event

    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    begin(ledger)
    said = []
    event.listen(ledger.store.engine, "before_cursor_execute", lambda *said_: said.append(said_[2:4]))
    ledger.next_moment(EDITION, ["recruit"], now=NOW)
    take(ledger, channel="webhook")
    asked = [each for each in said if "delivery" in each[0]]
    with ledger.store.read() as connection:
        plans = [str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", args).all()) for sql, args in asked]
    ledger.close()
    moment, *claims = plans
    assert "SCAN delivery" not in str(plans)
    assert all(f"INDEX ix_delivery_{name} " in moment for name in ("due", "retry", "sending"))
    for claim, index in zip(claims, ("ix_delivery_channel", "ix_delivery_step_retry"), strict=True):
        assert f"SEARCH delivery USING INDEX {index} (" in claim
        assert "B-TREE" not in claim


def test_counting_looks_for_the_few_among_the_few(tmp_path):
    from sqlalchemy import event

    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    begin(ledger)
    said = []
    event.listen(ledger.store.engine, "before_cursor_execute", lambda *said_: said.append(said_[2:4]))
    ledger.counts(EDITION)
    [(sql, values)] = [each for each in said if "delivery" in each[0]]
    with ledger.store.read() as connection:
        plan = str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values).all())
    ledger.close()
    assert "SCAN delivery" not in plan
    assert "COVERING INDEX sqlite_autoindex_delivery_1 " in plan
    assert "USING INDEX sqlite_autoindex" not in plan
    assert all(f"INDEX ix_delivery_{name} " in plan for name in ("due", "sending", "rare"))


def test_writing_a_row_builds_no_tree_for_a_list_of_states(tmp_path):
    """SQLite would, for each row and each list in a condition."""
    from sqlalchemy import event

    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    begin(ledger, new("a"))
    claims, said = take(ledger, "a"), []
    event.listen(ledger.store.engine, "before_cursor_execute", lambda *said_: said.append(said_[2:4]))
    ledger.settle([Settlement(claim, "sent") for claim in claims], now=NOW)
    [(sql, rows)] = said
    with ledger.store.read() as connection:
        program = connection.exec_driver_sql(f"EXPLAIN {sql}", rows).all()
    ledger.close()
    assert "OpenEphemeral" not in {step[1] for step in program}


def test_postgresql_knows_of_many_new_rows_at_once(ledger):
    """Until autovacuum's next round it would take the table for empty, and sort all that is due for each claim."""
    if ledger.store.path is not None:
        pytest.skip("SQLite keeps no such count")
    begin(ledger, *(new("a", f"g{n}") for n in range(1000)))
    with ledger.store.read() as connection:
        sizes = "SELECT reltuples FROM pg_class WHERE oid = 'delivery'::regclass"
        assert connection.exec_driver_sql(sizes).scalar() == 1000


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=8)), None])
@pytest.mark.parametrize("microsecond", [0, 1, 999_999])
def test_a_time_is_written_as_sqlalchemy_writes_it(zone, microsecond):
    kind, dialect = delivery.c.sent_at.type, sqlite.dialect()
    at = datetime(2026, 12, 12, 1, 2, 3, microsecond, zone)
    process = kind.dialect_impl(dialect).bind_processor(dialect)
    if zone is None:
        with pytest.raises(ValueError, match="timezone"):
            to_driver(kind, dialect)(at)
    else:
        assert to_driver(kind, dialect)(at) == process(at)
    assert to_driver(kind, dialect)(None) is None


def test_a_key_is_split_at_its_first_three_slashes():
    assert split_key("a@1/step/2/g1/m/x") == ("a@1", "step", 2, "g1/m/x")


@pytest.mark.parametrize("text", ["", "a@1", "a@1/step", "a@1/step/x/g", "a@1/step/1/", "a@1/step/²/g"])
def test_what_is_not_a_key_is_refused(text):
    with pytest.raises(LedgerError, match="is not a delivery key; write EDITION/STEP/OCCURRENCE/RECIPIENT"):
        split_key(text)


def test_the_idempotency_key_depends_on_the_delivery_key_alone():
    assert idempotency_key("a@1/step/1/g1") == "drm_12876ea076e4a862a41289111f997dc1"
