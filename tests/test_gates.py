import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drumroll.activity import Event
from drumroll.gates import judge
from drumroll.launchfile.community import Segment
from drumroll.launchfile.models import Gate, Phase
from drumroll.metrics.reading import Reading
from drumroll.metrics.registry import METRICS

START = datetime(2026, 12, 1, 8, tzinfo=UTC)
NOW = START + timedelta(days=10)
LATEST = NOW + timedelta(days=2)
HOUR = timedelta(hours=1)
REMEDY = [{"id": "nudge", "after": "2h"}, {"id": "again", "after": "5h"}]


def community(active, members, group="a"):
    """`members` people who joined at the start, `active` of whom wrote on the first day."""
    joins = [Event("t", f"{group}j{i}", "join", START, group, f"{group}{i}") for i in range(members)]
    return joins + [Event("t", f"{group}m{i}", "message", START + HOUR, group, f"{group}{i}") for i in range(active)]


def decide(events, *thresholds, now=NOW, earlier=(), groups=("a", "b"), segments=None, **gate):
    gate = Gate(thresholds=thresholds, **gate)
    phase = Phase(goal="Trust", starts="D-3 09:00", ends="D-1 21:00", gate=gate)
    reading = Reading(events, (), (), groups, now)
    return judge(
        phase, gate, reading, now=now, phase_starts=START, latest=LATEST, earlier=earlier, segments=segments or {}
    )


def active(**bounds):
    return {"metric": "active_rate", **bounds}


# One threshold


@pytest.mark.parametrize(
    ("bounds", "outcome"),
    [
        ({"at_least": 0.25}, "met"),
        ({"at_least": 0.26}, "unclear"),
        ({"at_least": 0.30}, "unclear"),
        ({"at_least": 0.37}, "missed"),
        ({"at_most": 0.37}, "met"),
        ({"at_most": 0.36}, "unclear"),
        ({"at_most": 0.25}, "missed"),
    ],
)
def test_a_threshold_is_met_by_the_cautious_bound_and_missed_by_the_hopeful_one(bounds, outcome):
    """81 of 263 is 0.308 with the interval .2553–.3662."""
    (result,) = decide(community(81, 263), active(**bounds)).results
    assert result.outcome == outcome
    assert result.met == (outcome == "met")


def test_more_confidence_asks_for_more_evidence():
    assert decide(community(81, 263), active(at_least=0.25), confidence=0.95).verdict == "pass"
    assert decide(community(81, 263), active(at_least=0.25), confidence=0.999).verdict == "hold"


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 60), st.integers(0, 60), st.floats(0.01, 0.99))
def test_one_more_active_member_never_turns_a_pass_into_less(active_members, others, at_least):
    total = active_members + others + 1
    before = decide(community(active_members, total), active(at_least=at_least))
    after = decide(community(active_members + 1, total), active(at_least=at_least))
    assert (before.verdict, after.verdict) != ("pass", "hold")


@pytest.mark.parametrize("metric", METRICS)
def test_an_empty_community_passes_no_gate_that_asks_for_something(metric):
    judgement = decide([], {"metric": metric, "at_least": 0.001})
    assert judgement.verdict == "hold"


@pytest.mark.parametrize("metric", [name for name, metric in METRICS.items() if metric.unit != "people"])
def test_nothing_to_measure_meets_no_upper_limit_and_aborts_nothing(metric):
    judgement = decide([], {"metric": metric, "at_most": 0.9, "abort_if": 0.95})
    assert (judgement.verdict, judgement.results[0].outcome) == ("hold", "unclear")


def test_a_window_looks_back_from_now_and_otherwise_to_the_phase():
    assert decide(community(50, 50), active(at_least=0.5)).verdict == "pass"
    assert decide(community(50, 50), active(at_least=0.5, window="7d")).results[0].value == 0


