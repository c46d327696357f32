"""Gates: may the next phase begin? Judged on interval bounds, not on wishful point values."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from drumroll.launchfile.community import Segment
from drumroll.launchfile.models import Gate, Phase, Threshold, Verdict
from drumroll.metrics.reading import Reading
from drumroll.metrics.registry import METRICS, Value, measure, rounded
from drumroll.metrics.segments import in_segment

RECHECK = timedelta(hours=6)

Outcome = Literal["met", "missed", "unclear"]
_MARK: dict[Outcome, str] = {"met": "✓", "missed": "✗", "unclear": "?"}


@dataclass(frozen=True, slots=True)
class ThresholdResult:
    """One threshold against one measured value, for one group or the whole (None).

    `outcome`: "met" when the cautious bound meets the threshold, "missed" when even the hopeful bound does not,
    "unclear" when the interval straddles it or there is no interval.
    """

    metric: str
    group: str | None
    segment: str | None
    at_least: float | None
    at_most: float | None
    abort_if: float | None
    value: float | None
    lower: float | None
    upper: float | None
    n: int
    unit: str
    method: str
    confidence: float
    outcome: Outcome

    @property
    def met(self) -> bool:
        """Whether the threshold is met."""
        return self.outcome == "met"

    @property
    def hopeless(self) -> bool:
        """Whether even the hopeful bound is worse than `abort_if`."""
        if self.abort_if is None:
            return False
        if self.at_least is not None:
            return self.upper is not None and self.upper < self.abort_if
        return self.lower is not None and self.lower > self.abort_if

    def sentence(self) -> str:
        """One line for a terminal, e.g. `active_rate 0.31 (95% 0.26–0.37, n=263) ≥ 0.25 ✓`."""
        limits = [
            f"{sign} {limit:.10g}" for sign, limit in (("≥", self.at_least), ("≤", self.at_most)) if limit is not None
        ]
        return f"{self._subject()} {self._measured()} {' and '.join(limits)} {_MARK[self.outcome]}"

    def _subject(self) -> str:
        where = [part for part in (self.group, self.segment) if part is not None]
        return f"{self.metric} [{', '.join(where)}]" if where else self.metric

    def _measured(self) -> str:
        if self.value is None:
            return f"({self.method})"
        if self.lower is None or self.upper is None:
            return f"{self._show(self.value)} ({self.method})"
        if self.lower == self.upper == self.value and self.unit == "people":
            return f"{self.value:.0f} (all counted)"
        interval = f"{self._show(self.lower)}–{self._show(self.upper)}"
        return f"{self._show(self.value)} ({self.confidence * 100:g}% {interval}, n={self.n})"

    def _show(self, number: float) -> str:
        """Two decimals, or as many (up to 6) as it takes to tell the number from the limit it is judged by."""
        limits = {limit for limit in (self.at_least, self.at_most) if limit is not None} - {number}
        digits = next((d for d in range(2, 6) if all(round(number, d) != round(x, d) for x in limits)), 6)
        return f"{number:.{digits}f}"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict with everything it was based on.

    `latched`: the verdict stands and the gate is not read again. `next_check` (UTC) is when it is read again; None for
    a latched verdict, and for `hold`, which waits for a person.
    """

    verdict: Verdict
    results: tuple[ThresholdResult, ...]
    next_check: datetime | None
    latched: bool
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """The snapshot to store: JSON types only, fields in this order, floats rounded to 6 places, UTC instants."""
        return {
            "verdict": self.verdict,
            "latched": self.latched,
            "reason": self.reason,
            "next_check": None if self.next_check is None else self.next_check.astimezone(UTC).isoformat(),
            "results": [rounded(asdict(result)) for result in self.results],
        }


