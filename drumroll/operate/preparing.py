"""Shortly before a step's instant: what is slow the first time is done once, so that the instant finds it done."""

import asyncio
from datetime import timedelta

from drumroll.clock import current_clock
from drumroll.errors import DrumrollError
from drumroll.operate.beats import Beat, planned_step
from drumroll.operate.edition import Where
from drumroll.operate.open_channels import OpenChannels
from drumroll.operate.story import log

_SOON = timedelta(seconds=90)
_AT_LEAST = timedelta(seconds=3)
_prepared: dict[str, Beat] = {}


async def prepare(where: Where, beat: Beat) -> None:
    """Render the beat's words and open its channels, once, in the last minute and a half before it; nothing is kept.

    Whatever will not work is told while there is time to mend it, and stops nothing: the instant itself decides. Only
    on the wall clock.
    """
    clock = current_clock()
    left = beat.at - clock.now()
    if clock.patience is None or beat.what != "announce" or not _AT_LEAST < left < _SOON:
        return
    if _prepared.get(where.edition) == beat:
        return
    _prepared[where.edition] = beat
    try:
        async with asyncio.timeout((left - _AT_LEAST / 2).total_seconds()):
            await _try(where, beat)
    except Exception as error:  # noqa: BLE001 - a channel's own bug is dealt with at the instant, and stops nothing now
        # Of a stranger's exception the type only: it may quote an address with a secret in it.
        why = str(error) if isinstance(error, DrumrollError) else f"{type(error).__name__} in a channel"
        why = "a channel does not answer" if isinstance(error, TimeoutError) else why
        of = {"edition": where.edition, "step": beat.step}
        line = "%s: %s, due in %.0f s, may not go out: %s"
        log.warning(line, where.edition, beat.step, left.total_seconds(), why, extra=of)


async def _try(where: Where, beat: Beat) -> None:
    plan = where.plan()
    step = planned_step(plan, where.open(), where.edition, beat.step, beat.occurrence)
    where.words().text(step, now=beat.at)
    channels = OpenChannels(plan, where.project)
    try:
        for name in sorted({group.channel for group in plan.launch.community.groups if group.id in step.groups}):
            await channels.get(name)
    finally:
        await channels.close()
