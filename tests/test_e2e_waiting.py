"""A deployed launch on a real Prefect server and a real worker: one flow run, without a process while it waits."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drumroll.ledger.ledger import default_url, open_ledger
from drumroll.ledger.model import idempotency_key
from drumroll.operate.waking import READY
from tests.prefect_server import prefect_server
from tests.webhook_sink import sink_process

ROOT = Path(__file__).parents[1]
LEAD = 10  # seconds; waits of more than twice that are spent without a process

LAUNCH = """\
drumroll: 1
name: waiting
title: A launch that waits
locale: en
timezone: UTC
opens: "{opens}"
quiet_hours: {{starts: "00:00", ends: "00:00"}}  # it runs whenever the test does
product: {{name: P, promise: p, result: r, price: 10, currency: USD}}
team: {{name: Team, staff: [{{name: Host, role: host, ids: [host]}}]}}
community:
  channels: {{out: {{kind: webhook, url: "{url}", idempotent: true, timeout: 20s}}}}
  groups: [{{id: one, name: One, channel: out}}]
phases:
  recruit:
    goal: to come
    starts: T
    ends: T+6s
    steps:
      - {{id: first, at: T, topic: one}}
      - {{id: killed, at: T+4s, topic: two}}
  build_up:
    goal: to stay
    starts: T+6s
    ends: T+{end}s
    steps:
      - {{id: last, at: T+{last}s, topic: three}}