def judge(
    phase: Phase,
    gate: Gate,
    reading: Reading,
    *,
    now: datetime,
    phase_starts: datetime,
    latest: datetime,
    earlier: Sequence[Verdict],
    segments: Mapping[str, Segment],
) -> Judgement:
    """Judge one gate of a phase at `now`.

    `latest` is when the phase's slack is used up; `earlier` are this gate's verdicts so far. All thresholds met: pass.
    Else a threshold beyond its `abort_if`: abort. Else the first usable rung of `gate.otherwise`: each `remedy` is
    usable once, and only before `latest`; `extend` as often as it takes until `latest` (so a remedy written after it
    never comes); `hold` and `abort` always. A ladder with nothing usable holds. Pass and abort latch.
    Raises KeyError for an unknown metric or segment.
    """
    results = tuple(
        result
        for threshold in gate.thresholds
        for result in _read(threshold, gate, reading, now=now, phase_starts=phase_starts, segments=segments)
    )
    unmet = [result for result in results if not result.met]
    words = f"{phase.goal}: {len(results) - len(unmet)} of {len(results)} conditions met"
    if not unmet:
        return Judgement("pass", results, None, latched=True, reason=words)
    words += f"; not met: {'; '.join(result.sentence() for result in unmet)}"
    if hopeless := [f"{result.metric} is beyond {result.abort_if:g}" for result in unmet if result.hopeless]:
        return Judgement("abort", results, None, latched=True, reason=f"{words}; abort: {', '.join(hopeless)}")
    verdict, next_check, why = _rung(gate, now, latest, earlier)
    return Judgement(verdict, results, next_check, latched=verdict == "abort", reason=f"{words}; {verdict}: {why}")


def _read(
    threshold: Threshold,
    gate: Gate,
    reading: Reading,
    *,
    now: datetime,
    phase_starts: datetime,
    segments: Mapping[str, Segment],
) -> list[ThresholdResult]:
    metric = METRICS[threshold.metric]
    since = metric.default_since(phase_starts) if threshold.window is None else now - threshold.window
    members = None if threshold.segment is None else in_segment(reading, segments[threshold.segment], at=now)
    # A reading without groups is read as a whole: no result at all would be a threshold met by nobody.
    groups = (tuple(reading.groups) if threshold.per_group else ()) or (None,)
    return [
        _compare(
            threshold,
            gate.confidence,
            group,
            measure(
                metric.name,
                reading,
                since=since,
                until=now,
                group=group,
                members=members,
                confidence=gate.confidence,
            ),
        )
        for group in groups
    ]


def _compare(threshold: Threshold, confidence: float, group: str | None, value: Value) -> ThresholdResult:
    return ThresholdResult(
        metric=value.metric,
        group=group,
        segment=threshold.segment,
        at_least=threshold.at_least,
        at_most=threshold.at_most,
        abort_if=threshold.abort_if,
        value=value.value,
        lower=value.lower,
        upper=value.upper,
        n=value.n,
        unit=value.unit,
        method=value.method,
        confidence=confidence,
        outcome=_outcome(threshold, value),
    )


def _outcome(threshold: Threshold, value: Value) -> Outcome:
    least, most = threshold.at_least, threshold.at_most
    lower, upper = value.lower, value.upper
    if lower is None or upper is None or (least is None and most is None):
        return "unclear"
    if (least is None or lower >= least) and (most is None or upper <= most):
        return "met"
    if (least is not None and upper < least) or (most is not None and lower > most):
        return "missed"
    return "unclear"


def _rung(
    gate: Gate, now: datetime, latest: datetime, earlier: Sequence[Verdict]
) -> tuple[Verdict, datetime | None, str]:
    """The first usable rung of the ladder, when to read the gate again, and why this rung."""
    # A recheck of zero would read the same numbers for ever.
    recheck = gate.recheck or RECHECK
    remedies, used = gate.otherwise.count("remedy"), earlier.count("remedy")
    for rung in gate.otherwise:
        if rung == "remedy" and gate.remedy and used < remedies and now < latest:
            longest = max(step.after for step in gate.remedy)
            return "remedy", min(now + longest + recheck, latest), f"{used + 1} of {remedies}"
        if rung == "extend" and now < latest:
            return "extend", min(now + recheck, latest), f"slack lasts until {_instant(latest)}"
        if rung == "abort":
            return "abort", None, "the ladder ends here"
        if rung == "hold":
            return "hold", None, "a person decides"
    return "hold", None, "nothing else is left to try; a person decides"


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
