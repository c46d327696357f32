"""A rehearsal that stops in the middle: what is due is done, nothing later, and its ledger can be worked with."""

import json
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import copytree

import pytest

from drumroll.cli import rehearse as command
from drumroll.clock import TimeIsUpError, VirtualClock, current_clock
from drumroll.errors import UsageError
from drumroll.ledger.ledger import open_ledger
from drumroll.operate.opening import close_edition, find_edition
from drumroll.rehearsal.performance import Performance
from drumroll.rehearsal.stage import last_call, set_stage
from drumroll.report.standing import as_of
from tests.driver import drive
from tests.launch_files import drumroll, new_project

ROOT = Path(__file__).parent.parent
EDITION = "kettle@2027-01-16"
OPENS = datetime(2027, 1, 16, 4, tzinfo=UTC)  # noon in Taipei
GATE = datetime(2027, 1, 12, 12, tzinfo=UTC)  # D-4 20:00 there


@pytest.fixture
def project(tmp_path):
    copytree(ROOT / "templates" / "pages", tmp_path / "templates" / "pages")
    return new_project(tmp_path)


@pytest.fixture
def rehearse(project, monkeypatch, tmp_path):
    """`drumroll rehearse` with the engine alone under it: the same beats as the flow's, no server."""

    async def launch(_file, _opens, ledger):
        where = find_edition(EDITION, ledger=ledger, project=str(project.root))
        for phase in where.plan().phases:
            if await drive(where, phase.name, current_clock()) != "pass":
                close_edition(where, "hold")
                return
        close_edition(where, "pass")

    @contextmanager
    def no_prefect(*_, **__):
        yield launch

    monkeypatch.setattr(command, "launch_on_prefect", no_prefect)

    def call(*arguments, out="out"):
        return drumroll("rehearse", project.file, "--members", 60, "--out", tmp_path / out, *arguments)

    return call


@pytest.fixture
def ledger(tmp_path):
    """The rehearsal's ledger, once there is one."""
    return lambda: open_ledger(f"sqlite:///{tmp_path / 'out' / 'ledger.db'}", create=False)


def states(ledger):
    return {f"{row.step}/{row.group}": row.state for row in ledger.deliveries(EDITION)}


# ── the clock ──


async def test_the_clock_stands_still_where_it_stops():
    clock = VirtualClock(OPENS, stops_at=OPENS + timedelta(hours=1))
    passed = []

    async def note(since, until):
        passed.append((since, until))

    clock.on_advance = note
    await clock.sleep_until(OPENS + timedelta(hours=1))
    for _ in range(2):
        with pytest.raises(TimeIsUpError):
            await clock.sleep_until(OPENS + timedelta(hours=2))
    assert (clock.now(), passed) == (OPENS + timedelta(hours=1), [(OPENS, OPENS + timedelta(hours=1))])


# ── where it stops ──


def test_what_is_due_at_that_very_moment_is_done_and_what_follows_is_not(rehearse, ledger):
    assert rehearse("--until", "D-4 19:00").code == 0
    found = states(ledger())
    assert (found["the-noise/east"], found["the-noise/west"]) == ("sent", "awaiting")
    assert {found[key] for key in found if key.startswith(("the-host", "terms", "order"))} == {"due"}
    assert ledger().checks(EDITION) == []


def test_a_second_earlier_it_is_not_done(rehearse, ledger):
    rehearse("--until", "D-4 18:59:59")
    assert states(ledger())["the-noise/east"] == "due"


def test_a_gate_at_that_very_moment_is_read(rehearse, ledger):
    rehearse("--until", "D-4 20:00")
    assert [(check.phase, check.verdict) for check in ledger().checks(EDITION)] == [("recruit", "pass")]


def test_nothing_in_the_ledger_is_later(rehearse, ledger):
    rehearse("--until", "D-4 19:30")
    stop, store = GATE - timedelta(minutes=30), ledger()
    assert max(row.updated_at for row in store.deliveries(EDITION) if row.updated_at) <= stop
    events, _ = store.activity(EDITION, until=OPENS)
    assert max(event.at for event in events) < stop


@pytest.mark.parametrize("moment", ["D-4 20:00", "T-88h", "2027-01-12 20:00"])
def test_a_moment_is_written_as_in_launch_files(project, moment):
    assert last_call(moment, project.plan()) == GATE


@pytest.mark.e2e
def test_it_plays_what_the_whole_rehearsal_plays_up_to_there(rehearse, tmp_path):
    rehearse("--until", "D-1 12:00")
    rehearse(out="whole")
    part, whole = ((tmp_path / out / "outbox.jsonl").read_bytes() for out in ("out", "whole"))
    assert part
    assert whole.startswith(part)
    assert part != whole


@pytest.mark.e2e
def test_a_launch_that_is_over_by_then_was_not_stopped(rehearse, ledger):
    ran = rehearse("--until", "D 21:00", "--json")
    assert (json.loads(ran.out)["stopped_at"], ledger().edition(EDITION).state) == (None, "done")


