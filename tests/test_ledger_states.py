import re
from contextlib import nullcontext

import pytest
from ledger_rows import EDITION, MINUTE, NOW, begin, key, new
from sqlalchemy import update

from drumroll.errors import LedgerError
from drumroll.ledger import states
from drumroll.ledger.changes import PlanChange
from drumroll.ledger.model import Settlement
from drumroll.ledger.tables import delivery

LATER = NOW + 2 * MINUTE


def test_the_documented_table_is_the_table_in_force():
    rows = re.findall(r"^    (\w+) +(\w+) +([\w, ]+)$", states.__doc__, re.MULTILINE)
    documented = {(act, old, new) for act, old, news in rows if act != "act" for new in news.split(", ")}
    in_force = {(act, old, new) for act, moves in states.MOVES.items() for old, news in moves.items() for new in news}
    assert documented == in_force


def test_nothing_but_resolve_leaves_a_final_state():
    leaving = {act for act, moves in states.MOVES.items() for old in moves if old in states.FINAL}
    assert leaving == {"resolve"}


def test_what_was_sent_skipped_or_cancelled_stays_so_whatever_anyone_does():
    for old in ("sent", "skipped", "cancelled"):
        assert not [act for act, moves in states.MOVES.items() if old in moves]


def test_unknown_leaves_only_by_resolve_and_awaiting_only_by_done_the_platform_or_a_changed_plan():
    assert {act for act, moves in states.MOVES.items() if "unknown" in moves} == {"resolve"}
    assert {act for act, moves in states.MOVES.items() if "awaiting" in moves} == {"done", "platform", "take_back"}


def test_every_state_can_be_reached_from_due():
    reached = {"due"}
    for _ in states.STATES:
        reached |= {new for moves in states.MOVES.values() for old in reached & moves.keys() for new in moves[old]}
    assert reached == set(states.STATES)


@pytest.mark.parametrize("state", states.STATES)
def test_a_delivery_is_never_sent_twice_without_a_persons_word(state):
    """From what may have arrived, no path without `resolve`, or a changed plan (`take_back`), leads back to a claim."""
    if state in ("due", "held", "retry", "sending"):
        return
    reached = {state}
    for _ in states.STATES:
        for act, moves in states.MOVES.items():
            if act not in ("resolve", "take_back"):
                reached |= {new for old in reached & moves.keys() for new in moves[old]}
    assert not reached & {"due", "retry", "sending", "held"}


def test_an_illegal_move_names_key_states_and_act():
    with pytest.raises(LedgerError, match=r"^the/key: cannot go from sent to due by resolve; sent is final$"):
        states.require("the/key", "resolve", "sent", "due")


def test_an_illegal_move_says_which_acts_there_are():
    with pytest.raises(LedgerError, match=r"from awaiting it moves by done or platform or take_back only$"):
        states.require("the/key", "settle", "awaiting", "sent")


def taking_back(row):
    return PlanChange("hash", "{}", "title", NOW, (), (), (), (), "", (), taken_back=[row])


def tried(ledger, act, to):
    """Every public way of doing `act` to all ten deliveries; what is refused is refused."""
    rows = ledger.deliveries(EDITION)
    claims = ledger.expired(EDITION, now=LATER)
    if act == "claim":
        for _ in ("due", "retry"):
            ledger.claim(EDITION, "welcome", 1, now=LATER, limit=100, lease=MINUTE)
    elif act == "reclaim":
        ledger.reclaim(claims, now=LATER, lease=MINUTE)
    elif act == "settle":
        retry_at = LATER if to in ("retry", "sending") else None
        ledger.settle([Settlement(claim, to, retry_at=retry_at) for claim in claims], now=LATER)
    elif act == "recover":
        ledger.recover(claims, to, now=LATER, reason="why")
    elif act == "postpone":
        later = {"channel": rows[0].channel, "released": False, "until": LATER, "why": "its rate"}
        ledger.postpone(EDITION, "welcome", 1, now=LATER, **later)
    elif act == "set_aside":
        ledger.set_aside(EDITION, "welcome", 1, to=to, reason="why", now=LATER)
    one_by_one(ledger, act, to, rows if act in ("resolve", "done", "platform", "take_back") else [])


def one_by_one(ledger, act, to, rows):
    for row in rows:
        refused = pytest.raises(LedgerError, match=f"from {row.state} to {to} by {act}")
        with nullcontext() if states.may(act, row.state, to) else refused:
            if act == "take_back":
                since = ledger.plan_versions(EDITION)[-1]
                ledger.change_plan(EDITION, taking_back(row), since=since, now=LATER)
            elif act == "done":
                ledger.done(row.key, by="me", now=LATER)
            elif act == "platform":
                ledger.platform_result(row.key, to, now=LATER)
            else:
                choice = {state: word for word, state in states.CHOICES.items()}[to]
                ledger.resolve(row.key, choice, by="me", reason="why", now=LATER)


@pytest.mark.parametrize(
    ("act", "to"),
    sorted({(act, new) for act, moves in states.MOVES.items() for news in moves.values() for new in news}),
)
def test_the_ledger_moves_exactly_the_rows_the_table_lets_it(ledger, act, to):
    begin(ledger, *(new(group=state) for state in states.STATES))
    with ledger.store.write() as connection:
        for state in states.STATES:
            changes = {"state": state, "lease_until": NOW + MINUTE if state == "sending" else None}
            changes["retry_at"] = NOW if state == "retry" else None
            connection.execute(update(delivery).where(delivery.c.group_id == state).values(changes))
    tried(ledger, act, to)
    for state in states.STATES:
        row = ledger.delivery(key(state))
        expected = to if states.may(act, state, to) else state
        assert row.state == expected, (state, row.state)
