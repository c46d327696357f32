"""Build-up (造勢): attention and activity."""

from prefect import flow

from flows.operate import operate
from tasks.edition import here


@flow(name="build_up", flow_run_name="build_up · {edition}")
async def build_up(edition: str, ledger: str | None = None, project: str | None = None) -> str:
    """Let people speak, give them value, and number what is to come until they look forward to it."""
    return await operate("build_up", here(edition, ledger, project))
