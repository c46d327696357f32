import signal
import subprocess
import sys
from datetime import timedelta

import pytest
from ledger_rows import EDITION, MINUTE, NOW, begin, key, new, take

from drumroll.errors import LedgerError
from drumroll.ledger.model import Settlement, idempotency_key

LATER = NOW + timedelta(hours=1)

ENGINE = f"""
import sys, time
from datetime import datetime, timedelta
from drumroll.ledger.ledger import open_ledger
now = datetime.fromisoformat({NOW.isoformat()!r})
ledger = open_ledger(sys.argv[1])
print(len(ledger.claim({EDITION!r}, "welcome", 1, now=now, limit=2, lease=timedelta(minutes=1))), flush=True)
time.sleep(60)
"""


def test_an_engine_killed_after_its_claim_leaves_exactly_its_rows_expired(ledger, ledger_url):
    begin(ledger, *(new(group=f"g{n}") for n in range(4)))
    engine = subprocess.Popen([sys.executable, "-c", ENGINE, ledger_url], stdout=subprocess.PIPE, text=True)
    assert engine.stdout.readline() == "2\n"
    engine.send_signal(signal.SIGKILL)
    engine.communicate()
    assert ledger.expired(EDITION, now=NOW) == []
    assert [claim.group for claim in ledger.expired(EDITION, now=LATER)] == ["g0", "g1"]
    assert ledger.counts(EDITION) == {"sending": 2, "due": 2}


def test_a_reclaimed_delivery_keeps_its_key_and_gets_a_new_token(ledger):
    begin(ledger, new())
    (old,) = take(ledger)
    (current,) = ledger.reclaim(ledger.expired(EDITION, now=LATER), now=LATER, lease=MINUTE)
    assert idempotency_key(current.key) == idempotency_key(old.key)
    assert (current.token, current.attempts) == (2, 2)
    assert ledger.delivery(key()).lease_until == LATER + MINUTE


def test_of_two_engines_that_reclaim_only_the_first_gets_it(ledger):
    begin(ledger, new())
    take(ledger)
    lapsed = ledger.expired(EDITION, now=LATER)
    assert len(ledger.reclaim(lapsed, now=LATER, lease=MINUTE)) == 1
    assert ledger.reclaim(lapsed, now=LATER, lease=MINUTE) == []


def test_what_is_still_leased_can_be_neither_reclaimed_nor_recovered(ledger):
    begin(ledger, new())
    claims = take(ledger)
    assert ledger.reclaim(claims, now=NOW, lease=MINUTE) == []
    assert ledger.recover(claims, "unknown", now=NOW, reason="?") == 0
    assert ledger.delivery(key()).state == "sending"


def test_a_doubtful_delivery_becomes_unknown_with_its_reason(ledger):
    begin(ledger, new())
    take(ledger)
    assert ledger.recover(ledger.expired(EDITION, now=LATER), "unknown", now=LATER, reason="engine died") == 1
    row = ledger.delivery(key())
    assert (row.state, row.error, row.sent_at, row.lease_until) == ("unknown", "engine died", None, None)
    assert take(ledger, now=LATER) == []


def test_a_delivery_found_on_look_up_counts_as_sent_when_it_was_claimed(ledger):
    begin(ledger, new())
    take(ledger)
    lapsed = ledger.expired(EDITION, now=LATER)
    assert ledger.recover(lapsed, "sent", now=LATER, reason="looked up", message_id="m-1") == 1
    row = ledger.delivery(key())
    assert (row.state, row.message_id, row.sent_at, row.lateness_ms) == ("sent", "m-1", NOW, None)


def test_what_was_settled_late_but_first_is_not_recovered(ledger):
    begin(ledger, new())
    (claim,) = take(ledger)
    lapsed = ledger.expired(EDITION, now=LATER)
    ledger.settle([Settlement(claim, "sent")], now=LATER)
    assert ledger.recover(lapsed, "unknown", now=LATER, reason="?") == 0
    assert ledger.delivery(key()).state == "sent"


def test_a_recovery_cannot_make_anything_due(ledger):
    begin(ledger, new())
    claims = take(ledger)
    with pytest.raises(LedgerError, match="cannot go from sending to due by recover"):
        ledger.recover(claims, "due", now=LATER, reason="?")
    assert ledger.recover([], "unknown", now=LATER, reason="?") == 0
