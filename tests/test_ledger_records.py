import hashlib

import pytest
from ledger_rows import EDITION, MINUTE, NOW, begin

from drumroll.errors import LedgerError
from drumroll.ledger.model import GateCheckRow


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
    for row in rows:
        ledger.keep_check(row)
    assert ledger.checks(EDITION) == rows
    assert ledger.checks(EDITION, "nurture") == rows[:2]
    assert ledger.last_check(EDITION, "nurture") == rows[1]


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
