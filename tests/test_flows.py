"""The real flows through a real Prefect server, started once for all tests of the session."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drumroll.ledger.ledger import open_ledger

pytestmark = [pytest.mark.prefect, pytest.mark.xdist_group("prefect")]

TEXT = "{{ step.label }} {{ step.topic | default('hello', true) }}{% if teaser %}: {{ teaser.topic }} {{ teaser.when }}{% endif %}"
LAUNCH = """\
drumroll: 1
name: flowing
title: A launch that flows
locale: en
timezone: Europe/London
opens: "2027-01-16 12:00"
product: {{name: Lamp, promise: it lights, result: you read, price: 10, currency: GBP}}
team: {{name: Team, staff: [{{name: Host, role: host, ids: [host]}}]}}
waive: {{link/trust-gate: two phases are enough to flow}}
community:
  channels: {{out: {{kind: console}}, hand: {{kind: hand_off, lead: 30m}}}}
  groups: [{{id: g1, name: One, channel: out}}, {{id: g2, name: Two, channel: hand}}]
phases:
  recruit:
    goal: people
    starts: D-3 09:00
    ends: D-3 20:00
    steps: [{{id: hello, at: "D-3 10:00", kind: welcome, serial: true, template: say}}]
    gate: {{thresholds: [{{metric: members, at_least: {members}}}]}}
  ignite:
    goal: orders
    starts: D-1 09:00
    ends: D 20:00
    steps:
      - {{id: eve, at: "D-1 23:00", topic: the terms, template: say}}
      - {{id: link, at: "D 12:00", kind: link, topic: the door, template: say}}
    gate: {{thresholds: [{{metric: leave_rate, at_most: 0.9}}]}}
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "templates" / "en").mkdir(parents=True)
    (tmp_path / "templates" / "en" / "say.md.j2").write_text(TEXT)
    (tmp_path / "configs").mkdir()
    return tmp_path


def rehearse(project: Path, out: Path, *, members=3, on_hold="continue", seed=1):
    """What `drumroll rehearse` does, in this process: the phases that held, and where the edition is."""
    from drumroll.check import check_file
    from drumroll.rehearsal.performance import Performance
    from drumroll.rehearsal.stage import set_stage
    from flows.launch import launch

    file = project / "configs" / "flowing.yaml"
    file.write_text(LAUNCH.format(members=members))
    where, starts = set_stage(check_file(file).accepted(), project=project, out=out)
    performance = Performance(where, starts, seed=seed, members=60, export=None)

    async def play():
        return await performance.play(launch, str(file), None, on_hold=on_hold)

    return where, play


async def test_a_whole_launch_goes_out_in_order_and_every_gate_has_a_verdict(prefect_api, project, tmp_path):
    where, play = rehearse(project, tmp_path / "out")
    assert await play() == []
    said = [json.loads(line)["text"] for line in (tmp_path / "out" / "outbox.jsonl").read_text().splitlines()]
    assert said == [
        "No. 01 · hello: the terms on Fri, Jan 15 at 23:00",
        "No. 02 · the terms: the door tomorrow at 12:00",
        "No. 03 · the door",
    ]
    ledger = where.open()
    assert [(check.phase, check.verdict) for check in ledger.checks(where.edition)] == [
        ("recruit", "pass"),
        ("ignite", "pass"),
    ]
    assert ledger.edition(where.edition).state == "done"
    assert {row.state for row in ledger.deliveries(where.edition)} == {"sent"}


@pytest.mark.e2e
async def test_the_same_seed_gives_byte_identical_deliveries(prefect_api, project, tmp_path):
    for out in ("one", "two"):
        _, play = rehearse(project, tmp_path / out, seed=7)
        await play()
    assert (tmp_path / "one" / "outbox.jsonl").read_bytes() == (tmp_path / "two" / "outbox.jsonl").read_bytes()


@pytest.mark.e2e
async def test_a_launch_that_sleeps_through_a_shift_sends_nothing_at_the_old_instant(prefect_api, project, tmp_path):
    from drumroll.check import check_file
    from drumroll.operate.changes import enact, propose
    from drumroll.operate.recompile import with_opening
    from drumroll.operate.running import look
    from drumroll.rehearsal.performance import Performance
    from drumroll.rehearsal.stage import set_stage
    from flows.launch import launch

    file = project / "configs" / "flowing.yaml"
    file.write_text(LAUNCH.format(members=3))
    plan = check_file(file).accepted()
    where, starts = set_stage(plan, project=project, out=tmp_path / "out")
    performance = Performance(where, starts, seed=1, members=60, export=None)
    clock, day = performance._clock, timedelta(days=1)
    live, eve = clock.on_advance, plan.step("eve").due - timedelta(minutes=30)

    async def shift_while_waiting_for_the_eve(since, until):
        await live(since, until)
        if until == eve and where.plan().opens == plan.opens:
            running = look(where.open(), where.edition)
            proposal = propose(running, with_opening(running, plan.opens + day), now=until)
            enact(proposal, proposal.plan, what="shift", by="Ann", reason="", now=until)

    clock.on_advance = shift_while_waiting_for_the_eve
    assert await performance.play(launch, str(file), None, on_hold="continue") == []
    rows = [row for row in where.open().deliveries(where.edition) if row.group == "g1"]
    assert [(row.step, row.state, row.lateness_ms) for row in rows] == [
        (name, "sent", 0) for name in ("hello", "eve", "link")
    ]
    assert [row.due_at - plan.step(row.step).due for row in rows] == [timedelta(0), day, day]


