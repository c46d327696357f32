"""The project's deployments, made by `drumroll up` from `prefect.yaml` for its own work pool."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

from drumroll.errors import DrumrollError, UsageError
from tasks.resident import TYPE, ResidentWorker

_FILE = "prefect.yaml"
_OURS = Path(".drumroll") / "up.prefect.yaml"


async def make_pool(name: str) -> None:
    """The work pool of the resident worker, if there is none yet. DrumrollError when it is of another type."""
    template = ResidentWorker.get_default_base_job_template()
    async with get_client() as client:
        try:
            pool = await client.read_work_pool(name)
        except ObjectNotFound:
            try:
                await client.create_work_pool(WorkPoolCreate(name=name, type=TYPE, base_job_template=template))
            except ObjectAlreadyExists:
                await make_pool(name)
            return
    if pool.type != TYPE:
        raise DrumrollError(f"is of type {pool.type}, not {TYPE}", where=f"work pool {name}", remedy="choose another")


async def deploy(project: Path, pool: str) -> None:
    """Make or renew every deployment of `prefect.yaml`, as `prefect deploy --all` does, on the pool given.

    The watch's cron is off: the round is gone here without it. DrumrollError with what Prefect says when it refuses.
    """
    ours = project / _OURS
    ours.write_text(yaml.safe_dump(_for_pool(project, pool), allow_unicode=True, sort_keys=False), encoding="utf-8")
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(_OURS)]
    pipe = asyncio.subprocess.PIPE
    deploying = await asyncio.create_subprocess_exec(
        *command,
        cwd=project,
        env=os.environ | {"PREFECT_LOGGING_LEVEL": "ERROR"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=pipe,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C is for us
    )
    try:
        said, _ = await deploying.communicate()
    except asyncio.CancelledError:
        deploying.terminate()
        raise
    if deploying.returncode:
        lines = said.decode(errors="replace").strip().splitlines()
        raise DrumrollError(
            f"Prefect does not take it: {' '.join(lines[-3:])}", where=_FILE, remedy="try `prefect deploy --all`"
        )


def _for_pool(project: Path, pool: str) -> dict[str, Any]:
    try:
        document = yaml.safe_load((project / _FILE).read_text(encoding="utf-8"))
        deployments = [dict(deployment) for deployment in document["deployments"]]
    except OSError as error:
        raise UsageError(f"cannot be read ({error.strerror})", where=str(project / _FILE)) from error
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise UsageError("holds no deployments", where=str(project / _FILE), remedy="see Prefect's own") from error
    for deployment in deployments:
        deployment["work_pool"] = {"name": pool}
        if deployment.get("entrypoint") == "flows.watch.watch":
            deployment["schedules"] = [each | {"active": False} for each in deployment.get("schedules", [])]
    return {"name": document.get("name", "drumroll"), "deployments": deployments}
