"""What the doctor asks of Prefect's server: is it there and of our version, and would it have a launch run."""

import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

import prefect
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterTags,
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType, WorkerStatus
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import FlowRunSort

from drumroll.doctor.sign import Sign, ok, problem, warning
from drumroll.ledger.crowd import CEILING
from tasks.remote import AwayError, configured, directory, server

ANSWERS_WITHIN = timedelta(seconds=4)
WATCHED_WITHIN = timedelta(minutes=10)
_SKEW, _TOO_SKEWED = timedelta(seconds=2), timedelta(seconds=30)
_DATABASE = ("PREFECT_SERVER_DATABASE_CONNECTION_URL", "PREFECT_API_DATABASE_CONNECTION_URL")
_DEPLOY = "`prefect --no-prompt deploy --all` in the project, or `drumroll up`"
_FRESH = timedelta(minutes=10)


async def server_signs(project: Path, *, crowd: int, is_up: bool = False) -> AsyncIterator[Sign]:
    """The configured server, asked within seconds.

    `crowd` is the most launches that share a minute; `is_up` whether a `drumroll up` of this project, which watches by
    itself, is there.
    """
    try:
        async with server(ANSWERS_WITHIN) as client:
            async for sign in _asked(client, project, crowd=crowd, is_up=is_up):
                yield sign
    except AwayError as error:
        yield problem("server", f"{error.where}: {error.message}", "start it, or see PREFECT_API_URL")


async def _asked(client: PrefectClient, project: Path, *, crowd: int, is_up: bool) -> AsyncIterator[Sign]:
    before = datetime.now(UTC)
    answer = await client.request("GET", "/health")
    yield clock_sign(answer.headers.get("date"), before, datetime.now(UTC))
    version = await client.api_version()
    yield version_sign(version)
    settings = (await client.request("GET", "/admin/settings")).json() if _is_here() else {}
    yield database_sign(_database(settings), crowd)
    tagged = DeploymentFilter(tags=DeploymentFilterTags(all_=["drumroll"]))
    deployments = await client.read_deployments(deployment_filter=tagged)
    flows = {flow.id: flow.name for flow in await client.read_flows(deployment_filter=tagged)}
    launches = [each for each in deployments if flows.get(each.flow_id) == "launch"]
    for sign in deployment_signs(launches, project):
        yield sign
    async for sign in _workers(client, launches):
        yield sign
    yield ok("server.watch", "`drumroll up` watches") if is_up else await _watch(client)


def version_sign(theirs: str) -> Sign:
    """A server of another version than our client: the choreography of waiting was measured on one."""
    if theirs == prefect.__version__:
        return ok("server", f"Prefect {theirs} at {_address()}")
    what = f"Prefect's server is {theirs}, the client here {prefect.__version__}"
    return warning("server", what, "give both the version of requirements.lock")


def clock_sign(date: str | None, before: datetime, after: datetime) -> Sign:
    """By the `Date` of an answer, which counts whole seconds."""
    if date is None:
        return ok("server.clock", "the server does not tell its time")
    theirs = parsedate_to_datetime(date).astimezone(UTC)
    early, late = theirs - after, before - (theirs + timedelta(seconds=1))
    off = max(early, late, timedelta(0))
    if off < _SKEW:
        return ok("server.clock", "the server's clock agrees with this one")
    what = f"the server's clock is {off.total_seconds():.0f} s {'ahead' if early > late else 'behind'}"
    remedy = "synchronize both machines' clocks: runs are picked up by the server's, announcements go out by this one's"
    return (problem if off > _TOO_SKEWED else warning)("server.clock", what, remedy)


def _address() -> str:
    there = urlsplit(configured() or "")
    return f"{there.scheme}://{there.hostname or ''}" + (f":{there.port}" if there.port else "")


def _is_here() -> bool:
    return (urlsplit(configured() or "").hostname or "") in {"localhost", "127.0.0.1", "::1"}


