"""`drumroll start`: what it refuses, what it hands to Prefect, and what `status` then shows."""

import asyncio
import fcntl
import io
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from drumroll.cli.remote import api_of_up
from drumroll.ledger.ledger import default_url, open_ledger
from drumroll.operate.edition import begin
from drumroll.plan.model import shown
from tests.launch_files import drumroll, drumroll_process, new_project
from tests.test_waiting import Deployed, client  # noqa: F401 - `client` is a fixture

ROOT = Path(__file__).parents[1]
OPENS = "2100-01-16 12:00"  # live launches go by the wall clock
EDITION = "kettle@2100-01-16"


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    for name in ("DRUMROLL_LEDGER", "PREFECT_API_URL", "PREFECT_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    return new_project(tmp_path)


def start(project, *options):
    return drumroll("start", project.file, "--opens", OPENS, *options)


def ledger_of(project):
    return open_ledger(default_url(project.root))


def test_without_a_server_the_ways_to_one_are_named_and_nothing_is_written(project):
    ran = start(project)
    assert ran.code == 1
    assert "no Prefect server is configured; start `drumroll up`, or set PREFECT_API_URL" in ran.err
    assert not (project.root / ".drumroll").exists()


def test_a_file_with_findings_is_not_started(project):
    project.change("mystery: somebody", "mystary: somebody")
    ran = start(project)
    assert (ran.code, "mystary" in ran.err) == (1, True)


def test_a_ledger_with_a_password_is_no_parameter(project):
    ran = start(project, "--ledger", "postgresql://ann:s3cret@db.example/drumroll")
    assert (ran.code, "holds a password, which Prefect would keep; set DRUMROLL_LEDGER" in ran.err) == (2, True)
    assert "s3cret" not in ran.err


def test_commands_do_not_import_prefect_to_find_no_server(project, monkeypatch):
    from drumroll.cli.remote import remote

    monkeypatch.setitem(sys.modules, "tasks.remote", None)  # to import it would raise
    (project.root / "pyproject.toml").write_text("[tool.ruff]\n")
    assert remote() is None


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("prefect/profiles.toml", 'active = "x"\n'),
        ("prefect.toml", ""),
        (".env", "PREFECT_API_URL=x"),
        ("pyproject.toml", "[tool.prefect]"),
    ],
)
def test_wherever_prefect_reads_its_settings_a_server_is_looked_for(project, monkeypatch, file, text):
    from drumroll.cli import remote

    (project.root / "prefect").mkdir()
    (project.root / file).write_text(text)
    looked = []
    monkeypatch.setattr(remote, "project_module", lambda *given: looked.append(given) or asked)
    asked = type("Nothing", (), {"configured": staticmethod(lambda: None)})
    assert remote.remote() is None
    assert looked == [("tasks.remote", project.root)]


@pytest.mark.e2e
def test_the_server_of_the_projects_up_is_found_while_it_is_up(project):
    noted = project.root / ".drumroll" / "up.json"
    assert api_of_up(project.root) is None
    noted.parent.mkdir()
    with noted.open("w") as up:
        up.write(json.dumps({"api": "http://127.0.0.1:9/api"}))
        up.flush()
        assert api_of_up(project.root) is None, "one that was killed leaves its note"
        fcntl.flock(up, fcntl.LOCK_EX)
        assert api_of_up(project.root) == "http://127.0.0.1:9/api"
        ran = drumroll_process("start", project.file, "--opens", OPENS, cwd=ROOT)
        assert "http://127.0.0.1:9: Prefect's server cannot be asked" in ran.err


