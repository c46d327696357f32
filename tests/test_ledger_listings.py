import pytest
from ledger_rows import EDITION, MINUTE, NOW, begin, key, new, take

from drumroll.errors import LedgerError
from drumroll.ledger.model import Settlement


def test_deliveries_are_listed_in_the_order_they_are_planned(ledger):
    begin(ledger, new("b", due=NOW + MINUTE), new("a"), new("c"))
    assert [row.step for row in ledger.deliveries(EDITION)] == ["a", "c", "b"]


def test_deliveries_are_listed_by_state_and_by_step(ledger):
    begin(ledger, new("a", "g1"), new("a", "g2"), new("b", "g1"))
    first, _ = take(ledger, "a")
    ledger.settle([Settlement(first, "unknown")], now=NOW)
    assert [row.key for row in ledger.deliveries(EDITION, state="unknown")] == [key("g1", "a")]
    assert [row.key for row in ledger.deliveries(EDITION, state="due")] == [key("g1", "b")]
    assert [row.state for row in ledger.deliveries(EDITION, step="a")] == ["unknown", "sending"]


def test_deliveries_of_another_edition_stay_out(ledger):
    begin(ledger, new())
    begin(ledger, new(), new(group="g2"), edition="other@2026-01-01")
    assert ledger.counts(EDITION) == {"due": 1}
    assert ledger.step_states(EDITION) == {("welcome", 1): {"due": 1}}
    assert len(ledger.deliveries(EDITION)) == 1


def test_a_mistyped_key_is_answered_with_the_nearest_ones(ledger):
    begin(ledger, new(group="morning"), new(group="evening"))
    with pytest.raises(LedgerError, match=f"{key('mornin')}: no such delivery; did you mean {key('morning')}"):
        ledger.delivery(key("mornin"))


def test_a_mistyped_step_or_edition_is_answered_too(ledger):
    begin(ledger, new(group="morning"))
    for wrong in (key("morning", "welcom"), "learning-phone@2026-12-13/welcome/1/morning"):
        with pytest.raises(LedgerError, match=f"did you mean {key('morning')}"):
            ledger.delivery(wrong)


def test_a_key_like_no_other_gets_no_guess(ledger):
    with pytest.raises(LedgerError, match="`drumroll deliveries` lists the keys"):
        ledger.delivery("x/y/1/z")
