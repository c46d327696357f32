"""Waiting without a process: what Prefect must do for it, and what the watch does about runs that lost theirs."""

import asyncio
import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from ledger_rows import MINUTE, NOW, begin, new
from small_launch import EDITION, LAUNCH, STARTS, begun, held
from small_launch import project as small_project

from drumroll.clock import VirtualClock, using_clock
from drumroll.errors import UsageError
from drumroll.ledger.changes import PlanChange
from drumroll.ledger.ledger import default_url, open_ledger
from drumroll.ledger.model import GateCheckRow
from drumroll.operate.beats import Beat, next_beat
from drumroll.operate.gating import decide
from drumroll.operate.preparing import prepare
from drumroll.operate.story import awaited
from drumroll.operate.waking import APART, EACH, LEAD, READY, coming_beat, wake_for

SOON = timedelta(hours=3)


# When a process is given back, and when the next one is wanted.


@pytest.fixture
def where(tmp_path, monkeypatch):
    monkeypatch.delenv("DRUMROLL_WAITING", raising=False)
    return begun(tmp_path)


def test_a_long_wait_ends_a_lead_before_the_moment(where):
    assert wake_for(where, NOW + SOON, now=NOW) == NOW + SOON - LEAD


def test_a_wait_of_less_than_the_lead_and_a_minute_is_not_worth_a_new_process(where):
    assert wake_for(where, NOW + LEAD + MINUTE, now=NOW) is None
    assert wake_for(where, NOW + LEAD + MINUTE + timedelta(seconds=1), now=NOW) is not None


def test_processes_wait_themselves_when_told_so(where, monkeypatch):
    monkeypatch.setenv("DRUMROLL_WAITING", "inline")
    assert wake_for(where, NOW + SOON, now=NOW) is None


def test_the_lead_can_be_set(where, monkeypatch):
    monkeypatch.setenv("DRUMROLL_WAITING", "120")
    assert wake_for(where, NOW + SOON, now=NOW) == NOW + SOON - timedelta(seconds=120)


@pytest.mark.parametrize("said", ["in line", "0", "-5", "1.5", "²"])
def test_a_lead_that_is_none_is_refused_with_its_name(where, monkeypatch, said):
    monkeypatch.setenv("DRUMROLL_WAITING", said)
    with pytest.raises(
        UsageError, match=r"DRUMROLL_WAITING: .* neither how nor how long .*; write inline, or how many"
    ):
        wake_for(where, NOW + SOON, now=NOW)


def test_launches_that_share_a_minute_are_woken_one_after_the_other(where):
    at = where.plan().step("hello").due
    ledger, due = where.open(), {"due": at + timedelta(seconds=20)}
    before, after = "autumn@2027-03-06", "winter@2027-03-06"
    for name in (before, after):
        begin(ledger, new(**due), edition=name)
    begin(ledger, new(**due), edition="a-rehearsal@2027-03-06", rehearsal=True)
    begin(ledger, new(due=at + MINUTE), edition="a-minute-later@2027-03-06")
    assert wake_for(where, at, now=at - SOON) == at - LEAD - APART  # autumn comes before spring
    assert ledger.firing(["recruit"], since=at, until=at + MINUTE) == [before, EDITION, after]


def test_launches_that_make_ready_in_the_minute_before_are_still_woken_one_after_the_other(where):
    """At the full minute everybody makes ready in the one before."""
    at = where.plan().step("hello").due
    begin(where.open(), new(due=at), edition="autumn@2027-03-06")
    ready = at - READY - EACH
    assert wake_for(where, ready, now=at - SOON, instant=at) == ready - LEAD - APART


def test_editions_that_are_over_or_speak_in_another_phase_are_not_waited_for(ledger):
    begin(ledger, new())
    begin(ledger, new(), edition="over@2026-12-12")
    ledger.set_edition_state("over@2026-12-12", "aborted", now=NOW)
    begin(ledger, new(phase="ignite"), edition="later@2026-12-12")
    assert ledger.firing(["recruit"], since=NOW, until=NOW + MINUTE) == ["learning-phone@2026-12-12"]


def test_an_engine_that_was_overtaken_moves_no_flow_run(where):
    token = where.open().take_lease(EDITION, owner="one", now=NOW, ttl=MINUTE)
    mine = replace(where, token=token)
    assert wake_for(mine, NOW + SOON, now=NOW) is not None
    where.open().take_lease(EDITION, owner="two", now=NOW + SOON, ttl=MINUTE)
    assert wake_for(mine, NOW + SOON, now=NOW) is None


