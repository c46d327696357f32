"""What members did, as sources told it."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import case, or_, select

from drumroll.activity import Event, Person
from drumroll.ledger.bulk import insert_new
from drumroll.ledger.store import LedgerPart
from drumroll.ledger.tables import event as events_table
from drumroll.ledger.tables import member as members_table

_BATCH = 20_000  # rows built at a time: an export of a million events need not be in memory twice
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

    def take_in(self, edition: str, people: Sequence[Person], events: Sequence[Event]) -> int:
        """Add what is new, in one transaction; returns how many events were.

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
        with self._store.write() as connection:
            for start in range(0, len(ordered), _BATCH):
                connection.execute(upsert, [_person(edition, each) for each in ordered[start : start + _BATCH]])
            for start in range(0, len(events), _BATCH):
                rows = [_event(edition, each) for each in events[start : start + _BATCH]]
                new += insert_new(connection, events_table, ["edition", *(column.name for column in _EVENT)], rows)
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
