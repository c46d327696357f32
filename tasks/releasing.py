"""A flow run without a process: how Prefect's states are moved so that the same run is picked up again later.

Measured on Prefect 3.8: Running → Suspended → Scheduled leaves the run's id, its `run_count` and its finished phases as
they are, also from inside a phase, where `suspend_flow_run` is refused and a returned Scheduled state crashes the run
(PrefectHQ/prefect#11683 asks for "pause until"). `tests/test_waiting.py` holds Prefect to what this module relies on.
"""

import logging
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State, StateDetails
from prefect.client.schemas.responses import OrchestrationResult, SetStateStatus
from prefect.context import FlowRunContext
from prefect.exceptions import Abort, Pause, PrefectException
from prefect.states import Paused, Scheduled, Suspended

from drumroll.operate.story import log

WAITING = "Waiting"
_FOR_EVER = timedelta(days=3650)  # Prefect fails a paused run when its pause times out, and insists on a timeout
_OURS = "drumroll-"
_roots: dict[UUID, FlowRun] = {}


async def give_back(wake: datetime, what: str) -> None:
    """Leave this process now and have the same flow run picked up at `wake` (UTC), waiting for `what` meanwhile.

    Raises Pause, on which Prefect's engine ends its process in good order. Returns where nobody would pick the run up:
    in the foreground, and when Prefect's server does not take the states now; the caller waits then.
    """
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return
    try:
        async with get_client() as client:
            root = await root_of(client, context.flow_run)
            if root.deployment_id is None:
                return
            state = await _release(client, root, context.flow_run, wake, what)
    except (httpx.HTTPError, PrefectException, Abort) as error:
        log.warning("keeps its process while it waits for %s: %s", what, error)
        return
    if state is not None:
        raise leave(state)


def leave(state: State) -> Pause:
    """What to raise so that Prefect's engine ends its process in good order, the run being in `state`."""
    logging.getLogger("prefect.flow_runs").addFilter(_CALM)  # adding it again changes nothing
    return Pause(state=state)


async def _release(client: PrefectClient, root: FlowRun, me: FlowRun, wake: datetime, what: str) -> State | None:
    suspended = await suspend(client, root.id)
    if suspended is None:
        return None  # somebody is cancelling the run
    # From here on the run is not ours any more, whatever fails: the watch finds a run that stayed Suspended.
    try:
        await show_waiting(client, root, me, WAITING, what)
        return await schedule(client, root.id, wake, what)
    except (httpx.HTTPError, PrefectException, Abort) as error:
        log.warning("gave its process back, but nobody wakes it for %s: %s", what, error)
        return suspended


async def show_waiting(client: PrefectClient, root: FlowRun, me: FlowRun, name: str, what: str) -> None:
    """Show the phase `me` of the run `root` as Paused by that name, until it goes on; a run without phases is none."""
    if me.id != root.id:
        until = datetime.now(UTC) + _FOR_EVER
        await client.set_flow_run_state(me.id, Paused(name=name, message=what, pause_expiration_time=until))


async def suspend(
    client: PrefectClient,
    run: UUID,
    *,
    key: str | None = None,
    what: str | None = None,
    form: dict[str, str] | None = None,
) -> State | None:
    """Running → Suspended; the new state, or None when it is not running. Prefect takes each `key` of a run once.

    With a `form`, the keys of its schema, its description and its response, Prefect resumes the run on an answer.
    """
    result: OrchestrationResult[None] = await client.set_flow_run_state(run, suspended(key=key, what=what, form=form))
    return result.state if result.status == SetStateStatus.ACCEPT else None


def suspended(*, key: str | None = None, what: str | None = None, form: dict[str, str] | None = None) -> State[None]:
    """The state of a run without a process that somebody hands on; see `suspend`."""
    details = StateDetails(run_input_keyset=form)
    return Suspended(pause_key=_OURS + (key or uuid4().hex), message=what, state_details=details)


def is_between_processes(state: State) -> bool:
    """Whether the run is on its way from one process to the next; else a person suspended it, or is asked something."""
    return state.state_details.run_input_keyset is None and _is_ours(state)


def is_asking(state: State | None) -> bool:
    """Whether the run is suspended with a form of ours, for a person to fill in."""
    return state is not None and state.state_details.run_input_keyset is not None and _is_ours(state)


def _is_ours(state: State) -> bool:
    return state.is_paused() and (state.state_details.pause_key or "").startswith(_OURS)


async def schedule(client: PrefectClient, run: UUID, at: datetime, what: str) -> State | None:
    """Have a worker pick the run up `at`; the new state, or None when Prefect refuses."""
    state: State[None] = Scheduled(name=WAITING, scheduled_time=at, message=what)
    result: OrchestrationResult[None] = await client.set_flow_run_state(run, state)
    return result.state if result.status == SetStateStatus.ACCEPT else None


async def root_of(client: PrefectClient, run: FlowRun) -> FlowRun:
    """The run that a worker picked up: this one, or the one of whose phases it is one."""
    if run.id not in _roots:
        root = run
        while root.parent_task_run_id is not None:
            tracking = await client.read_task_run(root.parent_task_run_id)
            if tracking.flow_run_id is None:
                break
            root = await client.read_flow_run(tracking.flow_run_id)
        _roots[run.id] = root
    return _roots[run.id]


_AT_REST = (f"Finished in state {WAITING}(", "Finished in state Suspended(", "Finished in state Running(")


class _Calm(logging.Filter):
    """Prefect's engine reports every state but Completed as an error; to wait is none."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno == logging.ERROR and record.getMessage().startswith(_AT_REST):
            record.levelno, record.levelname = logging.INFO, logging.getLevelName(logging.INFO)
        return True


_CALM = _Calm()
