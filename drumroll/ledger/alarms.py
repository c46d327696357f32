"""What the watch found wrong, and whether people have heard of it."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, or_, select, update

from drumroll.ledger.model import Alarm, AlarmRow
from drumroll.ledger.store import LedgerPart
from drumroll.ledger.tables import alarm as alarms_table

AGAIN = timedelta(hours=24)
"""An alarm that is still open after that is told once more."""
_TELLING = timedelta(minutes=2)  # whoever has not said by then that it told an alarm died meanwhile
_ALARM = tuple(alarms_table.c[name] for name in AlarmRow.__dataclass_fields__)
_OPEN = alarms_table.c.cleared_at.is_(None)


class Alarms(LedgerPart):
    """At most one open alarm of a kind and subject in an edition, however many watches look at it."""

    def raise_alarms(
        self, edition: str, found: Sequence[Alarm], *, kinds: Collection[str], now: datetime
    ) -> list[AlarmRow]:
        """Write down what was `found` of these `kinds`, and clear what was not; the alarms that are new.

        One that is open already only gets the words of now. Of two watches at once, one gets it as new.
        """
        wanted = {(alarm.kind, alarm.subject): alarm for alarm in found}
        known = {(row.kind, row.subject): row for row in self.open_alarms(edition)}
        gone = [row.id for key, row in known.items() if key not in wanted and row.kind in kinds]
        fresh = [alarm for key, alarm in wanted.items() if key not in known]
        both = (
            (known[key].id, alarm) for key, alarm in wanted.items() if key in known and alarm != _as_found(known[key])
        )
        reworded = list(both)
        if not (gone or fresh or reworded):
            return []
        new: list[AlarmRow] = []
        with self._store.write() as connection:
            if gone:
                connection.execute(
                    update(alarms_table).where(_OPEN, alarms_table.c.id.in_(gone)).values(cleared_at=now)
                )
            for row_id, alarm in reworded:
                words = {"what": alarm.what, "remedy": alarm.remedy}
                connection.execute(update(alarms_table).where(alarms_table.c.id == row_id).values(words))
            for alarm in fresh:
                row = {name: getattr(alarm, name) for name in Alarm.__dataclass_fields__} | {"raised_at": now}
                add = self._store.insert(alarms_table).values(row).on_conflict_do_nothing().returning(*_ALARM)
                new += (AlarmRow(*each) for each in connection.execute(add))
        return new

    def open_alarms(self, edition: str | None = None) -> list[AlarmRow]:
        """The alarms that are open, of one edition or of all, in the order they were raised."""
        wanted = select(*_ALARM).where(_OPEN).order_by(alarms_table.c.id)
        if edition is not None:
            wanted = wanted.where(alarms_table.c.edition == edition)
        with self._store.read() as connection:
            return [AlarmRow(*row) for row in connection.execute(wanted)]

    def claim_alarms(self, edition: str, *, now: datetime) -> list[AlarmRow]:
        """The edition's open alarms that people are to hear of now, for this watch alone to tell; see `tell_alarms`.

        Those never told, and those told `AGAIN` ago. A watch that dies before it says what became of them leaves them
        to another two minutes later.
        """
        if not any(row.told_at is None or row.told_at <= now - AGAIN for row in self.open_alarms(edition)):
            return []
        # Not told, but not to be taken for two minutes either: as if it had been told two minutes less than AGAIN ago.
        held = {"told_at": now - AGAIN + _TELLING}
        take = update(alarms_table).where(alarms_table.c.edition == edition, _OPEN, _untold(now)).values(held)
        with self._store.write() as connection:
            taken = [AlarmRow(*row) for row in connection.execute(take.returning(*_ALARM))]
        return sorted(taken, key=lambda row: row.id)

    def tell_alarms(self, claimed: Sequence[AlarmRow], *, at: datetime | None) -> None:
        """Write down that people heard of them `at` that instant, or did not (None): then they are told next time."""
        if claimed:
            ids = [row.id for row in claimed]
            with self._store.write() as connection:
                connection.execute(update(alarms_table).where(alarms_table.c.id.in_(ids)).values(told_at=at))


def _untold(now: datetime) -> ColumnElement[bool]:
    return or_(alarms_table.c.told_at.is_(None), alarms_table.c.told_at <= now - AGAIN)


def _as_found(row: AlarmRow) -> Alarm:
    return Alarm(row.edition, row.kind, row.subject, row.what, row.remedy)
