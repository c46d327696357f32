"""Rhythm: it tightens from phase to phase, and no stretch sags (brief Q9). Measured in waking time."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise

from drumroll.launchfile.models import PhaseName
from drumroll.plan.model import PlannedStep
from drumroll.suspense.rule import Breach, Edit, Rule, Subject
from drumroll.suspense.waking import hours, local, waking_of

_SEQUENCE: tuple[PhaseName, ...] = ("recruit", "build_up", "nurture", "ignite")
_TOLERANCE = 1.15
_PATIENCE = timedelta(hours=8)
_SAG = 2

Gap = tuple[PlannedStep, PlannedStep, timedelta]


def _tightens(subject: Subject) -> Iterator[Breach]:
    spans: dict[PhaseName, list[timedelta]] = defaultdict(list)
    for _, later, span in _gaps(subject):
        spans[later.phase].append(span)
    means = [(name, _mean(spans[name])) for name in _SEQUENCE if len(spans[name]) > 1]
    for (earlier, before), (name, mean) in pairwise(means):
        if mean > before * _TOLERANCE:
            what = (
                f"its numbered announcements come every {hours(mean)} waking hours on average, "
                f"those of {earlier} every {hours(before)}"
            )
            yield Breach(("phases", name), what, "move them closer together, or number one more")


def _sag(subject: Subject) -> Iterator[Breach]:
    before: list[timedelta] = []
    for earlier, later, span in _gaps(subject):
        if earlier.due >= subject.plan.opens:
            return
        usual = _mean(before) if len(before) > 1 else span
        if later.phase in _SEQUENCE[1:] and span > _PATIENCE and span > usual * _SAG:
            what = (
                f"from {subject.labels[earlier.id]} ({local(earlier.due, subject.zone)}) to "
                f"{subject.labels[later.id]} ({local(later.due, subject.zone)}) pass {hours(span)} waking hours; "
                f"until then it was {hours(usual)} on average"
            )
            yield Breach(subject.places[later.id], what, "put a numbered announcement between them, or move this one")
        before.append(span)


def _gaps(subject: Subject) -> Iterator[Gap]:
    """Each numbered announcement, the next one, and the waking time between them."""
    waking = waking_of(subject)
    for earlier, later in pairwise(subject.serial):
        yield earlier, later, waking.time(earlier.due, later.due)


def _mean(spans: list[timedelta]) -> timedelta:
    return sum(spans, timedelta(0)) / len(spans)


TIGHTENS = Rule(
    id="rhythm/tightens",
    title="The rhythm tightens from phase to phase",
    reason=(
        "Anticipation rises when the beats come closer; a series that slows down towards its finale says that nothing "
        "is coming. Compares the mean waking time between numbered announcements, phase by phase, and lets 15 % pass; "
        "a gap belongs to the phase of the announcement that ends it, and a phase with fewer than two has no rhythm."
    ),
    check=_tightens,
    example=(Edit('at: "D-5 19:00"', 'at: "D-6 21:00"'),),
    severity="warning",
)
SAG = Rule(
    id="rhythm/sag",
    title="No stretch before the opening sags",
    reason=(
        "People come back at the pace that they have learned. Where nothing numbered comes for more than eight waking "
        "hours and more than twice as long as it took on average until then, they find another evening's company. "
        "Looks at build-up, nurture and ignite up to the announcement that opens."
    ),
    check=_sag,
    example=(Edit('at: "D-2 18:30"', 'at: "D-3 20:00"'),),
    severity="warning",
)
RULES = (TIGHTENS, SAG)
