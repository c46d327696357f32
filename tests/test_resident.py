"""The resident worker: many flow runs in one process, which leave each other alone and are never run twice."""

import asyncio
import importlib
import signal
import sys
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import yaml
from ledger_rows import MINUTE

from drumroll.errors import DrumrollError, UsageError

ROOT = Path(__file__).parents[1]
SOON = timedelta(hours=3)

# What lives in it: the module that the test deployments' entrypoints name.
FLOWS = """
import asyncio, sys
from prefect import flow
from tasks.releasing import give_back
from tasks.seat import while_seated
from datetime import UTC, datetime, timedelta

lived = []

@flow
async def short(number: int):
    lived.append(number)

@flow
async def phase(seconds):
    await while_seated(asyncio.sleep(seconds))

@flow
async def sleeper(number: int = 0, seconds: float = 0):
    await phase(seconds)

@flow
async def gives_back():
    await give_back(datetime.now(UTC) + timedelta(hours=3), "No. 07 at 23:00")

@flow
async def fails():
    raise ValueError("no good")

@flow
async def exits():
    sys.exit(3)

@flow
def blocks():
    return 1
"""


# A seat in a shared process.


class TestSeat:
    async def test_the_set_up_is_over_with_the_first_wait_and_is_told_once(self):
        from tasks.seat import Seat, seated, while_seated

        told = []
        seat = Seat(lambda: told.append(1))
        with seated(seat):
            assert told == []
            assert await while_seated(asyncio.sleep(0, "slept")) == "slept"
            assert told == [1]
            await while_seated(asyncio.sleep(0))
        assert told == [1]

    async def test_a_run_that_is_asked_to_leave_ends_its_wait_at_once_and_keeps_its_state(self):
        from prefect.exceptions import Pause

        from tasks.seat import Seat, seated, while_seated

        seat = Seat(lambda: None)
        with seated(seat):
            asyncio.get_running_loop().call_later(0.01, seat.ask_to_leave)
            with pytest.raises(Pause) as left:
                await asyncio.wait_for(while_seated(asyncio.sleep(60)), 5)
            with pytest.raises(Pause):  # and does not begin another
                await while_seated(asyncio.sleep(60))
        assert left.value.state.is_running()

    async def test_a_timeout_of_somebody_elses_stays_one(self):
        from tasks.seat import Seat, seated, while_seated

        async def impatient():
            raise TimeoutError("theirs")

        with seated(Seat(lambda: None)), pytest.raises(TimeoutError, match="theirs"):
            await while_seated(impatient())

    async def test_a_run_with_a_process_of_its_own_just_waits(self):
        from tasks.seat import asked_to_leave, while_seated

        assert await while_seated(asyncio.sleep(0, "slept")) == "slept"
        assert not asked_to_leave()

    async def test_a_run_that_is_cut_off_while_it_leaves_is_no_crash(self, tmp_path):
        from prefect.exceptions import Pause
        from small_launch import begun

        from tasks.engine import as_its_engine
        from tasks.seat import Seat, seated

        where, seat, begins = begun(tmp_path), Seat(lambda: None), asyncio.Event()

        async def sending(_where):
            begins.set()
            await asyncio.sleep(60)

        async def living():
            with seated(seat):
                await as_its_engine(where, sending)

        for asked, error in ((False, asyncio.CancelledError), (True, Pause)):
            seat.asked_to_leave = asked
            begins.clear()
            life = asyncio.create_task(living())
            await begins.wait()
            life.cancel()
            with pytest.raises(error):
                await life


async def test_work_in_a_thread_of_its_own_gives_its_result_and_is_cancelled_with_us():
    from tasks.own_thread import in_own_thread

    ended = []

    async def work(seconds):
        try:
            await asyncio.sleep(seconds)
        finally:
            ended.append(seconds)
        return seconds

    assert await in_own_thread(lambda: work(0.01)) == 0.01
    waiting = asyncio.create_task(in_own_thread(lambda: work(60)))
    await asyncio.sleep(0.2)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended == [0.01, 60], "it was waited for"


# What is taken in.


def deployment(**fields):
    from types import SimpleNamespace

    return SimpleNamespace(**({"name": "d", "entrypoint": "flows.launch.launch", "pull_steps": []} | fields))


