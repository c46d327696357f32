from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drumroll.metrics.intervals import clustered_share, count, mean, nothing, share, wilson

confidences = st.sampled_from([0.8, 0.9, 0.95, 0.99])


@st.composite
def parts(draw):
    whole = draw(st.integers(1, 2000))
    return draw(st.integers(0, whole)), whole


@pytest.mark.parametrize(
    ("part", "whole", "lower", "upper"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_the_published_bounds(part, whole, lower, upper):
    assert wilson(part, whole, 0.95) == pytest.approx((lower, upper), abs=5e-5)


@given(parts(), confidences)
def test_wilson_holds_the_share_and_stays_within_0_and_1(case, confidence):
    part, whole = case
    lower, upper = wilson(part, whole, confidence)
    assert 0 <= lower <= part / whole <= upper <= 1
    assert upper - lower > 0


@given(parts(), confidences)
def test_wilson_bounds_rise_with_every_further_success(case, confidence):
    part, whole = case
    if part < whole:
        here, next_ = wilson(part, whole, confidence), wilson(part + 1, whole, confidence)
        assert next_[0] > here[0]
        assert next_[1] > here[1] or here[1] == 1


@given(parts(), st.integers(2, 50), confidences)
def test_wilson_narrows_with_more_observations_of_the_same_share(case, times, confidence):
    part, whole = case
    lower, upper = wilson(part, whole, confidence)
    closer_lower, closer_upper = wilson(part * times, whole * times, confidence)
    assert closer_upper - closer_lower < upper - lower


@given(parts())
def test_more_confidence_means_a_wider_interval(case):
    lower, upper = wilson(*case, 0.9)
    wider_lower, wider_upper = wilson(*case, 0.99)
    assert wider_lower <= lower < upper <= wider_upper


@given(parts(), confidences)
def test_wilson_bounds_solve_the_score_equation(case, confidence):
    """Each bound q is where the share lies exactly z standard errors away: (p - q)² = z²·q(1-q)/n."""
    part, whole = case
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    for q in wilson(part, whole, confidence):
        assert (part / whole - q) ** 2 == pytest.approx(z * z * q * (1 - q) / whole, abs=1e-12)


def test_no_observations_give_neither_value_nor_bounds():
    for found in (share(0, 0, 0.95), mean([], 0.95), clustered_share([], 0.95), clustered_share([(0, 0)], 0.95)):
        assert found == nothing()
        assert (found.value, found.lower, found.upper, found.n) == (None, None, None, 0)


def test_a_count_has_no_sampling_error():
    found = count(42)
    assert (found.lower, found.value, found.upper) == (42, 42, 42)
    assert "census" in found.method


def test_a_mean_has_the_normal_interval():
    found = mean([2, 4, 4, 4, 5, 5, 7, 9], 0.95)
    # s = √(32/7) = 2.13809, s/√8 = 0.755929, z = 1.959964
    assert (found.value, found.lower, found.upper) == pytest.approx((5, 3.518406, 6.481594), abs=1e-6)
    assert (found.n, found.numerator) == (8, 40)


def test_one_observation_alone_has_no_interval():
    found = mean([7], 0.95)
    assert (found.value, found.lower, found.upper, found.n) == (7, None, None, 1)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=40), confidences)
def test_the_interval_of_a_mean_of_shares_stays_within_0_and_1(values, confidence):
    found = mean(values, confidence, most=1.0)
    assert 0 <= found.lower <= found.value + 1e-12
    assert found.value - 1e-12 <= found.upper <= 1


def test_alike_answers_of_one_member_widen_the_interval():
    """Ten members who answer all or nothing tell as much as ten observations, not as much as a hundred."""
    alike = clustered_share([(10, 10)] * 5 + [(0, 10)] * 5, 0.95)
    assert alike.value == 0.5
    assert alike.n == 100
    assert alike.upper - alike.lower > wilson(5, 10, 0.95)[1] - wilson(5, 10, 0.95)[0]


@given(st.lists(parts(), min_size=1, max_size=12), confidences)
def test_a_clustered_interval_is_never_narrower_than_a_plain_one(clusters, confidence):
    found = clustered_share(clusters, confidence)
    lower, upper = wilson(found.numerator, found.n, confidence)
    assert found.lower <= lower + 1e-12
    assert found.upper >= upper - 1e-12
    assert found.lower <= found.value <= found.upper
