"""What `drumroll up` keeps going in one process: the resident worker, and the watch."""

import asyncio
import os
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from zlib import crc32

import httpx
from prefect.client.orchestration import get_client
from prefect.context import refresh_global_settings_context
from prefect.events.worker import EventsWorker
from prefect.exceptions import PrefectException
from prefect.logging.handlers import APILogWorker
from prefect.settings import get_current_settings

from drumroll.errors import DrumrollError
from drumroll.operate.story import log
from tasks.deploying import deploy, make_pool
from tasks.moving_out import hand_back, left_behind
from tasks.own_thread import in_own_thread
from tasks.resident import ResidentWorker
from tasks.watch import watch_once

_PATIENCE = 5.0  # seconds for what is still to be told to Prefect


def configured_api() -> str | None:
    """The API of the user's own server, from the environment, the profile or the project's settings."""
    return get_current_settings().api.url


def ui_url() -> str:
    """Where people look at Prefect."""
    settings = get_current_settings()
    return settings.ui_url or (settings.api.url or "").removesuffix("/api")


def use_server(api: str, home: Path) -> None:
    """Let all of this process, and those it starts, talk to the server at `api`, and keep Prefect's files in `home`."""
    os.environ |= {"PREFECT_API_URL": api, "PREFECT_HOME": str(home)}
    refresh_global_settings_context()


async def stay_up(project: Path, pool: str, every: float, alive: Callable[[], None], ready: Callable[[], None]) -> None:
    """Take in launches of `project`, and go the watch's round every so many seconds, until cancelled.

    `ready` is called once the deployments are made; `alive`, every second, raises DrumrollError if it is to end.
    """
    services: list[asyncio.Future[None]] = []
    try:
        await make_pool(pool)
        worker = ResidentWorker(pool, name=_name(project))
        await _take_up(pool, worker.name)
        services += [
            asyncio.ensure_future(worker.start(printer=lambda _: None)),
            # Sources and boards may take their time: not on the loop that launches wait on for their instants.
            asyncio.ensure_future(in_own_thread(partial(_keep_watch, every))),
            asyncio.ensure_future(_look_after(alive)),
            asyncio.ensure_future(_deploy(project, pool, ready)),
        ]
        done, _ = await asyncio.wait(services, return_when=asyncio.FIRST_EXCEPTION)
        for service in done:
            service.result()
    except (httpx.HTTPError, RuntimeError) as error:  # the latter is what a worker raises when it has tried for long
        what = f"Prefect's server cannot be worked with ({type(error).__name__}: {error})"
        raise DrumrollError(what, where=configured_api(), remedy="see that it runs, then start this again") from error
    finally:
        for service in services:
            service.cancel()
        await asyncio.gather(*services, return_exceptions=True)
        for queue in (APILogWorker, EventsWorker):  # while there is still a server to take it
            await asyncio.to_thread(queue.drain_all, timeout=_PATIENCE)


def _name(project: Path) -> str:
    """The same after a restart, and no other worker's."""
    return f"{project.name}-{crc32(os.fsencode(project)):08x} on {socket.gethostname()}"


async def _take_up(pool: str, worker: str) -> None:
    """What the worker of this name had when it was killed: it is here again, and there is only one of it."""
    async with get_client() as client:
        for run in await left_behind(client, pool, worker):
            if await hand_back(client, run.id, "its worker was killed"):
                log.warning("%s: its worker was killed; it goes on", run.name)


async def _deploy(project: Path, pool: str, ready: Callable[[], None]) -> None:
    try:
        await deploy(project, pool)
    except DrumrollError as error:  # launches under way have their deployment, and must not wait for another
        log.error("%s", error)
    ready()


async def _look_after(alive: Callable[[], None]) -> None:
    while True:
        alive()
        await asyncio.sleep(1)


async def _keep_watch(every: float) -> None:
    while True:
        try:
            await watch_once()
        except (DrumrollError, PrefectException, httpx.HTTPError) as error:
            log.warning("the watch could not go its round: %s", error or type(error).__name__)
        except Exception:  # noqa: BLE001 - the launches beside it live on
            log.exception("the watch could not go its round")
        await asyncio.sleep(every)
