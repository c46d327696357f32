"""The storm through Prefect: launches behind a real server and worker, which die in their waits, sends and changes of state.

Each launch must end as one flow run, Completed, whose retries nobody used up.
"""

import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from drumroll.errors import LedgerBusyError
from drumroll.ledger.ledger import open_ledger
from tests.chaos.databases import Database
from tests.chaos.deployed import ARMED, AT_WORK, BEFORE_SIGNED
from tests.chaos.launches import TEXT, WIDTH
from tests.chaos.machine import ROOT, Machine, PrefectServer, deploy, watchman
from tests.chaos.notes import noted
from tests.chaos.processes import Forked, fork

LEAD = 8  # seconds; longer waits than twice that are spent without a process
HEAD_START = timedelta(seconds=20)
EVERY = 3  # seconds between two announcements
BLOCK, PAUSE = 5, 20  # announcements in a row in each phase; seconds without a process between them
_PHASES = ("recruit", "build_up", "nurture")
AT_ONCE, KILLS_EACH = 5, 5  # launches under way; what each of them is good for
_PATIENCE = 420.0  # seconds for the last launches to end
_OFTEN = (2.0, 6.0)  # seconds between two strikes
_SELDOM = ("reclaimed", "recovering", "between", "released", "verdict")  # may wait for long
_STANDSTILL = 40.0  # seconds: every launch may be waiting without a process

_WEIGHTS = {"engine": 5.0, "machine": 2.0, "server": 0.7, "crash": 1.0}
_ARMED, _ARMS_EVERY = 2, 4.0  # points that wait for an engine at a time, seconds before there is another

FILE = """\
drumroll: 1
name: {name}
title: Through Prefect
locale: en
timezone: UTC
opens: "{opens:%Y-%m-%d %H:%M:%S}"
quiet_hours: {{starts: "00:00", ends: "00:00"}}  # it runs whenever the harness does
product: {{name: P, promise: p, result: r}}
team: {{name: Team, staff: [{{name: Host, role: host, ids: [host]}}]}}
community:
  channels:
{channels}
  groups:
{groups}
phases:
{phases}
"""


@dataclass
class Deployed:
    """One launch on its way. `run` is its flow run."""

    edition: str
    file: str
    run: str
    finished: bool = False


@dataclass
class Toll:
    """What was done: `kills` are machines and single engines that died, by themselves or by our hand."""

    kills: int = 0
    faults: Counter[str] = field(default_factory=Counter)


