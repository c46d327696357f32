"""Whether a platform's rate is kept and used up: two launches in two processes, one credential, 20 messages a minute.

The receiver counts arrivals in every sliding 60 s and refuses what is more, as WeCom's robots do.
"""

import asyncio
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.servers import ROOT

GROUPS, LIMIT, WINDOW = 45, 20, 60.0  # groups of each launch
LONGEST = 420  # seconds

_LAUNCH = """\
drumroll: 1
name: {name}
title: Many groups behind one bot
locale: en
timezone: UTC
opens: "{opens}"
quiet_hours: {{starts: "00:00", ends: "00:00"}}
product: {{name: P, promise: p, result: r, price: 10, currency: USD}}
team: {{name: Team, staff: [{{name: Host, role: host}}]}}
community:
  channels: {{bot: {{kind: webhook, url: "{url}", per_minute: {limit}}}}}
  groups:
{groups}
phases:
  recruit:
    goal: to come
    starts: T
    ends: T+20m
    steps: [{{id: first, at: T, kind: heads_up, template: first}}]
"""


def measure() -> dict[str, Any]:
    """The most arrivals in any sliding window, and the rate from the first to the last, as a share of the limit."""
    times, ended = asyncio.run(_arrivals())
    most = max(sum(first <= at < first + WINDOW for at in times) for first in times)
    span = times[-1] - times[0]
    # Twenty at once, and twenty more each time that a window has passed: nobody can be faster.
    took = (len(times) - 1) // LIMIT * WINDOW
    return {
        "messages": len(times),
        "wanted": 2 * GROUPS,
        "launches ended": ended,
        "limit in any 60 s": LIMIT,
        "most in any 60 s": most,
        "seconds from first to last": round(span, 1),
        "seconds that the limit asks for": took,
        "below the limit": round(1 - took / span, 3) if span else 0.0,
        "target": "never above the limit, never more than 5 % below it",
        "met": most <= LIMIT and len(times) == 2 * GROUPS and 1 - took / span <= 0.05,
    }


async def _arrivals() -> tuple[list[float], int]:
    from aiohttp import web

    times: list[float] = []

    async def take(request: web.Request) -> web.Response:
        await request.read()
        now = time.time()
        if sum(now - WINDOW < at <= now for at in times) >= LIMIT:
            return web.json_response({"errcode": 45009, "errmsg": "api freq out of limit"})
        times.append(now)
        return web.json_response({"errcode": 0, "errmsg": "ok"})

    app = web.Application()
    app.router.add_post("/in", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/in"
    with tempfile.TemporaryDirectory() as folder:
        ledger = f"sqlite:///{folder}/ledger.db"
        launches = [_begin(Path(folder), name, url, ledger) for name in ("one", "two")]
        deadline = time.monotonic() + LONGEST
        while any(each.poll() is None for each in launches) and time.monotonic() < deadline:  # noqa: ASYNC110 - processes
            await asyncio.sleep(0.2)
        ended = sum(each.poll() is not None for each in launches)
        for each in launches:
            each.terminate()
            each.wait(30)
    await runner.cleanup()
    return sorted(times), ended


def _begin(folder: Path, name: str, url: str, ledger: str) -> "subprocess.Popen[bytes]":
    """A process that sends a launch with a project of its own, on the ledger of both."""
    project = folder / name
    (project / "configs").mkdir(parents=True)
    (project / "templates" / "en").mkdir(parents=True)
    (project / "templates" / "en" / "first.md.j2").write_text("Tonight at eight.")
    groups = "\n".join(f"    - {{id: g{n}, name: Group {n}, channel: bot}}" for n in range(GROUPS))
    opens = datetime.now(UTC)
    file = project / "configs" / f"{name}.yaml"
    file.write_text(_LAUNCH.format(name=name, opens=f"{opens:%Y-%m-%d %H:%M:%S}", url=url, limit=LIMIT, groups=groups))
    command = [sys.executable, "-m", "benchmarks.rates", str(file), ledger]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)


async def _run(file: Path, ledger: str) -> None:
    """The launch's loop without Prefect: what is due, at its time, until nothing is left."""
    from drumroll.check import check_file
    from drumroll.clock import current_clock
    from drumroll.ledger.ledger import open_ledger
    from drumroll.operate.beats import next_beat
    from drumroll.operate.edition import Where, begin
    from drumroll.operate.sending import send_step
    from drumroll.operate.wording import make_ready

    plan = check_file(file).accepted()
    begin(plan, ledger=open_ledger(ledger), rehearsal=False, now=datetime.now(UTC))
    where, clock = Where(plan.edition, ledger, str(file.parent.parent)), current_clock()
    while where.open().counts(plan.edition) != {"sent": GROUPS}:
        beat = next_beat(where, "recruit", now=clock.now())
        await clock.sleep_until(beat.at)
        await send_step(where, make_ready(where, beat, now=clock.now()), clock)


if __name__ == "__main__":
    asyncio.run(_run(Path(sys.argv[1]), sys.argv[2]))