def test_orders_from_before_the_phase_count_unless_a_window_is_given():
    order = [Event("t", "o", "order", START - HOUR, "a", "a0")]
    counted, recent = (
        decide(community(0, 1) + order, {"metric": "conversion", "at_least": 0.01, **window}).results[0]
        for window in ({}, {"window": "10d"})
    )
    assert (counted.value, recent.value) == (1, 0)


def test_a_threshold_may_ask_of_a_segment_alone():
    events = [*community(3, 40), Event("t", "w", "waitlist", START + HOUR, "a", "a0")]
    (result,) = decide(
        events, active(at_least=0.1, segment="keen"), segments={"keen": Segment(waitlisted=True)}
    ).results
    assert (result.segment, result.value, result.n) == ("keen", 1, 1)


# Groups


def test_every_group_must_meet_a_threshold_by_itself():
    events = community(90, 100) + community(10, 100, "b")
    assert decide(events, active(at_least=0.4)).verdict == "pass"
    judgement = decide(events, active(at_least=0.4, per_group=True))
    assert [(result.group, result.outcome) for result in judgement.results] == [("a", "met"), ("b", "missed")]
    assert judgement.verdict == "hold"


def test_an_empty_group_stops_a_threshold_per_group():
    assert decide(community(90, 100), active(at_least=0.4, per_group=True)).verdict == "hold"


def test_a_threshold_per_group_without_groups_is_no_pass_for_nobody():
    assert decide([], active(at_least=0.4, per_group=True), groups=()).verdict == "hold"


# The verdict


def test_all_thresholds_met_pass_and_latch():
    judgement = decide(community(80, 100), active(at_least=0.5), {"metric": "members", "at_least": 100})
    assert (judgement.verdict, judgement.latched, judgement.next_check) == ("pass", True, None)
    assert judgement.reason == "Trust: 2 of 2 conditions met"


def test_one_missed_threshold_is_enough_to_stop():
    judgement = decide(community(80, 100), active(at_least=0.5), {"metric": "members", "at_least": 101})
    assert judgement.verdict == "hold"
    assert "members 100 (all counted) ≥ 101 ✗" in judgement.reason


def test_a_pass_is_a_pass_after_remedies_and_after_the_slack():
    judgement = decide(community(80, 100), active(at_least=0.5), now=LATEST + HOUR, earlier=["remedy", "extend"])
    assert judgement.verdict == "pass"


@pytest.mark.parametrize(
    ("bounds", "verdict"),
    [
        ({"at_least": 0.5, "abort_if": 0.37}, "abort"),
        ({"at_least": 0.5, "abort_if": 0.36}, "extend"),
        ({"at_most": 0.1, "abort_if": 0.25}, "abort"),
        ({"at_most": 0.1, "abort_if": 0.26}, "extend"),
    ],
)
def test_only_a_hopeful_bound_beyond_abort_if_aborts(bounds, verdict):
    judgement = decide(community(81, 263), active(**bounds), otherwise=("extend",))
    assert (judgement.verdict, judgement.latched) == (verdict, verdict == "abort")


def test_abort_comes_before_any_remedy():
    bounds = active(at_least=0.5, abort_if=0.4)
    assert decide(community(81, 263), bounds, otherwise=("remedy", "hold"), remedy=REMEDY).verdict == "abort"


# The ladder


def walk(*otherwise, rounds=4, remedy=REMEDY, **gate):
    """Read a gate that is never met again and again at the instants it asks for; (verdict, hours after the first)."""
    now, earlier, seen = NOW, [], []
    while len(seen) < rounds and now is not None:
        judgement = decide(
            community(0, 50), active(at_least=0.5), now=now, earlier=earlier, otherwise=otherwise, remedy=remedy, **gate
        )
        seen.append((judgement.verdict, (now - NOW) / HOUR))
        earlier.append(judgement.verdict)
        now = judgement.next_check
    return seen


def test_a_remedy_is_given_its_longest_step_and_the_recheck_to_work():
    assert walk("remedy", "hold") == [("remedy", 0), ("hold", 11)]


