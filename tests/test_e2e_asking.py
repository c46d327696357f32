"""A person's decision through a real Prefect server and a real worker: the launch that asked goes on as the same run."""

import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from test_e2e_waiting import ROOT, Server, Worker, lines, project_of

from drumroll.ledger.ledger import default_url, open_ledger
from tests.prefect_server import prefect_server
from tests.webhook_sink import sink_process

LAUNCH = """\
drumroll: 1
name: asking
title: A launch that asks
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
    ends: T+2s
    steps: [{{id: first, at: T, topic: one}}]
    gate: {{thresholds: [{{metric: members, at_least: 5}}], otherwise: [hold]}}
  build_up:
    goal: to stay
    starts: T+2s
    ends: T+4s
    slack: 1h  # a busy machine may come to it late
    steps: [{{id: last, at: T+3s, topic: two}}]
"""


@pytest.mark.e2e
@pytest.mark.xdist_group("server")
def test_a_held_gate_is_decided_in_a_form_and_the_same_run_goes_on(tmp_path):
    project, log = project_of(tmp_path / "project"), tmp_path / "sink.jsonl"
    with sink_process(log, "--honour-keys") as url, prefect_server(tmp_path) as environ:
        environ |= {"PREFECT_WORKER_QUERY_SECONDS": "2", "PYTHONPATH": str(ROOT)}
        server = Server(environ, project)
        server.prefect("work-pool", "create", "drumroll", "--type", "process")
        slow = server.prefect("--no-prompt", "deploy", "--name", "launch")
        opens = (datetime.now(UTC) + timedelta(seconds=slow)).replace(microsecond=0)
        launch = LAUNCH.format(opens=f"{opens:%Y-%m-%d %H:%M:%S}", url=url)
        (project / "configs" / "asking.yaml").write_text(launch)
        with contextlib.ExitStack() as workers:
            worker = Worker(workers, environ, tmp_path)
            server.prefect("deployment", "run", "launch/launch", "--param", "file=configs/asking.yaml")
            run = server.until(lambda run: asks(run) or run["state"]["type"] == "FAILED", 60 + 8 * slow)
            assert asks(run), run["state"]
            worker.until_idle()
            [phase] = server.phases(run)
            keys = run["state"]["state_details"]["run_input_keyset"]
            schema = server.ask(f"flow_runs/{run['id']}/input/{keys['schema']}")
            text = server.ask(f"flow_runs/{run['id']}/input/{keys['description']}")
            [edition] = open_ledger(default_url(project)).editions()

            refused = submit(server, run, {"choice": "continue", "reason": "", "name": "Mei"})
            taken = submit(server, run, {"choice": "continue", "reason": "they come by word of mouth", "name": "Mei"})
            run = server.until(lambda run: run["state"]["type"] in {"COMPLETED", "FAILED"}, 60 + 8 * slow)
        phases = server.phases(run)
        logged = server.logs(run)

    assert run["state"]["name"] == "Completed", run["state"]
    assert phase["state"]["name"] == "Waiting for a decision"
    assert phase["state"]["message"] == "the gate of recruit holds: members 0 (all counted) ≥ 5 ✗"
    assert schema["properties"]["choice"]["enum"] == ["continue", "abort"]
    assert "`members 0 (all counted) ≥ 5 ✗`" in text
    assert edition.state == "held"
    assert (refused["status"], taken["status"]) == ("REJECT", "ACCEPT")
    ledger = open_ledger(default_url(project))
    [decision] = ledger.decisions(edition.id)
    assert (decision.subject, decision.choice, decision.by) == ("gate recruit", "pass", "Mei")
    assert decision.reason == "they come by word of mouth"
    assert ledger.edition(edition.id).state == "done"
    assert len(lines(log)) == 2
    assert {phase["state"]["type"] for phase in phases} == {"COMPLETED"}
    assert len(phases) == 2
    assert run["run_count"] == 1
    assert [line["message"] for line in logged if line["level"] >= 40] == []


def asks(run):
    return run["state"]["state_details"]["run_input_keyset"] is not None


def submit(server, run, answer):
    """What the Prefect UI does when somebody submits the form."""
    return server.ask(f"flow_runs/{run['id']}/resume", {"run_input": answer})
