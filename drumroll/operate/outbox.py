"""Claim, send, settle: one step to all its recipients, each once, whatever dies in between."""

import asyncio
import contextlib
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

from drumroll.channels.base import Receipt, Recipient
from drumroll.clock import Clock
from drumroll.errors import DrumrollError
from drumroll.ledger.model import Claim, Settlement, idempotency_key
from drumroll.ledger.sending import Wanted
from drumroll.operate.attempt import Attempts
from drumroll.operate.beats import planned_step
from drumroll.operate.chorus import Voice, claim_in_chorus, speaking
from drumroll.operate.edition import Where, capabilities_of
from drumroll.operate.flying import Flying, Landed, settled
from drumroll.operate.lease import while_ours
from drumroll.operate.open_channels import OpenChannels
from drumroll.operate.pacing import PATIENCE, Pace
from drumroll.operate.patience import patiently, undisturbed
from drumroll.operate.wording import Ready

_SETTLE_MARGIN = timedelta(seconds=5)
_LOOK_AGAIN = timedelta(seconds=60)


@dataclass(slots=True)
class Sent:
    """What became of one step's deliveries: how many in each state, and what went wrong by recipient."""

    states: Counter[str] = field(default_factory=Counter)
    errors: dict[str, str] = field(default_factory=dict)

    def summary(self) -> str:
        """`3 sent, 1 awaiting`."""
        return ", ".join(f"{count} {state}" for state, count in sorted(self.states.items())) or "nothing to do"


