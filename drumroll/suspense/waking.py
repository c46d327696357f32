"""Waking time: local time outside the quiet hours, and the allowed instants nearest to one inside them. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from drumroll.launchfile.method import QuietHours, minutes_of
from drumroll.suspense.rule import Subject

MINUTE = timedelta(minutes=1)
_DAY = 24 * 60 * 60  # seconds on the face of a clock


@dataclass(frozen=True, slots=True)
class Waking:
    """When the people of one zone are awake. Takes and gives UTC instants; time is elapsed time, on DST days too."""

    quiet: QuietHours
    zone: ZoneInfo

    def is_quiet(self, at: datetime) -> bool:
        """Whether `at` lies in the quiet hours."""
        local = at.astimezone(self.zone)
        return self.quiet.holds(local.hour * 60 + local.minute)

    def time(self, start: datetime, end: datetime) -> timedelta:
        """The waking time from `start` to `end`."""
        return sum((until - at for at, until, quiet in self._stretches(start, end) if not quiet), timedelta(0))

    def first_allowed(self, at: datetime) -> datetime:
        """The first instant outside the quiet hours, `at` or later."""
        return next(start for start, _, quiet in self._stretches(at, at + 2 * timedelta(days=1)) if not quiet)

    def last_allowed(self, at: datetime) -> datetime:
        """The last whole minute before the quiet hours around `at`; `at` itself when there are none."""
        if not self.is_quiet(at):
            return at
        before = [until for _, until, quiet in self._stretches(at - 2 * timedelta(days=1), at) if not quiet]
        return before[-1] - MINUTE

    def _stretches(self, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime, bool]]:
        """(from, until, quiet): what lies between two instants, cut where the quiet hours or the clocks change."""
        starts, ends = minutes_of(self.quiet.starts) * 60, minutes_of(self.quiet.ends) * 60
        while start < end:
            local, quiet = start.astimezone(self.zone), self.is_quiet(start)
            shown = (local.hour * 60 + local.minute) * 60 + local.second
            wait = ((ends if quiet else starts) - shown) % _DAY or _DAY
            until = min(start + timedelta(seconds=wait), end)
            if until.astimezone(self.zone).utcoffset() != local.utcoffset():
                until = self._clocks_change(start, until)
            yield start, until, quiet
            start = until

    def _clocks_change(self, start: datetime, end: datetime) -> datetime:
        """The first whole second with another UTC offset than `start`, given that `end` has another."""
        offset, low, high = start.astimezone(self.zone).utcoffset(), 0, int((end - start).total_seconds())
        while high - low > 1:
            middle = (low + high) // 2
            same = (start + timedelta(seconds=middle)).astimezone(self.zone).utcoffset() == offset
            low, high = (middle, high) if same else (low, middle)
        return start + timedelta(seconds=high)


def waking_of(subject: Subject) -> Waking:
    """The waking hours of one launch."""
    return Waking(subject.launch.quiet_hours, subject.zone)


def local(at: datetime, zone: ZoneInfo) -> str:
    """`Sat 2027-01-16 12:00`, as a finding names an instant."""
    return f"{at.astimezone(zone):%a %Y-%m-%d %H:%M}"


def hours(span: timedelta) -> str:
    """A span in hours, to a tenth where it matters: `20`, `4.5`."""
    return f"{span / timedelta(hours=1):.1f}".removesuffix(".0")
