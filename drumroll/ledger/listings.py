"""Looking at deliveries without moving them."""

import difflib
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, exists, func, literal_column, null, select, text, union_all

from drumroll.errors import LedgerError
from drumroll.ledger.model import DeliveryRow, State, delivery_key, split_key
from drumroll.ledger.rows import DELIVERY, delivery_row
from drumroll.ledger.sending import in_state
from drumroll.ledger.store import LedgerPart
from drumroll.ledger.tables import RARE, delivery
from drumroll.ledger.tables import edition as editions_table

_COMPARED = 2000  # keys of one step that a mistyped one is compared with: difflib takes 10 µs each


class Listings(LedgerPart):
    """The outbox as it stands."""

    def deliveries(self, edition: str, *, state: State | None = None, step: str | None = None) -> list[DeliveryRow]:
        """The edition's deliveries in order of their planned instants, all or of one state or step."""
        wanted = select(*DELIVERY).where(delivery.c.edition == edition)
        if state is not None:
            wanted = wanted.where(delivery.c.state == state)
            # In an index's own words, or a planner does not see that it may use it.
            if state == "sending":
                wanted = wanted.where(in_state("sending"))
            elif state not in ("due", "sent"):
                wanted = wanted.where(text(RARE))
        if step is not None:
            wanted = wanted.where(delivery.c.step == step)
        with self._store.read() as connection:
            return [delivery_row(row) for row in connection.execute(wanted.order_by(delivery.c.due_at, delivery.c.id))]

    def delivery(self, key: str) -> DeliveryRow:
        """The delivery of that key; LedgerError with the nearest keys when there is none."""
        with self._store.read() as connection:
            return find(connection, key)

    def counts(self, edition: str) -> dict[str, int]:
        """How many deliveries are in each state; states without any are left out."""
        return dict(sorted(sum(map(Counter, self.step_states(edition).values()), Counter[str]()).items()))

    def step_states(self, edition: str) -> dict[tuple[str, int], dict[str, int]]:
        """Per step and occurrence, how many deliveries are in each state; states without any are left out."""
        # No index holds every row's state: counted are all rows, and those that are not sent, in indexes of their own.
        # SQLite would rather look among all rows, where those of one step stand together: hence not by the bare name.
        step, occurrence, state = delivery.c.step, delivery.c.occurrence, delivery.c.state
        by = (step.concat(literal_column("''")), occurrence, state)
        counted = [select(step, occurrence, null(), func.count()).group_by(step, occurrence)]
        counted += (
            select(*by, func.count()).where(only).group_by(*by)
            for only in (in_state("due"), in_state("sending"), text(RARE))
        )
        of_edition = union_all(*(each.where(delivery.c.edition == edition) for each in counted))
        found: defaultdict[tuple[str, int], Counter[str]] = defaultdict(Counter)
        with self._store.read() as connection:
            for name, repeat, has, count in connection.execute(of_edition):
                found[name, repeat][has or "sent"] += count
                if has is not None:
                    found[name, repeat]["sent"] -= count
        return {place: dict(sorted((+states).items())) for place, states in sorted(found.items())}

    def firing(self, phases: Sequence[str], *, since: datetime, until: datetime) -> list[str]:
        """Live editions of which something in these phases is due to leave in that span (`until` excluded), by name."""
        theirs: tuple[ColumnElement[bool], ...] = (
            delivery.c.edition == editions_table.c.id,
            delivery.c.phase.in_(phases),
            delivery.c.state == literal_column("'due'"),  # spelled out: a planner uses a partial index only so
            delivery.c.fire_at >= since,
            delivery.c.fire_at < until,
        )
        live = (editions_table.c.state == "running", editions_table.c.rehearsal.is_(False), exists().where(*theirs))
        with self._store.read() as connection:
            return list(connection.scalars(select(editions_table.c.id).where(*live).order_by(editions_table.c.id)))


def find(connection: Connection, key: str, *, lock: bool = False) -> DeliveryRow:
    """The delivery of that key, locked against other writers if asked; LedgerError with the nearest keys if none."""
    edition, step, occurrence, recipient = split_key(key)
    wanted = select(*DELIVERY).where(
        delivery.c.edition == edition,
        delivery.c.step == step,
        delivery.c.occurrence == occurrence,
        delivery.c.recipient == recipient,
    )
    row = connection.execute(wanted.with_for_update() if lock else wanted).first()
    if row is not None:
        return delivery_row(row)
    near = difflib.get_close_matches(key, _near(connection, edition, step), n=3, cutoff=0.5)
    remedy = f"did you mean {' or '.join(near)}?" if near else "`drumroll deliveries` lists the keys"
    raise LedgerError("no such delivery", where=key, remedy=remedy)


def _near(connection: Connection, edition: str, step: str) -> list[str]:
    parts = (delivery.c.edition, delivery.c.step, delivery.c.occurrence, delivery.c.recipient)
    for condition in (
        (delivery.c.edition == edition) & (delivery.c.step == step),
        delivery.c.edition == edition,
    ):
        rows = connection.execute(select(*parts).where(condition).limit(_COMPARED)).all()
        if rows:
            return [delivery_key(*row) for row in rows]
    editions = connection.execute(select(*parts).limit(_COMPARED)).all()
    return [delivery_key(*row) for row in editions]
