"""One round of the watch through a real Prefect server: runs, editions, boards, and rounds long past."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import small_launch
from small_launch import EDITION, LAUNCH, STARTS, begun, halfway
from test_waiting import Deployed, flow_that_waits, sign_as, signed_run, wait_for

from drumroll.clock import VirtualClock, using_clock
from drumroll.operate.aborting import abort_edition
from drumroll.operate.board import edition_board, upcoming
from drumroll.operate.watching import sync

NOON = datetime(2027, 3, 4, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def nobody_is_called(monkeypatch):
    monkeypatch.delenv("DRUMROLL_ALARM_URL", raising=False)


# The board, from the ledger alone.


def board(where, *alarms, now=NOON):
    return edition_board(where, alarms, now=now)


def test_a_board_names_the_next_three_moments_gates_included(tmp_path):
    where = begun(tmp_path)
    assert [what for _, what in upcoming(where.plan(), where.open().step_states(EDITION), [])] == [
        "No. 01 hello",
        "No. 02 clue",
        "gate of recruit",
        "quiet-hello",
        "No. 03 doors",
        "gate of ignite",
    ]
    assert "\n## Next\n\n- Wed 03-03 10:00 UTC: No. 01 hello\n" in board(where)
    assert "doors" not in board(where).partition("## Next")[2].partition("## recruit")[0]


def test_a_board_says_who_runs_the_edition_and_who_paused_it(tmp_path):
    where = begun(tmp_path)
    assert "no process at the moment" in board(where)
    where.open().take_lease(EDITION, owner="process 7 on harbour", now=NOON, ttl=timedelta(minutes=1))
    assert "run by process 7 on harbour" in board(where)
    where.open().set_brake(EDITION, by="Ann", reason="ask [legal](http://legal)\n# now", now=NOON)
    assert r"**Paused** by Ann since Thu 03-04 12:00 UTC: ask \[legal\](http\://legal) \# now" in board(where)


def test_a_board_is_the_same_until_something_happens(tmp_path):
    where = halfway(tmp_path)
    assert board(where) == board(where, now=NOON + timedelta(days=1))


def test_the_board_of_an_edition_that_is_over_has_nothing_next(tmp_path):
    where = halfway(tmp_path)
    where.open().set_brake(EDITION, by="Ann", reason="tea", now=NOON)
    abort_edition(where.open(), EDITION, by="Ann", reason="x", now=NOON)
    shown = board(where)
    assert f"{EDITION}: aborted; " in shown
    assert "## recruit" in shown
    assert not any(words in shown for words in ("## Next", "no process", "Paused"))


def test_a_title_is_no_markup_on_a_board(tmp_path):
    assert board(begun(tmp_path)).startswith(r"# Spring \<course\> & friends")


# Sources.


def test_a_source_is_read_again_only_when_its_file_has_changed(tmp_path, monkeypatch):
    sourced = LAUNCH.replace("  segments:", "  sources: [{kind: csv, path: talk.csv, group: one}]\n  segments:")
    monkeypatch.setattr(small_launch, "LAUNCH", sourced)
    talk = tmp_path / "talk.csv"
    talk.write_text("at,member\n2027-03-03T10:00:00Z,m1\n")
    where = begun(tmp_path)
    assert [sync(where), sync(where)] == [1, 0]
    monkeypatch.setattr("drumroll.operate.watching.sync_sources", None)
    assert sync(where) == 0
    monkeypatch.undo()
    talk.write_text("at,member\n2027-03-03T10:00:00Z,m1\n2027-03-03T10:00:00Z,m2\n")
    assert sync(where) == 1


# A whole round.


@pytest.fixture
async def client(prefect_api):
    from prefect.client.orchestration import get_client

    async with get_client() as client:
        yield client


@pytest.fixture
def where(tmp_path):
    return begun(tmp_path)


def somebody_runs(where):
    where.open().take_lease(where.edition, owner="somebody", now=datetime.now(UTC), ttl=timedelta(minutes=5))


async def a_round(where):
    from tasks.watch import watch_once

    return await watch_once(where.ledger, where.project, look_again=timedelta(0))


def open_kinds(where):
    return [row.kind for row in where.open().open_alarms(where.edition)]


class TestRound:
    pytestmark = [pytest.mark.e2e, pytest.mark.prefect, pytest.mark.xdist_group("prefect")]

    async def test_a_launch_that_nobody_runs_is_an_alarm_until_somebody_does(self, client, where):
        assert await a_round(where) == {EDITION: 1}
        assert open_kinds(where) == ["stopped"]
        await signed_run(client, where)
        assert await a_round(where) == {EDITION: 0}

    @pytest.mark.parametrize("how", ["has a process", "waits without one", "has just been called again"])
    async def test_a_launch_that_somebody_runs_is_none(self, client, where, how):
        from prefect.states import Scheduled

        if how == "has a process":
            somebody_runs(where)
        elif how == "waits without one":
            await wait_for(client, await signed_run(client, where), datetime.now(UTC) + timedelta(days=9))
        else:
            run = await Deployed.make(client, flow_that_waits([]))
            await sign_as(client, run.run, where)
            await client.set_flow_run_state(run.run.id, Scheduled())
        assert await a_round(where) == {EDITION: 0}

    async def test_a_run_that_ended_leaves_an_edition_that_nobody_runs(self, client, where):
        from prefect.states import Cancelled

        run = await signed_run(client, where)
        await client.set_flow_run_state(run.run.id, Cancelled(), force=True)
        assert await a_round(where) == {EDITION: 1}

    async def test_a_board_is_written_only_when_it_says_something_new(self, client, where):
        from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

        async def boards():
            ours = ArtifactFilter(key=ArtifactFilterKey(any_=["board-spring-2027-03-06"]))
            return [each.data for each in await client.read_artifacts(artifact_filter=ours)]

        before = len(await boards())
        somebody_runs(where)
        await a_round(where)
        await a_round(where)
        assert len(await boards()) == before + 1
        where.open().set_brake(EDITION, by="Ann", reason="rain", now=datetime.now(UTC))
        await a_round(where)
        assert len(found := await boards()) == before + 2
        assert any("**Paused** by Ann" in board for board in found)
        abort_edition(where.open(), EDITION, by="Ann", reason="rain", now=datetime.now(UTC))
        await a_round(where)
        assert len(found := await boards()) == before + 3
        assert any(f"{EDITION}: aborted" in board for board in found), "not running for ever"

    async def test_an_alarm_arrives_at_prefect_as_an_event(self, client, where):
        from prefect.events.worker import EventsWorker

        await a_round(where)
        EventsWorker.instance().wait_until_empty()
        wanted = {
            "filter": {"event": {"name": ["drumroll.alarm"]}, "resource": {"id": [f"drumroll.edition.{EDITION}"]}}
        }
        for _ in range(50):
            found = (await client.request("POST", "/events/filter", json=wanted)).json()["events"]
            if found:
                break
            await asyncio.sleep(0.2)
        assert found[0]["payload"]["kind"] == "stopped"
        assert "drumroll start FILE" in found[0]["payload"]["remedy"]

    async def test_one_editions_trouble_leaves_the_others_alone(self, client, where):
        somebody_runs(where)
        ledger = where.open()
        beyond = {
            "launch": "a",
            "title": "A",
            "opens_at": STARTS,
            "plan_hash": "h",
            "document": '{"from": "the future"}',
        }
        ledger.begin("a@2027-03-06", **beyond, deliveries=[], rehearsal=False, now=STARTS - timedelta(days=9))
        somebody_runs(replace(where, edition="a@2027-03-06"))
        assert await a_round(where) == {"a@2027-03-06": 1, EDITION: 0}
        [row] = ledger.open_alarms("a@2027-03-06")
        assert row.what == "the watch cannot look after it (ValidationError)"

    async def test_the_alarms_of_an_edition_that_is_over_are_cleared(self, client, where):
        await a_round(where)
        where.open().set_edition_state(EDITION, "aborted", now=STARTS)
        assert await a_round(where) == {}
        assert where.open().open_alarms() == []

    async def test_two_rounds_at_once_raise_an_alarm_once(self, client, where, caplog):
        await asyncio.gather(a_round(where), a_round(where))
        assert caplog.text.count("nobody runs it") == 1
        assert open_kinds(where) == ["stopped"]

    async def test_editions_are_looked_after_while_prefect_does_not_answer(self, client, where, caplog):
        from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

        await a_round(where)
        where.open().set_aside(EDITION, "hello", None, to="cancelled", reason="no", now=STARTS)
        with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api", PREFECT_CLIENT_MAX_RETRIES: 0}):
            assert await a_round(where) == {EDITION: 1}
        assert open_kinds(where) == ["stopped"], "what cannot be seen is neither found nor cleared"
        assert "the launches' flow runs: " in caplog.text


# One round after the other.


class TestSchedule:
    pytestmark = [pytest.mark.e2e, pytest.mark.prefect, pytest.mark.xdist_group("prefect")]

    @pytest.fixture
    async def rounds(self, client):
        """The server's own way to plan rounds: two of the schedule's, at work one after the other."""
        from prefect import flow
        from prefect.states import Pending, Running

        @flow(name="watch")
        async def watch():
            pass

        flow_id = await client.create_flow(watch)
        deployment = await client.create_deployment(flow_id, "watch", tags=["drumroll", "watch"], paused=True)
        runs = []
        for _ in range(2):
            run = await client.create_flow_run_from_deployment(deployment)
            for state in (Pending(), Running()):
                await client.set_flow_run_state(run.id, state)
            runs.append(run.model_copy(update={"auto_scheduled": True}))
        yield runs
        await client.delete_deployment(deployment)

    async def steps_aside(self, monkeypatch, run, later=timedelta(0)):
        from tasks.rounds import another_is_at_work

        monkeypatch.setattr("tasks.rounds.this_run", lambda: run)
        with using_clock(VirtualClock(datetime.now(UTC) + later)):
            return await another_is_at_work()

    async def test_the_second_steps_aside_for_the_first(self, rounds, monkeypatch):
        assert [await self.steps_aside(monkeypatch, run) for run in rounds] == [False, True]

    async def test_a_round_that_a_person_asks_for_goes_ahead(self, rounds, monkeypatch):
        asked = rounds[1].model_copy(update={"auto_scheduled": False})
        assert not await self.steps_aside(monkeypatch, asked)

    async def test_a_round_that_died_holds_up_no_more_than_the_next(self, rounds, monkeypatch):
        assert await self.steps_aside(monkeypatch, rounds[1], later=timedelta(minutes=5))
        assert not await self.steps_aside(monkeypatch, rounds[1], later=timedelta(minutes=10))

    async def test_a_round_goes_ahead_once_the_first_is_done(self, client, rounds, monkeypatch):
        from prefect.states import Completed

        await client.set_flow_run_state(rounds[0].id, Completed())
        assert not await self.steps_aside(monkeypatch, rounds[1])


# Rounds long past.


class TestPruning:
    pytestmark = [pytest.mark.e2e, pytest.mark.prefect, pytest.mark.xdist_group("prefect")]

    async def run(self, client, state, *, name="watch", tags=("drumroll", "watch")):
        from prefect import flow

        @flow(name=name)
        async def some_flow():
            pass

        flow_id = await client.create_flow(some_flow)
        deployment = await client.create_deployment(flow_id, f"{name}-{'-'.join(tags)}", tags=list(tags), paused=True)
        run = await client.create_flow_run_from_deployment(deployment)
        await client.set_flow_run_state(run.id, state, force=True)
        return run.id

    @pytest.fixture(autouse=True)
    async def nothing_yet(self, client):
        await self.prune(99)

    async def left(self, client, *runs):
        from prefect.exceptions import ObjectNotFound

        found = []
        for run in runs:
            try:
                await client.read_flow_run(run)
                found.append(run)
            except ObjectNotFound:
                pass
        return found

    async def prune(self, days, **given):
        from tasks.rounds import prune_rounds

        with using_clock(VirtualClock(datetime.now(UTC) + timedelta(days=days))):
            return await prune_rounds(**given)

    async def test_rounds_go_after_two_days_and_failed_ones_after_fourteen(self, client):
        from prefect.states import Cancelled, Completed, Crashed, Failed

        done, cancelled = await self.run(client, Completed()), await self.run(client, Cancelled())
        failed, crashed = await self.run(client, Failed()), await self.run(client, Crashed())
        every = (done, cancelled, failed, crashed)
        assert await self.prune(1.9) == 0
        await self.prune(2.1)
        assert await self.left(client, *every) == [failed, crashed]
        await self.prune(13.9)
        assert await self.left(client, *every) == [failed, crashed]
        await self.prune(14.1)
        assert await self.left(client, *every) == []

    async def test_runs_of_other_flows_and_of_others_deployments_stay(self, client):
        from prefect.states import Completed

        launch = await self.run(client, Completed(), name="launch")
        theirs = await self.run(client, Completed(), tags=("theirs",))
        await self.prune(99)
        assert await self.left(client, launch, theirs) == [launch, theirs]

    async def test_a_round_that_is_under_way_or_yet_to_come_stays_and_a_missed_one_goes(self, client):
        from prefect.states import Running, Scheduled

        now = datetime.now(UTC)
        running = await self.run(client, Running())
        coming = await self.run(client, Scheduled(scheduled_time=now + timedelta(days=1)))
        missed = await self.run(client, Scheduled(name="Late", scheduled_time=now - timedelta(minutes=11)))
        slow = await self.run(client, Scheduled(name="Late", scheduled_time=now - timedelta(minutes=9)))
        await self.prune(0)
        assert await self.left(client, running, coming, missed, slow) == [running, coming, slow]

    async def test_no_round_deletes_more_than_its_share(self, client, monkeypatch):
        from prefect.states import Completed

        monkeypatch.setattr("tasks.rounds.MOST", 2)
        runs = [await self.run(client, Completed()) for _ in range(3)]
        assert [await self.prune(3), await self.prune(3)] == [2, 1]
        assert await self.left(client, *runs) == []

    async def test_two_that_prune_at_once_do_not_disturb_each_other(self, client):
        from prefect.states import Completed

        runs = [await self.run(client, Completed()) for _ in range(5)]
        assert sum(await asyncio.gather(self.prune(3), self.prune(3))) == 5
        assert await self.left(client, *runs) == []