def _database(settings: dict[str, object]) -> str | None:
    """`sqlite` or `postgresql`; None when it cannot be told from here: the server hides its database's address.

    A server on this machine whose home holds a SQLite file that is being written to uses that.
    """
    for name in _DATABASE:
        if url := os.environ.get(name):
            return url.partition(":")[0].partition("+")[0]
    log = Path(str(settings.get("home", ""))) / "prefect.db-wal"
    try:
        written = datetime.fromtimestamp(log.stat().st_mtime, UTC)
    except OSError:
        return None
    return "sqlite" if datetime.now(UTC) - written < _FRESH else None


def database_sign(kind: str | None, crowd: int) -> Sign:
    """SQLite carries a few launches at one instant, and no more."""
    name = "server.database"
    remedy = "give Prefect's server a PostgreSQL database: docs/running.md"
    if crowd > CEILING and kind != "postgresql":
        which = (
            "Prefect's server is on SQLite" if kind == "sqlite" else "if Prefect's server is on SQLite, that is more"
        )
        over = f", which carries {CEILING}" if kind == "sqlite" else " than it carries"
        return warning(name, f"{crowd} launches speak at the same minute; {which}{over}", remedy)
    if kind == "sqlite":
        return ok(name, f"SQLite, good for up to {CEILING} launches at the same instant (now: {crowd} at most)")
    return ok(name, kind or "cannot be told from here")


def deployment_signs(launches: list[DeploymentResponse], project: Path) -> list[Sign]:
    """Whether a launch can be started, and from which directory it would run."""
    if not launches:
        return [problem("server.deployments", "no launch is deployed", _DEPLOY)]
    places = {launch.name: directory(launch) for launch in launches}
    here = [name for name, place in places.items() if place in {None, str(project.resolve())}]
    signs = [
        warning(
            "server.deployments", f"launch/{launch.name} is paused", f"`prefect deployment resume launch/{launch.name}`"
        )
        for launch in launches
        if launch.paused
    ]
    if here:
        return [*signs, ok("server.deployments", f"deployed from here: {', '.join(sorted(here))}")]
    others = ", ".join(sorted({str(place) for place in places.values()}))
    return [*signs, warning("server.deployments", f"launches are deployed from {others}, not from {project}", _DEPLOY)]


async def _workers(client: PrefectClient, launches: list[DeploymentResponse]) -> AsyncIterator[Sign]:
    pools = sorted({launch.work_pool_name for launch in launches if launch.work_pool_name})
    signs = []
    for name in pools:
        pool = await client.read_work_pool(name)
        workers = await client.read_workers_for_work_pool(name)
        online = sum(worker.status == WorkerStatus.ONLINE for worker in workers)
        start = f"`prefect worker start --pool {name}`, or `drumroll up`"
        subject = f"server.pool.{name}"
        if pool.is_paused:
            signs.append(problem(subject, f"the work pool {name} is paused", f"`prefect work-pool resume {name}`"))
        elif not online:
            signs.append(problem(subject, f"no worker polls the work pool {name}: its launches stand still", start))
        else:
            signs.append(
                ok(subject, f"{online} worker{'s' if online > 1 else ''} poll{'' if online > 1 else 's'} {name}")
            )
    served = any(sign.state == "ok" for sign in signs)
    for sign in signs:  # with another pool at work, this one may be unused on purpose
        yield warning(sign.subject, sign.what, sign.remedy) if served and sign.state == "problem" else sign


async def _watch(client: PrefectClient) -> Sign:
    done = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.COMPLETED]))
    last = await client.read_flow_runs(
        flow_filter=FlowFilter(name=FlowFilterName(any_=["watch"])),
        flow_run_filter=FlowRunFilter(state=done),
        sort=FlowRunSort.END_TIME_DESC,
        limit=1,
    )
    ended = last[0].end_time if last else None
    remedy = "is its deployment active, and does a worker poll its pool? it hands back launches whose process died"
    if ended is None:
        return warning("server.watch", "the watch has never run to its end", remedy)
    ago = datetime.now(UTC) - ended
    if ago > WATCHED_WITHIN:
        return problem("server.watch", f"the watch last ran {_said(ago)} ago", remedy)
    return ok("server.watch", f"the watch ran {_said(ago)} ago")


def _said(span: timedelta) -> str:
    minutes = int(span.total_seconds() // 60)
    return (
        f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min" if minutes else "less than 1 min"
    )
