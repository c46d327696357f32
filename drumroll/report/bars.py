"""An interval against its threshold, as places along a small bar."""

from dataclasses import dataclass

from drumroll.gates import ThresholdResult
from drumroll.report.display import amount, interval, limit

_ROOM = 1.25  # of the largest thing shown, so that nothing sits on the edge


@dataclass(frozen=True, slots=True)
class Mark:
    """A limit on the bar: `place` in percent of its width; `hard` when passing it would abort."""

    place: float
    words: str
    hard: bool


@dataclass(frozen=True, slots=True)
class Bar:
    """Places in percent of the bar's width; `low`, `high` and `point` are None without an interval or a value.

    `words` say everything the bar shows, for those who do not see it.
    """

    low: float | None
    high: float | None
    point: float | None
    marks: tuple[Mark, ...]
    words: str


def bar(result: ThresholdResult) -> Bar:
    """The bar of one threshold. It begins at 0; a share's ends at 100% at most."""
    limits = [
        (sign, value, hard)
        for sign, value, hard in (
            ("at least", result.at_least, False),
            ("at most", result.at_most, False),
            ("abort beyond", result.abort_if, True),
        )
        if value is not None
    ]
    shown = [result.value, result.upper, *(value for _, value, _ in limits)]
    top = max((value for value in shown if value is not None), default=0.0) * _ROOM or 1.0
    if result.unit == "share":
        top = min(top, 1.0)

    def place(value: float | None) -> float | None:
        return None if value is None else round(min(max(value / top, 0.0), 1.0) * 100, 2)

    return Bar(
        low=place(result.lower),
        high=place(result.upper),
        point=place(result.value),
        marks=tuple(Mark(place(value) or 0.0, limit(value, result.unit), hard) for _, value, hard in limits),
        words=f"{result.metric}: {measured(result)}; {asked(result)}: {result.outcome}",
    )


def measured(result: ThresholdResult) -> str:
    """`31.2%, 95% interval 25.5–36.6%, n = 263`; what cannot be said is left out."""
    if result.value is None:
        return result.method
    words = amount(result.value, result.unit)
    exact = result.unit == "people" and result.lower == result.upper == result.value
    if exact:
        return f"{words}, all counted"
    between = interval(result.lower, result.upper, result.unit)
    return (
        f"{words}, " + (f"{result.confidence * 100:g}% interval {between}, " if between else "") + f"n = {result.n:,}"
    )


def asked(result: ThresholdResult) -> str:
    """`at least 25%`, `at least 60, abort below 15`."""
    words = [
        f"{sign} {limit(value, result.unit)}"
        for sign, value in (("at least", result.at_least), ("at most", result.at_most))
        if value is not None
    ]
    if result.abort_if is not None:
        words.append(
            f"abort {'below' if result.at_least is not None else 'above'} {limit(result.abort_if, result.unit)}"
        )
    return ", ".join(words)
