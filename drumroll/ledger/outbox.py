"""The sending path: schedule, find what is next, claim it, settle it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, literal_column, select, union_all
from sqlalchemy.sql import Select

from drumroll.errors import LedgerError
from drumroll.ledger import tally
from drumroll.ledger.brakes import sends_nothing, which_send
from drumroll.ledger.bulk import insert_new
from drumroll.ledger.model import Claim, Moment, NewDelivery, Settlement, delivery_key
from drumroll.ledger.sending import WAKES, Wanted, claim, in_state, settle
from drumroll.ledger.store import LedgerPart
from drumroll.ledger.tables import delivery
from drumroll.ledger.together import claim_together

_NEW = (
    "edition",
    "step",
    "occurrence",
    "recipient",
    "phase",
    "channel",
    "group_id",
    "member",
    "due_at",
    "fire_at",
    "state",
    "token",
    "attempts",
)
_MANY = 1000  # new rows: PostgreSQL's planner is told of them at once


class Outbox(LedgerPart):
    """Deliveries on their way. A claim is committed before it is returned: the network comes after."""

    def schedule(self, edition: str, rows: Sequence[NewDelivery]) -> int:
        """Add deliveries that are not there yet, as `due`; returns how many were new. One transaction."""
        with self._store.write() as connection:
            return insert_deliveries(connection, edition, rows)

    def next_moment(
        self,
        edition: str,
        phases: Sequence[str],
        *,
        now: datetime,  # noqa: ARG002 - part of the contract: what is overdue is next as well
    ) -> Moment | None:
        """The earliest thing wanted of the deliveries in these phases; None when nothing is left to do.

        Rows that wait for a person (`held`, `awaiting`) want nothing. Of equal instants the one planned first comes
        first, then the one written first. Rows that a person released and rows of the same step and instant that
        nobody did are different moments.
        """
        # One row per phase and state straight off its own partial index: cheap beside a million finished rows.
        firsts = [_first(edition, phase, state).subquery() for phase in phases for state in WAKES]
        if not firsts:
            return None
        every = union_all(*(select(first) for first in firsts)).subquery()
        earliest = select(every).order_by(every.c.at, every.c.due_at, every.c.id).limit(1)
        with self._store.read() as connection:
            row = connection.execute(earliest).first()
        return Moment(row.at, row.step, row.occurrence, row.why, row.due_at, row.fire_at) if row else None

    def claim(
        self,
        edition: str,
        step: str,
        occurrence: int,
        *,
        now: datetime,
        limit: int,
        lease: timedelta,
        wording: str | None = None,
        channel: str | None = None,
        released: bool = False,
        plan_version: int | None = None,
    ) -> list[Claim]:
        """Take up to `limit` deliveries of one step whose time has come; no other engine gets them while leased.

        Those never tried, and where there are none of them those to be retried; only those of `channel` when it is
        given. Those that a person released (`Moment.released`) are taken with `released` and not without. `wording`,
        the hash of the text about to go out, is noted before anything leaves. None are taken once the edition runs
        another `plan_version`, while a brake holds it back, or while the ledger is only a copy.
        """
        wanted = Wanted(edition, step, occurrence, now, limit, lease, wording, channel, released, plan_version)
        with self._store.write(fenced=False) as connection:  # the first question is the fence's, too
            taken = [] if sends_nothing(connection, self._store, edition) else claim(connection, wanted)
        tally.count(self._store, len(taken))
        return taken

    def claim_together(self, wanted: Sequence[tuple["Outbox", Wanted]]) -> list[list[Claim]]:
        """Claims of several editions in one transaction, each as its own engine's view of this ledger would make them.

        What is empty is to be claimed alone, with all of `claim`'s reasons and errors: always on SQLite, where a
        transaction costs little.
        """
        found: list[list[Claim]] = [[] for _ in wanted]
        fit = [n for n, (_, each) in enumerate(wanted) if each.channel and each.plan_version and not each.released]
        if self._store.path is None and len(fit) > 1:
            stores = {each.edition: ledger._store for ledger, each in wanted}  # noqa: SLF001 - our own kind
            with self._store.write(fenced=False) as connection:
                free = which_send(connection, stores)
                fit = [n for n in fit if wanted[n][1].edition in free]
                for n, claims in zip(fit, claim_together(connection, [wanted[n][1] for n in fit]), strict=True):
                    found[n] = claims
        return found

    def settle(self, results: Sequence[Settlement], *, now: datetime, more: bool = False) -> int:
        """Write down how attempts ended, in one transaction; returns how many were accepted.

        With `more` to come, a claim or a settlement, PostgreSQL need not wait for its disk: the next one's wait is for
        both. If it breaks down in between, these rows are in doubt with those that were under way, no more of them.

        One whose token is no longer current, because its lease ended and another took it, is refused without an error.
        No fence stands before it: an engine that was overtaken while the answer was on its way still knows what became
        of rows that nobody has taken since, and without its word they would be doubtful.
        """
        if not results:
            return 0
        with self._store.write(fenced=False) as connection:
            return settle(connection, results, now, more=more)


def insert_deliveries(connection: Connection, edition: str, rows: Sequence[NewDelivery]) -> int:
    """Insert what is not there yet, on a transaction of the caller's; returns how many were new.

    LedgerError when one would leave after its planned instant: such rows are the ones that a person released.
    """
    for name in {row.step for row in rows} | {row.group for row in rows}:
        if not name or "/" in name:
            raise LedgerError(f'"{name}" cannot be part of a delivery key', remedy='use a name without "/"')
    for row in rows:
        if row.fire_at > row.due_at:
            raise LedgerError(
                "would leave after its planned instant",
                where=delivery_key(edition, row.step, row.occurrence, row.recipient),
                remedy="fire at the instant or before it",
            )
    values = [
        (
            edition,
            row.step,
            row.occurrence,
            row.recipient,
            row.phase,
            row.channel,
            row.group,
            row.member,
            row.due_at,
            row.fire_at,
            "due",
            0,
            0,
        )
        for row in rows
    ]
    new = insert_new(connection, delivery, _NEW, values)
    if new >= _MANY and connection.dialect.name == "postgresql":
        # Until autovacuum's next round the planner would not know of them, and sort them all for each claim.
        connection.exec_driver_sql("ANALYZE (SKIP_LOCKED) delivery")
    return new


def _first(edition: str, phase: str, state: str) -> Select[Any]:
    wake = WAKES[state]
    return (
        select(
            wake.label("at"),
            delivery.c.step,
            delivery.c.occurrence,
            literal_column(f"'{state}'").label("why"),
            delivery.c.due_at,
            delivery.c.fire_at,
            delivery.c.id,
        )
        .where(delivery.c.edition == edition, delivery.c.phase == phase, in_state(state))
        .order_by(wake, delivery.c.due_at, delivery.c.id)
        .limit(1)
    )