def test_a_gate_that_would_have_held_before_is_told(rehearse, project, ledger):
    project.change("at_least: 30", "at_least: 5000").change("otherwise: [remedy, extend, hold]", "otherwise: [hold]")
    project.change("      remedy:\n        - id: invite\n          after: 30m\n", "")
    document = json.loads(rehearse("--until", "D-3 20:00", "--json").out)
    assert (document["held"], document["stopped_at"]) == (["recruit"], "2027-01-13T12:00:00Z")
    assert [check.verdict for check in ledger().checks(EDITION, "recruit")] == ["hold", "pass"]


# ── what it tells ──


def test_the_story_says_where_it_stopped_and_how_to_look_on(rehearse, tmp_path):
    ran = rehearse("--until", "D-2 12:00")
    url = f"sqlite:///{tmp_path / 'out' / 'ledger.db'}"
    assert ran.code == 0
    assert "Thu 01-14 12:00:00  stopped here; nothing later was done" in ran.out
    assert "stopped Thu 2027-01-14 12:00 Asia/Taipei, before the end" in ran.out
    assert f"  drumroll status {EDITION} --ledger {url}\n" in ran.out
    assert ran.out.splitlines()[-1] == str(tmp_path / "out" / "report.html")


@pytest.mark.e2e
def test_json_has_where_it_stopped(rehearse):
    stopped, whole = (json.loads(rehearse(*words, "--json").out) for words in (("--until", "D-2 12:00"), ()))
    assert (stopped["stopped_at"], stopped["state"]) == ("2027-01-14T04:00:00Z", "running")
    assert (whole["stopped_at"], whole["state"]) == (None, "done")
    assert stopped.keys() == whole.keys()


# ── what is left ──


def test_the_ledger_can_be_worked_with_as_of_that_moment(rehearse, project, tmp_path):
    rehearse("--until", "D-2 20:00")
    url = ("--ledger", f"sqlite:///{tmp_path / 'out' / 'ledger.db'}")
    status = drumroll("status", EDITION, *url, "--json")
    assert json.loads(status.out)["editions"][0]["next"]["step"] == "terms"
    report = drumroll("report", EDITION, "--out", tmp_path / "report.html", *url, "--json")
    assert json.loads(report.out)["as_of"] == "2027-01-14T12:00:00Z"
    project.change("price and terms", "the price, and terms")
    diff = json.loads(drumroll("plan", project.file, "--diff", *url, "--json").out)
    assert [(each["id"], each["fields"]) for each in diff["changed"]] == [("terms", ["topic", "text"])]
    shift = drumroll("shift", EDITION, "+1d", "--dry-run", *url, "--json")
    assert json.loads(shift.out)["to"] == "2027-01-17T04:00:00Z"


def test_it_is_looked_at_from_where_it_stopped(rehearse, ledger):
    rehearse("--until", "D-3 03:00")  # in the night, when nothing happens
    store = ledger()
    assert as_of(store, store.edition(EDITION), now=OPENS) == datetime(2027, 1, 12, 19, tzinfo=UTC)


@pytest.mark.e2e
def test_rehearsing_again_in_the_same_folder_starts_anew(rehearse, ledger):
    rehearse("--until", "D-2 12:00")
    rehearse("--until", "D-6 10:00")
    found = states(ledger())
    assert (found["welcome/east"], found["the-noise/east"]) == ("sent", "due")


# ── what it refuses ──


@pytest.mark.parametrize(
    ("moment", "why"),
    [
        ("noon", '--until: "noon" is not a moment; write "T-2h", "D-1 23:00" or "2026-12-11 23:00"'),
        ("", '--until: "" is not a moment'),
        ("D-2 25:00", '--until: "D-2 25:00" is no time of day'),
        ("D-6 08:59", "--until: Sun 2027-01-10 08:59 is before the launch; it goes from Sun 2027-01-10 09:00 to "),
        ("D+1 12:00", "--until: Sun 2027-01-17 12:00 is after the launch; it goes from Sun 2027-01-10 09:00 to "),
    ],
)
def test_a_moment_that_is_none_or_outside_the_launch_is_refused_and_nothing_is_cleared(rehearse, tmp_path, moment, why):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "outbox.jsonl").write_text("of an earlier one")
    ran = rehearse("--until", moment)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"error: {why}")
    assert (tmp_path / "out" / "outbox.jsonl").read_text() == "of an earlier one"


def test_the_bounds_are_the_first_thing_that_happens_and_the_last_gates_latest_instant(project):
    project.change('ends: "D 21:00"', 'ends: "D 21:00"\n    slack: 2h')
    plan = project.plan()
    assert last_call("D-6 09:00", plan) == plan.phases[0].starts
    assert last_call("D 23:00", plan) == plan.phases[-1].latest
    with pytest.raises(UsageError, match="after the launch"):
        last_call("D 23:00:01", plan)


# ── the flow ──


@pytest.mark.prefect
@pytest.mark.xdist_group("prefect")
async def test_the_launch_flow_stops_there_too(project, prefect_api, tmp_path):
    from flows.launch import launch

    plan = project.plan()
    where, starts = set_stage(plan, project=project.root, out=tmp_path / "out")
    stop = last_call("D-6 10:00", plan)
    performance = Performance(where, starts, seed=1, members=20, export=None, until=stop)
    assert await performance.play(launch, str(project.file), None, on_hold="continue") == []
    assert performance.stopped_at == stop
    found = states(where.open())
    assert (found["welcome/east"], found["roll-call/east"]) == ("sent", "due")
    assert where.open().edition(EDITION).state == "running"