class Outbox:
    """The channels one step goes out through, and the requests in flight. Close it in any case."""

    def __init__(self, where: Where, ready: Ready, clock: Clock) -> None:
        self._where, self._ready, self._clock = where, ready, clock
        self._ledger, self._plan = where.open(), where.plan()
        self.step = planned_step(self._plan, self._ledger, where.edition, ready.step, ready.occurrence)
        self._capabilities = capabilities_of(self._plan)
        self._channels = OpenChannels(self._plan, where.project)
        self._attempts = Attempts(self._ledger, self._plan, self.step, ready, clock, self._channels)
        self.sent = Sent(errors=self._attempts.errors)

    async def close(self) -> None:
        """Close every channel that was opened."""
        await self._channels.close()

    def set_aside(self) -> None:
        """Skip or hold what is due, as the ruling says."""
        ruling = self._ready.ruling
        assert ruling.act != "send"
        self.sent.states[ruling.act] += self._ledger.set_aside(
            self._where.edition,
            self._ready.step,
            self._ready.occurrence,
            to=ruling.act,
            reason=ruling.reason,
            now=self._clock.now(),
            released=self._ready.released,
        )

    async def recover(self) -> None:
        """Deal with rows of this step that an engine left in `sending` and whose lease has passed (rule 3).

        What is too late to be sent is not sent again either: it is looked up where that is possible, and otherwise
        shown to a person.
        """
        for claim in self._ledger.expired(self._where.edition, now=self._clock.now()):
            ready = self._ready
            if (claim.step, claim.occurrence, claim.released) != (ready.step, ready.occurrence, ready.released):
                continue  # a release is one person's word for one delivery: its siblings have a ruling of their own
            try:
                await self._recover(claim)
            except DrumrollError as error:  # the channel cannot even be asked: its row waits, the others go on
                self._attempts.errors[claim.recipient] = str(error)
                self._ledger.reclaim([claim], now=self._clock.now(), lease=_LOOK_AGAIN)

    async def _recover(self, claim: Claim) -> None:
        capability, now = self._capabilities[claim.channel], self._clock.now()
        if capability.look_up and (receipt := await self._look_up(claim)) is not None:
            why = f"found on {claim.channel}"
            self._ledger.recover([claim], "sent", now=now, reason=why, message_id=receipt.message_id)
            self.sent.states["sent"] += 1
            return
        ruling = self._ready.ruling
        if (capability.idempotent or capability.look_up) and ruling.act == "send":
            for again in self._ledger.reclaim([claim], now=now, lease=self._lease(claim.channel), to_send=True):
                await self._record([await self._attempts.settle(again, doubtful=not capability.look_up)])
        elif capability.look_up:
            why = f"the sender stopped before sending it; {ruling.reason}"
            for again in self._ledger.reclaim([claim], now=now, lease=self._lease(claim.channel)):
                await self._record([Settlement(again, "failed", error=why)])
        else:
            why = "the sender stopped before the answer came" + (f"; {ruling.reason}" if ruling.reason else "")
            self._ledger.recover([claim], "unknown", now=now, reason=why)
            self.sent.states["unknown"] += 1

    async def _look_up(self, claim: Claim) -> Receipt | None:
        channel = await self._channels.get(claim.channel)
        return await channel.look_up(idempotency_key(claim.key), self._attempts.recipient(claim))

    async def open_channels(self) -> None:
        """Open what the step goes out through; a channel that will not open is its deliveries' trouble, later."""
        for name in self._used():
            opened = None
            with contextlib.suppress(Exception):
                opened = await self._channels.get(name)
            pace = Pace(
                self._ledger,
                opened,
                self._capabilities[name].rates,
                self._where.edition,
                self._clock,
                held=self._longest(name),
            )
            await pace.ask(self._clock.now())
            self._attempts.paces[name] = pace

    async def drain(self) -> None:
        """Send until nothing of this step is claimable, on every channel at its own width.

        Never more rows in `sending` than requests in flight. One channel's trouble leaves the others alone.
        """
        with speaking() as voice:
            drains = [self._drain(channel, voice) for channel in self._used()]
            ended = await asyncio.gather(*drains, return_exceptions=True)
        for error in ended:
            if error is not None:
                raise error

    def _used(self) -> list[str]:
        groups, ours = self._plan.launch.community.groups, set(self.step.groups)
        return sorted({group.channel for group in groups if group.id in ours})

    async def _drain(self, channel: str, voice: Voice) -> None:
        width, lease = self._capabilities[channel].concurrency, self._lease(channel)
        pace, somebody = self._attempts.paces[channel], self._somebody_on(channel)
        flying, landed = Flying(voice), list[Landed]()
        try:
            while True:
                free = await pace.room(width - len(flying), somebody)
                claimed = await undisturbed(self._exchange(channel, landed, free, pace, flying))
                voice.begun()
                await pace.put_back()
                if flying:
                    landed = await flying.landed()
                    await pace.ended(task.result().claim for task in landed)
                    await voice.others_first()
                elif not claimed and not await self._opens_soon(channel, pace):
                    return
        finally:
            if flying or landed:  # cancelled: what is on the wire still gets its answer written down
                await undisturbed(self._land(landed, flying, lease, pace))

    async def _exchange(self, channel: str, landed: list[Landed], free: int, pace: Pace, flying: Flying) -> int:
        """Write down what has ended, claim in its place, and send what may go out now; how many were claimed.

        What may not go out is given back before anything else can happen.
        """
        if landed:
            await self._settle(landed, more=bool(flying))
            landed.clear()
        claims = await self._claim(channel, free) if free else []
        try:
            go, later = await pace.admit(claims, map(self._attempts.recipient, claims))
        except Exception:  # nothing of them was sent, and nobody shall have to doubt that
            back, now = [(claim, self._clock.now()) for claim in claims], self._clock.now()
            await patiently(lambda: self._ledger.give_back(back, why="not sent yet; it is tried again", now=now))
            raise
        if later:
            capped = [(claim, self._attempts.no_later(at)) for claim, at in later]
            await patiently(lambda: self._ledger.give_back(capped, why=pace.why, now=self._clock.now()))
            self.sent.states["retry"] += len(later)
        for claim in go:
            flying.add(asyncio.create_task(self._attempts.settle(claim)))
        return len(claims)

    async def _claim(self, channel: str, free: int) -> list[Claim]:
        ready, step = self._ready, (self._where.edition, self._ready.step, self._ready.occurrence)
        how: dict[str, Any] = {
            "limit": free,
            "lease": self._lease(channel),
            "wording": ready.sha,
            "channel": channel,
            "plan_version": ready.plan_version,
            "released": ready.released,
        }
        wanted = Wanted(*step, now=self._clock.now(), **how)
        return await claim_in_chorus(self._ledger, wanted) or await patiently(
            lambda: self._ledger.claim(*step, now=self._clock.now(), **how)
        )

    async def _settle(self, landed: list[Landed], *, more: bool = False) -> None:
        await self._record([task.result() for task in landed], more=more)
        settled(landed)

    def _somebody_on(self, channel: str) -> Recipient:
        ours = set(self.step.groups)
        groups = self._plan.launch.community.groups
        group = next(group for group in groups if group.channel == channel and group.id in ours)
        return Recipient(group.id, group.name, group.address)

    async def _opens_soon(self, channel: str, pace: Pace) -> bool:
        """Wait for the next permit where that is soon; else have what is due tried then, and say that it is not."""
        if pace.opens is None:
            return False
        if pace.opens - self._clock.now() <= PATIENCE:
            await while_ours(self._clock.sleep_until(pace.opens))
            return True
        ready, until = self._ready, self._attempts.no_later(pace.opens)
        postpone = partial(self._ledger.postpone, self._where.edition, ready.step, ready.occurrence, channel=channel)
        count = await patiently(
            lambda: postpone(released=ready.released, until=until, why=pace.why, now=self._clock.now())
        )
        self.sent.states["retry"] += count
        return False

    async def _land(self, landed: list[Landed], flying: Flying, lease: timedelta, pace: Pace) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(lease.total_seconds()):
                while flying or landed:
                    landed = landed or await flying.landed()
                    await pace.ended(task.result().claim for task in landed)
                    await self._settle(landed, more=bool(flying))
                    landed = []
        settled(flying.tasks)

    async def _record(self, settlements: list[Settlement], *, more: bool = False) -> None:
        if settlements:
            await patiently(lambda: self._ledger.settle(settlements, now=self._clock.now(), more=more))
            self.sent.states.update(settlement.state for settlement in settlements)

    def _lease(self, channel: str) -> timedelta:
        return self._longest(channel) + _SETTLE_MARGIN

    def _longest(self, channel: str) -> timedelta:
        """How long one delivery may take: a file or a pin are requests of their own, each with its time."""
        requests = 1 + 2 * len(self.step.attach) + self.step.pin
        return timedelta(seconds=self._capabilities[channel].timeout) * requests
