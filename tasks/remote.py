"""What the command asks of Prefect's server: start a launch, wake it, see how its flow run stands.

Nothing here is needed for a launch to be right: the ledger decides, and what is not asked today the watch asks within
five minutes.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import FlowRun, StateType, WorkerStatus
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import FlowRunSort
from prefect.context import refresh_global_settings_context
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.settings import get_current_settings
from prefect.types import KeyValueLabels
from prefect.utilities.urls import url_for

from drumroll.errors import DrumrollError, UsageError
from drumroll.ledger.ledger import Ledger
from drumroll.operate.edition import Where
from tasks.releasing import WAITING
from tasks.requeue import move_on, move_wake
from tasks.signing import EDITION, LEDGER, edition_of

FLOW = "launch"
QUICKLY = timedelta(seconds=2)
PATIENTLY = timedelta(seconds=20)
_LOOK = 0.5  # seconds between two looks at a run that has just been started
_ENDED = {StateType.COMPLETED, StateType.FAILED, StateType.CRASHED, StateType.CANCELLED}
_DIRECTORY = "set_working_directory"


class AwayError(DrumrollError):
    """Prefect's server does not answer, or not as it should."""


@dataclass(frozen=True, slots=True)
class Run:
    """A launch's flow run as the server has it. `state` is the state's name, like `Waiting`.

    `edition`, and its `ledger` by its address without a password, are what the run has signed; None before it has.
    """

    id: str
    state: str
    message: str | None
    url: str
    is_over: bool
    has_failed: bool
    edition: str | None = None
    ledger: str | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """A deployment that can run a launch now, and where its workers find the project: None where it does not say.

    `ledger` is the URL that the deployment itself gives its runs, if any; it may hold a password.
    """

    id: UUID
    name: str
    directory: str | None
    ledger: str | None


def configured() -> str | None:
    """The API of the user's own server, from the environment, the profile or the project's settings."""
    return get_current_settings().api.url


def use(url: str) -> None:
    """From now on the API at `url` is the one that is asked, in this process."""
    os.environ["PREFECT_API_URL"] = url
    refresh_global_settings_context()


@contextlib.asynccontextmanager
async def server(within: timedelta = PATIENTLY) -> AsyncIterator[PrefectClient]:
    """Prefect's server, for as long as it answers `within` that time altogether. AwayError when it does not."""
    url = configured()
    try:
        async with asyncio.timeout(within.total_seconds()), get_client() as client:
            yield client
    except TimeoutError as error:
        raise _away(f"does not answer within {within.total_seconds():.0f} s", url) from error
    except httpx.HTTPStatusError as error:
        raise _away(f"answers {error.response.status_code}", url) from error
    except (httpx.HTTPError, PrefectException, RuntimeError, ValueError) as error:
        raise _away(f"cannot be asked ({type(error).__name__})", url) from error


async def target(name: str) -> Target:
    """The deployment `FLOW/NAME`, which a worker polls. DrumrollError when a launch would not run there now."""
    if name.partition("/")[0] != FLOW or not name.partition("/")[2]:
        what, remedy = f'"{name}" is no deployment of the flow {FLOW}', f"give one like {FLOW}/launch"
        raise UsageError(what, where="--deployment", remedy=remedy)
    async with server() as client:
        try:
            deployment = await client.read_deployment_by_name(name)
        except ObjectNotFound:
            remedy = "deploy the project with `prefect --no-prompt deploy --all`, or start `drumroll up`"
            raise DrumrollError(f"Prefect has no deployment {name}", remedy=remedy) from None
        await _see_that_it_is_polled(client, deployment)
    return Target(deployment.id, name, directory(deployment), _ledger(deployment))


async def start(to: Target, parameters: dict[str, Any], *, edition: str, ledger: Ledger) -> Run:
    """Have a launch run as one new flow run, on which it is written what it is to open, and where."""
    # The edition's own label is the run's to write: it says that the run has opened it.
    labels: KeyValueLabels = {LEDGER: ledger.store.where}
    async with server() as client:
        run = await client.create_flow_run_from_deployment(to.id, parameters=parameters, tags=[edition], labels=labels)
    return _run(run)


