"""Claim, send, settle: one step to all its recipients, each once, whatever dies in between."""

import asyncio
import logging
import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from textwrap import shorten
from zoneinfo import ZoneInfo

from drumroll.channels.base import Message, Receipt, Recipient, SendError
from drumroll.clock import Clock
from drumroll.errors import DrumrollError
from drumroll.ledger.ledger import Ledger
from drumroll.ledger.model import Claim, Settlement, idempotency_key
from drumroll.operate.beats import planned_step
from drumroll.operate.edition import Where, capabilities_of
from drumroll.operate.open_channels import OpenChannels
from drumroll.operate.story import tell
from drumroll.operate.wording import Ready
from drumroll.plan.model import Plan, PlannedStep

log = logging.getLogger("drumroll.sending")

MAX_ATTEMPTS = 8
_FIRST_WAIT, _LONGEST_WAIT = 2.0, 300.0  # seconds; doubled after each attempt
_SETTLE_MARGIN = timedelta(seconds=5)


_flying_anywhere: set["asyncio.Task[Settlement]"] = set()


def on_the_wire() -> bool:
    """Whether any request of this process still waits for its answer or its settlement."""
    return bool(_flying_anywhere)


@dataclass(slots=True)
class Sent:
    """What became of one step's claimed deliveries: how many in each state, and what went wrong by recipient."""

    states: Counter[str] = field(default_factory=Counter)
    errors: dict[str, str] = field(default_factory=dict)

    def summary(self) -> str:
        """`3 sent, 1 awaiting`."""
        return ", ".join(f"{count} {state}" for state, count in sorted(self.states.items())) or "nothing to do"


async def send_step(where: Where, ready: Ready, clock: Clock) -> Sent:
    """Send a step that is ready to everyone it is due for; set it aside where its lateness says so.

    Settles every request that went out, also when cancelled (Ctrl-C): no row is left doubtful by an orderly stop.
    """
    ledger, plan = where.open(), where.plan()
    result = Sent()
    if ready.ruling.act != "send":
        count = ledger.set_aside(
            where.edition,
            ready.step,
            ready.occurrence,
            to=ready.ruling.act,
            reason=ready.ruling.reason,
            now=clock.now(),
        )
        result.states[ready.ruling.act] += count
    step = planned_step(plan, ledger, where.edition, ready.step, ready.occurrence)
    outbox = _Outbox(where, plan, step, ready, clock, result)
    try:
        await outbox.recover()
        if ready.ruling.act == "send":
            await outbox.drain()
    finally:
        await outbox.close()
    _tell(plan, step, ledger.wording(ready.sha), ready, result, clock.now())
    return result


async def recover_step(where: Where, ready: Ready, clock: Clock) -> Sent:
    """Deal only with what an engine left in `sending` for this step and whose lease has passed."""
    ledger, plan = where.open(), where.plan()
    step = planned_step(plan, ledger, where.edition, ready.step, ready.occurrence)
    outbox = _Outbox(where, plan, step, ready, clock, Sent())
    try:
        await outbox.recover()
    finally:
        await outbox.close()
    return outbox.result


def _tell(plan: Plan, step: PlannedStep, text: str, ready: Ready, result: Sent, now: datetime) -> None:
    zone = plan.launch.timezone
    if set(result.states) == {"awaiting"}:  # what a person posts later is not said yet: no number here
        title = f"for {step.due.astimezone(ZoneInfo(zone)):%H:%M} by hand: {step.id}"
    else:
        first_line = shorten(text.partition("\n")[0], 60, placeholder=" …")
        title = first_line if ready.label else f"({step.kind}) {first_line}"
    why = f" ({ready.ruling.reason})" if ready.ruling.reason else ""
    tell(f"{title}  →  {result.summary()}{why}", at=now, timezone=zone, edition=plan.edition)
    for recipient, error in result.errors.items():
        line = f"{step.id} to {recipient}: {error}"
        tell(line, at=now, timezone=zone, edition=plan.edition, level=logging.WARNING)