@pytest.mark.parametrize("entrypoint", ["flows/launch.py:launch", "launch", ""])
def test_an_entrypoint_that_is_no_modules_is_refused_with_an_example(entrypoint):
    from tasks.in_process import flow_of

    with pytest.raises(DrumrollError, match=r"not the path of a module; write it as flows\.launch\.launch"):
        flow_of(deployment(entrypoint=entrypoint))


def test_an_entrypoint_that_cannot_be_imported_says_why():
    from tasks.in_process import flow_of

    with pytest.raises(DrumrollError, match=r'entrypoint "flows\.lunch\.launch": cannot be loaded .*No module named'):
        flow_of(deployment(entrypoint="flows.lunch.launch"))


def test_a_deployment_of_another_directory_is_left_to_another_worker(tmp_path, monkeypatch):
    from tasks.in_process import elsewhere

    def runs_in(folder):
        return deployment(pull_steps=[{"prefect.deployments.steps.set_working_directory": {"directory": str(folder)}}])

    monkeypatch.chdir(tmp_path)
    assert elsewhere(deployment()) is None
    assert elsewhere(runs_in(tmp_path)) is None
    assert "it runs in /somewhere" in elsewhere(runs_in("/somewhere"))
    assert "git_clone" in elsewhere(deployment(pull_steps=[{"prefect.deployments.steps.git_clone": {}}]))


@pytest.mark.parametrize(
    ("said", "database", "wanted"),
    [("", "sqlite+aiosqlite:///p.db", 1), ("", "postgresql+asyncpg://u:p@h/prefect", 4), ("7", "sqlite:///p.db", 7)],
)
def test_how_many_are_set_up_at_a_time_depends_on_prefects_database(monkeypatch, said, database, wanted):
    from prefect.settings import PREFECT_SERVER_DATABASE_CONNECTION_URL, temporary_settings

    from tasks.resident import set_ups

    monkeypatch.setenv("DRUMROLL_SET_UPS", said)
    with temporary_settings({PREFECT_SERVER_DATABASE_CONNECTION_URL: database}):
        assert set_ups() == wanted


@pytest.mark.parametrize("said", ["0", "-1", "many", "²"])
def test_a_number_of_set_ups_that_is_none_is_refused(monkeypatch, said):
    from tasks.resident import set_ups

    monkeypatch.setenv("DRUMROLL_SET_UPS", said)
    with pytest.raises(UsageError, match=r"DRUMROLL_SET_UPS: .*write how many at a time"):
        set_ups()


def test_prefect_finds_the_worker_type_where_there_is_a_project(monkeypatch):
    import tomllib

    from prefect.workers.base import BaseWorker

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = project["entry-points"]["prefect.collections"]["drumroll"]
    importlib.import_module(found)
    assert BaseWorker.get_worker_class_from_type("drumroll-resident") is not None
    monkeypatch.setitem(sys.modules, "tasks.resident", None)  # as from the wheel, which ships no tasks
    monkeypatch.delitem(sys.modules, found)
    importlib.import_module(found)


def test_deployments_for_up_are_those_of_the_project_on_its_pool_without_the_cron_of_the_watch():
    from tasks.deploying import _for_pool

    theirs = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    ours = _for_pool(ROOT, "resident")["deployments"]
    assert [each["name"] for each in ours] == [each["name"] for each in theirs]
    assert {each["work_pool"]["name"] for each in ours} == {"resident"}
    [watch] = [each for each in ours if each["name"] == "watch"]
    assert [schedule["active"] for schedule in watch["schedules"]] == [False]


# On a real server.


@pytest.fixture
async def client(prefect_api):
    from prefect.client.orchestration import get_client

    async with get_client() as client:
        yield client


@pytest.fixture
def flows(tmp_path, monkeypatch):
    name = f"living_{uuid4().hex}"
    (tmp_path / f"{name}.py").write_text(FLOWS)
    monkeypatch.syspath_prepend(str(tmp_path))
    return importlib.import_module(name)