class PrefectStorm:
    """Launches through Prefect until `kills` are used up, then peace until all have ended."""

    def __init__(
        self, folder: Path, store: Database, urls: Mapping[str, str], *, worker: str, kills: int, dice: random.Random
    ) -> None:
        self._folder, self._store, self._urls = folder, store, urls
        self._worker, self._wanted, self._dice = worker, kills, dice
        self._project = folder / "project"
        self._server = PrefectServer(_made(folder / "prefect"))
        environ = self._server.environ | {
            "PYTHONPATH": str(ROOT),
            "DRUMROLL_CHAOS": str(folder),
            "DRUMROLL_LEDGER": store.url,
            "DRUMROLL_WAITING": str(LEAD),
            "PREFECT_WORKER_QUERY_SECONDS": "1",
        }
        self._environ = environ
        self._machine = Machine(worker, environ, self._project, folder / "worker.log")
        self._crashes: list[Forked] = []
        self._by_hand, self._struck_at = 0, 0.0
        self.engines_stopped = 0  # that could leave rows doubtful, all launches together
        self.launches: list[Deployed] = []
        self.toll = Toll()

    def run(self) -> list[str]:
        """What is wrong with the flow runs afterwards, one sentence each."""
        with ExitStack() as stack:
            stack.callback(self._server.kill)
            self._server.start()
            deploy(self._server, self._project, self._worker, "tests.chaos.deployed.launch")
            for phase in _PHASES:
                (self._project / f"templates/en/{phase}/announcement.md.j2").write_text(TEXT, encoding="utf-8")
            stack.callback(self._machine.kill)
            self._machine.start()
            stack.enter_context(watchman(self._store.url, self._project, self._environ, self._folder / "watch.log"))
            self._rage()
            for armed in self._folder.glob("*.armed"):
                armed.unlink()
            until = time.monotonic() + _PATIENCE
            while self._under_way() and time.monotonic() < until:
                self._machine.start()
                time.sleep(1)
            died = sum(each["what"] == "kill" for each in noted(self._notes))
            self.engines_stopped += died * (len(self.launches) if self._worker == "resident" else 1)
            return self._judge()

    def _rage(self) -> None:
        next_strike = next_arming = time.time()
        at_once = min(AT_ONCE, -(-self._wanted // KILLS_EACH))
        while self.toll.kills < self._wanted:
            self._machine.start()
            for _ in range(at_once - len(self._under_way())):
                self._launch()
            said = noted(self._notes)
            at_work = [each for each in said if each["what"] == AT_WORK]
            if time.time() >= next_arming:
                self._arm()
                next_arming = time.time() + _ARMS_EVERY
            if time.time() >= next_strike and self._may_strike(at_work):
                self._struck_at = time.time()
                self._strike([each["pid"] for each in at_work])
                next_strike = time.time() + self._dice.uniform(*_OFTEN)
            died = [each["at"] for each in said if each["what"] == "kill"]
            self._struck_at = max([self._struck_at, *died])
            self.toll.kills = self._by_hand + len(died)
            time.sleep(0.5)

    def _arm(self) -> None:
        """Points that no engine passes stay armed; a dead machine is one kill, so that few of them are enough."""
        armed = {path.stem for path in self._folder.glob("*.armed")}
        able = [point for point in ARMED if self._worker == "resident" or point not in BEFORE_SIGNED]
        left = [point for point in able if point not in armed]
        if len(armed - set(_SELDOM)) < (1 if self._worker == "resident" else _ARMED):
            (self._folder / f"{self._dice.choice(left)}.armed").touch()

    def _may_strike(self, at_work: list[dict[str, Any]]) -> bool:
        """Only launches that have begun are promised anything, and only engines that have begun again lose anything."""
        try:
            begun = {row.id for row in open_ledger(self._store.url).editions()}
        except LedgerBusyError:  # struck already
            return False
        if any(launch.edition not in begun for launch in self.launches):
            return False
        return bool(at_work) and (at_work[-1]["at"] > self._struck_at or time.time() > self._struck_at + _STANDSTILL)

    @property
    def _notes(self) -> Path:
        return self._folder / "notes.jsonl"

    def _launch(self) -> None:
        number, dice = len(self.launches), self._dice
        name, opens = f"through-{number}", (datetime.now(UTC) + HEAD_START).replace(microsecond=0)
        opens += timedelta(seconds=dice.randint(0, 6))
        file = self._project / "configs" / f"{name}.yaml"
        phases = _PHASES if self._wanted > KILLS_EACH else _PHASES[:2]
        file.write_text(_text(name, opens, self._urls, phases), encoding="utf-8")
        [deployment] = self._server.ask("deployments/filter", {"deployments": {"name": {"any_": ["launch"]}}})
        run = self._server.ask(
            f"deployments/{deployment['id']}/create_flow_run", {"parameters": {"file": f"configs/{name}.yaml"}}
        )
        self.launches.append(Deployed(f"{name}@{opens:%Y-%m-%d}", f"configs/{name}.yaml", run["id"]))

    def _under_way(self) -> list[Deployed]:
        states = {run["id"]: run["state"]["type"] for run in self._server.runs()}
        for launch in self.launches:
            launch.finished = states.get(launch.run) in {"COMPLETED", "FAILED", "CANCELLED"}
        return [launch for launch in self.launches if not launch.finished]

    def _strike(self, at_work: list[int]) -> None:
        able = [fault for fault in _WEIGHTS if fault != "crash" or self._store.can_crash]
        if self._worker == "resident":
            able.remove("engine")  # it is the machine
        [fault] = self._dice.choices(able, [_WEIGHTS[fault] for fault in able])
        if fault == "engine":
            if not (engines := [pid for pid in self._machine.engines() if pid in at_work]):
                return
            _kill(self._dice.choice(engines))
            self._by_hand += 1
            self.engines_stopped += 1
        elif fault == "machine":
            self._machine.kill()
            self._by_hand += 1
            self.engines_stopped += len(self._under_way())
        elif fault == "server":
            self._server.kill()
            time.sleep(self._dice.uniform(0.5, 3))
            self._server.start()
        else:
            self._crashes.append(fork(self._store.crash))
            self.engines_stopped += len(self._under_way())  # a row's lease may lapse meanwhile
        self.toll.faults[fault] += 1
        print(f"{fault}; {self.toll.kills} kills so far", file=sys.stderr)

    def _judge(self) -> list[str]:
        wrong = []
        runs = self._server.runs()
        by_file = Counter(run["parameters"]["file"] for run in runs)
        for launch in self.launches:
            [run] = [run for run in runs if run["id"] == launch.run]
            launch.finished = run["state"]["name"] == "Completed"
            # Prefect counts a run that its worker reported as crashed once more; a dead machine's it does not.
            crashed = self._server.states(launch.run).count("Crashed")
            if not launch.finished:
                wrong.append(f"{launch.edition} is {run['state']['name']}: {run['state']['message']}")
            elif not 1 <= run["run_count"] <= 1 + crashed:
                wrong.append(f"{launch.edition} was run {run['run_count']} times, and crashed {crashed} times")
            if by_file[launch.file] != 1:
                wrong.append(f"{launch.edition} has {by_file[launch.file]} flow runs")
        return wrong


def _text(name: str, opens: datetime, urls: Mapping[str, str], phases: Sequence[str]) -> str:
    channels = "\n".join(
        f'    {sink}: {{kind: webhook, url: "{url}", idempotent: {str(sink == "keyed").lower()}, '
        f"timeout: 2s, concurrency: {WIDTH}}}"
        for sink, url in urls.items()
    )
    groups = "\n".join(f"    - {{id: {sink}-{i}, name: {sink}, channel: {sink}}}" for sink in urls for i in (1, 2))
    length, written = BLOCK * EVERY + PAUSE, []
    for number, phase in enumerate(phases):
        starts = number * length
        steps = "\n".join(
            f"      - {{id: {phase[0]}{i}, at: T+{starts + i * EVERY}s, topic: item {number}.{i}}}"
            for i in range(BLOCK)
        )
        written.append(
            f"  {phase}:\n    goal: to survive\n    starts: T+{starts}s\n    ends: T+{starts + length}s\n    steps:\n{steps}"
        )
    return FILE.format(name=name, opens=opens, channels=channels, groups=groups, phases="\n".join(written))


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
