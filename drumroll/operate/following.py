"""What became of messages that a platform holds until somebody's tap, and reminding whoever has not tapped."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from drumroll.channels.base import Recipient, SendError
from drumroll.clock import Clock
from drumroll.errors import DrumrollError, LedgerError
from drumroll.launchfile.community import Group
from drumroll.ledger.ledger import Ledger
from drumroll.ledger.model import DeliveryRow
from drumroll.operate.duties import Duty, duties_of
from drumroll.operate.edition import Where, capabilities_of
from drumroll.operate.open_channels import OpenChannels

MOST_REMINDERS = 3
"""As many as WeCom sends in 24 hours; whoever has not heard three is called by an alarm."""
BY = "drumroll"
"""Who reminded, in the audit log."""


@dataclass(slots=True)
class Followed:
    """What a round found: how many messages went out, were refused and were reminded of; trouble by channel."""

    sent: int = 0
    failed: int = 0
    reminded: int = 0
    trouble: dict[str, str] = field(default_factory=dict)


async def follow(where: Where, clock: Clock) -> Followed:
    """Ask the platforms about each message that awaits a tap, write down what they say, and remind.

    A message that goes out in between is noticed by the next round. Trouble with a channel leaves the others alone, and
    what it holds as it was. Raises LedgerError.
    """
    plan, ledger, found = where.plan(), where.open(), Followed()
    duties = {name: duty for name, duty in duties_of(plan).items() if duty.taps}
    rows = ledger.deliveries(where.edition, state="awaiting") if duties else []
    rows = [row for row in rows if row.channel in duties and row.message_id]
    if not rows:
        return found
    capabilities = capabilities_of(plan)
    groups = {group.id: group for group in plan.launch.community.groups}
    channels = OpenChannels(plan, where.project)
    round_ = _Round(ledger, channels, clock, duties, found)
    try:
        for name in sorted({row.channel for row in rows}):
            at_once = asyncio.Semaphore(capabilities[name].concurrency)
            theirs = (row for row in rows if row.channel == name and row.group in groups)
            asked = (round_.look(row, _recipient(row, groups), at_once) for row in theirs)
            await asyncio.gather(*asked)
    finally:
        await channels.close()
    return found


class _Round:
    def __init__(
        self, ledger: Ledger, channels: OpenChannels, clock: Clock, duties: Mapping[str, Duty], found: Followed
    ) -> None:
        self._ledger, self._channels, self._clock = ledger, channels, clock
        self._duties, self._found = duties, found

    async def look(self, row: DeliveryRow, to: Recipient, at_once: asyncio.Semaphore) -> None:
        """One message: its result, or a reminder. What goes wrong is noted, and ends the channel's round."""
        async with at_once:
            if row.channel in self._found.trouble:
                return
            try:
                if not await self._settle(row, to):
                    await self._remind(row, to)
            except LedgerError:
                raise
            except DrumrollError as error:
                self._found.trouble[row.channel] = str(error)

    async def _settle(self, row: DeliveryRow, to: Recipient) -> bool:
        channel = await self._channels.get(row.channel)
        try:
            receipt = await channel.follow(str(row.message_id), to)
        except SendError as error:
            if error.kind != "permanent":
                raise
            self._found.failed += self._write(row, "failed", reason=str(error))
            return True
        if receipt is None or receipt.state != "sent":
            return False
        self._found.sent += self._write(row, "sent", sent_at=receipt.sent_at)
        return True

    def _write(self, row: DeliveryRow, to: Literal["sent", "failed"], **more: Any) -> bool:
        try:
            self._ledger.platform_result(row.key, to, now=self._clock.now(), **more)
        except LedgerError:
            if self._ledger.delivery(row.key).state == "awaiting":
                raise
            return False  # a person or another watch was first
        return True

    async def _remind(self, row: DeliveryRow, to: Recipient) -> None:
        wait = self._duties[row.channel].reminds_after
        if wait is None:
            return
        # On record before it is done: a watch that dies in between reminds once less, never once more.
        if self._ledger.remind(row.key, by=BY, wait=wait, most=MOST_REMINDERS, now=self._clock.now()):
            await (await self._channels.get(row.channel)).remind(str(row.message_id), to)
            self._found.reminded += 1


def _recipient(row: DeliveryRow, groups: Mapping[str, Group]) -> Recipient:
    group = groups[row.group]
    return Recipient(group.id, group.name, group.address, row.member, row.member)
