import hashlib
import threading

import pytest
from ledger_rows import EDITION, MINUTE, NOW, begin, new

from drumroll.errors import LedgerError
from drumroll.ledger.ledger import open_ledger
from drumroll.ledger.model import DecisionRow, GateCheckRow
from drumroll.ledger.tables import gate_check


def check(**changes):
    values = {
        "attempt": 1,
        "checked_at": NOW,
        "verdict": "hold",
        "latched": False,
        "snapshot": '{"members": 3}',
    } | changes
    return GateCheckRow(edition=EDITION, phase=values.pop("phase", "nurture"), **values)


def test_a_wording_is_found_again_by_its_hash(ledger):
    begin(ledger)
    sha = ledger.keep_wording(EDITION, "welcome", 1, "【公告01】歡迎 🎉\n", now=NOW)
    assert sha == hashlib.sha256("【公告01】歡迎 🎉\n".encode()).hexdigest()
    assert ledger.wording(sha) == "【公告01】歡迎 🎉\n"


def test_the_same_wording_again_keeps_the_first_time(ledger):
    begin(ledger)
    for now in (NOW, NOW + MINUTE):
        ledger.keep_wording(EDITION, "welcome", 1, "hello", now=now, fire_at=NOW)
    (row,) = ledger.wordings(EDITION)
    assert (row.text, row.rendered_at, row.fire_at) == ("hello", NOW, NOW)


def test_wordings_are_listed_as_they_were_rendered(ledger):
    begin(ledger)
    for minutes, text in ((1, "b"), (0, "a"), (2, "c")):
        ledger.keep_wording(EDITION, "welcome", 1, text, now=NOW + minutes * MINUTE)
    assert [row.text for row in ledger.wordings(EDITION)] == ["a", "b", "c"]


def test_a_hash_that_nobody_said_is_refused(ledger):
    with pytest.raises(LedgerError, match='no text with the hash "abc"'):
        ledger.wording("abc")


def test_a_broken_character_is_an_error_and_no_traceback(ledger):
    begin(ledger)
    with pytest.raises(LedgerError, match="broken character"):
        ledger.keep_wording(EDITION, "welcome", 1, "half an emoji: \ud83d", now=NOW)


def test_every_reading_of_a_gate_is_kept_with_what_it_saw(ledger):
    begin(ledger)
    rows = [check(next_check_at=NOW + MINUTE), check(attempt=2, verdict="pass", latched=True), check(phase="ignite")]
    assert [ledger.keep_check(row) for row in rows] == [True, True, True]
    assert ledger.checks(EDITION) == rows
    assert ledger.checks(EDITION, "nurture") == rows[:2]
    assert ledger.last_check(EDITION, "nurture") == rows[1]


DECIDED = DecisionRow(EDITION, "gate nurture", "extend", "mei", "rain", NOW)


def test_a_reading_is_kept_with_its_remedies_and_its_decision(ledger):
    begin(ledger)
    assert ledger.keep_check(check(), [new("remedy")], DECIDED)
    assert [row.step for row in ledger.deliveries(EDITION)] == ["remedy"]
    assert ledger.decisions(EDITION) == [DECIDED]


@pytest.mark.parametrize("attempt", [1, 2, 4])
def test_a_reading_that_does_not_follow_the_latest_writes_nothing(ledger, attempt):
    begin(ledger)
    rows = [check(), check(attempt=2)]
    for row in rows:
        ledger.keep_check(row)
    assert not ledger.keep_check(check(attempt=attempt, verdict="pass"), [new("remedy")], DECIDED)
    assert ledger.checks(EDITION) == rows
    assert (ledger.deliveries(EDITION), ledger.decisions(EDITION)) == ([], [])


def test_a_remedy_that_is_refused_takes_its_reading_along(ledger):
    begin(ledger)
    with pytest.raises(LedgerError, match="cannot be part of a delivery key"):
        ledger.keep_check(check(), [new("a/b")], DECIDED)
    assert ledger.checks(EDITION) == []
    assert ledger.keep_check(check())


def test_of_two_engines_reading_a_gate_at_once_one_writes(ledger):
    begin(ledger)
    start, kept = threading.Barrier(2, timeout=5), []

    def read(engine):
        for attempt in range(1, 21):
            start.wait()
            remedy = new("remedy", group=f"{engine}-{attempt}", occurrence=attempt)
            if ledger.keep_check(check(attempt=attempt, snapshot=engine), [remedy]):
                kept.append(f"{engine}-{attempt}")

    engines = [threading.Thread(target=read, args=(name,)) for name in ("a", "b")]
    for engine in engines:
        engine.start()
    for engine in engines:
        engine.join()
    checks = ledger.checks(EDITION)
    assert [row.attempt for row in checks] == list(range(1, 21))
    assert kept == [f"{row.snapshot}-{row.attempt}" for row in checks]
    assert sorted(row.group for row in ledger.deliveries(EDITION)) == sorted(kept)


def test_the_second_of_two_readings_waits_for_the_first_and_gives_way(postgres):
    """On PostgreSQL both see the same latest attempt; SQLite lets only one begin."""
    ledger = open_ledger(postgres())
    begin(ledger)
    told = []
    other = threading.Thread(target=lambda: told.append(ledger.keep_check(check(snapshot="b"), [new()], DECIDED)))
    with ledger.store.write() as connection:
        row = {name: getattr(check(snapshot="a"), name) for name in GateCheckRow.__dataclass_fields__}
        connection.execute(gate_check.insert().values(row))
        other.start()
        other.join(0.2)
        assert told == []
    other.join()
    assert told == [False]
    assert [row.snapshot for row in ledger.checks(EDITION)] == ["a"]
    assert (ledger.deliveries(EDITION), ledger.decisions(EDITION)) == ([], [])
    ledger.close()


def test_a_gate_never_read_has_no_last_reading(ledger):
    begin(ledger)
    assert ledger.last_check(EDITION, "nurture") is None


def test_decisions_are_an_audit_log_in_order(ledger):
    begin(ledger)
    ledger.decide(EDITION, "nurture", "extend", by="mei", reason="rain", now=NOW)
    ledger.decide(EDITION, "ignite", "pass", by="lin", reason="", now=NOW + MINUTE)
    assert [(row.subject, row.choice, row.by, row.reason) for row in ledger.decisions(EDITION)] == [
        ("nurture", "extend", "mei", "rain"),
        ("ignite", "pass", "lin", ""),
    ]
    assert [row.at for row in ledger.decisions(EDITION, "ignite")] == [NOW + MINUTE]
