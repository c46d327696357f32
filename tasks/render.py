"""Rendering a step's words."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from drumroll.clock import current_clock
from drumroll.operate.edition import Where
from drumroll.operate.wording import Ready, make_ready


@task(name="render", task_run_name="render {step}", cache_policy=NO_CACHE)
async def render(where: Where, step: str, occurrence: int, *, released: bool = False) -> Ready:
    """Render the step for this instant and keep its words in the ledger."""
    return make_ready(where, step, occurrence, now=current_clock().now(), released=released)