class TestOnTheServer:
    pytestmark = [pytest.mark.e2e, pytest.mark.prefect, pytest.mark.xdist_group("prefect")]

    @pytest.fixture
    def deployed(self, prefect_api, project, monkeypatch):
        """Deploys the launch flow of the project to a pool of its own; a worker says that it lives, if one does."""
        from prefect.client.orchestration import get_client
        from prefect.client.schemas.actions import WorkPoolCreate

        from flows.launch import launch

        monkeypatch.setenv("PREFECT_API_URL", "the settings of the test's own server say which")

        async def deploy(*, directory=None, worker=True, env=None):
            name = f"t{uuid4().hex}"
            pull = [{"prefect.deployments.steps.set_working_directory": {"directory": str(directory or project.root)}}]
            async with get_client() as client:  # noqa: F811
                await client.create_work_pool(WorkPoolCreate(name=name, type="process"))
                flow = await client.create_flow(launch)
                variables = {"env": env} if env else {}
                await client.create_deployment(
                    flow, name, work_pool_name=name, pull_steps=pull, job_variables=variables, paused=True
                )
                if worker:
                    await client.send_worker_heartbeat(name, "one")
            return f"launch/{name}"

        return lambda **options: asyncio.run(deploy(**options))

    @staticmethod
    def run_of(ran):
        from prefect.client.orchestration import get_client

        async def read():
            async with get_client() as client:  # noqa: F811
                return await client.read_flow_run(json.loads(ran.out)["flow_run"])

        return asyncio.run(read())

    @staticmethod
    def approval(project):
        return "--approve", project.plan(OPENS).hash[:8], "--by", "Ann"

    def test_a_deployment_that_is_not_there_is_named_with_the_remedy(self, deployed, project):
        ran = start(project, "--deployment", "launch/nowhere")
        assert ran.code == 1
        assert "Prefect has no deployment launch/nowhere; deploy the project with" in ran.err

    def test_a_deployment_of_another_flow_is_a_usage_error(self, deployed, project):
        for name in ("watch/watch", "launch"):
            ran = start(project, "--deployment", name)
            assert (ran.code, f'"{name}" is no deployment of the flow launch' in ran.err) == (2, True)

    def test_without_a_live_worker_it_says_how_to_start_one(self, deployed, project):
        name = deployed(worker=False)
        ran = start(project, "--deployment", name, *self.approval(project))
        pool = name.removeprefix("launch/")
        assert ran.code == 1
        assert f"no worker polls the work pool {pool}: nobody would run it; start one with" in ran.err
        assert ledger_of(project).editions() == []

    def test_a_deployment_of_another_directory_is_not_this_project(self, deployed, project, tmp_path):
        ran = start(project, "--deployment", deployed(directory=tmp_path / "old"), *self.approval(project))
        assert (ran.code, f"runs the project {tmp_path / 'old'}, and this is {tmp_path}" in ran.err) == (1, True)

    def test_another_ledger_of_the_deployment_is_warned_about_without_its_password(self, deployed, project):
        env = {"DRUMROLL_LEDGER": "postgresql://ann:s3cret@db.example/drumroll"}
        ran = start(project, "--deployment", deployed(env=env), *self.approval(project), "--no-wait")
        assert ran.code == 0
        assert "gives its runs another ledger (postgresql://db.example/drumroll)" in ran.err
        assert "s3cret" not in ran.err + ran.out

    def test_without_a_terminal_nothing_begins_unapproved_and_the_remedy_names_the_hash(self, deployed, project):
        ran = start(project, "--deployment", deployed())
        assert ran.code == 1
        assert "nobody has approved this plan; look at `drumroll plan " in ran.err
        assert f"--approve {shown(project.plan(OPENS).hash)}`" in ran.err

    def test_a_wrong_hash_starts_nothing(self, deployed, project):
        ran = start(project, "--deployment", deployed(), "--approve", "12345678")
        assert (ran.code, "approved 12345678…, but this file compiles to" in ran.err) == (1, True)

    def test_where_approval_is_required_the_remedy_starts_it(self, deployed, project, monkeypatch):
        project.change("locale: en\n", "locale: en\napproval: required\n")
        monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
        ran = start(project, "--deployment", deployed())
        assert (ran.code, f"drumroll start {project.file} --opens" in ran.err) == (1, True), ran.err
        assert "--approved" in ran.err

    def test_a_person_at_the_terminal_types_the_first_digits(self, deployed, project, monkeypatch):
        class Terminal(io.StringIO):
            def isatty(self):
                return True

        name, digits = deployed(), project.plan(OPENS).hash[:8]
        monkeypatch.setattr(sys, "stdin", Terminal("12345678\n"))
        assert start(project, "--deployment", name, "--no-wait").code == 1
        monkeypatch.setattr(sys, "stdin", Terminal(f"{digits}\n"))
        ran = start(project, "--deployment", name, "--no-wait")
        assert ran.code == 0
        assert "  8 messages, 1 of them to single members, 14 deliveries to East, West\n" in ran.out
        assert f"{EDITION} is started; its flow run is Scheduled\n" in ran.out

    def test_the_run_gets_the_whole_hash_and_is_found_again(self, deployed, project):
        name, plan = deployed(), project.plan(OPENS)
        ran = start(project, "--deployment", name, *self.approval(project), "--no-wait", "--json")
        document, run = json.loads(ran.out), self.run_of(ran)
        assert document == {
            "edition": EDITION,
            "hash": plan.hash,
            "flow_run": str(run.id),
            "url": document["url"],
            "state": "Scheduled",
        }
        assert document["url"].endswith(f"/runs/flow-run/{run.id}")
        assert run.parameters == {
            "file": str(project.file),
            "opens": OPENS,
            "ledger": None,
            "approved": plan.hash,
            "approved_by": "Ann",
        }
        again = start(project, "--deployment", name, *self.approval(project))
        assert again.code == 1
        assert f"{EDITION}: has a flow run already (Scheduled); see {document['url']}" in again.err

    def test_an_edition_without_a_run_goes_on_by_its_own_plan(self, deployed, project):
        plan, ledger = project.plan(OPENS), ledger_of(project)
        begin(plan, ledger=ledger, rehearsal=False, now=datetime.now(UTC))
        project.change("topic: price and terms", "topic: the price")
        ran = start(project, "--deployment", deployed(), "--no-wait")
        assert (ran.code, f"{EDITION} goes on; its flow run is Scheduled" in ran.out) == (0, True), ran.err
        assert start(project, "--deployment", deployed(), "--approve", "12345678").code == 1

    def test_an_edition_with_an_engine_elsewhere_is_left_to_it(self, deployed, project):
        plan, ledger = project.plan(OPENS), ledger_of(project)
        begin(plan, ledger=ledger, rehearsal=False, now=datetime.now(UTC))
        ledger.take_lease(EDITION, owner="a foreground run", now=datetime.now(UTC), ttl=timedelta(minutes=1))
        ran = start(project, "--deployment", deployed())
        assert (ran.code, "is run by a foreground run since" in ran.err) == (1, True)

    def test_an_edition_that_is_over_is_not_started_again(self, deployed, project):
        plan, ledger = project.plan(OPENS), ledger_of(project)
        begin(plan, ledger=ledger, rehearsal=False, now=datetime.now(UTC))
        ledger.set_edition_state(EDITION, "aborted", now=datetime.now(UTC))
        ran = start(project, "--deployment", deployed())
        assert (ran.code, f"{EDITION}: is aborted; begin another edition with --opens" in ran.err) == (1, True)

    def test_status_shows_what_the_server_says(self, deployed, project):
        begin(project.plan(OPENS), ledger=ledger_of(project), rehearsal=False, now=datetime.now(UTC))
        [before] = json.loads(drumroll("status", "--json").out)["editions"]
        assert before["run"] is None
        run = json.loads(start(project, "--deployment", deployed(), "--no-wait", "--json").out)
        [after] = json.loads(drumroll("status", "--json").out)["editions"]
        assert after["run"] == {"id": run["flow_run"], "state": "Scheduled", "message": None, "url": run["url"]}
        assert f"  flow run: Scheduled\n    {run['url']}\n" in drumroll("status").out

    def test_a_server_that_is_away_is_no_failure_of_status_nor_of_a_persons_word(self, deployed, project):
        from prefect.settings import PREFECT_API_URL, temporary_settings

        begin(project.plan(OPENS), ledger=ledger_of(project), rehearsal=False, now=datetime.now(UTC))
        with temporary_settings({PREFECT_API_URL: "http://ann:s3cret@127.0.0.1:9/api"}):
            seen, said = drumroll("status"), drumroll("abort", EDITION, "--reason", "x", "--by", "Ann")
            gone = start(project)
        assert (seen.code, said.code, gone.code) == (0, 0, 1)
        assert "what the server says is not shown: http://127.0.0.1:9: Prefect's server cannot be asked" in seen.err
        assert "the watch does it within five minutes" in said.err
        assert "s3cret" not in seen.err + said.err + gone.err

    async def test_a_run_is_followed_until_it_has_signed_its_edition(self, client, project):  # noqa: F811
        from flows.launch import launch
        from tasks.remote import _run, progress

        run = await Deployed.make(client, launch, file=str(project.file), opens=OPENS)
        first = _run(run.run)

        async def follow():
            return [now_is async for now_is in progress(first, within=timedelta(seconds=30))]

        following = asyncio.create_task(follow())
        await run.pick_up()
        seen = await following
        assert (seen[-1].edition, seen[-1].ledger) == (EDITION, str(project.root / ".drumroll" / "ledger.db"))
        assert not seen[-1].has_failed

    async def test_a_run_that_fails_is_followed_no_further(self, client, project):  # noqa: F811
        from flows.launch import launch
        from tasks.remote import _run, progress

        run = await Deployed.make(client, launch, file=str(project.root / "none.yaml"))
        first = _run(run.run)
        with pytest.raises(Exception, match=r"none\.yaml"):
            await run.pick_up()
        [last] = [now_is async for now_is in progress(first, within=timedelta(seconds=30))]
        assert (last.has_failed, "none.yaml" in last.message) == (True, True)
