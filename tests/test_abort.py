"""`drumroll abort`: the end of a launch by a person's word, with and without Prefect's server."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from small_launch import EDITION, LAUNCH, NOW, begun, halfway, held
from small_launch import project as small_project

from drumroll.clock import VirtualClock, using_clock
from drumroll.ledger.ledger import default_url, open_ledger
from drumroll.operate.aborting import abort_edition
from drumroll.operate.beats import next_beat
from drumroll.operate.edition import Where
from drumroll.operate.opening import close_edition
from tests.launch_files import drumroll
from tests.test_waiting import Deployed, client, signed_run, wait_for  # noqa: F401 - `client` is a fixture


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The project, where no Prefect server is configured."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    for name in ("DRUMROLL_LEDGER", "PREFECT_API_URL", "PREFECT_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def abort(*options, reason="the hall burnt down", by="Ann"):
    with using_clock(VirtualClock(NOW)):
        return drumroll("abort", EDITION, "--reason", reason, "--by", by, *options)


def states(where):
    return {(row.step, row.group): row.state for row in where.open().deliveries(EDITION)}


def test_what_is_due_is_cancelled_and_what_was_sent_stays(here):
    where = halfway(here)
    before = states(where)
    ran = abort()
    assert ran.code == 0
    after = states(where)
    assert {before[key] for key in before if after[key] == "cancelled"} == {"due"}
    assert {key: before[key] for key in before if before[key] != "due"} == {
        key: after[key] for key in before if before[key] != "due"
    }
    cancelled = list(after.values()).count("cancelled")
    assert f"{EDITION}: aborted; {cancelled} deliveries cancelled\n" in ran.out
    assert cancelled


def test_it_is_on_record_who_did_it_and_why(here):
    where = begun(here)
    abort()
    assert where.open().edition(EDITION).state == "aborted"
    assert where.open().edition(EDITION).ended_at == NOW
    [decision] = where.open().decisions(EDITION, "launch")
    assert (decision.choice, decision.by, decision.reason) == ("abort", "Ann", "the hall burnt down")


def test_to_abort_again_changes_nothing(here):
    where = begun(here)
    abort()
    document = json.loads(abort("--json", reason="once more", by="Bob").out)
    assert (document["state"], document["cancelled"]) == ("aborted", None)
    assert [each.by for each in where.open().decisions(EDITION, "launch")] == ["Ann"]
    assert "was aborted before; nothing was changed" in abort().out


def test_what_a_command_that_died_left_is_finished_by_the_next(here):
    where = begun(here)
    where.open().set_edition_state(EDITION, "aborted", now=NOW)
    abort()
    assert set(states(where).values()) == {"cancelled"}


def test_the_json_of_an_abort(here):
    where = begun(here)
    document = json.loads(abort("--json").out)
    assert document == {
        "edition": EDITION,
        "state": "aborted",
        "cancelled": len(states(where)),
        "by": "Ann",
        "reason": "the hall burnt down",
    }


def test_a_launch_that_is_done_is_not_aborted(here):
    begun(here).open().set_edition_state(EDITION, "done", now=NOW)
    ran = abort()
    assert (ran.code, "is done: there is nothing left to abort" in ran.err) == (1, True)


@pytest.mark.parametrize("said", [{"reason": " "}, {"by": " "}])
def test_it_goes_on_record_or_not_at_all(here, said):
    where = begun(here)
    assert abort(**said).code == 2
    assert where.open().edition(EDITION).state == "running"


def test_a_person_at_the_terminal_is_asked(here, monkeypatch):
    where = begun(here)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    asked = []
    monkeypatch.setattr("click.confirm", lambda text, **_: asked.append(text))
    abort("--yes")
    assert asked == []
    where.open().set_edition_state(EDITION, "running", now=NOW)
    abort()
    assert f"End {EDITION}" in asked[0]


def test_the_next_beat_of_an_aborted_edition_is_its_end_whatever_its_gates_say(here):
    where = held(here)
    abort()
    for phase in ("recruit", "ignite"):
        beat = next_beat(where, phase, now=NOW)
        assert (beat.what, beat.verdict) == ("over", "abort")


def test_an_engine_that_ends_after_that_does_not_make_it_done(here):
    where = begun(here)
    abort_edition(where.open(), EDITION, by="Ann", reason="x", now=NOW)
    with using_clock(VirtualClock(NOW + timedelta(minutes=1))):
        assert [close_edition(where, verdict) for verdict in ("pass", "hold", "abort")] == ["aborted"] * 3
    assert where.open().edition(EDITION).ended_at == NOW


class TestOnTheServer:
    pytestmark = [pytest.mark.e2e, pytest.mark.prefect, pytest.mark.xdist_group("prefect")]

    @pytest.fixture
    async def run(self, client, tmp_path):  # noqa: F811
        """The run of an edition, waiting for a day far away."""
        run = await signed_run(client, begun(tmp_path))
        await client.update_flow_run(run.run.id, tags=[EDITION])
        await wait_for(client, run, datetime.now(UTC) + timedelta(days=400))
        return run

    @pytest.fixture
    def where(self, tmp_path):
        return Where(EDITION, default_url(tmp_path), str(tmp_path))

    async def test_a_nudge_wakes_the_run_that_waits(self, run, where):
        from tasks.remote import nudge

        abort_edition(where.open(), EDITION, by="Ann", reason="x", now=NOW)
        assert await nudge(where)
        now_is = await run.now_is()
        assert (now_is.state_name, now_is.state.message) == ("Waiting", f"{EDITION} is aborted")
        assert now_is.next_scheduled_start_time <= datetime.now(UTC)
        assert not await nudge(where), "it is about to be picked up"

    async def test_a_nudge_moves_the_run_to_what_is_next(self, run, where):
        from tasks.remote import nudge

        assert await nudge(where)
        assert (await run.now_is()).state.message == "No. 01 at Wed 03-03 09:30 UTC"
        assert not await nudge(where), "it is right already"

    async def test_a_run_says_what_is_next_again_once_the_launch_goes_on(self, run, where):
        from tasks.remote import nudge

        assert await nudge(where)
        where.open().set_brake(EDITION, by="Ann", reason="tea", now=NOW)
        assert await nudge(where)
        assert (await run.now_is()).state.message == "Paused by Ann: tea"
        where.open().release_brake(EDITION, by="Ann", reason="", now=NOW)
        assert await nudge(where)
        assert (await run.now_is()).state.message == "No. 01 at Wed 03-03 09:30 UTC"

    async def test_a_run_with_a_process_finds_out_by_itself(self, client, where, tmp_path):  # noqa: F811
        from tasks.remote import nudge

        run = await signed_run(client, begun(tmp_path))
        await client.update_flow_run(run.run.id, tags=[EDITION])
        abort_edition(where.open(), EDITION, by="Ann", reason="x", now=NOW)
        assert not await nudge(where)
        assert (await run.now_is()).state_name == "Running"

    async def test_without_the_command_the_watch_wakes_it(self, run, where):
        abort_edition(where.open(), EDITION, by="Ann", reason="x", now=NOW)
        from tasks.requeue import tend_runs

        await tend_runs(where.open(), [], look_again=timedelta(0))
        assert (await run.now_is()).next_scheduled_start_time <= datetime.now(UTC)

    async def test_a_run_that_comes_back_to_an_aborted_edition_ends_as_aborted_with_its_phases(self, client, tmp_path):  # noqa: F811
        from prefect.states import Scheduled

        from flows.launch import launch

        file = small_project(tmp_path)
        opens = datetime.now(UTC) + timedelta(days=30)
        file.write_text(LAUNCH.replace("2027-03-06 12:00", f"{opens:%Y-%m-%d} 12:00"))
        run = await Deployed.make(client, launch, file=str(file))
        assert await run.pick_up()
        ledger = open_ledger(default_url(tmp_path))
        [edition] = ledger.editions()
        abort_edition(ledger, edition.id, by="Ann", reason="x", now=datetime.now(UTC))
        await client.set_flow_run_state(run.run.id, Scheduled())
        assert not await run.pick_up()
        now_is = await run.now_is()
        assert (now_is.state_type.value, now_is.state_name) == ("COMPLETED", "Aborted")
        assert [phase.state_name for phase in await run.phases()] == ["Aborted"]
