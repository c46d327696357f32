"""The watch (cron): between a launch's moments, take in engagement, recover what died, refresh the boards."""

from collections.abc import Sequence

from prefect import flow, tags

from drumroll.errors import DrumrollError
from drumroll.operate.edition import Where
from drumroll.operate.watching import Alarm
from tasks.watch import editions, recover_deliveries, refresh_board, say_trouble, sync_sources, tend_launch_runs


@flow(name="watch")
async def watch(ledger: str | None = None, project: str | None = None) -> dict[str, int]:
    """For every edition under way; how many things need a person, by edition."""
    known = await tend_launch_runs(ledger, project)
    return {where.edition: await look_after(where, known) for where in editions(ledger, project)}


async def look_after(where: Where, known: Sequence[Alarm]) -> int:
    """One edition: a source or a delivery that cannot be dealt with leaves the rest, and other editions, alone."""
    trouble = 0
    with tags("drumroll", where.edition):
        for care in (sync_sources, recover_deliveries):
            try:
                await care(where)
            except DrumrollError as error:
                say_trouble(where, error)
                trouble += 1
        return trouble + await refresh_board(where, known)
