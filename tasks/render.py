"""Rendering a step's words."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from drumroll.clock import current_clock
from drumroll.operate.beats import Beat
from drumroll.operate.edition import Where
from drumroll.operate.wording import Ready, make_ready


@task(name="render", task_run_name="render {beat.step}", cache_policy=NO_CACHE)
async def render(where: Where, beat: Beat) -> Ready:
    """Render the beat's step for its instant, or for now when that has passed, and keep its words in the ledger."""
    return make_ready(where, beat, now=max(beat.at, current_clock().now()))
