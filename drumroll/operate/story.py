"""What a run tells while it runs: one line per thing that happened, with its local time."""

import logging
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from drumroll import logs
from drumroll.clock import current_clock
from drumroll.operate.beats import Beat, planned_step
from drumroll.operate.edition import Where
from drumroll.words.phrases import LOCALES, short_label

log = logs.logger("story")


def tell(
    line: str,
    *,
    at: datetime,
    timezone: str,
    edition: str,
    phase: str | None = None,
    step: str | None = None,
    key: str | None = None,
    level: int = logging.INFO,
) -> None:
    """Say `line`, which happened at `at` (UTC) to what is named.

    Handlers find the names on the record, with `at_local` and the `line` without its time.
    """
    local = at.astimezone(ZoneInfo(timezone))
    extra = {"edition": edition, "phase": phase, "step": step, "key": key, "at_local": local, "line": line}
    log.log(level, "%s  %s", f"{local:%a %m-%d %H:%M:%S}", line, extra=extra)


def awaited(where: Where, beat: Beat, phase: str) -> str:
    """What a run waits for, for people: `【公告07】 at 23:00 Asia/Shanghai`, with the day where it is not today."""
    plan = where.plan()
    zone = ZoneInfo(plan.launch.timezone)
    if beat.what == "gate":
        what = f"gate of {phase}"
    else:
        step = planned_step(plan, where.open(), where.edition, beat.step, beat.occurrence)
        what = short_label(LOCALES[plan.launch.locale], step.number) or step.id
    local = beat.at.astimezone(zone)
    day = "" if local.date() == current_clock().now().astimezone(zone).date() else f"{local:%a %m-%d} "
    return f"{what} at {day}{local:%H:%M} {zone.key}"


_WORTH_TELLING = timedelta(minutes=1)
_told: dict[str, Beat] = {}


def tell_wait(where: Where, beat: Beat, phase: str) -> None:
    """Say once what a live run waits for, when that is more than a minute away."""
    clock = current_clock()
    if clock.patience is None or beat.at - clock.now() < _WORTH_TELLING or _told.get(where.edition) == beat:
        return
    _told[where.edition] = beat
    zone = where.plan().launch.timezone
    what = f"gate of {phase}" if beat.what == "gate" else beat.step
    line = f"next: {what}, {beat.at.astimezone(ZoneInfo(zone)):%a %m-%d %H:%M:%S}"
    tell(line, at=clock.now(), timezone=zone, edition=where.edition, phase=phase, step=beat.step or None)
