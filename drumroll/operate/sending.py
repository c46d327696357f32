"""Sending a step that is ready, and telling what became of it."""

import logging
from functools import partial
from textwrap import shorten
from zoneinfo import ZoneInfo

from drumroll.clock import Clock
from drumroll.ledger.model import delivery_key
from drumroll.operate.chorus import hush
from drumroll.operate.edition import Where
from drumroll.operate.lateness import PUNCTUAL
from drumroll.operate.lease import while_ours
from drumroll.operate.outbox import Outbox, Sent
from drumroll.operate.story import tell
from drumroll.operate.wording import Ready


async def send_step(where: Where, ready: Ready, clock: Clock) -> Sent:
    """Send a step that is ready to everyone it is due for, at its instant; set it aside where its ruling says so.

    Settles every request that went out, also when cancelled (Ctrl-C): no row is left doubtful by an orderly stop.
    """
    outbox = Outbox(where, ready, clock)
    try:
        if ready.ruling.act == "send":
            await outbox.open_channels()
        instant = max(ready.at, clock.now())
        await while_ours(clock.sleep_until(instant))
        if clock.now() - instant > PUNCTUAL:
            return outbox.sent  # the machine slept through it: the ruling on it is to be made anew
        if ready.ruling.act == "send":
            await outbox.drain()
            await hush()
        else:
            outbox.set_aside()
        await outbox.recover()
    finally:
        await outbox.close()
    _tell(where, outbox, ready, clock)
    return outbox.sent


async def recover_step(where: Where, ready: Ready, clock: Clock) -> Sent:
    """Deal only with what an engine left in `sending` for this step and whose lease has passed."""
    outbox = Outbox(where, ready, clock)
    try:
        await outbox.recover()
    finally:
        await outbox.close()
    return outbox.sent


def _tell(where: Where, outbox: Outbox, ready: Ready, clock: Clock) -> None:
    zone, step, sent = where.plan().launch.timezone, outbox.step, outbox.sent
    by_hand = set(sent.states) == {"awaiting"}
    if by_hand or ready.ruling.act != "send":  # not said yet, or not at all: no number here
        local = f"{step.due.astimezone(ZoneInfo(zone)):%H:%M}"
        title = f"for {local} by hand: {step.id}" if by_hand else f"{step.id}, due {local}"
    else:
        first_line = shorten(where.open().wording(ready.sha).partition("\n")[0], 60, placeholder=" …")
        title = first_line if ready.label else f"({step.kind}) {first_line}"
    why = f" ({ready.ruling.reason})" if ready.ruling.reason else ""
    say = partial(tell, at=clock.now(), timezone=zone, edition=where.edition, phase=step.phase, step=step.id)
    say(f"{title}  →  {sent.summary()}{why}")
    for recipient, error in sent.errors.items():
        key = delivery_key(where.edition, step.id, ready.occurrence, recipient)
        say(f"{step.id} to {recipient}: {error}", key=key, level=logging.WARNING)