@pytest.mark.e2e
async def test_a_held_gate_stops_the_launch_until_a_person_decides(prefect_api, project, tmp_path):
    where, play = rehearse(project, tmp_path / "out", members=5_000)
    assert await play() == ["recruit"]
    [decision] = where.open().decisions(where.edition, "gate recruit")
    assert (decision.choice, decision.by) == ("pass", "rehearsal")
    assert where.open().edition(where.edition).state == "done"


@pytest.mark.e2e
async def test_an_aborted_launch_cancels_what_was_still_to_come(prefect_api, project, tmp_path):
    where, play = rehearse(project, tmp_path / "out", members=5_000, on_hold="abort")
    assert await play() == ["recruit"]
    states = {row.step: row.state for row in where.open().deliveries(where.edition)}
    assert states == {"hello": "sent", "eve": "cancelled", "link": "cancelled"}
    assert where.open().edition(where.edition).state == "aborted"


async def test_prefect_shows_run_names_tags_and_an_artifact_for_every_gate_and_phase(prefect_api, project, tmp_path):
    from prefect.client.orchestration import get_client

    where, play = rehearse(project, tmp_path / "out")
    await play()
    async with get_client() as client:
        runs = await client.read_flow_runs()
        artifacts = await client.read_artifacts()
    names = {run.name for run in runs}
    assert {"launch · flowing", f"recruit · {where.edition}", f"ignite · {where.edition}"} <= names
    assert any(where.edition in run.tags for run in runs if run.name.startswith("recruit"))
    keys = {artifact.key for artifact in artifacts}
    slug = where.edition.replace("@", "-")
    assert {f"gate-{slug}-recruit", f"gate-{slug}-ignite", f"phase-{slug}-recruit", f"phase-{slug}-ignite"} <= keys


def somebody_runs(ledger, edition):
    ledger.take_lease(edition, owner="somebody", now=datetime.now(UTC), ttl=timedelta(minutes=10))


async def test_the_watch_flow_refreshes_the_board_of_every_running_edition(prefect_api, project, tmp_path):
    from prefect.client.orchestration import get_client

    from drumroll.check import check_file
    from drumroll.operate.edition import begin
    from flows.watch import watch

    file = project / "configs" / "flowing.yaml"
    file.write_text(LAUNCH.format(members=3))
    plan = check_file(file).accepted()
    url = f"sqlite:///{tmp_path / 'live.db'}"
    begin(plan, ledger=open_ledger(url), rehearsal=False, now=plan.opens - timedelta(days=9))
    somebody_runs(open_ledger(url), plan.edition)
    assert set(await watch(ledger=url, project=str(project))) == {plan.edition}
    async with get_client() as client:
        boards = [artifact for artifact in await client.read_artifacts() if artifact.key == "board-flowing-2027-01-16"]
    assert "A launch that flows" in boards[0].data


async def test_one_launchs_broken_source_does_not_stop_the_watch_for_another(prefect_api, project, tmp_path):
    from drumroll.check import check_file
    from drumroll.operate.edition import begin
    from flows.watch import watch

    url = f"sqlite:///{tmp_path / 'live.db'}"
    sound = LAUNCH.format(members=3)
    broken = sound.replace("name: flowing", "name: broken").replace(
        "phases:", "  sources: [{kind: csv, path: missing.csv, group: g1}]\nphases:", 1
    )
    for name, text in (("broken", broken), ("flowing", sound)):
        file = project / "configs" / f"{name}.yaml"
        file.write_text(text)
        plan = check_file(file).accepted()
        begin(plan, ledger=open_ledger(url), rehearsal=False, now=plan.opens - timedelta(days=9))
        somebody_runs(open_ledger(url), plan.edition)
    assert await watch(ledger=url, project=str(project)) == {"broken@2027-01-16": 1, "flowing@2027-01-16": 0}


async def test_a_phases_own_flow_refuses_an_edition_that_never_began(prefect_api, project, tmp_path):
    from drumroll.errors import LedgerError
    from flows.recruit import recruit

    url = f"sqlite:///{tmp_path / 'live.db'}"
    open_ledger(url)
    with pytest.raises(LedgerError, match="flowing@2027-01-16"):
        await recruit("flowing@2027-01-16", url, str(project))