"""


@pytest.mark.e2e
@pytest.mark.xdist_group("server")
def test_a_launch_is_one_flow_run_that_waits_without_a_process_and_survives_a_dead_worker(tmp_path):
    project = project_of(tmp_path / "project")
    log = tmp_path / "sink.jsonl"
    with (
        sink_process(log, "--honour-keys", "--script", "accept", "then-slow:15") as url,
        prefect_server(tmp_path) as environ,
    ):
        environ |= {"DRUMROLL_WAITING": str(LEAD), "PREFECT_WORKER_QUERY_SECONDS": "2", "PYTHONPATH": str(ROOT)}
        server = Server(environ, project)
        server.prefect("work-pool", "create", "drumroll", "--type", "process")
        slow = server.prefect("--no-prompt", "deploy", "--all")  # a process takes about as long; busy machines get time
        opens = (datetime.now(UTC) + timedelta(seconds=3 * LEAD + 2 * slow)).replace(microsecond=0)
        last = 75 + 3 * LEAD + round(3 * slow)
        launch = LAUNCH.format(opens=f"{opens:%Y-%m-%d %H:%M:%S}", url=url, last=last, end=last + 3)
        (project / "configs" / "waiting.yaml").write_text(launch)
        with contextlib.ExitStack() as workers:
            worker = Worker(workers, environ, tmp_path)
            server.prefect("deployment", "run", "launch/launch", "--param", "file=configs/waiting.yaml")

            # A long wait: the run is Waiting, no process of it exists, and a dead worker changes nothing.
            run = server.until(lambda run: run["state"]["name"] == "Waiting", 4 * slow + LEAD)
            worker.until_idle()
            assert run["state"]["message"] == f"No. 01 at {opens:%H:%M} UTC"
            assert (
                run["next_scheduled_start_time"][:19] == f"{opens - READY - timedelta(seconds=LEAD):%Y-%m-%dT%H:%M:%S}"
            )
            assert [phase["state"]["name"] for phase in server.phases(run)] == ["Waiting"]
            worker.kill()
            worker = Worker(workers, environ, tmp_path)

            # A short one is spent in the process. The machine dies while an announcement is on the wire.
            wait(lambda: len(lines(log)) == 2, 60 + 8 * slow, "the second announcement arrives")
            worker.kill()
            killed_at = datetime.now(UTC)
            worker = Worker(workers, environ, tmp_path)
            assert server.launch_run()["state"]["name"] == "Running", "nobody told Prefect"

            # The watch finds out, and the same run goes on.
            time.sleep(max(0.0, (killed_at + timedelta(seconds=61) - datetime.now(UTC)).total_seconds()))
            server.prefect("deployment", "run", "watch/watch")
            server.until(
                lambda run: run["state"]["name"] == "Waiting" and "No. 03" in run["state"]["message"], 60 + 8 * slow
            )
            worker.until_idle()
            run = server.until(lambda run: run["state"]["type"] == "COMPLETED", 60 + 8 * slow)
        history = server.history(run)
        phases = server.phases(run)
        logged = server.logs(run)

    for state in history:
        print(state["timestamp"][11:23], state["type"], state["name"], state["message"])
    [edition] = open_ledger(default_url(project)).editions()
    rows = open_ledger(default_url(project)).deliveries(edition.id)
    print(json.dumps({row.step: row.lateness_ms for row in rows}))
    assert run["state"]["name"] == "Completed"
    assert edition.state == "done"
    assert {row.state for row in rows} == {"sent"}
    assert Counter(line["id"] for line in lines(log)) == Counter({idempotency_key(row.key): 1 for row in rows})
    assert sorted((phase["name"], phase["state"]["type"]) for phase in phases) == [
        (f"build_up · {edition.id}", "COMPLETED"),
        (f"recruit · {edition.id}", "COMPLETED"),
    ]
    assert run["run_count"] == 1
    assert [line["message"] for line in logged if line["level"] >= 40] == []


class Server:
    """The Prefect server as a person at it sees it."""

    def __init__(self, environ, project):
        self.environ, self.project = environ, project

    def prefect(self, *arguments):
        """Run a command of Prefect's; how many seconds it took."""
        began = time.monotonic()
        command = [sys.executable, "-m", "prefect", *arguments]
        ran = subprocess.run(
            command, cwd=self.project, env=self.environ, capture_output=True, text=True, check=False, timeout=120
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return time.monotonic() - began

    def ask(self, path, body=None):
        request = urllib.request.Request(
            f"{self.environ['PREFECT_API_URL']}/{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        only_asks = body is None or path.endswith("/filter")
        for _ in range(4 if only_asks else 1):  # a loaded machine's server takes its time
            with contextlib.suppress(TimeoutError), urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        raise TimeoutError(path)

    def launch_run(self):
        """The one flow run of the launch flow."""
        wanted = {"flows": {"name": {"any_": ["launch"]}}}
        [run] = self.ask("flow_runs/filter", wanted)
        return run

    def phases(self, run):
        wanted = {"flow_runs": {"parent_flow_run_id": {"any_": [run["id"]]}}, "sort": "START_TIME_ASC"}
        return self.ask("flow_runs/filter", wanted)

    def history(self, run):
        return self.ask(f"flow_run_states/?flow_run_id={run['id']}")

    def logs(self, run):
        ids = [run["id"], *(phase["id"] for phase in self.phases(run))]
        return self.ask("logs/filter", {"logs": {"flow_run_id": {"any_": ids}}, "sort": "TIMESTAMP_ASC"})

    def until(self, holds, seconds):
        wait(lambda: holds(self.launch_run()), seconds, lambda: self.launch_run()["state"])
        return self.launch_run()


class Worker:
    """A process worker; it and the engines it starts are one machine, which can die at once."""

    def __init__(self, stack, environ, folder):
        command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "drumroll"]
        output = stack.enter_context((folder / "worker.log").open("ab"))
        self._process = stack.enter_context(subprocess.Popen(command, env=environ, stdout=output, stderr=output))
        stack.callback(self.kill)

    def engines(self):
        """Process ids of what it started, at any depth."""
        listed = subprocess.run(["ps", "-axo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
        children = {}
        for line in listed.splitlines():
            pid, parent = map(int, line.split())
            children.setdefault(parent, []).append(pid)
        found = [self._process.pid]
        for pid in found:
            found += children.get(pid, [])
        return found[1:]

    def until_idle(self):
        wait(lambda: not self.engines(), 20, "no process of a flow run is left")

    def kill(self):
        if self._process.poll() is None:
            pids = [self._process.pid, *self.engines()]
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._process.wait(10)


def project_of(folder):
    """A project directory of our own, with the words and the deployments of this one."""
    folder.mkdir()
    shutil.copytree(ROOT / "templates", folder / "templates")
    shutil.copy(ROOT / "prefect.yaml", folder)
    (folder / "configs").mkdir()
    return folder


def lines(log):
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def wait(holds, seconds, what):
    deadline = time.monotonic() + 2 * seconds  # a loaded machine is no failure
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(what() if callable(what) else what)
        time.sleep(0.25)
