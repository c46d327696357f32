"""One flow run in a process that it shares with others: finding its flow, running it, and what Prefect shows of it.

Prefect's own engine does the work. Two things of it are left out: a thread and a websocket for each run, to notice that
a person suspends it (the resident worker asks for all of its runs at once), and with them the pauses in which they keep
every other run of the process waiting.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from prefect import Flow
from prefect._flow_run_suspension import FlowRunSuspensionRequest, register_flow_run_suspension_request
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import Abort, Pause
from prefect.flow_engine import AsyncFlowRunEngine
from prefect.flows import load_flow_from_entrypoint
from prefect.logging.loggers import flow_run_logger

from drumroll.errors import DrumrollError
from tasks.seat import Seat, seated

_HERE = "prefect.deployments.steps.set_working_directory"


async def run_in_process(flow: Flow[..., Any], flow_run: FlowRun, seat: Seat) -> str | None:
    """Run it to its end, or until it leaves; what ended it when Prefect does not know, else None.

    An error is Prefect's to show, as the run's state; it never reaches whoever else lives in this process.
    """
    engine = _Engine(flow=flow, parameters=flow_run.parameters, flow_run=flow_run)
    try:
        with seated(seat):
            async with engine.start():
                while engine.is_running():
                    async with engine.run_context():
                        await engine.call_flow_fn()
    except (Pause, Abort):
        return None
    except (Exception, SystemExit, KeyboardInterrupt) as error:  # noqa: BLE001 - the others live on
        if engine.state.is_final():
            return None
        flow_run_logger(flow_run).exception("It ended before it came to a state")
        return f"{type(error).__name__}: {error}"
    return None


class _Engine(AsyncFlowRunEngine[..., Any]):
    @contextmanager
    def setup_flow_run_suspension_request(self) -> Iterator[FlowRunSuspensionRequest]:
        assert self.flow_run is not None
        request = self._get_flow_run_suspension_request()
        with register_flow_run_suspension_request(self.flow_run.id, request):
            request.raise_if_requested()
            yield request


def flow_of(deployment: DeploymentResponse) -> Flow[..., Any]:
    """The flow that the deployment runs. DrumrollError when it cannot live in a process with others."""
    flow = _flow(deployment.entrypoint or "")
    if not flow.isasync or flow.isgenerator:
        raise DrumrollError(
            "its flow is not async: it would stop all others",
            where=f"deployment {flow.name}/{deployment.name}",
            remedy="deploy it to a work pool of type process",
        )
    return flow


@lru_cache(maxsize=64)
def _flow(entrypoint: str) -> Flow[..., Any]:
    if ":" in entrypoint or "." not in entrypoint:
        raise DrumrollError(
            "is not the path of a module", where=f'entrypoint "{entrypoint}"', remedy="write it as flows.launch.launch"
        )
    try:
        return load_flow_from_entrypoint(entrypoint, use_placeholder_flow=False)
    except Exception as error:
        raise DrumrollError(
            f"cannot be loaded ({type(error).__name__}: {error})",
            where=f'entrypoint "{entrypoint}"',
            remedy="see that it imports, then restart the worker",
        ) from error


def elsewhere(deployment: DeploymentResponse) -> str | None:
    """What keeps the deployment from running in this process: its directory, or what else it asks for; None: nothing.

    A process has one working directory: each release of a project has resident workers of its own.
    """
    here = Path.cwd()
    for step in deployment.pull_steps or []:
        directory = (step.get(_HERE) or {}).get("directory")
        if directory is None:
            return f"it pulls its code by {', '.join(step)}"
        if Path(directory).resolve() != here.resolve():
            return f"it runs in {directory}, and this worker in {here}"
    return None