class Pool:
    """A work pool of its own, the deployments on it, and workers that look for work twice a second."""

    def __init__(self, client, flows):
        self.client, self.flows, self.name = client, flows, f"pool-{uuid4().hex}"

    async def run(self, flow, entrypoint=None, **parameters):
        from tasks.deploying import make_pool

        await make_pool(self.name)
        flow_id = await self.client.create_flow_from_name(flow)
        deployment = await self.client.create_deployment(
            flow_id,
            f"{flow}-{uuid4().hex}",
            work_pool_name=self.name,
            entrypoint=entrypoint or f"{self.flows.__name__}.{flow}",
            pull_steps=[],
        )
        return (await self.client.create_flow_run_from_deployment(deployment, parameters=parameters)).id

    @asynccontextmanager
    async def workers(self, number=1):
        from prefect.settings import PREFECT_WORKER_QUERY_SECONDS, temporary_settings

        from tasks.resident import ResidentWorker

        with temporary_settings({PREFECT_WORKER_QUERY_SECONDS: 0.5}):
            workers = [ResidentWorker(self.name, name=f"w{each}-{self.name}") for each in range(number)]
            working = [asyncio.create_task(worker.start(printer=lambda _: None)) for worker in workers]
            try:
                yield workers
            finally:
                for work in working:
                    work.cancel()
                await asyncio.gather(*working, return_exceptions=True)

    async def state(self, run):
        return (await self.client.read_flow_run(run)).state

    async def until(self, run, name):
        async with asyncio.timeout(180):
            while (state := await self.state(run)).name != name:
                await asyncio.sleep(0.2)
        return state

    async def states(self, run):
        states = await self.client.read_flow_run_states(run)
        return [state.name for state in sorted(states, key=lambda state: state.timestamp)]

    async def phases(self, run):
        from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId

        mine = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[run]))
        return [phase.state_name for phase in await self.client.read_flow_runs(flow_run_filter=mine)]


@pytest.fixture
def pool(client, flows):
    return Pool(client, flows)


class TestWorker:
    pytestmark = [pytest.mark.e2e, pytest.mark.prefect, pytest.mark.xdist_group("prefect")]

    async def test_what_goes_wrong_with_one_run_is_shown_and_leaves_the_others_alone(self, pool):
        long = await pool.run("sleeper", seconds=60)
        failed = await pool.run("fails")
        exited = await pool.run("exits")
        unfit = await pool.run("sleeper", number="many")
        lost = await pool.run("sleeper", entrypoint="no.such.flow")
        blocking = await pool.run("blocks")
        async with pool.workers():
            assert "ValueError: no good" in (await pool.until(failed, "Failed")).message
            assert "system exit" in (await pool.until(exited, "Crashed")).message
            assert "valid integer" in (await pool.until(unfit, "Failed")).message
            assert "No module named 'no'" in (await pool.until(lost, "Crashed")).message
            assert "is not async" in (await pool.until(blocking, "Crashed")).message
            assert (await pool.until(long, "Running")).is_running()

    async def test_two_workers_never_run_a_run_twice(self, pool, flows):
        runs = [await pool.run("short", number=number) for number in range(6)]
        async with pool.workers(2):
            for run in runs:
                await pool.until(run, "Completed")
        assert sorted(flows.lived) == list(range(6))
        assert {tuple(await pool.states(run)) for run in runs} == {("Scheduled", "Pending", "Running", "Completed")}

    async def test_a_cancelled_run_ends_as_cancelled_with_its_phase(self, pool):
        from prefect.states import Cancelling

        run, other = await pool.run("sleeper", seconds=60), await pool.run("sleeper", seconds=60)
        async with pool.workers():
            for each in (run, other):
                await pool.until(each, "Running")
            while not await pool.phases(run):
                await asyncio.sleep(0.2)
            await pool.client.set_flow_run_state(run, Cancelling())
            await pool.until(run, "Cancelled")
            assert await pool.phases(run) == ["Cancelled"]
            assert (await pool.state(other)).name == "Running"

    async def test_a_run_that_a_person_suspends_leaves_and_stays_suspended(self, pool):
        from prefect.states import Suspended

        run = await pool.run("sleeper", seconds=60)
        async with pool.workers() as [worker]:
            await pool.until(run, "Running")
            while not await pool.phases(run):
                await asyncio.sleep(0.2)
            await pool.client.set_flow_run_state(run, Suspended())
            async with asyncio.timeout(180):
                while worker._guests:
                    await asyncio.sleep(0.2)
        assert (await pool.state(run)).name == "Suspended"

    async def test_a_run_that_waits_without_a_process_is_cancelled_at_once(self, pool):
        from prefect.states import Cancelling

        run = await pool.run("gives_back")
        async with pool.workers():
            await pool.until(run, "Waiting")
            await pool.client.set_flow_run_state(run, Cancelling())
            assert (await pool.state(run)).name == "Cancelled"

    async def test_a_worker_that_is_stopped_hands_its_runs_back(self, pool):
        run, ours = await pool.run("sleeper", seconds=60), signal.getsignal(signal.SIGTERM)
        async with pool.workers():
            await pool.until(run, "Running")
            while not await pool.phases(run):
                await asyncio.sleep(0.2)
            assert signal.getsignal(signal.SIGTERM) is ours, "Prefect's engines take it in the main thread"
        state = await pool.state(run)
        assert (state.name, state.message) == ("Waiting", "its worker was stopped")
        assert state.state_details.scheduled_time <= datetime.now(UTC)
        assert await pool.phases(run) == ["Waiting"]
        assert await pool.states(run) == ["Scheduled", "Pending", "Running", "Suspended", "Waiting"]

    async def test_a_run_that_is_not_due_any_more_when_its_turn_comes_is_not_taken(self, pool):
        from prefect.states import Scheduled

        from tasks.resident import ResidentWorker

        run = await pool.run("sleeper")
        stale = await pool.client.read_flow_run(run)
        await pool.client.set_flow_run_state(run, Scheduled(scheduled_time=datetime.now(UTC) + SOON), force=True)
        async with ResidentWorker(pool.name) as worker:
            await worker._submit_run(stale)
        assert await pool.states(run) == ["Scheduled", "Scheduled"]

    async def test_a_run_that_was_cancelled_while_nobody_had_it_is_ended(self, pool, monkeypatch):
        from prefect.states import Cancelling, Pending, Running

        monkeypatch.setattr("tasks.resident._ABANDONED", timedelta(0))
        run = await pool.run("sleeper")
        for state in (Pending(), Running(), Cancelling()):
            await pool.client.set_flow_run_state(run, state)
        async with pool.workers():
            await pool.until(run, "Cancelled")

    async def test_a_run_that_could_not_be_set_up_is_handed_back_at_once(self, pool, monkeypatch):
        import httpx

        from tasks.resident import ResidentWorker

        labels = ResidentWorker._give_worker_labels_to_flow_run

        async def fails_once(self, flow_run_id):
            monkeypatch.setattr(ResidentWorker, "_give_worker_labels_to_flow_run", labels)
            raise httpx.ReadTimeout("busy")

        monkeypatch.setattr(ResidentWorker, "_give_worker_labels_to_flow_run", fails_once)
        run = await pool.run("short", number=1)
        async with pool.workers():
            await pool.until(run, "Completed")
        assert await pool.states(run) == ["Scheduled", "Pending", "Waiting", "Pending", "Running", "Completed"]

    async def test_a_pool_of_another_type_is_refused(self, pool):
        from prefect.client.schemas.actions import WorkPoolCreate

        from tasks.deploying import make_pool

        await pool.client.create_work_pool(WorkPoolCreate(name=pool.name, type="process"))
        with pytest.raises(DrumrollError, match="is of type process, not drumroll-resident; choose another"):
            await make_pool(pool.name)


