"""Estimates with their uncertainty: shares, means and exact counts.

All intervals are two-sided at the confidence asked for. Nothing to measure gives no value and no bounds, so that no
threshold can be met by an empty community.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist, fmean, stdev


@dataclass(frozen=True, slots=True)
class Estimate:
    """A measured value and what it rests on.

    `n` is the number of observations (people, posts, days or pairs: the metric says which), `numerator` what was
    counted or summed over them. A bound of None means unknown: there is no interval, and no threshold is met by it.
    """

    value: float | None
    lower: float | None
    upper: float | None
    n: int
    numerator: float
    method: str


def nothing() -> Estimate:
    """No observation: neither a value nor bounds."""
    return Estimate(None, None, None, 0, 0, "nothing to measure")


def count(number: int) -> Estimate:
    """A census: everybody was counted, so there is no sampling error and both bounds are the value."""
    return Estimate(number, number, number, number, number, "census, no sampling error")


def share(part: int, whole: int, confidence: float) -> Estimate:
    """`part` of `whole` observations, with Wilson's interval."""
    if whole == 0:
        return nothing()
    lower, upper = wilson(part, whole, confidence)
    return Estimate(part / whole, lower, upper, whole, part, "Wilson score")


def wilson(part: float, whole: float, confidence: float) -> tuple[float, float]:
    """Wilson's score interval for `part` successes in `whole` > 0 trials, within 0…1 and around part/whole.

    With p = part/whole: (p + z²/2n ± z·√(p(1-p)/n + z²/4n²)) / (1 + z²/n).
    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).
    """
    z = _quantile(confidence)
    p, square = part / whole, z * z
    centre = (part + square / 2) / (whole + square)
    half = z / (whole + square) * sqrt(part * (1 - p) + square / 4)
    # In exact arithmetic the interval always holds p; rounding must not push a bound past it or out of 0…1.
    return max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half))


def clustered_share(clusters: Sequence[tuple[int, int]], confidence: float) -> Estimate:
    """Share over all clusters of (part, whole), whose observations within one cluster resemble each other.

    Wilson's interval on the effective sample size p(1-p)/v, where v is the variance of the ratio Σpart/Σwhole over
    the m clusters, m/(m-1)·Σ(part - p·whole)²/(Σwhole)². Never more than Σwhole; where v says nothing (one cluster, or
    p is 0 or 1), every cluster weighs as one observation.
    Sources: W. G. Cochran, Sampling Techniques (3rd ed. 1977), ch. 6, for v; E. L. Korn and B. I. Graubard, Survey
    Methodology 24 (1998), for the effective size.
    """
    clusters = [(part, whole) for part, whole in clusters if whole]
    part, whole, m = sum(c[0] for c in clusters), sum(c[1] for c in clusters), len(clusters)
    if not whole:
        return nothing()
    p, effective = part / whole, float(m)
    if m > 1 and 0 < part < whole:
        variance = m / (m - 1) * sum((a - p * w) ** 2 for a, w in clusters) / whole**2
        effective = min(whole, p * (1 - p) / variance) if variance else whole
    lower, upper = wilson(p * effective, effective, confidence)
    # p·effective/effective may differ from p in the last bit.
    return Estimate(p, min(p, lower), max(p, upper), whole, part, "Wilson score, effective sample size by member")


def mean(values: Sequence[float], confidence: float, *, most: float | None = None) -> Estimate:
    """Mean of values ≥ 0 with the normal approximation mean ± z·s/√n, kept within 0…`most`.

    One value alone has no spread to judge by: it is returned without bounds. The approximation is too narrow for a
    handful of values; the gate's reader sees n beside it.
    """
    if not values:
        return nothing()
    middle, n, total = fmean(values), len(values), sum(values)
    if n == 1:
        return Estimate(middle, None, None, 1, total, "one observation, no interval")
    half = _quantile(confidence) * stdev(values) / sqrt(n)
    upper = middle + half if most is None else min(most, middle + half)
    return Estimate(middle, max(0.0, middle - half), upper, n, total, "normal approximation")


def _quantile(confidence: float) -> float:
    return NormalDist().inv_cdf((1 + confidence) / 2)
