"""Who wants it and who bought it.

Waitlist entries and orders belong to the person: they count in every group that the person is a member of, wherever
they were recorded. Only members there at the window's end count.
"""

from collections.abc import Mapping
from datetime import datetime

from drumroll.metrics.intervals import Estimate, count, share
from drumroll.metrics.reading import any_between
from drumroll.metrics.scope import Scope


def waitlist(scope: Scope, _confidence: float) -> Estimate:
    """Members with a waitlist entry in the window."""
    return count(_with(scope.reading.waitlisted, scope))


def waitlist_rate(scope: Scope, confidence: float) -> Estimate:
    """Members with a waitlist entry in the window ÷ members."""
    return share(_with(scope.reading.waitlisted, scope), len(scope.members), confidence)


def conversion(scope: Scope, confidence: float) -> Estimate:
    """Members with an order in the window ÷ members."""
    return share(_with(scope.reading.ordered, scope), len(scope.members), confidence)


def _with(instants: Mapping[str, list[datetime]], scope: Scope) -> int:
    return sum(any_between(instants.get(member, ()), scope.since, scope.until) for member in scope.members)
