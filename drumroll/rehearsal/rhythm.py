"""Day and night where the members live."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import accumulate
from random import Random
from zoneinfo import ZoneInfo

from drumroll.rehearsal.temper import Temper

_LIE_IN = timedelta(minutes=45)
_LATEST = timedelta(hours=4)


class Rhythm:
    """The hours of a community's day in one time zone. Instants in and out are UTC."""

    def __init__(self, timezone: str, temper: Temper) -> None:
        self._zone = ZoneInfo(timezone)
        self._temper = temper
        self._busiest = max(temper.hours)
        self._shares = list(accumulate(temper.hours))

    def day(self, at: datetime) -> date:
        """The local date of an instant."""
        return at.astimezone(self._zone).date()

    def midnight(self, day: date) -> datetime:
        """The instant at which a local date begins."""
        return self._utc(day, time())

    def suits(self, at: datetime, rng: Random) -> bool:
        """Whether somebody is up to something at `at`: likelier the busier the hour."""
        return rng.random() * self._busiest < self._temper.hours[at.astimezone(self._zone).hour]

    def awake(self, at: datetime, rng: Random) -> datetime:
        """`at`, or some time the next morning when it falls into the night (but for a few night owls)."""
        local = at.astimezone(self._zone)
        if local.hour >= self._temper.wakes or rng.random() < self._temper.night_owls:
            return at
        lie_in = min(_LATEST, timedelta(seconds=int(rng.expovariate(1.0) * _LIE_IN.total_seconds())))
        # The night of a clock change may be over sooner than the wall clock says.
        return max(at, self._utc(local.date(), time(self._temper.wakes)) + lie_in)

    def some_time(self, day: date, rng: Random) -> datetime:
        """An instant of that local day, in whole seconds, likelier the busier the hour."""
        (hour,) = rng.choices(range(24), cum_weights=self._shares)
        return self._utc(day, time(hour)) + timedelta(seconds=rng.randrange(3600))

    def _utc(self, day: date, wall: time) -> datetime:
        return datetime.combine(day, wall, self._zone).astimezone(UTC)
