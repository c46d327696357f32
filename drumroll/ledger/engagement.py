"""What members did, as sources told it."""

import time
from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import case, or_, select

from drumroll.activity import Event, Person
from drumroll.ledger.bulk import insert_new
from drumroll.ledger.store import LedgerPart
from drumroll.ledger.tables import event as events_table
from drumroll.ledger.tables import member as members_table

_BATCH = 5000  # rows in one transaction: a send that falls due during an intake waits for one batch at most
_PAUSE = 0.015  # seconds between two on SQLite: longer than a waiting writer lets pass before it asks again
_EVENT = (
    events_table.c.source,
    events_table.c.event_id,
    events_table.c.kind,
    events_table.c.at,
    events_table.c.group_id,
    events_table.c.member,
    events_table.c.reply_to,
)


class Engagement(LedgerPart):
    """Events, each counted once however often its export is read, and the people in them."""

    def take_in(
        self,
        edition: str,
        people: Sequence[Person],
        events: Sequence[Event],
        *,
        on_batch: Callable[[int], None] | None = None,
    ) -> int:
        """Add what is new; returns how many events were.

        First the people, then the events, in batches of a few thousand, each a transaction of its own: nobody waits
        long for the ledger. When it breaks off, what was committed stays; taking the same export in again adds the
        rest, since every event counts once. `on_batch` hears after each batch how many events are done so far.

        A person's name is the latest that is not empty. A staff or bot flag once set stays: nobody becomes a member
        by an export that does not know the team.
        """
        new = 0
        upsert = self._store.insert(members_table)
        said = upsert.excluded
        upsert = upsert.on_conflict_do_update(
            index_elements=[members_table.c.edition, members_table.c.id],
            set_={
                "name": case((said.name != "", said.name), else_=members_table.c.name),
                "is_staff": or_(members_table.c.is_staff, said.is_staff),
                "is_bot": or_(members_table.c.is_bot, said.is_bot),
            },
        )
        # Sorted, so that two writers lock the same people in the same order.
        ordered = sorted(people, key=lambda person: person.id)
        for start in range(0, len(ordered), _BATCH):
            known = [_person(edition, each) for each in ordered[start : start + _BATCH]]
            with self._store.write() as connection:
                connection.execute(upsert, known)
        columns = ["edition", *(column.name for column in _EVENT)]
        for start in range(0, len(events), _BATCH):
            rows = [_event(edition, each) for each in events[start : start + _BATCH]]
            with self._store.write() as connection:
                new += insert_new(connection, events_table, columns, rows)
            if on_batch is not None:
                on_batch(start + len(rows))
            if self._store.path and start + len(rows) < len(events):
                time.sleep(_PAUSE)
        return new

    def activity(
        self, edition: str, *, until: datetime, since: datetime | None = None
    ) -> tuple[list[Event], dict[str, Person]]:
        """Events with `since <= at <= until` in order of time, and everyone known in the edition by id."""
        wanted = select(*_EVENT).where(events_table.c.edition == edition, events_table.c.at <= until)
        if since is not None:
            wanted = wanted.where(events_table.c.at >= since)
        in_order = wanted.order_by(events_table.c.at, events_table.c.source, events_table.c.event_id)
        names = (members_table.c.id, members_table.c.name, members_table.c.is_staff, members_table.c.is_bot)
        everyone = select(*names).where(members_table.c.edition == edition).order_by(members_table.c.id)
        with self._store.read() as connection:
            events = [Event(*row) for row in connection.execute(in_order)]
            people = {row.id: Person(*row) for row in connection.execute(everyone)}
        return events, people

    def leaves(self, edition: str, *, since: datetime, until: datetime) -> list[datetime]:
        """When people left a group, `since <= at <= until`, staff included, in order of time."""
        of_edition = (events_table.c.edition == edition, events_table.c.at >= since, events_table.c.at <= until)
        left = select(events_table.c.at).where(*of_edition, events_table.c.kind == "leave")
        with self._store.read() as connection:
            return list(connection.scalars(left.order_by(events_table.c.at)))


def _person(edition: str, person: Person) -> dict[str, object]:
    return {
        "edition": edition,
        "id": person.id,
        "name": person.name,
        "is_staff": person.is_staff,
        "is_bot": person.is_bot,
    }


def _event(edition: str, event: Event) -> tuple[object, ...]:
    return (edition, event.source, event.id, event.kind, event.at, event.group, event.member, event.reply_to)
