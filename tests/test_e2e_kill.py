"""`drumroll run`, killed with SIGKILL and started again each time: nothing lost, nothing doubled.

Twelve times, or `DRUMROLL_KILLS` times.
"""

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from drumroll.ledger.ledger import open_ledger
from drumroll.ledger.model import idempotency_key
from tests.prefect_server import prefect_environment, prefect_server
from tests.webhook_sink import sink_process

KILLS = int(os.environ.get("DRUMROLL_KILLS", "12"))
STEPS = 60  # one announcement a second to each group; a launch that ends is followed by the next
HEAD_START = timedelta(seconds=12)

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("kills")]

LAUNCH = """\
drumroll: 1
name: {name}
title: Killed again and again
locale: en
timezone: UTC
opens: "{opens}"
quiet_hours: {{starts: "00:00", ends: "00:00"}}  # it runs whenever the test does
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


def test_kills_lose_nothing_and_double_nothing(project, tmp_path):
    dice = random.Random(20261121)
    ledger_url = f"sqlite:///{tmp_path / 'ledger.db'}"
    logs = {name: tmp_path / f"{name}.jsonl" for name in ("keyed", "keyless")}
    kills = launches = 0
    with (
        sink_process(logs["keyed"], "--honour-keys", "--then", "then-slow:0.2") as keyed,
        sink_process(logs["keyless"], "--then", "then-slow:0.2") as keyless,
        prefect_server(tmp_path) as environ,
    ):
        while kills < KILLS:
            launches += 1
            file = write_launch(project, f"killed-{launches}", keyed, keyless)
            command = [sys.executable, "-m", "drumroll.cli.main", "run", str(file), "--ledger", ledger_url]
            while kills < KILLS and killed_midway(command, environ, dice):
                kills += 1
        last = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=300, check=False)

    ledger = open_ledger(ledger_url)
    rows = [row for edition in ledger.editions() for row in ledger.deliveries(edition.id)]
    unknown = [row for row in rows if row.state == "unknown"]
    taken = {name: Counter(_ids(log)) for name, log in logs.items()}
    print(json.dumps({"kills": kills, "launches": launches, "planned": len(rows), "unknown": len(unknown)}))

    assert last.returncode in {0, 1}, last.stdout + last.stderr
    assert len(rows) == 3 * STEPS * launches
    assert {row.state for row in rows} <= {"sent", "unknown"}, Counter(row.state for row in rows)
    assert all(row.channel == "keyless" for row in unknown), "a channel that honours keys leaves nothing doubtful"
    assert len(unknown) <= kills, "one request was in flight on the keyless channel at a kill"
    for name, arrived in taken.items():
        assert max(arrived.values()) == 1, f"{name}: doubled"
        sent = {idempotency_key(row.key) for row in rows if row.channel == name and row.state == "sent"}
        doubtful = {idempotency_key(row.key) for row in unknown if row.channel == name}
        assert sent <= set(arrived), f"{name}: the ledger says sent, the sink never took it"
        assert set(arrived) <= sent | doubtful, f"{name}: the sink took what the ledger does not know"


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_orderly_stop_settles_what_is_on_the_wire(project, tmp_path, sign, code):
    ledger_url = f"sqlite:///{tmp_path / 'ledger.db'}"
    with sink_process(tmp_path / "sink.jsonl", "--then", "then-slow:0.5") as url:
        file = write_launch(project, "stopped", url, url)
        command = [sys.executable, "-m", "drumroll.cli.main", "run", str(file), "--ledger", ledger_url]
        environ = prefect_environment(tmp_path / "prefect")
        with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as run:
            assert _has_sent(run)
            run.send_signal(sign)
            told, _ = run.communicate(timeout=30)
    assert run.returncode == code, told
    assert "Traceback" not in told
    rows = open_ledger(ledger_url).deliveries("stopped@" + file.read_text().split('opens: "')[1][:10])
    assert {row.state for row in rows} <= {"sent", "due"}, Counter(row.state for row in rows)


def write_launch(project, name, keyed, keyless):
    opens = (datetime.now(ZoneInfo("UTC")) + HEAD_START).replace(microsecond=0)
    steps = "\n".join(f"      - {{id: s{i}, at: T+{i}s, topic: item {i}}}" for i in range(STEPS))
    file = project / "configs" / f"{name}.yaml"
    file.write_text(
        LAUNCH.format(
            name=name, opens=f"{opens:%Y-%m-%d %H:%M:%S}", keyed=keyed, keyless=keyless, length=STEPS + 1, steps=steps
        )
    )
    return file


def killed_midway(command, environ, dice):
    """Start the run, kill it at a random moment; False when the launch came to its end before that."""
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as run:
        if not _has_sent(run):
            return False
        try:
            run.wait(dice.uniform(0.1, 2.5))
        except subprocess.TimeoutExpired:
            run.send_signal(signal.SIGKILL)
            return True
        return False


def _has_sent(run):
    """Whether the run sends anything; False when it ends in good order without."""
    told = []
    for line in run.stdout:
        told.append(line)
        if "→" in line:
            return True
    assert run.wait() in {0, 1}, "".join(told)
    assert any(": done" in line for line in told), "".join(told)
    return False


def _ids(log):
    return [json.loads(line)["id"] for line in log.read_text().splitlines()]