async def progress(run: Run, *, within: timedelta) -> AsyncIterator[Run]:
    """The run, each time something of it has changed, until it has signed its edition or ended, or the time is over."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within.total_seconds()), server(2 * within) as client:
            while not run.is_over and run.edition is None:
                await asyncio.sleep(_LOOK)
                now_is = _run(await client.read_flow_run(UUID(run.id)))
                if now_is != run:
                    run = now_is
                    yield run


async def runs_of(editions: Sequence[str], ledger: Ledger, *, within: timedelta = QUICKLY) -> dict[str, Run]:
    """The flow run of each edition that has one: the one under way, else the newest."""
    async with server(within) as client:
        return {edition: _run(run) for edition, run in (await _found(client, editions, ledger)).items()}


async def nudge(where: Where, *, within: timedelta = PATIENTLY) -> bool:
    """Have the edition's run picked up when the ledger now says, or now if its form asks nothing any more; whether so.

    A run that has a process is left alone: it asks the ledger by itself.
    """
    async with server(within) as client:
        run = (await _found(client, [where.edition], where.open())).get(where.edition)
        if run is None:
            return False
        if run.state_name == WAITING:
            return await move_wake(client, run, where)
        return await move_on(client, run, where.open())


async def _found(client: PrefectClient, editions: Sequence[str], ledger: Ledger) -> dict[str, FlowRun]:
    newest_first = await client.read_flow_runs(
        flow_filter=FlowFilter(name=FlowFilterName(any_=[FLOW])),
        flow_run_filter=FlowRunFilter(
            tags=FlowRunFilterTags(any_=list(editions)), deployment_id=FlowRunFilterDeploymentId(is_null_=False)
        ),
        sort=FlowRunSort.EXPECTED_START_TIME_DESC,
    )
    found: dict[str, FlowRun] = {}
    for run in sorted(newest_first, key=lambda run: run.state_type in _ENDED):  # stable: those under way come first
        if run.labels.get(LEDGER) != ledger.store.where:
            continue
        signed = edition_of(run, ledger=ledger.store.where)
        for edition in [signed] if signed else run.tags:
            found.setdefault(edition, run)
    return {edition: found[edition] for edition in editions if edition in found}


async def _see_that_it_is_polled(client: PrefectClient, deployment: DeploymentResponse) -> None:
    pool = deployment.work_pool_name
    if pool is None:
        raise DrumrollError(f"the deployment {deployment.name} has no work pool", remedy="deploy it to one")
    if (await client.read_work_pool(pool)).is_paused:
        remedy = f"`prefect work-pool resume {pool}`"
        raise DrumrollError(f"the work pool {pool} is paused: no worker picks anything up", remedy=remedy)
    workers = await client.read_workers_for_work_pool(pool)
    if not any(worker.status == WorkerStatus.ONLINE for worker in workers):
        remedy = f"start one with `prefect worker start --pool {pool}`, or start `drumroll up`"
        raise DrumrollError(f"no worker polls the work pool {pool}: nobody would run it", remedy=remedy)


def directory(deployment: DeploymentResponse) -> str | None:
    for step in deployment.pull_steps or []:
        for name, inputs in step.items():
            if name.endswith(_DIRECTORY):
                return str(Path(inputs["directory"]).resolve())
    return str(Path(deployment.path).resolve()) if deployment.path else None


def _ledger(deployment: DeploymentResponse) -> str | None:
    given = (deployment.job_variables or {}).get("env", {}).get("DRUMROLL_LEDGER")
    return str(given) if given else None


def _run(run: FlowRun) -> Run:
    state = run.state
    return Run(
        id=str(run.id),
        state=state.name or state.type.value.capitalize() if state is not None else "Scheduled",
        message=state.message or None if state is not None else None,
        url=url_for("flow-run", obj_id=run.id) or "",
        is_over=state is not None and state.is_final(),
        has_failed=state is not None and (state.is_failed() or state.is_crashed() or state.is_cancelled()),
        edition=str(run.labels[EDITION]) if EDITION in run.labels else None,
        ledger=str(run.labels[LEDGER]) if EDITION in run.labels else None,
    )


def _away(what: str, url: str | None) -> AwayError:
    there = httpx.URL(url or "")  # without a login that may stand in it
    place = f"{there.scheme}://{there.netloc.decode()}"
    return AwayError(f"Prefect's server {what}", where=place, remedy="see that it runs, and PREFECT_API_URL")