def test_what_is_waited_for_is_said_with_its_number_time_and_zone(where):
    beat = next_beat(where, "recruit", now=STARTS)
    with using_clock(VirtualClock(STARTS)):
        assert awaited(where, beat, "recruit") == "No. 01 at 09:30 UTC"
    with using_clock(VirtualClock(STARTS - timedelta(days=1))):
        assert awaited(where, beat, "recruit") == "No. 01 at Wed 03-03 09:30 UTC"


def test_the_coming_beat_is_of_the_first_phase_that_has_not_passed(tmp_path):
    where = held(tmp_path)
    assert coming_beat(where, now=NOW) is None, "a held gate waits for a person, not for a process"
    decide(where, "recruit", "pass", by="Ann", reason="enough", now=NOW)
    phase, beat = coming_beat(where, now=NOW)
    assert (phase, beat.step) == ("ignite", "quiet-hello")


# Just before the moment.


@pytest.fixture
def shortly_before(tmp_path):
    """An edition one of whose steps is due in a minute of the wall clock."""
    where = begun(tmp_path)
    return where, Beat("announce", datetime.now(UTC) + MINUTE, "hello")


async def test_words_that_will_not_render_are_told_before_their_instant(shortly_before, caplog):
    where, beat = shortly_before
    plan = where.plan()
    broken = plan.model_copy(update={"templates": dict.fromkeys(plan.templates, "{{ nonsense }}")})
    words = {"plan_hash": "broken", "document": broken.model_dump_json(), "title": "", "opens_at": plan.opens}
    nothing = dict.fromkeys(("moved", "cancelled", "added", "unsaid", "decisions"), ())
    [first] = where.open().plan_versions(EDITION)
    where.open().change_plan(EDITION, PlanChange(**words, **nothing, reason=""), since=first, now=NOW)
    await prepare(where, beat)
    assert "hello, due in 60 s, may not go out: " in caplog.text
    assert "nonsense" in caplog.text
    assert where.open().wordings(EDITION) == []


async def test_what_is_prepared_is_prepared_once_and_says_nothing_when_all_is_well(shortly_before, caplog, monkeypatch):
    where, beat = shortly_before
    await prepare(where, beat)
    assert caplog.text == ""
    monkeypatch.setattr("drumroll.operate.preparing.OpenChannels", None)
    await prepare(where, beat)


async def test_nothing_is_prepared_when_it_is_too_early_or_too_late_or_in_a_rehearsal(shortly_before, monkeypatch):
    where, beat = shortly_before
    monkeypatch.setattr("drumroll.operate.preparing.OpenChannels", None)
    await prepare(where, replace(beat, at=datetime.now(UTC) + SOON))
    await prepare(where, replace(beat, at=datetime.now(UTC) + timedelta(seconds=1)))
    with using_clock(VirtualClock(beat.at - MINUTE)):
        await prepare(where, beat)


# What Prefect's states must do: an upgrade that breaks it is to fail here, and not in a launch.


prefect = [pytest.mark.prefect, pytest.mark.xdist_group("prefect")]
TEXT = "【公告07】 at 23:00 Asia/Shanghai"


class Deployed:
    """A flow behind a deployment, picked up in this process as a worker's engine would pick it up."""

    def __init__(self, client, flow, run):
        self.client, self.flow, self.run = client, flow, run

    @classmethod
    async def make(cls, client, flow, **parameters):
        flow_id = await client.create_flow(flow)
        deployment = await client.create_deployment(flow_id, f"{flow.name}-{uuid4().hex}", paused=True)
        run = await client.create_flow_run_from_deployment(deployment, parameters=parameters)
        return cls(client, flow, run)

    async def pick_up(self):
        """Whether the run left its process before it was over."""
        from prefect.exceptions import Pause
        from prefect.flow_engine import run_flow_async
        from prefect.states import Pending

        await self.client.set_flow_run_state(self.run.id, Pending())
        now_is = await self.client.read_flow_run(self.run.id)
        try:
            await run_flow_async(self.flow, flow_run=now_is, parameters=now_is.parameters)
        except Pause:
            return True
        return False

    async def now_is(self):
        return await self.client.read_flow_run(self.run.id)

    async def states(self):
        states = await self.client.read_flow_run_states(self.run.id)
        return [state.name for state in sorted(states, key=lambda state: state.timestamp)]

    async def phases(self):
        from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId

        mine = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[self.run.id]))
        return await self.client.read_flow_runs(flow_run_filter=mine)


@pytest.fixture
async def client(prefect_api):
    from prefect.client.orchestration import get_client

    async with get_client() as client:
        yield client


