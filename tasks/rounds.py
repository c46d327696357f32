"""The watch's own runs in Prefect: one at a time, and those that nobody needs any more are deleted with their logs.

Not by a limit on the deployment: Prefect 3.8 keeps who holds its slots in the server's memory. A round that dies in the
same reboot as the server holds its slot for good, every later one is cancelled, and no launch is ever handed back.
"""

from datetime import datetime, timedelta
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterTags,
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterEndTime,
    FlowRunFilterNextScheduledStartTime,
    FlowRunFilterStartTime,
    FlowRunFilterState,
    FlowRunFilterStateName,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import ObjectNotFound

from drumroll.clock import current_clock
from tasks.signing import this_run

KEEP_DAYS = 2
FAILED_LONGER = 7
"""How many times as long a round that failed is kept: somebody may want to know why."""
MISSED = timedelta(minutes=10)
"""A round that no worker has begun by then is not made up for: an outage would leave one for every five minutes."""
MOST = 200
LONGEST = timedelta(minutes=9)
"""A round at work for longer than that has probably lost its process; then the second one after it begins again."""


async def another_is_at_work() -> bool:
    """Whether ours is one of the schedule's, and one of the same deployment that began before it still goes on.

    A round that a person asks for goes ahead: two at once do no harm, only more of them than can be done would.
    """
    if (me := this_run()) is None or not me.auto_scheduled:
        return False
    lately = FlowRunFilterStartTime(after_=current_clock().now() - LONGEST)
    at_work = FlowRunFilter(state=_in_state(StateType.RUNNING), start_time=lately)
    async with get_client() as client:
        mine = (await client.read_flow_run(me.id)).start_time
        found = await _rounds(client, at_work, MOST)
    others = (run for run in found if run.deployment_id == me.deployment_id and run.id != me.id)
    return any(_began(run.start_time, run.id) < _began(mine, me.id) for run in others)


def _began(at: datetime | None, run: UUID) -> tuple[datetime, UUID]:
    return at or current_clock().now(), run


async def prune_rounds(keep_days: float = KEEP_DAYS) -> int:
    """Delete old runs of the `watch` flow of deployments tagged `drumroll`; how many, 200 at most at a time.

    Those that ended well or were cancelled `keep_days` ago, failed ones and those whose process died seven times as
    long ago, and those that no worker began within ten minutes of their time. Runs of other flows, and of other
    deployments, are not touched.
    """
    now, keep = current_clock().now(), timedelta(days=keep_days)
    long_ago, missed = now - FAILED_LONGER * keep, FlowRunFilterNextScheduledStartTime(before_=now - MISSED)
    over, failed = _in_state(StateType.COMPLETED, StateType.CANCELLED), _in_state(StateType.FAILED, StateType.CRASHED)
    late = FlowRunFilterState(name=FlowRunFilterStateName(any_=["Late"]))
    wanted = [
        FlowRunFilter(state=over, end_time=FlowRunFilterEndTime(before_=now - keep)),
        FlowRunFilter(state=failed, end_time=FlowRunFilterEndTime(before_=long_ago)),
        FlowRunFilter(state=_in_state(StateType.RUNNING), start_time=FlowRunFilterStartTime(before_=long_ago)),
        FlowRunFilter(state=late, next_scheduled_start_time=missed),
    ]
    gone = 0
    async with get_client() as client:
        for runs in wanted:
            gone += await _delete(client, runs, MOST - gone)
    return gone


def _in_state(*types: StateType) -> FlowRunFilterState:
    return FlowRunFilterState(type=FlowRunFilterStateType(any_=list(types)))


async def _rounds(client: PrefectClient, runs: FlowRunFilter, most: int) -> list[FlowRun]:
    return await client.read_flow_runs(
        flow_filter=FlowFilter(name=FlowFilterName(any_=["watch"])),
        flow_run_filter=runs,
        deployment_filter=DeploymentFilter(tags=DeploymentFilterTags(all_=["drumroll"])),
        limit=most,
    )


async def _delete(client: PrefectClient, runs: FlowRunFilter, most: int) -> int:
    if most <= 0:
        return 0
    found = await _rounds(client, runs, most)
    gone = 0
    for run in found:
        try:
            await client.delete_flow_run(run.id)
        except ObjectNotFound:
            continue  # another round was faster
        gone += 1
    return gone
