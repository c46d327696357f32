"""The watch (cron): between a launch's moments, take in engagement, recover what died, refresh the boards."""

from prefect import flow, tags

from tasks.watch import editions, recover_deliveries, refresh_board, sync_sources


@flow(name="watch")
async def watch(ledger: str | None = None, project: str | None = None) -> dict[str, int]:
    """For every edition under way; how many things need a person, by edition."""
    needs = {}
    for where in editions(ledger, project):
        with tags("drumroll", where.edition):
            await sync_sources(where)
            await recover_deliveries(where)
            needs[where.edition] = await refresh_board(where)
    return needs