def flow_that_waits(wakes):
    """A launch of one phase that gives its process back, until each of `wakes` has passed."""
    from prefect import flow

    from tasks.releasing import give_back

    @flow(name="phase")
    async def phase():
        if wakes:
            await give_back(wakes.pop(0), TEXT)
        return "pass"

    @flow(name="launch")
    async def launch():
        return await phase()

    return launch


class TestPrefect:
    pytestmark = prefect

    async def test_a_run_that_gives_its_process_back_is_scheduled_for_its_moment(self, client):
        wake = datetime.now(UTC).replace(microsecond=0) + SOON
        run = await Deployed.make(client, flow_that_waits([wake]))
        assert await run.pick_up()
        now_is, [phase] = await run.now_is(), await run.phases()
        assert (now_is.state_type.value, now_is.state_name, now_is.state.message) == ("SCHEDULED", "Waiting", TEXT)
        assert now_is.next_scheduled_start_time == wake
        assert (phase.state_type.value, phase.state_name, phase.state.message) == ("PAUSED", "Waiting", TEXT)

    async def test_it_comes_back_as_the_same_run_and_the_same_phase_with_its_retries_untouched(self, client):
        run = await Deployed.make(client, flow_that_waits([datetime.now(UTC)] * 2))
        assert [await run.pick_up() for _ in range(3)] == [True, True, False]
        now_is, [phase] = await run.now_is(), await run.phases()
        assert (now_is.state_name, now_is.run_count) == ("Completed", 1)
        assert phase.state_name == "Completed"
        once = ["Scheduled", "Pending", "Running"]
        again = ["Suspended", "Waiting", "Pending", "Running"]
        assert await run.states() == [*once, *again, *again, "Completed"]

    async def test_prefect_does_not_start_it_before_its_time(self, client):
        from prefect.states import Pending, Running

        run = await Deployed.make(client, flow_that_waits([datetime.now(UTC) + SOON]))
        await run.pick_up()
        await client.set_flow_run_state(run.run.id, Pending())
        answer = await client.set_flow_run_state(run.run.id, Running())
        assert (answer.status.value, round(answer.details.delay_seconds, -2)) == ("WAIT", SOON.total_seconds())

    async def test_a_run_in_the_foreground_keeps_its_process(self, client):
        from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

        launch = flow_that_waits([datetime.now(UTC) + SOON])
        state = await launch(return_state=True)
        only = FlowRunFilter(id=FlowRunFilterId(any_=[state.state_details.flow_run_id]))
        [run] = await client.read_flow_runs(flow_run_filter=only)
        assert run.state_name == "Completed"

    async def test_a_run_that_is_being_cancelled_is_not_scheduled_again(self, client):
        from prefect import flow
        from prefect.runtime import flow_run
        from prefect.states import Cancelling

        from tasks.releasing import give_back

        @flow(name="launch")
        async def launch():
            await client.set_flow_run_state(flow_run.id, Cancelling())
            await give_back(datetime.now(UTC) + SOON, TEXT)

        run = await Deployed.make(client, launch)
        assert not await run.pick_up()
        assert "Waiting" not in await run.states()

    async def test_to_give_the_process_back_is_no_error_in_the_log(self, client, caplog, monkeypatch):
        monkeypatch.setattr(logging.getLogger("prefect.flow_runs"), "propagate", True)
        monkeypatch.setattr(logging.getLogger("prefect"), "propagate", True)
        run = await Deployed.make(client, flow_that_waits([datetime.now(UTC) + SOON]))
        with caplog.at_level(logging.INFO, logger="prefect.flow_runs"):
            assert await run.pick_up()
        said = [(record.levelname, record.getMessage()) for record in caplog.records if "Finished" in record.msg]
        assert [level for level, _ in said] == ["INFO", "INFO"]
        assert all(TEXT in line for _, line in said)


