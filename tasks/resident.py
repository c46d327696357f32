"""The resident worker: a Prefect worker type whose flow runs live together in one process, on one event loop.

`prefect worker start --type drumroll-resident`, or `drumroll up`. A launch that wakes costs a fraction of a second then
instead of a process of its own, and many of one instant do not keep each other from it.
"""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import anyio
import anyio.abc
import httpx
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.responses import WorkerFlowRunResponse
from prefect.context import AsyncClientContext
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.settings import (
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_WORKER_QUERY_SECONDS,
    get_current_settings,
    temporary_settings,
)
from prefect.workers.base import BaseJobConfiguration, BaseWorker, BaseWorkerResult
from pydantic import BaseModel

from drumroll.errors import DrumrollError, UsageError
from tasks.in_process import elsewhere, flow_of, run_in_process
from tasks.moving_out import cancel, cancelling_in, hand_back
from tasks.own_thread import in_own_thread
from tasks.seat import Seat

TYPE = "drumroll-resident"
SET_UPS = "DRUMROLL_SET_UPS"
_POLL = 2.0  # seconds between two looks for work; a launch's lead is a minute
_PATIENCE = 10.0  # seconds for runs to come to a wait when all are to leave
_ABANDONED = timedelta(seconds=30)  # another worker ends its own runs within this time of their being cancelled
_TAKEN_AWAY = [StateType.CANCELLING, StateType.CANCELLED, StateType.PAUSED, StateType.FAILED, StateType.CRASHED]


class ResidentConfiguration(BaseJobConfiguration):
    """Nothing: the runs share the worker's environment, directory and interpreter."""

    @classmethod
    def json_template(cls) -> dict[str, Any]:
        return {"command": None}  # Prefect takes no empty one


class ResidentVariables(BaseModel):
    """Nothing that a deployment could ask for."""


class ResidentResult(BaseWorkerResult):
    """How a run left the process."""


class Guest(Seat):
    """One flow run in this process, and the task that it lives in."""

    def __init__(self, run: UUID, task_status: anyio.abc.TaskStatus[int]) -> None:
        super().__init__(lambda: task_status.started(1))
        self.run = run
        self.task = asyncio.current_task()
        self.cancelled = False


