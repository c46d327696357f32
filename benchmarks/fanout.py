"""How fast one announcement reaches thousands of groups, beside a bare aiohttp loop and Apprise to the same receiver.

Everything that a send needs is in the figure: rendering, ledger (SQLite and PostgreSQL), receipts. Each sender is a
process of its own, the receiver another; see README, "Figures".
"""

import asyncio
import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.servers import ROOT, postgres, wait
from benchmarks.sink import sink

GROUPS, MANY, FEW = 5_000, 50_000, 500  # few: what Apprise is given, for it is slow
WIDTH = 128  # requests under way, for us and for the bare loop
RUNS = 3
TARGETS = {"of_bare": 0.5, "floor_of_bare": 0.4, "per_s": 3000, "of_apprise": 8.0, "peak_mb": 250, "many_of_few": 0.8}

_LAUNCH = """\
drumroll: 1
name: fanout
title: One announcement to very many groups
locale: en
timezone: UTC
opens: "{opens}"
quiet_hours: {{starts: "00:00", ends: "00:00"}}
product: {{name: P, promise: p, result: r, price: 10, currency: USD}}
team: {{name: Team, staff: [{{name: Host, role: host}}]}}
community:
  channels: {{out: {{kind: webhook, url: "{url}", idempotent: true, concurrency: {width}}}}}
  groups:
{groups}
phases:
  recruit:
    goal: to come
    starts: T
    ends: T+1h
    steps:
      - {{id: first, at: T, kind: heads_up, template: fanout/first}}
"""


def measure() -> dict[str, Any]:
    """Messages per second of each sender (median of `RUNS`), their ratios, peak megabytes, and where the time goes."""
    with sink() as url, tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        make = stack.enter_context(postgres())
        ledgers: dict[str, Callable[[str], str]] = {
            "sqlite": lambda name: f"sqlite:///{folder}/{name}.db",
            "postgresql": lambda name: f"postgresql://drumroll@/{make(name)}",
        }
        figures: dict[str, list[dict[str, float]]] = {}
        for run in range(RUNS):  # taking turns, so that a slow minute of the machine is everybody's
            figures.setdefault("bare", []).append(_process(url, "bare", GROUPS))
            for kind, place in ledgers.items():
                for groups in (GROUPS, MANY) if run == 0 else (GROUPS,):
                    name = f"{kind} {groups}"
                    ours = _process(url, "drumroll", groups, place(f"r{run}_{groups}"))
                    figures.setdefault(name, []).append(ours)
        figures["apprise"] = [_process(url, "apprise", FEW)]
        doubtful = {kind: _doubtful_after_a_kill(url, place("killed")) for kind, place in ledgers.items()}
    return _told(figures) | {"rows in doubt after a kill in mid-flight": doubtful, "and at most": WIDTH}


