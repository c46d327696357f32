"""What becomes of a flow run that has left its process before its end: handed to the next one, or cancelled."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterParentFlowRunId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.states import Cancelled, Paused

from tasks.releasing import WAITING, schedule, suspend

_FOR_EVER = timedelta(days=3650)  # Prefect insists on a timeout
_UNFINISHED = [StateType.RUNNING, StateType.PENDING, StateType.PAUSED, StateType.CRASHED, StateType.CANCELLING]


async def hand_back(client: PrefectClient, run: UUID, what: str) -> bool:
    """Have any worker pick the run up at once, if it is still at work or was cut off; whether it was."""
    now_is = (await client.read_flow_run(run)).state
    if now_is is None or not (now_is.is_running() or now_is.is_pending() or now_is.is_crashed()):
        return False
    if now_is.is_running() and await suspend(client, run) is None:
        return False
    until = datetime.now(UTC) + _FOR_EVER
    await _set_phases(client, run, Paused(name=WAITING, message=what, pause_expiration_time=until))
    return await schedule(client, run, datetime.now(UTC), what) is not None


async def cancel(client: PrefectClient, run: UUID, what: str) -> None:
    """Show the run and its unfinished phases as Cancelled. The ledger keeps what it has."""
    await _set_phases(client, run, Cancelled(message=what))
    await client.set_flow_run_state(run, Cancelled(message=what), force=True)


async def _set_phases(client: PrefectClient, run: UUID, state: State[None]) -> None:
    unfinished = FlowRunFilter(
        parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[run]),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_UNFINISHED)),
    )
    for phase in await client.read_flow_runs(flow_run_filter=unfinished):
        await client.set_flow_run_state(phase.id, state.model_copy(deep=True), force=True)


async def cancelling_in(client: PrefectClient, pool: str, *, since: timedelta) -> list[FlowRun]:
    """Runs of the work pool that somebody cancelled more than `since` ago, and no process has ended."""
    before = datetime.now(UTC) - since
    found = await _in_pool(client, pool, [StateType.CANCELLING])
    return [run for run in found if run.state is not None and run.state.timestamp < before]


async def left_behind(client: PrefectClient, pool: str, worker: str) -> list[FlowRun]:
    """Runs of the work pool that are at work as far as Prefect knows, in the worker of that name."""
    found = await _in_pool(client, pool, [StateType.RUNNING, StateType.PENDING])
    return [run for run in found if run.labels.get("prefect.worker.name") == worker]


async def _in_pool(client: PrefectClient, pool: str, states: list[StateType]) -> list[FlowRun]:
    return await client.read_flow_runs(
        work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[pool])),
        flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=states))),
    )