class _Outbox:
    """The channels one step goes out through, opened on first use, and the requests in flight."""

    def __init__(self, where: Where, plan: Plan, step: PlannedStep, ready: Ready, clock: Clock, result: Sent) -> None:
        self._ledger: Ledger = where.open()
        self._where, self._plan, self._step, self._ready, self._clock, self.result = (
            where,
            plan,
            step,
            ready,
            clock,
            result,
        )
        self._text = self._ledger.wording(ready.sha)
        self._groups = {group.id: group for group in plan.launch.community.groups}
        self._names = _names(self._ledger, where.edition, clock.now()) if step.segment else {}
        self._capabilities = capabilities_of(plan)
        self._channels = OpenChannels(where)

    async def recover(self) -> None:
        """Deal with rows of this step that an engine left in `sending` and whose lease has passed (rule 3)."""
        now = self._clock.now()
        for claim in self._ledger.expired(self._where.edition, now=now):
            if (claim.step, claim.occurrence) != (self._ready.step, self._ready.occurrence):
                continue
            channel = await self._channels.get(claim.channel)
            if (
                channel.capability.look_up
                and (receipt := await channel.look_up(idempotency_key(claim.key))) is not None
            ):
                self._ledger.recover(
                    [claim], "sent", now=now, reason=f"found on {claim.channel}", message_id=receipt.message_id
                )
                self.result.states["sent"] += 1
            elif channel.capability.idempotent or channel.capability.look_up:
                for again in self._ledger.reclaim([claim], now=now, lease=self._lease(claim.channel)):
                    self._record([await self._attempt(again)])
            else:
                self._ledger.recover([claim], "unknown", now=now, reason="the sender stopped before the answer came")
                self.result.states["unknown"] += 1

    async def drain(self) -> None:
        """Send until nothing of this step is claimable. Never more rows in `sending` than requests in flight."""
        used = {group.channel for group in self._groups.values() if group.id in self._step.groups}
        width = max(self._capabilities[name].concurrency for name in used)
        lease = max(self._lease(name) for name in used)
        flying: set[asyncio.Task[Settlement]] = set()
        try:
            while True:
                flying |= {
                    asyncio.create_task(self._attempt(claim)) for claim in self._claim(width - len(flying), lease)
                }
                _flying_anywhere.update(flying)
                if not flying:
                    return
                done, flying = await asyncio.wait(flying, return_when=asyncio.FIRST_COMPLETED)
                self._record_done(done)
        finally:
            if flying:  # cancelled: what is on the wire still gets its answer written down
                done, late = await asyncio.wait(flying, timeout=lease.total_seconds())
                self._record_done(done)
                _flying_anywhere.difference_update(late)

    def _claim(self, free: int, lease: timedelta) -> list[Claim]:
        if not free:
            return []
        where, ready = self._where, self._ready
        return self._ledger.claim(
            where.edition,
            ready.step,
            ready.occurrence,
            now=self._clock.now(),
            limit=free,
            lease=lease,
            wording=ready.sha,
        )

    async def close(self) -> None:
        """Close every channel that was opened."""
        await self._channels.close()

    async def _attempt(self, claim: Claim) -> Settlement:
        try:
            channel = await self._channels.get(claim.channel)
            receipt = await channel.send(self._message(claim))
        except SendError as error:
            return self._after_error(claim, error)
        except DrumrollError as error:  # the channel could not be opened: nothing was sent
            return self._after_error(claim, SendError(str(error), kind="transient"))
        except Exception as error:  # a channel's own bug must not leave a row without a settlement
            log.exception("channel %s failed unexpectedly", claim.channel)
            return self._after_error(
                claim, SendError(f"{type(error).__name__} in channel {claim.channel}", kind="ambiguous")
            )
        return self._after_receipt(claim, receipt)

    def _after_receipt(self, claim: Claim, receipt: Receipt) -> Settlement:
        return Settlement(
            claim, receipt.state, message_id=receipt.message_id, wording=self._ready.sha, sent_at=self._clock.now()
        )

    def _after_error(self, claim: Claim, error: SendError) -> Settlement:
        self.result.errors[claim.recipient] = str(error)
        if error.kind == "permanent":
            return Settlement(claim, "failed", wording=self._ready.sha, error=str(error))
        if error.kind == "ambiguous":
            return Settlement(claim, "unknown", wording=self._ready.sha, error=str(error))
        if claim.attempts >= MAX_ATTEMPTS:
            return Settlement(
                claim, "failed", wording=self._ready.sha, error=f"{error} (gave up after {claim.attempts} attempts)"
            )
        wait = error.retry_after if error.retry_after is not None else _backoff(claim.attempts)
        return Settlement(
            claim,
            "retry",
            wording=self._ready.sha,
            error=str(error),
            retry_at=self._clock.now() + timedelta(seconds=wait),
        )

    def _record_done(self, done: set["asyncio.Task[Settlement]"]) -> None:
        self._record([task.result() for task in done])
        _flying_anywhere.difference_update(done)

    def _record(self, settlements: list[Settlement]) -> None:
        if not settlements:
            return
        self._ledger.settle(settlements, now=self._clock.now())
        self.result.states.update(settlement.state for settlement in settlements)

    def _message(self, claim: Claim) -> Message:
        group = self._groups[claim.group]
        member_name = self._names.get(claim.member, claim.member) if claim.member else None
        return Message(
            key=idempotency_key(claim.key),
            edition=claim.edition,
            step=claim.step,
            occurrence=claim.occurrence,
            number=self._step.number,
            due=_iso(claim.due_at),
            sent_at=_iso(self._clock.now()),
            recipient=Recipient(group.id, group.name, group.address, claim.member, member_name),
            text=self._text,
        )

    def _lease(self, name: str) -> timedelta:
        return timedelta(seconds=self._capabilities[name].timeout) + _SETTLE_MARGIN


def _names(ledger: Ledger, edition: str, now: datetime) -> dict[str, str]:
    _, people = ledger.activity(edition, until=now)
    return {person.id: person.name or person.id for person in people.values()}


def _backoff(attempts: int) -> float:
    """Seconds: doubled after each attempt, capped, with full jitter in its upper half."""
    longest = min(_FIRST_WAIT * 2 ** (attempts - 1), _LONGEST_WAIT)
    return float(longest * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load, keeps no secret


def _iso(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
