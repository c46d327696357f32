"""What a run tells while it runs: one line per thing that happened, with its local time."""

import logging
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from drumroll.clock import current_clock
from drumroll.operate.beats import Beat
from drumroll.operate.edition import Where

log = logging.getLogger("drumroll.story")


def tell(line: str, *, at: datetime, timezone: str, edition: str, level: int = logging.INFO) -> None:
    """Say `line`, which happened at `at` (UTC). Handlers find `at_local` and `edition` on the record."""
    local = at.astimezone(ZoneInfo(timezone))
    log.log(level, "%s  %s", f"{local:%a %m-%d %H:%M:%S}", line, extra={"edition": edition, "at_local": local})


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
    tell(line, at=clock.now(), timezone=zone, edition=where.edition)