def _told(figures: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    rate = {name: statistics.median(each["per_s"] for each in runs) for name, runs in figures.items()}
    result: dict[str, Any] = {
        "groups": GROUPS,
        "width": WIDTH,
        "bare aiohttp, per_s": round(rate["bare"]),
        "apprise, per_s": round(rate["apprise"]),
        "targets": TARGETS,
    }
    for kind in ("sqlite", "postgresql"):
        runs, few, many = figures[f"{kind} {GROUPS}"], rate[f"{kind} {GROUPS}"], rate[f"{kind} {MANY}"]
        peak = max(each["peak_mb"] for each in runs)
        result[kind] = {
            "per_s": round(few),
            "of_bare": round(few / rate["bare"], 2),
            "of_apprise": round(few / rate["apprise"], 1),
            f"per_s at {MANY}": round(many),
            "many_of_few": round(many / few, 2),
            "peak_mb": round(peak),
            f"peak_mb at {MANY}": round(figures[f"{kind} {MANY}"][0]["peak_mb"]),
            "seconds in the ledger, of all": round(
                statistics.median(each["ledger_s"] / each["seconds"] for each in runs), 2
            ),
            "met": few >= TARGETS["of_bare"] * rate["bare"]
            and few >= TARGETS["per_s"]
            and few >= TARGETS["of_apprise"] * rate["apprise"]
            and peak < TARGETS["peak_mb"]
            and many >= TARGETS["many_of_few"] * few,
        }
    return result


def _process(url: str, who: str, groups: int, ledger: str = "") -> dict[str, float]:
    print(f"  {who}, {groups} groups{', ' + ledger.partition(':')[0] if ledger else ''} …", file=sys.stderr)
    command = [sys.executable, "-m", "benchmarks.fanout", who, url, str(groups), ledger]
    with urllib.request.urlopen(url) as answer:
        answer.read()
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(ran.stderr)
    with urllib.request.urlopen(url) as answer:
        came = json.load(answer)
    if came["count"] != groups or (who == "drumroll" and came["keys"] != groups):
        raise RuntimeError(f"{who}: {came} of {groups} arrived")
    found: dict[str, float] = json.loads(ran.stdout)
    return found


def _doubtful_after_a_kill(url: str, ledger: str) -> int:
    """SIGKILL in the middle of a fan-out: how many rows nobody can tell the end of."""
    from drumroll.ledger.ledger import open_ledger

    print(f"  a kill, {ledger.partition(':')[0]} …", file=sys.stderr)
    command = [sys.executable, "-m", "benchmarks.fanout", "drumroll", url, str(GROUPS), ledger]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        wait(lambda: _count(url) > 0, 60, "nothing arrives")
        time.sleep(0.3)
        process.kill()
    store = open_ledger(ledger)
    counts = store.counts(store.editions()[0].id)
    store.close()
    _count(url)
    if not counts.get("due") or not counts.get("sent"):
        raise RuntimeError(f"killed too early or too late: {counts}")
    return counts.get("sending", 0)


def _count(url: str) -> int:
    with urllib.request.urlopen(url) as answer:
        return int(json.load(answer)["count"])


def _main(who: str, url: str, groups: int, ledger: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        figures = {"bare": _bare, "apprise": _apprise, "drumroll": _drumroll}[who](url, groups, ledger, Path(folder))
    figures["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    figures["per_s"] = groups / figures["seconds"]
    print(json.dumps(figures))


def _bodies(groups: int) -> Iterator[tuple[str, bytes]]:
    """The same bodies as ours: a key, and the JSON of a message of the same size."""
    text = "Tonight at eight: what nobody told you about it. " * 6
    for n in range(groups):
        data = {"key": f"drm_{n:032x}", "edition": "fanout@2027-01-01", "step": "first", "occurrence": 1, "number": 1}
        data |= {"due": "2027-01-01T12:00:00Z", "sent_at": "2027-01-01T12:00:00Z", "group": f"g{n}", "member": None}
        data |= {"text": text, "address": None}
        body = {"type": "drumroll.announcement", "timestamp": "2027-01-01T12:00:00Z", "data": data}
        yield str(data["key"]), json.dumps(body).encode()


def _bare(url: str, groups: int, _ledger: str, _folder: Path) -> dict[str, float]:
    """`WIDTH` workers, one session, no ledger, no rendering: what the wire and aiohttp give."""
    import aiohttp

    async def run() -> float:
        bodies = iter(list(_bodies(groups)))

        async def worker(session: aiohttp.ClientSession) -> None:
            for key, body in bodies:
                headers = {"Content-Type": "application/json", "webhook-id": key}
                async with session.post(url, data=body, headers=headers) as answer:
                    await answer.read()

        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=WIDTH)) as session:
            began = time.perf_counter()
            await asyncio.gather(*(worker(session) for _ in range(WIDTH)))
            return time.perf_counter() - began

    return {"seconds": asyncio.run(run())}


def _apprise(url: str, groups: int, _ledger: str, _folder: Path) -> dict[str, float]:
    """Apprise's own asynchronous notify over as many targets."""
    import apprise

    sender = apprise.Apprise()
    for _ in range(groups):
        sender.add(url.replace("http://", "json://"))
    text = "Tonight at eight: what nobody told you about it. " * 6
    began = time.perf_counter()
    asyncio.run(sender.async_notify(body=text))
    return {"seconds": time.perf_counter() - began}


def _drumroll(url: str, groups: int, ledger: str, folder: Path) -> dict[str, float]:
    """One step through the program's own path, from its words to the last receipt in the ledger."""
    import drumroll.channels.http_post  # noqa: F401 - a process is up, and its channels open, before its instant
    from drumroll.check import check_file
    from drumroll.clock import current_clock
    from drumroll.ledger.ledger import open_ledger
    from drumroll.operate.beats import Beat
    from drumroll.operate.edition import Where, begin
    from drumroll.operate.sending import send_step
    from drumroll.operate.wording import make_ready

    (folder / "configs").mkdir()
    (folder / "templates" / "en" / "fanout").mkdir(parents=True)
    words = "Tonight at eight: what nobody told you about it. " * 6
    (folder / "templates" / "en" / "fanout" / "first.md.j2").write_text(words)
    names = "\n".join(f"    - {{id: g{n}, name: Group {n}, channel: out}}" for n in range(groups))
    opens = datetime.now(UTC) - timedelta(seconds=30)
    text = _LAUNCH.format(opens=f"{opens:%Y-%m-%d %H:%M:%S}", url=url, width=WIDTH, groups=names)
    file = folder / "configs" / "fanout.yaml"
    file.write_text(text)
    checked = check_file(file)
    if checked.plan is None:
        raise RuntimeError("\n".join(map(str, checked.errors)))
    store = open_ledger(ledger)
    begin(checked.plan, ledger=store, rehearsal=False, now=opens)
    where = Where(checked.plan.edition, ledger, str(folder))
    spent = _time_in(type(store), "settle", "claim")
    beat = Beat("announce", checked.plan.steps[0].due, "first")

    async def run() -> float:
        began = time.perf_counter()
        ready = make_ready(where, beat, now=datetime.now(UTC))
        sent = await send_step(where, ready, current_clock())
        seconds = time.perf_counter() - began
        if dict(sent.states) != {"sent": groups}:
            raise RuntimeError(sent.summary())
        return seconds

    return {"seconds": asyncio.run(run()), "ledger_s": spent[0]}


def _time_in(owner: Any, *names: str) -> list[float]:
    """Seconds spent in these methods from now on, in the one item of the list."""
    spent = [0.0]

    def wrap(original: Any) -> Any:
        def timed(*args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            try:
                return original(*args, **kwargs)
            finally:
                spent[0] += time.perf_counter() - began

        return timed

    for name in names:
        setattr(owner, name, wrap(getattr(owner, name)))
    return spent


if __name__ == "__main__":
    os.environ.setdefault("NO_COLOR", "1")
    _main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
