"""The launch through a real server, worker and watch, and all that happens to them on the way."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import Popen
from typing import Any

from drumroll.check import check_file
from drumroll.ledger.ledger import default_url
from drumroll.plan.model import Plan
from tests.chaos.machine import ROOT, Machine, PrefectServer, deploy, kill_tree, wait
from tests.fortnight.by_hand import operator
from tests.fortnight.community import export, rehearse
from tests.fortnight.compress import compress
from tests.fortnight.pages import Desk
from tests.webhook_sink import sink_process

FILE, EVENTS = "configs/learning-phone.yaml", "community.jsonl"
LEAD = 10  # seconds; waits of more than twice that are spent without a process
WATCH_EVERY = 5.0
HEAD_START = timedelta(seconds=30)
SLOW_AT, KILLED_BEFORE, RESTARTED_AFTER = "game", "all-terms", "scanning"
_PATIENCE = timedelta(minutes=4)  # past the end, for a machine that is busy with other things
_OVER = {"COMPLETED", "FAILED", "CANCELLED"}  # the watch hands back what has crashed


class ServerWithPages(PrefectServer):
    """A Prefect server as people have it: with its UI."""

    def start(self) -> None:
        """Return when it answers."""
        command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(self._port)]
        environ = self.environ | {"PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false"}
        with (self._home / "server.log").open("ab") as log:
            self._process = Popen(command, env=environ, stdout=log, stderr=log)
        wait(self._is_up, 120, "the Prefect server answers; see server.log")


@dataclass(frozen=True)
class Stroke:
    """What was done to it and when; `late`: whether what falls due then may be late."""

    what: str
    at: datetime
    late: bool


@dataclass
class Errand:
    """Something to do once, as soon as it `fits`."""

    what: str
    fits: Callable[[dict[str, Any], datetime], bool]
    do: Callable[[], Awaitable[None]]


@dataclass
class Fortnight:
    """One such launch, in `folder`. `strokes` are what was done to it, `left` the errands for which no time came."""

    folder: Path
    minutes: float
    worker: str
    strokes: list[Stroke] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    def begin(self, stack: ExitStack, rehearsal: Path, seed: int) -> None:
        """Everything up, the launch file written, its flow run made; all of it ends with `stack`."""
        self.project, self.log = self.folder / "project", self.folder / "sink.jsonl"
        self.ledger = default_url(self.project)
        tell("a rehearsal gives the community")
        acted = rehearse(ROOT / FILE, rehearsal, seed)
        (self.folder / "prefect").mkdir()
        self.server = ServerWithPages(self.folder / "prefect")
        stack.callback(self.server.kill)
        self.server.start()
        deploy(self.server, self.project, self.worker, "flows.launch.launch")
        environ = self.server.environ | {"PYTHONPATH": str(ROOT), "DRUMROLL_WAITING": str(LEAD)}
        environ |= {"PREFECT_WORKER_QUERY_SECONDS": "1"}
        self.machine = Machine(self.worker, environ, self.project, self.folder / "worker.log")
        stack.callback(self.machine.kill)
        self.machine.start()
        self.plan = self._write(stack, acted)
        with (self.folder / "watch.log").open("ab") as out:
            command = [sys.executable, "-m", "tests.fortnight.watch", self.ledger, str(self.project), str(WATCH_EVERY)]
            watch = Popen(command, env=environ, cwd=ROOT, stdout=out, stderr=out)
        stack.callback(kill_tree, watch)
        stack.enter_context(operator(self.ledger))
        [deployment] = self.server.ask("deployments/filter", {"deployments": {"name": {"any_": ["launch"]}}})
        asked = {"parameters": {"file": FILE}}
        self.run = self.server.ask(f"deployments/{deployment['id']}/create_flow_run", asked)["id"]

    def _write(self, stack: ExitStack, acted: Path) -> Plan:
        """The launch file and its community's export; the sink, which is slow to answer once."""
        file = self.project / FILE
        long = check_file(ROOT / FILE).accepted()
        before = [step for step in long.steps if step.due < long.step(SLOW_AT).due]
        rooms = {group.id for group in long.launch.community.groups if group.channel == "rooms"}
        self.slow = sum(len(rooms & set(step.groups)) for step in before)
        script = ["--script", *["accept"] * self.slow, "then-slow:10"]
        url = stack.enter_context(sink_process(self.log, "--honour-keys", *script))
        starts = (datetime.now(UTC) + HEAD_START).replace(microsecond=0)
        text, line = compress(ROOT / FILE, starts=starts, minutes=self.minutes, url=url, events=EVENTS)
        file.write_text(text, encoding="utf-8")
        (self.project / EVENTS).write_text("".join(export(acted, line)), encoding="utf-8")
        return check_file(file).accepted()

    async def see_through(self, desk: Desk) -> dict[str, Any]:
        """Until the flow run is over: every errand in its time. The flow run as it is then."""
        await desk.sit_down()
        errands = self._errands(desk)
        ends, said = self.plan.phases[-1].gate_at + _PATIENCE, ""
        while (now := datetime.now(UTC)) < ends:
            run: dict[str, Any] = self.server.ask(f"flow_runs/{self.run}")
            if (line := f"{run['state']['name']}  {run['state']['message'] or ''}") != said:
                tell(line)
                said = line
            if run["state"]["type"] in _OVER:
                break
            for errand in [each for each in errands if each.fits(run, now)]:
                errands.remove(errand)
                tell(errand.what, "* ")
                await errand.do()
            self.machine.start()
            await asyncio.sleep(0.2)
        self.left = [errand.what for errand in errands]
        return run

    def _errands(self, desk: Desk) -> list[Errand]:
        due = {step.id: step.due for step in self.plan.steps}

        def waits(run: dict[str, Any], now: datetime, phase: str, seconds: int) -> bool:
            planned = self.plan.phase(phase)
            wake = run["state"]["name"] == "Waiting" and run["state"]["state_details"]["scheduled_time"]
            left = wake and datetime.fromisoformat(wake) - now > timedelta(seconds=seconds)
            return bool(left and planned.starts < now < planned.gate_at)

        look = Errand(
            "a look at it while it waits", lambda run, now: waits(run, now, "aftercare", 25), desk.look_at_wait
        )
        return [
            *([look] if desk.pictures is not None else []),
            Errand(
                "the worker is killed while the launch waits",
                lambda run, now: waits(run, now, "recruit", 5),
                lambda: self._kill("while it waits", late=False),
            ),
            Errand(
                "the worker is killed with a message on the wire",
                lambda _run, _now: self.log.read_bytes().count(b"\n") > self.slow,
                lambda: self._kill("around a send"),
            ),
            Errand(
                "the held gate's form is answered",
                lambda run, _now: run["state"]["state_details"]["run_input_keyset"] is not None,
                desk.answer,
            ),
            Errand(
                "the server is killed and started again",
                lambda _run, now: now > due[RESTARTED_AFTER] + timedelta(seconds=3),
                self._restart,
            ),
            Errand(
                "the worker is killed in a wait of its own",
                lambda run, now: (
                    run["state"]["name"] == "Running"
                    and timedelta(seconds=5) < due[KILLED_BEFORE] - now < timedelta(seconds=9)
                ),
                lambda: self._kill("in a wait inside the process"),
            ),
        ]

    async def _kill(self, when: str, *, late: bool = True) -> None:
        self.machine.kill()
        self.strokes.append(Stroke(f"worker killed {when}", datetime.now(UTC), late))
        self.machine.start()

    async def _restart(self) -> None:
        self.server.kill()
        self.strokes.append(Stroke("server restarted", datetime.now(UTC), late=False))
        self.server.start()


def tell(line: str, mark: str = "  ") -> None:
    """A line of the story, on standard error."""
    print(f"{datetime.now(UTC):%H:%M:%S} {mark}{line}", file=sys.stderr, flush=True)