class TestLaunch:
    pytestmark = [pytest.mark.e2e, *prefect]

    @pytest.fixture
    def file(self, tmp_path, monkeypatch):
        for name in ("DRUMROLL_LEDGER", "DRUMROLL_WAITING"):
            monkeypatch.delenv(name, raising=False)
        file = small_project(tmp_path)
        opens = datetime.now(UTC) + timedelta(days=30)
        file.write_text(LAUNCH.replace("2027-03-06 12:00", f"{opens:%Y-%m-%d} 12:00"))
        return file

    async def test_a_launch_that_comes_back_asks_the_ledger_and_not_its_file(self, client, file, tmp_path):
        from prefect.states import Scheduled

        from flows.launch import launch

        run = await Deployed.make(client, launch, file=str(file))
        assert await run.pick_up()
        [edition] = open_ledger(default_url(tmp_path)).editions()
        assert edition.id in (await run.now_is()).tags
        file.write_text("drumroll: 1\nnonsense: true\n")
        await client.set_flow_run_state(run.run.id, Scheduled())
        assert await run.pick_up()
        assert (await run.now_is()).state_name == "Waiting"

    async def test_a_phase_that_has_passed_is_not_gone_through_again(self, client, file, tmp_path):
        from prefect.states import Scheduled

        from flows.launch import launch

        run = await Deployed.make(client, launch, file=str(file))
        assert await run.pick_up()
        [edition] = open_ledger(default_url(tmp_path)).editions()
        now, ledger = datetime.now(UTC), open_ledger(default_url(tmp_path))
        ledger.keep_check(GateCheckRow(edition.id, "recruit", 1, now, "pass", latched=True, snapshot="{}"))
        await client.set_flow_run_state(run.run.id, Scheduled())
        assert await run.pick_up()
        states = {phase.name.partition(" ")[0]: phase.state_name for phase in await run.phases()}
        assert states == {"recruit": "Completed", "ignite": "Waiting"}


# What the watch does about runs that have no process.


