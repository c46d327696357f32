"""`drumroll run`, killed with SIGKILL fifty times and started again each time: nothing lost, nothing doubled."""

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from drumroll.ledger.ledger import open_ledger
from drumroll.ledger.model import idempotency_key
from tests.prefect_server import prefect_server
from tests.webhook_sink import sink_process

KILLS = 50
STEPS, EVERY = 420, 1.0  # one announcement a second, longer than fifty kills and restarts take
HEAD_START = timedelta(seconds=15)

LAUNCH = """\
drumroll: 1
name: killed
title: Killed fifty times
locale: en
timezone: UTC
opens: "{opens}"
product: {{name: P, promise: p, result: r, price: 10, currency: USD}}
team: {{name: Team, staff: [{{name: Host, role: host, ids: [host]}}]}}
community:
  channels:
    keyed: {{kind: webhook, url: "{keyed}", idempotent: true, timeout: 2s}}
    keyless: {{kind: webhook, url: "{keyless}", timeout: 2s}}
  groups:
    - {{id: keyed-1, name: Keyed one, channel: keyed}}
    - {{id: keyed-2, name: Keyed two, channel: keyed}}
    - {{id: keyless-1, name: Keyless one, channel: keyless}}
phases:
  recruit:
    goal: to survive
    starts: T
    ends: T+{length}s
    steps:
{steps}
"""


@pytest.fixture
def project(tmp_path):
    """A project directory of our own, with the templates of this one."""
    root = Path(__file__).parents[1]
    for name in ("templates", "flows", "tasks"):
        (tmp_path / name).symlink_to(root / name)
    (tmp_path / "configs").mkdir()
    return tmp_path


@pytest.mark.e2e
def test_fifty_kills_lose_nothing_and_double_nothing(project, tmp_path):
    seed = 20261121
    dice = random.Random(seed)
    ledger_url = f"sqlite:///{tmp_path / 'ledger.db'}"
    logs = {name: tmp_path / f"{name}.jsonl" for name in ("keyed", "keyless")}
    with (
        sink_process(logs["keyed"], "--honour-keys", "--then", "then-slow:0.2") as keyed,
        sink_process(logs["keyless"], "--then", "then-slow:0.2") as keyless,
        prefect_server(tmp_path) as environ,
    ):
        file = project / "configs" / "killed.yaml"
        opens = (datetime.now(ZoneInfo("UTC")) + HEAD_START).replace(microsecond=0)
        file.write_text(
            LAUNCH.format(
                opens=f"{opens:%Y-%m-%d %H:%M:%S}",
                keyed=keyed,
                keyless=keyless,
                length=int(STEPS * EVERY) + 1,
                steps="\n".join(
                    f"      - {{id: s{i}, at: T+{int(i * EVERY)}s, topic: item {i}}}" for i in range(STEPS)
                ),
            )
        )
        command = [sys.executable, "-m", "drumroll.cli.main", "run", str(file), "--ledger", ledger_url]
        killed = 0
        while killed < KILLS:
            with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as run:
                _wait_for_first_line(run)
                time.sleep(dice.uniform(0.2, 3.0))
                assert run.poll() is None, f"the launch ended after {killed} kills only"
                run.send_signal(signal.SIGKILL)
            killed += 1
        last = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=900, check=False)

    ledger = open_ledger(ledger_url)
    edition = ledger.edition("killed").id
    rows = ledger.deliveries(edition)
    states = Counter((row.channel, row.state) for row in rows)
    unknown = [row for row in rows if row.state == "unknown"]
    taken = {name: Counter(_ids(log)) for name, log in logs.items()}
    print(json.dumps({"kills": killed, "planned": len(rows), "unknown": len(unknown), "states": {f"{c} {s}": n for (c, s), n in states.items()}}))

    assert last.returncode == (1 if unknown else 0), last.stdout + last.stderr
    assert len(rows) == 3 * STEPS
    assert {row.state for row in rows} <= {"sent", "unknown"}
    assert all(row.channel == "keyless" for row in unknown), "a channel that honours keys leaves nothing doubtful"
    assert len(unknown) <= killed, "one request was in flight on the keyless channel at a kill"
    for name, arrived in taken.items():
        assert max(arrived.values()) == 1, f"{name}: doubled"
        sent = {idempotency_key(row.key) for row in rows if row.channel == name and row.state == "sent"}
        doubtful = {idempotency_key(row.key) for row in unknown if row.channel == name}
        assert sent <= set(arrived), f"{name}: the ledger says sent, the sink never took it"
        assert set(arrived) <= sent | doubtful, f"{name}: the sink took what the ledger does not know"


def _wait_for_first_line(run):
    """The story has begun: the command prints its title at once, and lines as it sends."""
    assert run.stdout is not None
    told = []
    for line in run.stdout:
        told.append(line)
        if "→" in line:
            return
    raise AssertionError("the run ended without sending anything:\n" + "".join(told))


def _ids(log):
    return [json.loads(line)["id"] for line in log.read_text().splitlines()]
