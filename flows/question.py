"""A question about a held step (cron's watch asks it): its form in the Prefect UI is answered by a person."""

from typing import Any

from prefect import flow

from tasks.edition import here
from tasks.held_steps import settle_held


@flow(name="question")
async def question(
    edition: str, step: str, occurrence: int = 1, ledger: str | None = None, project: str | None = None
) -> Any:
    """Send the step now, leave it out, or abort the launch, as a person decides; until then it needs no process."""
    return await settle_held(here(edition, ledger, project), step, occurrence)
