"""Aftercare (閉環服務): delivery, thanks, outcome, word of mouth."""

from prefect import flow

from flows.operate import operate
from tasks.edition import here


@flow(name="aftercare", flow_run_name="aftercare · {edition}")
async def aftercare(edition: str, ledger: str | None = None, project: str | None = None) -> str:
    """Keep what was promised, thank, ask how it went, and close the loop."""
    return await operate("aftercare", here(edition, ledger, project))