class ResidentWorker(BaseWorker[ResidentConfiguration, ResidentVariables, ResidentResult]):
    """Runs flow runs in its own process; how many it sets up at a time is `set_ups`."""

    type = TYPE
    job_configuration = ResidentConfiguration
    job_configuration_variables = ResidentVariables
    _display_name = "Drumroll resident"
    _description = "Runs many launches in one process, from the project directory it is started in."

    def __init__(self, work_pool_name: str, **options: Any) -> None:
        # A run that is claimed before its time would take up a set-up while Prefect makes it wait.
        super().__init__(work_pool_name, **(options | {"prefetch_seconds": 0}))
        self._set_ups = asyncio.Semaphore(set_ups())
        self._guests: set[Guest] = set()
        self._foreign: dict[UUID, str] = {}
        self._left_alone: set[UUID] = set()
        self._closing = False

    async def start(self, *arguments: Any, **options: Any) -> None:
        """As any worker's. Cancelled, it hands its runs back to Prefect first: other workers go on with them."""
        # In the main thread, Prefect's engines put a handler of their own in place of whatever handles SIGTERM, which
        # raises out of whichever run happens to be at work.
        await in_own_thread(lambda: self._live(super(ResidentWorker, self).start(*arguments, **options)))

    async def _live(self, working: Any) -> None:
        ours = {
            PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None
        }  # a thread for each run and phase; the lease is their heartbeat
        async with AsyncClientContext.get_or_create():  # one for all runs
            with temporary_settings(ours, set_defaults={PREFECT_WORKER_QUERY_SECONDS: _POLL}):
                work = asyncio.ensure_future(working)
                try:
                    await asyncio.shield(work)
                except asyncio.CancelledError:
                    await self._see_everyone_out()
                    work.cancel()
                    await asyncio.wait([work])
                    raise

    async def _see_everyone_out(self) -> None:
        self._closing = True
        for guest in self._guests:
            guest.ask_to_leave()
        for _ in range(round(_PATIENCE / 0.05)):
            if not self._guests:
                return
            await asyncio.sleep(0.05)
        tasks = [guest.task for guest in self._guests if guest.task is not None]
        for task in tasks:
            task.cancel()  # what is on the wire still gets its answer
        await asyncio.wait(tasks)

    async def get_and_submit_flow_runs(self) -> list[FlowRun]:
        """Look for runs to take in, and for those here that somebody has cancelled or suspended."""
        if self._closing:
            return []
        with self._needed():
            await self._look_round()
            return await super().get_and_submit_flow_runs()
        return []

    async def sync_with_backend(self) -> None:
        """Tell Prefect that we live; end runs that were cancelled while no process had them."""
        with self._needed():
            await super().sync_with_backend()
            self._left_alone.clear()  # their deployment may have been made anew
            ours = {guest.run for guest in self._guests}
            for run in await cancelling_in(self.client, self._work_pool_name, since=_ABANDONED):
                if run.id not in ours:
                    await cancel(self.client, run.id, "cancelled while no process had it")

    @contextmanager
    def _needed(self) -> Iterator[None]:
        """A worker that has tried for a minute and a half gives up; not while runs live in it, which need no server."""
        try:
            yield
        except httpx.HTTPError as error:
            if not self._guests:
                raise
            self._logger.warning("Prefect's server cannot be asked (%s); the runs here go on", type(error).__name__)

    async def _look_round(self) -> None:
        guests = {guest.run: guest for guest in self._guests if not guest.asked_to_leave}
        if not guests:
            return
        taken_away = FlowRunFilter(
            id=FlowRunFilterId(any_=list(guests)),
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_TAKEN_AWAY)),
        )
        for run in await self.client.read_flow_runs(flow_run_filter=taken_away):
            self._show_out(guests[run.id], cancelled=run.state_type in {StateType.CANCELLING, StateType.CANCELLED})

    async def _cancel_run(self, flow_run_id: UUID) -> None:
        for guest in self._guests:
            if guest.run == flow_run_id:
                self._show_out(guest, cancelled=True)

    def _show_out(self, guest: Guest, *, cancelled: bool) -> None:
        guest.cancelled = cancelled
        guest.ask_to_leave()

    async def _submit_run(self, flow_run: FlowRun) -> None:
        started = False
        try:
            async with self._set_ups:
                # It waited for its turn: another worker may have had it meanwhile, and given it back for next week.
                now_is = await self.client.read_flow_run(flow_run.id)
                if self._closing or not _is_due(now_is) or not await self._is_ours(now_is):
                    return
                if started := await self._propose_pending_state(now_is):
                    await self._runs_task_group.start(self._take_in, now_is)  # type: ignore[union-attr]
        except Exception:  # noqa: BLE001 - the others live on
            self.get_flow_run_logger(flow_run).exception("It cannot be taken in now")
        finally:
            self._submitting_flow_run_ids.discard(flow_run.id)
            if not started:
                self._release_limit_slot(flow_run.id)

    async def _is_ours(self, flow_run: FlowRun) -> bool:
        if flow_run.deployment_id is None:
            return False
        try:
            why = elsewhere(await self.client.read_deployment(flow_run.deployment_id))
        except ObjectNotFound:
            await cancel(self.client, flow_run.id, "its deployment no longer exists")
            return False
        if why is None:
            return True
        self._left_alone.add(flow_run.id)
        if self._foreign.get(flow_run.deployment_id) != why:
            self._foreign[flow_run.deployment_id] = why
            self._logger.warning("Leaves %s to another worker: %s", flow_run.name, why)
        return False

    async def _submit_scheduled_flow_runs(self, flow_run_response: list[WorkerFlowRunResponse]) -> list[FlowRun]:
        ours = [found for found in flow_run_response if found.flow_run.id not in self._left_alone]
        return await super()._submit_scheduled_flow_runs(ours)

    async def _take_in(self, flow_run: FlowRun, task_status: anyio.abc.TaskStatus[int]) -> None:
        try:
            await self.run(flow_run, ResidentConfiguration(), task_status)
        except Exception:  # noqa: BLE001 - the others live on
            self.get_flow_run_logger(flow_run).exception("Prefect could not be told how it came or left")
            with suppress(httpx.HTTPError, PrefectException):  # then the watch does it, when it may be too late
                await hand_back(self.client, flow_run.id, "it could not be taken in")
        finally:
            self._release_limit_slot(flow_run.id)

    async def run(
        self,
        flow_run: FlowRun,
        configuration: ResidentConfiguration,  # noqa: ARG002 - there is nothing to configure
        task_status: anyio.abc.TaskStatus[int] | None = None,
    ) -> ResidentResult:
        """Run it here, to its end or until it leaves; what it left undone is handed back, or ended."""
        guest = Guest(flow_run.id, task_status or anyio.TASK_STATUS_IGNORED)
        self._guests.add(guest)
        if self._closing:  # it was let in as the door was closing
            guest.ask_to_leave()
        try:
            crash = await self._host(guest, flow_run)
            if crash is not None:
                await self._propose_crashed_state(flow_run, crash)
            elif guest.cancelled:
                await cancel(self.client, flow_run.id, "cancelled; the ledger keeps what was sent")
            elif self._closing:
                await hand_back(self.client, flow_run.id, "its worker was stopped")
        finally:
            guest.settle()
            self._guests.discard(guest)
        return ResidentResult(identifier=str(os.getpid()), status_code=0)

    async def _host(self, guest: Guest, flow_run: FlowRun) -> str | None:
        assert flow_run.deployment_id is not None
        await self._give_worker_labels_to_flow_run(flow_run.id)
        deployment = await self.client.read_deployment(flow_run.deployment_id)
        try:
            return await run_in_process(flow_of(deployment), flow_run, guest)
        except DrumrollError as error:
            return str(error)
        except asyncio.CancelledError:
            if guest.asked_to_leave:
                return None
            raise


def _is_due(flow_run: FlowRun) -> bool:
    state = flow_run.state
    if state is None or not state.is_scheduled():
        return False
    at = state.state_details.scheduled_time
    return at is None or at <= datetime.now(UTC)


def set_ups() -> int:
    """How many runs to set up at a time: DRUMROLL_SET_UPS, else 4 where Prefect's database is PostgreSQL, else 1.

    SQLite lets one writer in at a time. Which database a server elsewhere has is not known here.
    """
    said = os.environ.get(SET_UPS, "")
    if not said:
        database = get_current_settings().server.database.connection_url
        known = "" if database is None else database.get_secret_value()
        return 4 if known.startswith("postgres") else 1
    if said.isascii() and said.isdecimal() and int(said) > 0:
        return int(said)
    raise UsageError(f'"{said}" is no number of set-ups', where=SET_UPS, remedy="write how many at a time, from 1")
