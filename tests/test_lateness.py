"""What becomes of a message whose instant has passed."""

from datetime import UTC, datetime, timedelta

import pytest

from drumroll.operate.lateness import PUNCTUAL, rule, rule_released
from drumroll.plan.model import PlannedStep

DUE = datetime(2026, 12, 12, 4, tzinfo=UTC)


def step(on_late="rerender", max_late=timedelta(hours=2), **changes):
    values = {
        "id": "s",
        "phase": "ignite",
        "kind": "announcement",
        "due": DUE,
        "template": "t",
        "groups": ("g1",),
        "on_late": on_late,
        "max_late": max_late,
    } | changes
    return PlannedStep(**values)


def after(**late):
    return DUE + timedelta(**late)


@pytest.mark.parametrize("policy", ["send", "rerender", "skip", "hold"])
def test_a_punctual_message_says_what_it_would_have_said_at_its_instant(policy):
    ruling = rule(step(policy), now=DUE + PUNCTUAL)
    assert (ruling.act, ruling.as_of) == ("send", DUE)


def test_an_early_hand_off_speaks_as_of_its_instant():
    assert rule(step(), now=after(minutes=-30)).as_of == DUE


def test_a_late_message_is_rendered_again_for_now():
    ruling = rule(step("rerender"), now=after(minutes=90))
    assert (ruling.act, ruling.as_of) == ("send", after(minutes=90))


def test_a_late_message_may_keep_its_words():
    ruling = rule(step("send"), now=after(minutes=90))
    assert (ruling.act, ruling.as_of) == ("send", DUE)


@pytest.mark.parametrize("policy", ["send", "rerender"])
def test_past_max_late_a_person_decides(policy):
    ruling = rule(step(policy), now=after(hours=2, seconds=1))
    assert ruling.act == "held"
    assert "2h late" in ruling.reason


def test_a_late_message_with_policy_skip_is_skipped():
    assert rule(step("skip"), now=after(minutes=2)).act == "skipped"


def test_a_late_message_with_policy_hold_is_held():
    assert rule(step("hold"), now=after(minutes=2)).act == "held"


def test_a_countdown_whose_target_has_passed_is_skipped_whatever_its_policy():
    countdown = step("send", kind="countdown", counts_to=after(hours=1))
    assert rule(countdown, now=after(hours=1)).act == "skipped"
    assert rule_released(countdown, now=after(hours=1), released_at=after(hours=1)).act == "skipped"


def test_a_late_message_that_the_next_announcement_has_overtaken_is_held():
    ruling = rule(step("rerender"), now=after(minutes=30), overtaken=True)
    assert (ruling.act, "a newer message is due too" in ruling.reason) == ("held", True)


def test_after_a_short_stop_announcements_are_caught_up_in_order():
    assert rule(step("rerender"), now=after(minutes=15), overtaken=True).act == "send"


def test_what_a_person_released_goes_out_as_of_now_however_late_it_was():
    now = after(days=3)
    ruling = rule_released(step("hold"), now=now, released_at=now - timedelta(minutes=5))
    assert (ruling.act, ruling.as_of) == ("send", now)


def test_a_release_that_nobody_acted_on_for_hours_is_held_again():
    ruling = rule_released(step(), now=after(days=3), released_at=after(days=2))
    assert (ruling.act, "decides again" in ruling.reason) == ("held", True)
