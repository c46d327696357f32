"""Ignite (引爆): loyalty and conversion; the order link opens."""

from prefect import flow

from flows.operate import operate
from tasks.edition import here


@flow(name="ignite", flow_run_name="ignite · {edition}")
async def ignite(edition: str, ledger: str | None = None, project: str | None = None) -> str:
    """Announce, count down, open the sale to people who are waiting for it, and close it in good order."""
    return await operate("ignite", here(edition, ledger, project))
