"""How late a message is accepted by the receiver after its planned instant, through a real server and worker.

One launch, and many launches of one instant, each woken from a wait without a process; see README, "Figures".
"""

import asyncio
import contextlib
import json
import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.servers import ROOT, Prefect, cpu_seconds, family, megabytes, postgres, prefect_server, process, wait

ONLY = "DRUMROLL_LATENESS"  # names of scenarios, with commas: not all of them


@dataclass(frozen=True)
class Scenario:
    """`launches` that share each of `moments` instants, `apart` seconds from one to the next; first after `first` s."""

    name: str
    launches: int
    worker: str
    database: str
    moments: int
    first: int
    apart: int
    target_ms: float | None
    waiting: str = ""


SCENARIOS = (
    Scenario("one launch, process worker", 1, "process", "postgresql", 8, 100, 50, 100, waiting="20"),
    Scenario("20 launches, process worker", 20, "process", "postgresql", 2, 300, 270, 1000),
    Scenario("20 launches, process worker, SQLite", 20, "process", "sqlite", 1, 360, 270, None),
    Scenario("50 launches, resident worker", 50, "drumroll-resident", "postgresql", 2, 420, 330, 100),
    Scenario("50 launches, resident worker, SQLite", 50, "drumroll-resident", "sqlite", 1, 480, 300, None),
    Scenario("200 launches, resident worker", 200, "drumroll-resident", "postgresql", 1, 1100, 0, 1000),
)

LAUNCH = """\
drumroll: 1
name: {name}
title: A launch among many
locale: en
timezone: UTC
opens: "{opens}"
quiet_hours: {{starts: "00:00", ends: "00:00"}}
product: {{name: P, promise: p, result: r, price: 10, currency: USD}}
team: {{name: Team, staff: [{{name: Host, role: host, ids: [host]}}]}}
community:
  channels: {{out: {{kind: webhook, url: "{url}", idempotent: true, timeout: 20s}}}}
  groups: [{{id: one, name: One, channel: out}}]
phases:
  recruit:
    goal: to come
    starts: T
    ends: T+{end}s
    steps:
{steps}
"""
STEP = "      - {{id: s{n}, at: T+{after}s, topic: number {n}}}"


def measure() -> dict[str, Any]:
    """Milliseconds of lateness in each scenario, what a wake costs, and the same sends by bare timers beside it."""
    wanted = os.environ.get(ONLY)
    chosen = [each for each in SCENARIOS if wanted is None or each.name in wanted.split(";")]
    return {scenario.name: _measure(scenario) for scenario in chosen}


def _measure(scenario: Scenario) -> dict[str, Any]:
    print(f"  {scenario.name} …", file=sys.stderr)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="drumroll-lateness-")))
        project, log = folder / "project", folder / "sink.jsonl"
        project.mkdir()
        shutil.copytree(ROOT / "templates", project / "templates")
        shutil.copy(ROOT / "prefect.yaml", project)
        (project / "configs").mkdir()
        records = ledger = None
        if scenario.database == "postgresql":
            make = stack.enter_context(postgres())
            records = f"postgresql+asyncpg://drumroll@/{make('prefect')}"
            ledger = f"postgresql://drumroll@/{make('ledger')}"
        settings = {"PREFECT_WORKER_QUERY_SECONDS": "2"} | ({"DRUMROLL_LEDGER": ledger} if ledger else {})
        settings |= {"DRUMROLL_WAITING": scenario.waiting} if scenario.waiting else {}
        server = stack.enter_context(prefect_server(folder, project, records, **settings))
        url = stack.enter_context(_sink(log))
        pool = "measured"
        server.command("work-pool", "create", pool, "--type", scenario.worker)
        server.command("--no-prompt", "deploy", "--name", "launch", "--pool", pool)
        command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool, "--type", scenario.worker]
        worker = stack.enter_context(process(command, server.environ, folder / "worker.log", project))
        result = _run(scenario, server, worker.pid, project, url, log)
        result["bare timers"] = _figures(asyncio.run(_bare(scenario.launches, url)))
    if scenario.target_ms is not None:
        result |= {"target_p99_ms": scenario.target_ms, "met": result["p99_ms"] <= scenario.target_ms}
    return result


@contextlib.contextmanager
def _sink(log: Path) -> Iterator[str]:
    from tests.webhook_sink import sink_process

    with sink_process(log, "--honour-keys") as url:
        yield url


