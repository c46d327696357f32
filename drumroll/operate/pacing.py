"""Sending no faster than platforms allow, together with every other launch and worker that uses the same credential."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from drumroll.capability import Rate
from drumroll.channels.base import Channel, Recipient, SendError
from drumroll.clock import Clock
from drumroll.ledger.ledger import Ledger
from drumroll.ledger.model import Claim
from drumroll.ledger.permits import Permitted
from drumroll.operate.patience import patiently

PATIENCE = timedelta(seconds=2)
"""A wait as short as this is waited out; for a longer one the launch goes on with other things meanwhile."""
_LOOK_AGAIN = timedelta(seconds=1)  # for refusals that other workers met
_A_MINUTE = 60.0


class Pace:
    """The permits of one step on one channel. After there were none, `opens` is when to ask again and `why` why."""

    def __init__(
        self,
        ledger: Ledger,
        channel: Channel | None,
        rates: Sequence[Rate],
        edition: str,
        clock: Clock,
        *,
        held: timedelta,
    ) -> None:
        self._ledger, self._channel, self._edition, self._clock = ledger, channel, edition, clock
        self._whole = [rate for rate in rates if rate.per == "credential"]
        self._robot = [rate for rate in rates if rate.per == "robot"]
        self._group = [rate for rate in rates if rate.per == "group"]
        self._held = held
        self._in_use: dict[int, list[int]] = {}
        self._free: list[int] = []
        self._refused: dict[str, tuple[datetime, str]] = {}
        self._untold: dict[str, tuple[datetime, str]] = {}
        self._looked_at, self._is_news = datetime.min.replace(tzinfo=UTC), False
        self.opens: datetime | None = None
        self.why = ""

    async def room(self, most: int, to: Recipient) -> int:
        """How many of `most` messages may go out now, under the credential that pays for `to`."""
        self.opens = None
        if not most or not self._whole or not (bucket := self._bucket(to)):
            return most
        got = await self._permit(bucket, self._whole, most)
        self._free += got.ids
        if not self._free:
            self.opens, self.why = got.at, got.why
        return len(self._free)

    async def admit(
        self, claims: Sequence[Claim], to: Iterable[Recipient]
    ) -> tuple[list[Claim], list[tuple[Claim, datetime]]]:
        """Which claims may go out now, and when the others may: their own groups have had enough for the moment."""
        await self.look()
        if not (self._robot or self._group or self._free or self._refused):
            return list(claims), []
        now, later = list[Claim](), list[tuple[Claim, datetime]]()
        for claim, recipient in zip(claims, to, strict=True):
            got = await self._for_group(recipient)
            if got.at is not None:
                self.why = got.why
                later.append((claim, got.at))
            else:
                self._in_use[claim.id] = [*got.ids, *([self._free.pop()] if self._free else [])]
                now.append(claim)
        return now, later

    async def put_back(self) -> None:
        """Give up the permits that nothing was claimed for."""
        if self._free:
            left, self._free = self._free, []
            await patiently(partial(self._ledger.permits_back, left))

    async def ended(self, claims: Iterable[Claim]) -> None:
        """These have been answered, or given up."""
        await self.tell()
        if self._in_use:
            ids = [each for claim in claims for each in self._in_use.pop(claim.id, ())]
            await patiently(lambda: self._ledger.permits_used(ids, now=self._clock.now()))

    def refused(self, error: SendError, to: Recipient) -> datetime:
        """The platform refused for haste: nobody tries again under this credential before then."""
        until = self._clock.now() + timedelta(seconds=_A_MINUTE if error.retry_after is None else error.retry_after)
        if bucket := self._bucket(to):
            name = _of(bucket, to) if error.group else bucket
            self._refused[name] = self._untold[name] = (until, error.message)
        return until

    async def tell(self) -> None:
        """Let the other launches and workers know of refusals."""
        for name, told in list(self._untold.items()):
            until, why = told
            await patiently(partial(self._ledger.refuse, name, until=until, why=why))
            if self._untold.get(name) is told:  # else it was refused once more meanwhile
                del self._untold[name]

    async def look(self) -> None:
        """Learn what other workers were refused. At the instant itself what was learned before it must do."""
        now = self._clock.now()
        if self._is_news:
            self._is_news, self._looked_at = False, now
        elif now - self._looked_at >= _LOOK_AGAIN:
            await self.ask(now)

    async def ask(self, now: datetime) -> None:
        """Ask the ledger what is refused, before the instant."""
        found = await patiently(lambda: self._ledger.refusals(now=now))
        self._refused = {name: (until, why) for name, until, why in found} | self._untold
        self._is_news, self._looked_at = True, now

    async def _for_group(self, to: Recipient) -> Permitted:
        if not (bucket := self._bucket(to)):
            return Permitted()
        for name in (bucket, _of(bucket, to)):
            if name in self._refused and self._refused[name][0] > self._clock.now():
                return Permitted(at=self._refused[name][0], why=self._refused[name][1])
        robot = await self._permit(bucket, self._robot, 1) if self._robot else Permitted()
        if robot.at is not None or not self._group:
            return robot
        group = await self._permit(_of(bucket, to), self._group, 1)
        if group.at is not None:
            await patiently(partial(self._ledger.permits_back, robot.ids))
            return group
        return Permitted(ids=(*robot.ids, *group.ids))

    async def _permit(self, bucket: str, rates: Sequence[Rate], most: int) -> Permitted:
        return await patiently(
            lambda: self._ledger.permit(bucket, rates, self._edition, most=most, now=self._clock.now(), held=self._held)
        )

    def _bucket(self, to: Recipient) -> str:
        return self._channel.bucket(to) if self._channel is not None else ""


def _of(bucket: str, to: Recipient) -> str:
    return f"{bucket}/{to.address or to.group}" + (f"/{to.member}" if to.member else "")
