"""A machine that runs Prefect: a server on a port of its own, a worker with its engines, and what a person sees."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.prefect_server import free_port, prefect_environment

ROOT = Path(__file__).parents[2]
POOL = "drumroll"
TYPES = {"process": "process", "resident": "drumroll-resident"}
_RESIDENT = "import tasks.resident, sys; sys.argv[0] = 'prefect'; from prefect.cli import app; app()"


class PrefectServer:
    """A Prefect server that can be stopped and started again: same port, same records."""

    def __init__(self, home: Path) -> None:
        self._home, self._port = home, free_port()
        self.api = f"http://127.0.0.1:{self._port}/api"
        self.environ = prefect_environment(home, self.api)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Return when it answers."""
        command = [sys.executable, "-m", "prefect", "server", "start", "--no-ui", "--host", "127.0.0.1"]
        with (self._home / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--port", str(self._port)], env=self.environ, stdout=log, stderr=log
            )
        wait(self._is_up, 120, "the Prefect server answers; see server.log")

    def kill(self) -> None:
        """SIGKILL, to it and all it started."""
        if self._process is not None:
            kill_tree(self._process)
            self._process = None

    def _is_up(self) -> bool:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.api}/health", timeout=1) as answer:
            return bool(answer.status == 200)
        return False

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """The API's answer; tried again while the server is down or busy."""
        request = urllib.request.Request(
            f"{self.api}/{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        for _ in range(120):
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                if error.code < 500:
                    raise RuntimeError(f"{path}: {error.read().decode()}") from error
            except OSError:
                pass
            time.sleep(0.5)
        raise TimeoutError(path)

    def runs(self) -> list[dict[str, Any]]:
        """Every flow run of the launch flow."""
        found: list[dict[str, Any]] = self.ask("flow_runs/filter", {"flows": {"name": {"any_": ["launch"]}}})
        return found

    def states(self, run: str) -> list[str]:
        """The names of all states that a run has had, in order."""
        history = self.ask(f"flow_run_states/?flow_run_id={run}")
        return [state["name"] for state in sorted(history, key=lambda state: state["timestamp"])]


class Machine:
    """A worker and the engines it started: one machine, which dies at once."""

    def __init__(self, worker: str, environ: dict[str, str], project: Path, log: Path) -> None:
        self._worker, self._environ, self._project, self._log = worker, environ, project, log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Have a worker again, if there is none."""
        if self._process is not None and self._process.poll() is None:
            return
        program = ["-c", _RESIDENT] if self._worker == "resident" else ["-m", "prefect"]
        command = [sys.executable, *program, "worker", "start", "--pool", POOL, "--type", TYPES[self._worker]]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, env=self._environ, cwd=self._project, stdout=log, stderr=log)

    @property
    def is_up(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def engines(self) -> list[int]:
        """Process ids of what the worker started, without those that only start others."""
        if self._process is None:
            return []
        below = descendants(self._process.pid)
        return [pid for pid, children in below.items() if not children]

    def kill(self) -> None:
        """SIGKILL, to everything at once."""
        if self._process is not None:
            kill_tree(self._process)
            self._process = None


def deploy(server: PrefectServer, project: Path, worker: str, entrypoint: str) -> None:
    """The project's own deployment of the launch flow, under another entrypoint, to a pool of the worker's type."""
    for folder in ("templates", "configs"):
        (project / folder).mkdir(parents=True, exist_ok=True)
    text = (ROOT / "prefect.yaml").read_text(encoding="utf-8")
    (project / "prefect.yaml").write_text(text.replace("flows.launch.launch", entrypoint), encoding="utf-8")
    shutil.copytree(ROOT / "templates", project / "templates", dirs_exist_ok=True)
    environ = server.environ | {"DRUMROLL_ENGINE": f"{sys.executable} -m prefect.engine", "PYTHONPATH": str(ROOT)}
    pool = [sys.executable, "-m", "prefect", "work-pool", "create", POOL, "--type", "process"]
    if worker == "process":
        _run(pool, environ, project)
    else:
        body = {"name": POOL, "type": TYPES[worker], "base_job_template": {}}
        server.ask("work_pools/", body)
    _run([sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--name", "launch"], environ, project)


def _run(command: list[str], environ: dict[str, str], folder: Path) -> None:
    done = subprocess.run(command, env=environ, cwd=folder, capture_output=True, text=True, timeout=180, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")


def descendants(pid: int) -> dict[int, list[int]]:
    """Every process below that one, with its own children."""
    listed = subprocess.run(["ps", "-axo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    children: dict[int, list[int]] = {}
    for line in listed.splitlines():
        child, parent = map(int, line.split())
        children.setdefault(parent, []).append(child)
    found, below = [pid], dict[int, list[int]]()
    for each in found:
        found += children.get(each, [])
        below[each] = children.get(each, [])
    del below[pid]
    return below


def kill_tree(process: "subprocess.Popen[bytes]") -> None:
    """SIGKILL to a process and all below it."""
    if process.poll() is None:
        for pid in [process.pid, *descendants(process.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    process.wait(20)


@contextlib.contextmanager
def watchman(ledger: str, project: Path, environ: dict[str, str], log: Path) -> Iterator[None]:
    """A watch of the harness's own; see `watchman.py`."""
    command = [sys.executable, "-m", "tests.chaos.watchman", ledger, str(project)]
    with log.open("ab") as output, subprocess.Popen(command, env=environ, cwd=ROOT, stdout=output, stderr=output) as it:
        try:
            yield
        finally:
            it.kill()


def wait(holds: Callable[[], bool], seconds: float, what: str) -> None:
    """Until `holds`; TimeoutError with `what` after that long."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.25)
