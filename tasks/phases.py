"""The phases of a launch's flow run, as Prefect shows them."""

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterParentFlowRunId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.states import Completed

from drumroll.operate.beats import standing_verdict
from drumroll.operate.edition import Where
from drumroll.operate.opening import ended
from tasks.signing import this_run

_OPEN = FlowRunFilterStateType(any_=[StateType.RUNNING, StateType.PENDING, StateType.PAUSED])


def passed(where: Where, phase: str) -> bool:
    """Whether the gate of `phase` has let the launch through: the ledger knows, whatever Prefect remembers of it."""
    return standing_verdict(where.open(), where.edition, phase) == "pass"


async def show_passed(where: Where) -> None:
    """Phases that have passed are shown so, though their process died or their code changed before they could say it.

    So are those that waited when their launch was ended. For a run that is picked up again: others have no phases yet.
    """
    run = this_run()
    if run is None or run.deployment_id is None:
        return
    ours = FlowRunFilterParentFlowRunId(any_=[run.id])
    async with get_client() as client:
        unfinished = FlowRunFilter(parent_flow_run_id=ours, state=FlowRunFilterState(type=_OPEN))
        for phase in await client.read_flow_runs(flow_run_filter=unfinished):
            if passed(where, phase.name.partition(" ")[0]):
                await client.set_flow_run_state(phase.id, Completed(message="its gate has let the launch through"))
            elif (state := ended(where)) is not None:
                message = f"{where.edition} is {state}"
                await client.set_flow_run_state(phase.id, Completed(name=state.capitalize(), message=message))
