"""`drumroll up` as a person runs it: one command, killed once, and the launch it had goes on as the same flow run."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drumroll.ledger.ledger import default_url, open_ledger
from drumroll.ledger.model import idempotency_key
from tests.prefect_server import free_port, prefect_environment
from tests.test_e2e_waiting import LAUNCH, Server, lines, project_of, wait
from tests.webhook_sink import sink_process

ROOT = Path(__file__).parents[1]
COMMAND = [sys.executable, "-m", "drumroll.cli.main", "up"]


@pytest.mark.e2e
@pytest.mark.xdist_group("server")
def test_what_is_up_takes_a_launch_through_its_own_death_and_stops_in_good_order(tmp_path):
    project = project_of(tmp_path / "project")
    log, port = tmp_path / "sink.jsonl", str(free_port())
    environ = prefect_environment(tmp_path / "home") | {"DRUMROLL_WAITING": "5", "PYTHONPATH": str(ROOT)}
    with (
        sink_process(log, "--honour-keys", "--script", "accept", "then-slow:6") as url,
        contextlib.ExitStack() as stack,
    ):
        up = Up(stack, environ, project, port)
        assert up.facts["ledger"].endswith("project/.drumroll/ledger.db")
        second = subprocess.run(
            [*COMMAND, "--port", port],
            cwd=project,
            env=environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (second.returncode, f"is up already (process {up.facts['pid']}" in second.stderr) == (1, True)

        server = Server(environ | {"PREFECT_API_URL": up.facts["api"]}, project)
        opens = (datetime.now(UTC) + timedelta(seconds=25)).replace(microsecond=0)
        launch = LAUNCH.format(opens=f"{opens:%Y-%m-%d %H:%M:%S}", url=url, last=45, end=47)
        (project / "configs" / "waiting.yaml").write_text(launch)
        deployment = server.ask("deployments/name/launch/launch")
        server.ask(f"deployments/{deployment['id']}/create_flow_run", {"parameters": {"file": "configs/waiting.yaml"}})

        # It gives its place back, gets it again, and the machine dies with an announcement on the wire.
        server.until(lambda run: run["state"]["name"] == "Waiting", 20)
        wait(lambda: len(lines(log)) == 2, 60, "the second announcement arrives")
        up.kill()
        up = Up(stack, environ, project, port)
        run = server.until(lambda run: run["state"]["type"] == "COMPLETED", 90)
        phases, history = server.phases(run), [state["name"] for state in server.history(run)]
        assert up.stop() == 130
        assert "nothing is lost" in up.said()

    [edition] = open_ledger(default_url(project)).editions()
    rows = open_ledger(default_url(project)).deliveries(edition.id)
    print(json.dumps({row.step: row.lateness_ms for row in rows}), history)
    assert (run["state"]["name"], run["run_count"], edition.state) == ("Completed", 1, "done")
    assert {row.state for row in rows} == {"sent"}
    assert Counter(line["id"] for line in lines(log)) == Counter({idempotency_key(row.key): 1 for row in rows})
    assert {phase["state"]["type"] for phase in phases} == {"COMPLETED"}


class Up:
    """`drumroll up --json`, once it is ready."""

    def __init__(self, stack, environ, project, port):
        self._output = project / "up.json"
        self._log = project / "up.log"
        with self._output.open("wb") as out, self._log.open("wb") as log:
            command = [*COMMAND, "--port", port, "--json", "--watch-every", "5"]
            self._process = subprocess.Popen(
                command, cwd=project, env=environ, stdout=out, stderr=log, start_new_session=True
            )
        stack.callback(self.kill)
        wait(lambda: self._output.read_text().endswith("}\n") or self._process.poll() is not None, 120, self.said)
        self.facts = json.loads(self._output.read_text())

    def said(self):
        return self._log.read_text()

    def kill(self):
        if self._process.poll() is None:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait(10)

    def stop(self):
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(40)
