"""The watch (cron): between a launch's moments, take in engagement, recover what died, call people, refresh boards."""

from prefect import flow

from tasks.rounds import KEEP_DAYS, another_is_at_work, prune_rounds
from tasks.watch import watch_once


@flow(name="watch")
async def watch(ledger: str | None = None, project: str | None = None, keep_days: float = KEEP_DAYS) -> dict[str, int]:
    """For every edition under way, how many alarms are open; then forget rounds of `keep_days` ago.

    While an earlier round is at work, the schedule's next ones do nothing.
    """
    if await another_is_at_work():
        return {}
    alarms = await watch_once(ledger, project)
    await prune_rounds(keep_days)
    return alarms
