"""Recruit (引流入群): the groups fill with people who know why they joined."""

from prefect import flow

from flows.operate import operate
from tasks.edition import here


@flow(name="recruit", flow_run_name="recruit · {edition}")
async def recruit(edition: str, ledger: str | None = None, project: str | None = None) -> str:
    """Welcome people, tell them why to join and why now, and make sure enough of them are there."""
    return await operate("recruit", here(edition, ledger, project))
