"""`drumroll start`, `status` and `abort` against a real Prefect server and a real worker, as a user types them."""

import contextlib
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from drumroll.check import check_file
from tests.prefect_server import free_port, prefect_server
from tests.test_e2e_waiting import LAUNCH, ROOT, Server, Worker, project_of, wait

FILE = "configs/waiting.yaml"


@pytest.mark.e2e
@pytest.mark.xdist_group("server")
def test_a_launch_is_started_once_shown_and_aborted_from_the_command_line(tmp_path):
    project = project_of(tmp_path / "project")
    opens = (datetime.now(UTC) + timedelta(days=1)).replace(microsecond=0)
    launch = LAUNCH.format(opens=f"{opens:%Y-%m-%d %H:%M}", url=f"http://127.0.0.1:{free_port()}", last=60, end=70)
    (project / FILE).write_text(launch)
    with prefect_server(tmp_path) as environ, contextlib.ExitStack() as workers:
        environ |= {"PREFECT_WORKER_QUERY_SECONDS": "2", "PYTHONPATH": str(ROOT)}

        def drumroll(*arguments):
            command = [sys.executable, "-m", "drumroll.cli.main", *arguments]
            return subprocess.run(
                command, cwd=project, env=environ, capture_output=True, text=True, check=False, timeout=60
            )

        server = Server(environ, project)
        server.prefect("work-pool", "create", "drumroll", "--type", "process")
        server.prefect("--no-prompt", "deploy", "--name", "launch")
        plan = check_file(project / FILE).accepted()
        approved = ("--approve", plan.hash[:8], "--by", "Ann")
        Worker(workers, environ, tmp_path)
        wait(lambda: server.ask("work_pools/drumroll/workers/filter", {}), 30, "the worker says that it lives")
        started = drumroll("start", FILE, *approved, "--json")
        assert started.returncode == 0, started.stderr
        document = json.loads(started.stdout)
        run = server.until(lambda run: run["state"]["name"] == "Waiting", 60)
        assert (document["edition"], document["hash"], document["flow_run"]) == (
            plan.edition,
            plan.hash,
            run["id"],
        )

        again = drumroll("start", FILE, *approved)
        assert (again.returncode, f"has a flow run already (Waiting: {run['state']['message']})" in again.stderr) == (
            1,
            True,
        )

        aborted = drumroll("abort", "waiting", "--reason", "the hall burnt down", "--by", "Ann")
        assert (aborted.returncode, aborted.stderr) == (0, "")
        server.until(lambda run: run["state"]["name"] == "Aborted", 60)
        [edition] = json.loads(drumroll("status", "--json").stdout)["editions"]
        assert (edition["state"], edition["run"]["id"], edition["run"]["state"]) == ("aborted", run["id"], "Aborted")
        assert [phase["state"]["name"] for phase in server.phases(run)] == ["Aborted"]
        assert run["run_count"] == 1
