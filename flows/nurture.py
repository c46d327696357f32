"""Nurture (蓄勢): stickiness and trust; its gate is the trust gate."""

from prefect import flow

from flows.operate import operate
from tasks.edition import here


@flow(name="nurture", flow_run_name="nurture · {edition}")
async def nurture(edition: str, ledger: str | None = None, project: str | None = None) -> str:
    """Keep the promises of the welcome, answer doubts, and earn the trust that the sale will rest on."""
    return await operate("nurture", here(edition, ledger, project))
