"""How every phase goes: one beat after the other, until its gate has spoken."""

from datetime import timedelta
from functools import partial

from prefect.context import TagsContext

from drumroll.clock import current_clock
from drumroll.operate.beats import Beat, enter, next_beat, next_leftover
from drumroll.operate.braking import held_back
from drumroll.operate.edition import Where
from drumroll.operate.lease import while_ours
from drumroll.operate.preparing import prepare
from drumroll.operate.questions import PATIENCE
from drumroll.operate.story import awaited, tell_wait
from drumroll.operate.waking import ready_by
from tasks.announce import announce
from tasks.asking import ask
from tasks.credentials import blocks_stand_in
from tasks.engine import as_its_engine
from tasks.gate import gate
from tasks.render import render
from tasks.show import show_phase
from tasks.signing import sign
from tasks.waiting import stood_by, wait_until


async def operate(phase: str, where: Where) -> str:
    """The phase, as the edition's one engine; the verdict that ends it for now, or `elsewhere`."""
    await sign(where)  # a phase's own deployment: the watch must know whose run it is
    # Tags are for finding the phase. A task with tags asks Prefect's server for its place, at the very instant.
    with TagsContext(current_tags=set()):
        verdict: str = await as_its_engine(where, partial(beat_by_beat, phase))
    return verdict


async def beat_by_beat(phase: str, where: Where) -> str:
    """Beats until the gate has spoken, and a person when it holds; the verdict that ends the phase for now."""
    enter(where, phase)
    while (verdict := await until_its_gate(where, phase)) == "hold":
        await see_out(where, phase, within=PATIENCE)
        await show_phase(where, phase)
        if not await ask(where, phase):
            return verdict
    await show_phase(where, phase)
    return verdict


async def until_its_gate(where: Where, phase: str) -> str:
    """Wait, render, announce; read the gate when its time comes; its verdict, also when it has spoken before."""
    while (beat := next_beat(where, phase, now=current_clock().now())).what != "over":
        if await while_ours(stood_by(where)):
            continue
        tell_wait(where, beat, phase)
        with blocks_stand_in():
            await prepare(where, beat)
        if not await while_ours(_its_time(where, beat, phase)):
            continue
        if held_back(where) or next_beat(where, phase, now=current_clock().now()) != beat:
            continue  # the plan was changed, or a person decided something, while we slept
        if beat.what == "announce":
            await say(where, beat)
        else:
            await gate(where, phase)
    return beat.verdict


async def see_out(where: Where, phase: str, within: timedelta | None = None) -> None:
    """What is still on its way when a phase is over gets its time: retries, and leases of a process that died."""
    while (beat := next_leftover(where, phase, now=current_clock().now(), within=within)) is not None:
        if await while_ours(stood_by(where)):
            continue
        slept = await while_ours(_its_time(where, beat, phase))
        if slept and not held_back(where) and next_leftover(where, phase, now=current_clock().now()) == beat:
            await say(where, beat)


async def _its_time(where: Where, beat: Beat, phase: str) -> bool:
    return await wait_until(ready_by(where, beat), where, awaited(where, beat, phase), instant=beat.at)


async def say(where: Where, beat: Beat) -> None:
    """One step, from its words to its receipts: all that takes its time is done when its instant comes."""
    ready = await render(where, beat)
    await announce(where, ready)
