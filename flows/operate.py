"""How every phase goes: one beat after the other, until its gate has spoken."""

from drumroll.clock import current_clock
from drumroll.operate.beats import Beat, next_beat, next_leftover
from drumroll.operate.edition import Where
from tasks.announce import announce
from tasks.gate import gate
from tasks.render import render
from tasks.show import show_phase
from tasks.waiting import wait_until


async def operate(phase: str, where: Where) -> str:
    """Wait, render, announce; read the gate when its time comes; the verdict that ends the phase for now."""
    while (beat := next_beat(where, phase, now=current_clock().now())).what != "over":
        await wait_until(beat.at)
        if beat.what == "announce":
            await say(where, beat)
        else:
            await gate(where, phase)
    await show_phase(where, phase)
    return beat.verdict


async def see_out(where: Where) -> None:
    """After the last gate: what is still on its way gets its time."""
    while (beat := next_leftover(where, now=current_clock().now())) is not None:
        await wait_until(beat.at)
        await say(where, beat)


async def say(where: Where, beat: Beat) -> None:
    """One step, from its words to its receipts."""
    ready = await render(where, beat.step, beat.occurrence, released=beat.released)
    await announce(where, ready)