class TestWatch:
    pytestmark = [pytest.mark.e2e, pytest.mark.prefect, pytest.mark.xdist_group("prefect")]

    @pytest.fixture
    def where(self, tmp_path, monkeypatch):
        from tasks.requeue import GRACE

        monkeypatch.setattr("tasks.requeue.GRACE", dict.fromkeys(GRACE, timedelta(0)))
        return begun(tmp_path)

    @pytest.fixture
    async def run(self, client, where):
        """A launch's run, signed with its edition and picked up by a process that died."""
        return await signed_run(client, where)

    async def test_a_run_whose_process_is_gone_is_handed_back_once(self, client, where, run):
        assert await tend(where) == []
        assert await tend(where) == []
        assert await run.states() == ["Scheduled", "Pending", "Running", "Suspended", "Waiting"]
        now_is = await run.now_is()
        assert now_is.state.message == "its process was gone (Running)"
        assert now_is.next_scheduled_start_time <= datetime.now(UTC)
        assert not where.open().lease(EDITION).is_live(datetime.now(UTC)), "the next engine gets in at once"

    async def test_two_watches_at_once_hand_it_back_once(self, client, where, run):
        await asyncio.gather(*(tend(where) for _ in range(4)))
        assert (await run.states()).count("Waiting") == 1

    async def test_a_run_whose_edition_has_a_live_engine_is_left_alone(self, client, where, run):
        where.open().take_lease(EDITION, owner="one", now=datetime.now(UTC), ttl=MINUTE)
        await tend(where)
        assert (await run.now_is()).state_name == "Running"

    async def test_a_run_that_ends_while_it_is_looked_at_stays_ended(self, client, where, run):
        from prefect.states import Completed

        looking = asyncio.create_task(tend(where, look_again=timedelta(seconds=0.5)))
        await asyncio.sleep(0.2)
        await client.set_flow_run_state(run.run.id, Completed(data="done"))
        await looking
        assert (await run.now_is()).state_name == "Completed"

    async def test_a_run_that_has_just_got_its_process_is_given_time(self, client, where, run, monkeypatch):
        monkeypatch.undo()
        await tend(where)
        assert (await run.now_is()).state_name == "Running"

    async def test_a_run_that_died_while_it_gave_its_process_back_is_handed_back(self, client, where, run):
        from tasks.releasing import suspend

        await suspend(client, run.run.id)
        await tend(where)
        assert (await run.now_is()).state_name == "Waiting"

    async def test_a_run_that_a_person_suspended_stays_so(self, client, where, run):
        from prefect.states import Suspended

        await client.set_flow_run_state(run.run.id, Suspended())
        await tend(where)
        assert (await run.now_is()).state_name == "Suspended"

    async def test_a_crashed_run_is_handed_back_while_its_edition_runs(self, client, where, run):
        from prefect.states import Crashed

        await client.set_flow_run_state(run.run.id, Crashed())
        await tend(where)
        assert (await run.now_is()).state_name == "Waiting"

    async def test_a_crashed_run_of_an_edition_that_is_over_or_run_by_another_stays_so(self, client, where, run):
        from prefect.states import Crashed

        await client.set_flow_run_state(run.run.id, Crashed())
        other = await signed_run(client, where)
        where.open().take_lease(EDITION, owner="the other", now=datetime.now(UTC), ttl=MINUTE)
        await tend(where)
        assert (await run.now_is()).state_name == "Crashed"
        await client.set_flow_run_state(other.run.id, Crashed())
        where.open().set_edition_state(EDITION, "aborted", now=NOW)
        await tend(where)
        assert [(await each.now_is()).state_name for each in (run, other)] == ["Crashed", "Crashed"]

    async def test_the_run_of_a_phase_deployed_by_itself_is_handed_back_too(self, client, where):
        from prefect.states import Pending, Running

        run = await Deployed.make(client, flow_that_waits([]).with_options(name="recruit"))
        await sign_as(client, run.run, where)
        for state in (Pending(), Running()):
            await client.set_flow_run_state(run.run.id, state)
        await tend(where)
        assert (await run.now_is()).state_name == "Waiting"

    async def test_a_run_that_crashed_before_it_had_opened_its_edition_is_handed_back(self, client, where):
        from prefect.states import Crashed, Pending, Running

        run = await Deployed.make(client, flow_that_waits([]))
        for state in (Pending(), Running(), Crashed()):
            await client.set_flow_run_state(run.run.id, state)
        await tend(where)
        assert (await run.now_is()).state_name == "Waiting"

    async def test_a_run_whose_processes_are_killed_again_and_again_is_an_alarm(self, client, where, run):
        from prefect.states import Crashed, Pending, Running

        for _ in range(3):
            await client.set_flow_run_state(run.run.id, Crashed())
            assert await tend(where) == []
            for state in (Pending(), Running()):
                await client.set_flow_run_state(run.run.id, state)
        [alarm] = await tend(where)
        assert (alarm.kind, alarm.subject) == ("run", "killed")
        assert "killed 3 times" in alarm.what

    async def test_a_run_that_no_worker_ever_started_is_handed_back(self, client, where):
        from prefect.states import Pending

        run = await Deployed.make(client, flow_that_waits([]))
        await sign_as(client, run.run, where)
        await client.set_flow_run_state(run.run.id, Pending())
        await tend(where)
        assert await run.states() == ["Scheduled", "Pending", "Waiting"]

    async def test_runs_of_another_ledger_are_left_alone(self, client, where, run, tmp_path):
        other = begun(tmp_path / "other")
        await tend(other)
        assert (await run.now_is()).state_name == "Running"

    async def test_a_waiting_run_is_woken_earlier_when_its_moment_has_come_nearer(self, client, where, run):
        await wait_for(client, run, datetime.now(UTC) + timedelta(days=400))
        await tend(where)
        now_is = await run.now_is()
        coming = next_beat(where, "recruit", now=datetime.now(UTC)).at
        assert now_is.next_scheduled_start_time == coming - READY - LEAD
        assert now_is.state.message == "No. 01 at Wed 03-03 09:30 UTC"

    async def test_a_waiting_run_that_nobody_picks_up_is_an_alarm(self, client, where, run):
        await wait_for(client, run, datetime.now(UTC) - timedelta(minutes=6))
        [alarm] = await tend(where)
        assert (alarm.edition, alarm.kind) == (EDITION, "run")
        assert "was to be picked up" in alarm.what
        assert "is a worker running?" in alarm.remedy

    async def test_the_watch_shows_it_on_the_editions_board(self, client, where, run):
        from flows.watch import watch

        where.open().take_lease(EDITION, owner="one", now=datetime.now(UTC), ttl=MINUTE)
        calm = await watch(ledger=where.ledger, project=where.project)
        await wait_for(client, run, datetime.now(UTC) - timedelta(minutes=6))
        alarmed = await watch(ledger=where.ledger, project=where.project)
        assert alarmed[EDITION] == calm[EDITION] + 1
        artifacts = await client.read_artifacts()
        assert any(
            "was to be picked up" in (each.data or "") for each in artifacts if each.key == "board-spring-2027-03-06"
        )


async def signed_run(client, where):
    from prefect.states import Pending, Running

    run = await Deployed.make(client, flow_that_waits([]))
    await sign_as(client, run.run, where)
    for state in (Pending(), Running()):
        await client.set_flow_run_state(run.run.id, state)
    return run


async def sign_as(client, run, where):
    from tasks import signing

    labels = {signing.EDITION: where.edition, signing.LEDGER: where.open().store.where, signing.PROJECT: where.project}
    await client.update_flow_run_labels(run.id, labels)


async def tend(where, look_again=timedelta(0)):
    from tasks.requeue import tend_runs

    return await tend_runs(where.open(), [where], look_again=look_again)


async def wait_for(client, run, wake):
    from tasks.releasing import schedule, suspend

    await suspend(client, run.run.id)
    await schedule(client, run.run.id, wake, TEXT)
