"""What the live benchmarks run on: PostgreSQL for Prefect and the ledger, Prefect's server, a worker, a receiver."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TICKS = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait(holds: Callable[[], bool], seconds: float, what: str) -> None:
    """Until it `holds`; TimeoutError after so many seconds."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.25)


@contextlib.contextmanager
def postgres() -> Iterator[Callable[[str], str]]:
    """A PostgreSQL of the system's with `pg_trgm`, on a socket of its own: a function from a new database's name to
    the `host=…` query of its URL. Debian: `apt install postgresql`.
    """
    found = shutil.which("initdb") or next(map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))), None)
    if found is None:
        raise RuntimeError("PostgreSQL is not installed; on Debian: apt install postgresql")
    binaries = Path(found).resolve().parent
    folder = Path(tempfile.mkdtemp(prefix="drumroll-pg-"))
    # PostgreSQL refuses to run as root.
    user: dict[str, Any] = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
    if user:
        shutil.chown(folder, "postgres", "postgres")
    folder.chmod(0o755)

    def run(program: str, *arguments: str) -> None:
        command = [str(binaries / program), *arguments]
        ran = subprocess.run(
            command, cwd=folder, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **user
        )
        if ran.returncode:
            raise RuntimeError(f"{program}: {ran.stderr.decode()}")

    data = str(folder / "data")
    run("initdb", "-D", data, "-U", "drumroll", "-A", "trust", "-E", "UTF8")
    options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c max_connections=300"
    run("pg_ctl", "-D", data, "-w", "-l", str(folder / "log"), "-o", options, "start")

    def make(name: str) -> str:
        run("createdb", "-h", str(folder), "-U", "drumroll", name)
        return f"{name}?host={folder}"

    try:
        yield make
    finally:
        run("pg_ctl", "-D", data, "-m", "fast", "stop")
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def process(
    command: list[str], environ: dict[str, str], log: Path, cwd: Path = ROOT
) -> Iterator[subprocess.Popen[bytes]]:
    """A process of its own group, ended with all that it started."""
    with log.open("ab") as out:
        started = subprocess.Popen(command, env=environ, cwd=cwd, stdout=out, stderr=out, start_new_session=True)
    try:
        yield started
    finally:
        started.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            started.wait(20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
        started.wait()


class Prefect:
    """A Prefect server; `environ` is what its clients run with."""

    def __init__(self, environ: dict[str, str], cwd: Path, pid: int) -> None:
        self.environ, self.cwd, self.pid = environ, cwd, pid
        self.api = environ["PREFECT_API_URL"]

    def command(self, *arguments: str) -> None:
        """`prefect …`; RuntimeError when it fails."""
        command = [sys.executable, "-m", "prefect", *arguments]
        ran = subprocess.run(command, cwd=self.cwd, env=self.environ, capture_output=True, text=True, check=False)
        if ran.returncode:
            raise RuntimeError(ran.stdout + ran.stderr)

    def ask(self, path: str, body: Any = None) -> Any:
        """The answer of its API; a body is posted."""
        request = urllib.request.Request(
            f"{self.api}/{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)


@contextlib.contextmanager
def prefect_server(folder: Path, cwd: Path, database: str | None, **settings: str) -> Iterator[Prefect]:
    """A server with its records in `database` (a SQLAlchemy URL) or in SQLite in `folder`, and no page."""
    port = free_port()
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "DRUMROLL_"))}
    environ |= {
        "PREFECT_HOME": str(folder),
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_LOGGING_LEVEL": "WARNING",
        "PYTHONPATH": str(ROOT),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    } | settings
    ours = environ | ({"PREFECT_SERVER_DATABASE_CONNECTION_URL": database} if database else {})
    command = [
        sys.executable,
        "-m",
        "prefect",
        "server",
        "start",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--no-ui",
    ]

    def answers() -> bool:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"{environ['PREFECT_API_URL']}/health", timeout=2) as got,
        ):
            return bool(got.status == 200)
        return False

    with process(command, ours, folder / "server.log") as server:
        wait(answers, 180, f"Prefect's server does not answer; see {folder / 'server.log'}")
        yield Prefect(environ, cwd, server.pid)


def family(pid: int) -> list[int]:
    """The process and all that it started, at any depth."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found = [pid]
    for each in found:
        found += children.get(each, [])
    return found


def cpu_seconds(pid: int) -> float:
    """What the process, its living family and its children that have ended have used of a core."""
    total = 0
    for each in family(pid):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
            total += sum(map(int, fields[11:15]))
    return total / TICKS


def megabytes(pids: list[int]) -> float:
    """Memory that these processes need together: shared pages count once, in proportion (PSS)."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
    return total / 1024
