"""What a run tells while it runs: one line per thing that happened, with its local time."""

import logging
from datetime import datetime
from zoneinfo import ZoneInfo

log = logging.getLogger("drumroll.story")


def tell(line: str, *, at: datetime, timezone: str, edition: str, level: int = logging.INFO) -> None:
    """Say `line`, which happened at `at` (UTC). Handlers find `at_local` and `edition` on the record."""
    local = at.astimezone(ZoneInfo(timezone))
    log.log(level, "%s  %s", f"{local:%a %m-%d %H:%M:%S}", line, extra={"edition": edition, "at_local": local})