class TestLaunch:
    pytestmark = [pytest.mark.e2e, pytest.mark.prefect, pytest.mark.xdist_group("prefect")]

    async def test_a_launch_that_is_cancelled_lets_go_of_its_edition_and_keeps_its_ledger(
        self, pool, tmp_path, monkeypatch
    ):
        from prefect.states import Cancelling
        from small_launch import LAUNCH, project

        from drumroll.ledger.ledger import default_url, open_ledger

        monkeypatch.setenv("DRUMROLL_WAITING", "inline")
        file = project(tmp_path)
        opens = datetime.now(UTC) + timedelta(days=30)
        file.write_text(LAUNCH.replace("2027-03-06 12:00", f"{opens:%Y-%m-%d} 12:00"))
        run = await pool.run("launch", entrypoint="flows.launch.launch", file=str(file))
        async with pool.workers():
            await pool.until(run, "Running")
            async with asyncio.timeout(180):
                while "Running" not in await pool.phases(run):
                    await asyncio.sleep(0.2)
            ledger = open_ledger(default_url(tmp_path))
            [edition] = ledger.editions()
            before = ledger.counts(edition.id)
            assert ledger.lease(edition.id).is_live(datetime.now(UTC) - MINUTE)
            await pool.client.set_flow_run_state(run, Cancelling())
            await pool.until(run, "Cancelled")
        assert not ledger.lease(edition.id).is_live(datetime.now(UTC))
        assert (ledger.edition(edition.id).state, ledger.counts(edition.id)) == ("running", before)
