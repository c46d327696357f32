"""Permits to send: what a platform allows one credential in a sliding window, shared by all launches and workers.

A permit counts from when the platform had its message at the latest, so that however long the network takes, no window
of the platform's ever holds more than it allows (Slack, Discord, WeCom and DingTalk count arrivals). While a message is
on its way, and when its sender was killed, that is the longest it can take.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, delete, func, insert, literal_column, or_, select, update

from drumroll.capability import Rate
from drumroll.ledger.model import Claim
from drumroll.ledger.rows import released_is
from drumroll.ledger.sending import WAKES, in_state
from drumroll.ledger.store import LedgerPart
from drumroll.ledger.tables import bucket as buckets
from drumroll.ledger.tables import bucket_wait as waits
from drumroll.ledger.tables import delivery
from drumroll.ledger.tables import permit as permits

MARGIN = timedelta(seconds=0.1)
"""Between two windows: clocks are set, and a platform's may run otherwise than ours."""
_STAYS = timedelta(seconds=20)  # how long after its time an edition that waits keeps its share


@dataclass(frozen=True, slots=True)
class Permitted:
    """Permits by their ids; with none, `at` is when to ask again and `why` what stands against it."""

    ids: tuple[int, ...] = ()
    at: datetime | None = None
    why: str = ""


class Permits(LedgerPart):
    """Permits of buckets: a bucket is a credential, or a credential and one group."""

    def permit(
        self, bucket: str, rates: Sequence[Rate], edition: str, *, most: int, now: datetime, held: timedelta
    ) -> Permitted:
        """Up to `most` permits to send at once, each for a message that arrives within `held`.

        Of several editions that want more than there is, each gets its share of every window. Those who get none say
        when they come back (`Permitted.at`), and are expected.
        """
        with self._store.write() as connection:
            self._lock_bucket(connection, bucket)
            refused = connection.execute(select(buckets.c.refused_until, buckets.c.why).where(_named(bucket))).one()
            if refused.refused_until is not None and refused.refused_until > now:
                return Permitted(at=refused.refused_until, why=refused.why)
            others = self._expected(connection, bucket, edition, now)
            free, at = most, now
            for rate in rates:
                window = timedelta(seconds=rate.seconds) + MARGIN
                room, opens = _room(connection, bucket, edition, rate.limit, window, now, others)
                free, at = min(free, room), max(at, opens)
            if free <= 0:
                self._expect(connection, bucket, edition, at)
                return Permitted(at=at, why=_allowed(rates))
            connection.execute(delete(waits).where(waits.c.bucket == bucket, waits.c.edition == edition))
            row = {"bucket": bucket, "edition": edition, "at": now + held}
            new = insert(permits).returning(permits.c.id)
            return Permitted(ids=tuple(connection.scalars(new, [row] * free)))

    def permits_used(self, ids: Sequence[int], *, now: datetime) -> None:
        """Their messages have been answered, or given up, by now."""
        if ids:
            with self._store.write(fenced=False) as connection:
                connection.execute(update(permits).where(permits.c.id.in_(ids)).values(at=now))

    def permits_back(self, ids: Sequence[int]) -> None:
        """Nothing was sent under them."""
        if ids:
            with self._store.write(fenced=False) as connection:
                connection.execute(delete(permits).where(permits.c.id.in_(ids)))

    def postpone(
        self,
        edition: str,
        step: str,
        occurrence: int,
        *,
        channel: str,
        released: bool,
        until: datetime,
        why: str,
        now: datetime,
    ) -> int:
        """Have what is due of a step on a channel tried at `until` instead; returns how many there were."""
        mine = [delivery.c.edition == edition, delivery.c.step == step, delivery.c.occurrence == occurrence]
        mine += [delivery.c.channel == channel, released_is(released)]
        due = or_(*(and_(in_state(state), WAKES[state] <= now) for state in ("due", "retry")))
        new = {"state": literal_column("'retry'"), "retry_at": until, "error": why, "updated_at": now}
        with self._store.write() as connection:
            return connection.execute(update(delivery).where(*mine, due).values(new)).rowcount

    def give_back(self, claims: Sequence[tuple[Claim, datetime]], *, why: str, now: datetime) -> None:
        """Claimed and not tried: each is `retry` again, at its time, and the attempt does not count."""
        with self._store.write(fenced=False) as connection:
            for claimed, at in claims:
                mine = (delivery.c.id == claimed.id, delivery.c.token == claimed.token, in_state("sending"))
                back = {"state": literal_column("'retry'"), "retry_at": at, "error": why, "updated_at": now}
                back |= {"attempts": delivery.c.attempts - 1, "lease_until": None}
                connection.execute(update(delivery).where(*mine).values(back))

    def refuse(self, bucket: str, *, until: datetime, why: str) -> None:
        """The platform refuses everything of this bucket until then; a later refusal stays."""
        with self._store.write(fenced=False) as connection:
            self._lock_bucket(connection, bucket)
            sooner = func.coalesce(buckets.c.refused_until < until, True)
            connection.execute(update(buckets).where(_named(bucket), sooner).values(refused_until=until, why=why))

    def refusals(self, *, now: datetime) -> list[tuple[str, datetime, str]]:
        """The buckets that are refused at `now`: name, until when, and the platform's words."""
        wanted = select(buckets.c.name, buckets.c.refused_until, buckets.c.why).where(buckets.c.refused_until > now)
        with self._store.read() as connection:
            return [(row.name, row.refused_until, row.why) for row in connection.execute(wanted)]

    def _lock_bucket(self, connection: Connection, bucket: str) -> None:
        new = self._store.insert(buckets).values(name=bucket, why="").on_conflict_do_nothing()
        connection.execute(new)
        connection.execute(select(buckets.c.name).where(_named(bucket)).with_for_update())

    def _expected(self, connection: Connection, bucket: str, edition: str, now: datetime) -> int:
        connection.execute(delete(waits).where(waits.c.bucket == bucket, waits.c.until < now - _STAYS))
        theirs = (waits.c.bucket == bucket, waits.c.edition != edition, waits.c.until <= now)
        return connection.scalar(select(func.count()).select_from(waits).where(*theirs)) or 0

    def _expect(self, connection: Connection, bucket: str, edition: str, until: datetime) -> None:
        new = self._store.insert(waits).values(bucket=bucket, edition=edition, until=until)
        again = new.on_conflict_do_update(index_elements=["bucket", "edition"], set_={"until": until})
        connection.execute(again)


def _named(bucket: str) -> Any:
    return buckets.c.name == bucket


def _room(
    connection: Connection, bucket: str, edition: str, limit: int, window: timedelta, now: datetime, others: int
) -> tuple[int, datetime]:
    """How many more fit into the window that ends now, and when the next one does; the share of those who wait kept."""
    within = (permits.c.bucket == bucket, permits.c.at > now - window)
    taken = connection.execute(select(permits.c.at, permits.c.edition).where(*within).order_by(permits.c.at)).all()
    if len(taken) < limit // 2:
        connection.execute(delete(permits).where(permits.c.bucket == bucket, permits.c.at <= now - 10 * window))
    free = limit - len(taken)
    if others:
        share = max(1, -(-limit // (others + 1)))
        free = min(free, share - sum(row.edition == edition for row in taken))
    if free > 0:
        return free, now
    ends = [row.at + window for row in taken]
    return 0, ends[max(0, len(taken) - limit)] if ends else now + window


def _allowed(rates: Sequence[Rate]) -> str:
    allowed = " and ".join(f"{rate.limit} in {rate.seconds:g} s" for rate in rates)
    return f"the platform takes {allowed}"
