"""Which engine runs an edition: a lease that it keeps renewing, and a token that shuts out those it has overtaken."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from sqlalchemy import Connection, bindparam, or_, select, update

from drumroll.errors import LedgerError
from drumroll.ledger.model import LeaseRow
from drumroll.ledger.store import LedgerPart
from drumroll.ledger.tables import edition_lease

_LEASE = tuple(edition_lease.c[name] for name in LeaseRow.__dataclass_fields__)
_OF_EDITION = select(*_LEASE).where(edition_lease.c.edition == bindparam("of_edition"))
# Before every write of an engine. SQLite lets one writer in at a time and has no such lock; on PostgreSQL it keeps out
# whoever would take the lease meanwhile.
_LOCKED = _OF_EDITION.with_for_update(read=True)


class FencedError(LedgerError):
    """Another engine runs the edition, or has run it since; nothing was written. `holder` is its lease."""

    def __init__(self, holder: LeaseRow) -> None:
        self.holder = holder
        since = f"{holder.taken_at:%Y-%m-%d %H:%M:%S} UTC"
        if holder.expires_at is not None:
            super().__init__(f"is run by {holder.owner} since {since}", where=holder.edition, remedy="it goes on there")
        else:
            remedy = "run it again to see what is left"
            super().__init__(f"was taken over by {holder.owner} at {since}", where=holder.edition, remedy=remedy)


class EditionLeases(LedgerPart):
    """At most one engine per edition. The row of an edition's lease stays for good, so that tokens only ever grow."""

    def take_lease(self, edition: str, *, owner: str, now: datetime, ttl: timedelta) -> int | None:
        """Become the edition's engine until `now + ttl`: the new token, or None while another's lease runs.

        LedgerError when there is no such edition.
        """
        until = now + ttl
        first = {"edition": edition, "owner": owner, "token": 1, "taken_at": now, "expires_at": until}
        over = {"owner": owner, "token": edition_lease.c.token + 1, "taken_at": now, "expires_at": until}
        free = or_(edition_lease.c.expires_at.is_(None), edition_lease.c.expires_at <= now)
        take = self._store.insert(edition_lease).values(first)
        take = take.on_conflict_do_update(index_elements=[edition_lease.c.edition], set_=over, where=free)
        with self._store.write(fenced=False) as connection:
            token: int | None = connection.scalar(take.returning(edition_lease.c.token))
        return token

    def keep_lease(self, edition: str, token: int, *, now: datetime, ttl: timedelta) -> bool:
        """Renew it until `now + ttl`; False when it was released or another engine has taken over.

        One that ran out while nobody took it is renewed like any other.
        """
        held = (edition_lease.c.edition == edition, edition_lease.c.token == token)
        renew = update(edition_lease).where(*held, edition_lease.c.expires_at.is_not(None)).values(expires_at=now + ttl)
        with self._store.write(fenced=False) as connection:
            return connection.execute(renew).rowcount == 1

    def release_lease(self, edition: str, token: int) -> None:
        """Let the next engine in at once. What was overtaken has nothing to release."""
        held = (edition_lease.c.edition == edition, edition_lease.c.token == token)
        with self._store.write(fenced=False) as connection:
            connection.execute(update(edition_lease).where(*held).values(expires_at=None))

    def lease(self, edition: str) -> LeaseRow | None:
        """Who runs the edition, or ran it last; None when no engine ever did."""
        with self._store.read() as connection:
            row = connection.execute(_OF_EDITION, {"of_edition": edition}).first()
        return LeaseRow(*row) if row is not None else None

    def fenced(self, edition: str, token: int) -> Self:
        """The same ledger as the engine with that token sees it: it refuses every write once another has taken over.

        FencedError then; the check and the write are one transaction, so nobody takes over between the two. Only
        `settle` and the lease's own methods go through.
        """
        return type(self)(self._store.behind(Fence(edition, token)))


@dataclass(frozen=True, slots=True)
class Fence:
    """Lets the engine with this token write, and nobody whom another has overtaken."""

    edition: str
    token: int

    def __call__(self, connection: Connection) -> None:
        """Refuse with FencedError, in the transaction of the write."""
        row = connection.execute(_LOCKED, {"of_edition": self.edition}).first()
        if row is None:
            raise LedgerError("no engine has taken its lease", where=self.edition, remedy="take it first")
        if not self.holds(row.token, row.expires_at):
            raise FencedError(LeaseRow(*row))

    def holds(self, token: int, expires_at: object) -> bool:
        """Whether a lease with this token, and an end or none, is the engine's own."""
        return token == self.token and expires_at is not None