def test_remedies_come_once_for_each_time_they_are_named():
    assert walk("remedy", "remedy", "abort", recheck="1h") == [("remedy", 0), ("remedy", 6), ("abort", 12)]


def test_extensions_go_on_until_the_slack_is_used_up():
    assert walk("extend", "hold", recheck="20h") == [("extend", 0), ("extend", 20), ("extend", 40), ("hold", 48)]


def test_a_remedy_comes_before_the_extensions_named_after_it():
    assert [verdict for verdict, _ in walk("remedy", "extend", "abort", recheck="20h")] == [
        "remedy",
        "extend",
        "extend",
        "abort",
    ]


def test_a_remedy_is_read_again_at_the_end_of_the_slack_at_the_latest():
    assert walk("remedy", "hold", recheck="90h") == [("remedy", 0), ("hold", 48)]


def test_without_slack_left_neither_remedy_nor_extension_is_tried():
    judgement = decide(
        community(0, 50), active(at_least=0.5), now=LATEST, otherwise=("remedy", "extend", "abort"), remedy=REMEDY
    )
    assert (judgement.verdict, judgement.latched) == ("abort", True)


def test_a_ladder_with_nothing_left_holds():
    assert walk("remedy") == [("remedy", 0), ("hold", 11)]


def test_a_remedy_without_steps_is_skipped():
    assert walk("remedy", "hold", remedy=()) == [("hold", 0)]


def test_a_hold_waits_for_a_person_and_does_not_latch():
    judgement = decide(community(0, 50), active(at_least=0.5))
    assert (judgement.verdict, judgement.latched, judgement.next_check) == ("hold", False, None)


def test_a_recheck_of_zero_does_not_read_the_same_numbers_for_ever():
    judgement = decide(community(0, 50), active(at_least=0.5), otherwise=("extend",), recheck="0s")
    assert judgement.next_check == NOW + 6 * HOUR


# What is shown and stored


@pytest.mark.parametrize(
    ("threshold", "sentence"),
    [
        (active(at_least=0.25), "active_rate 0.31 (95% 0.26–0.37, n=263) ≥ 0.25 ✓"),
        (active(at_least=0.255, per_group=True), "active_rate [a] 0.31 (95% 0.2553–0.37, n=263) ≥ 0.255 ✓"),
        (active(at_most=0.2), "active_rate 0.31 (95% 0.26–0.37, n=263) ≤ 0.2 ✗"),
        (active(at_least=0.3), "active_rate 0.31 (95% 0.26–0.37, n=263) ≥ 0.3 ?"),
        ({"metric": "members", "at_least": 200}, "members 263 (all counted) ≥ 200 ✓"),
        ({"metric": "value_reply_rate", "at_least": 0.1}, "value_reply_rate (nothing to measure) ≥ 0.1 ?"),
    ],
)
def test_a_result_reads_as_a_sentence(threshold, sentence):
    assert decide(community(81, 263), threshold, groups=("a",)).results[0].sentence() == sentence


def test_the_snapshot_is_plain_json_with_stable_fields_and_six_places():
    snapshot = decide(community(81, 263), active(at_least=0.3), otherwise=("extend",)).as_dict()
    assert json.loads(json.dumps(snapshot)) == snapshot
    assert list(snapshot) == ["verdict", "latched", "reason", "next_check", "results"]
    assert snapshot["next_check"] == "2026-12-11T14:00:00+00:00"
    assert snapshot["results"] == [
        {
            "metric": "active_rate",
            "group": None,
            "segment": None,
            "at_least": 0.3,
            "at_most": None,
            "abort_if": None,
            "value": 0.307985,
            "lower": 0.255289,
            "upper": 0.36621,
            "n": 263,
            "unit": "share",
            "method": "Wilson score",
            "confidence": 0.95,
            "outcome": "unclear",
        }
    ]