def _run(scenario: Scenario, server: Prefect, worker: int, project: Path, url: str, log: Path) -> dict[str, Any]:
    opens = (datetime.now(UTC) + timedelta(seconds=scenario.first)).replace(microsecond=0)
    dues = [opens + timedelta(seconds=n * scenario.apart) for n in range(scenario.moments)]
    names = [f"l{n:03}" for n in range(scenario.launches)]
    for name in names:
        steps = "\n".join(STEP.format(n=n, after=n * scenario.apart) for n in range(scenario.moments))
        end = (scenario.moments - 1) * scenario.apart + 30
        text = LAUNCH.format(name=name, opens=f"{opens:%Y-%m-%d %H:%M:%S}", url=url, steps=steps, end=end)
        (project / "configs" / f"{name}.yaml").write_text(text)
    deployment = server.ask("deployments/name/launch/launch")["id"]
    for name in names:
        body = {"parameters": {"file": f"configs/{name}.yaml"}, "state": {"type": "SCHEDULED"}}
        server.ask(f"deployments/{deployment}/create_flow_run", body)

    def waiting() -> int:
        state = {"flow_runs": {"state": {"name": {"any_": ["Waiting"]}, "type": {"any_": ["SCHEDULED"]}}}}
        return int(server.ask("flow_runs/count", state))

    began = time.monotonic()
    left = scenario.first - _lead(scenario)
    wait(lambda: waiting() == len(names), left, "not every launch came to its first wait in time")
    set_up = time.monotonic() - began
    with contextlib.suppress(TimeoutError):  # the last of them has just said that it waits
        wait(lambda: len(family(worker)) == 1, 30, "processes are left")
    at_rest = len(family(worker)) - 1
    cpu, cpu_server = cpu_seconds(worker), cpu_seconds(server.pid)
    memory = _Memory(worker, dues)
    wanted = len(names) * len(dues)
    left = (dues[-1] - datetime.now(UTC)).total_seconds() + 120
    with contextlib.suppress(TimeoutError):
        wait(lambda: len(_lines(log)) >= wanted, left, "messages are missing")
    memory.join()
    state = {"flow_runs": {"state": {"name": {"any_": ["Completed"]}}, "parent_task_run_id": {"is_null_": True}}}
    with contextlib.suppress(TimeoutError):
        wait(lambda: int(server.ask("flow_runs/count", state)) >= len(names), 150, "launches have not ended")
    came = _lines(log)
    late = [(line["at"] - _due(line)) * 1000 for line in came]
    return _figures(late) | {
        "messages": len(late),
        "lost": wanted - len({line["id"] for line in came}),
        "doubled": len(came) - len({line["id"] for line in came}),
        "lead_s": _lead(scenario),
        "seconds until all waited": round(set_up, 1),
        "processes of launches while they wait": 0 if scenario.worker != "process" else at_rest,
        "cpu_s per wake": round((cpu_seconds(worker) - cpu) / wanted, 2),
        "cpu_s per wake, server": round((cpu_seconds(server.pid) - cpu_server) / wanted, 2),
        "memory_mb at the instant": round(max(memory.seen), 0),
        "memory_mb per waking launch": round(max(memory.seen) / len(names), 1),
    }


class _Memory(threading.Thread):
    """Looks at the worker's memory two seconds before each instant."""

    def __init__(self, worker: int, dues: Sequence[datetime]) -> None:
        super().__init__(daemon=True)
        self._worker, self._dues = worker, dues
        self.seen: list[float] = [0.0]
        self.start()

    def run(self) -> None:
        for due in self._dues:
            time.sleep(max(0.0, (due - datetime.now(UTC)).total_seconds() - 4))
            self.seen.append(megabytes(family(self._worker)))


def _lead(scenario: Scenario) -> int:
    from drumroll.operate.waking import APART, EACH, LEAD, READY

    standard = int(scenario.waiting) if scenario.waiting else LEAD.seconds
    return standard + READY.seconds + round((APART + EACH).total_seconds() * (scenario.launches - 1))


def _lines(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def _due(line: dict[str, Any]) -> float:
    return datetime.fromisoformat(line["payload"]["data"]["due"]).timestamp()


async def _bare(count: int, url: str) -> list[float]:
    """The same number of messages by as many asyncio timers and one aiohttp session, to the same receiver."""
    import aiohttp

    instant = time.time() + 3

    async def one(session: aiohttp.ClientSession, n: int) -> float:
        await asyncio.sleep(instant - time.time())
        async with session.post(url, json={"bare": n}, headers={"webhook-id": f"bare-{n}"}) as answer:
            await answer.read()
        return (time.time() - instant) * 1000

    async with aiohttp.ClientSession() as session:
        return list(await asyncio.gather(*(one(session, n) for n in range(count))))


def _figures(late: Sequence[float]) -> dict[str, Any]:
    ordered = sorted(late) or [float("nan")]
    at99 = ordered[min(len(ordered) - 1, round(0.99 * len(ordered)))]
    return {
        "p50_ms": round(statistics.median(ordered), 1),
        "p99_ms": round(at99, 1),
        "worst_ms": round(ordered[-1], 1),
    }
