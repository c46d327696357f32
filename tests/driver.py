"""A launch without Prefect: the same beats, wordings, sends and gates that the flows go through."""

from drumroll.clock import Clock
from drumroll.operate.beats import next_beat
from drumroll.operate.gating import read_gate
from drumroll.operate.sending import Sent, send_step
from drumroll.operate.wording import make_ready


async def drive(where, phase: str, clock: Clock, *, beats: int = 1_000) -> str:
    """Do the next `beats` beats of a phase; its verdict, or "" when it is not over yet."""
    for _ in range(beats):
        beat = next_beat(where, phase, now=clock.now())
        if beat.what == "over":
            return beat.verdict
        await clock.sleep_until(beat.at)
        if beat.what == "gate":
            read_gate(where, phase, now=clock.now())
        else:
            await say(where, beat, clock)
    return ""


async def say(where, beat, clock: Clock) -> Sent:
    ready = make_ready(where, beat, now=clock.now())
    return await send_step(where, ready, clock)
