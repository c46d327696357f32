"""One engine per edition: the lease in the ledger, the fence before its writes, and the engine that keeps it."""

import asyncio
import inspect
import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import pytest
from alembic import command
from ledger_rows import EDITION, MINUTE, NOW, begin, key, new, take
from small_launch import EDITION as SPRING
from small_launch import REPOSITORY, STARTS, begun
from sqlalchemy import inspect as look_at
from sqlalchemy import text

from drumroll.activity import Event, Person
from drumroll.clock import VirtualClock, using_clock
from drumroll.errors import LedgerBusyError, LedgerError
from drumroll.ledger import tables
from drumroll.ledger.edition_lease import FencedError
from drumroll.ledger.ledger import Ledger, open_ledger
from drumroll.ledger.model import GateCheckRow, Settlement
from drumroll.ledger.schema import HEAD, alembic_config
from drumroll.ledger.store import Store, parse_url
from drumroll.operate.lease import current_lease, holding, while_ours
from tests.driver import drive

TTL = timedelta(seconds=12)
LATER = NOW + MINUTE


@pytest.fixture
def edition(ledger):
    begin(ledger, new(), new(group="g2"))
    return ledger


def held(ledger, owner="one", now=NOW):
    return ledger.take_lease(EDITION, owner=owner, now=now, ttl=TTL)


# The lease.


def test_while_one_engine_holds_an_edition_no_other_gets_it(edition):
    assert held(edition) == 1
    assert held(edition, "two", now=NOW + TTL - timedelta(seconds=1)) is None
    lease = edition.lease(EDITION)
    assert (lease.owner, lease.token, lease.taken_at, lease.expires_at) == ("one", 1, NOW, NOW + TTL)
    assert lease.is_live(NOW)
    assert not lease.is_live(NOW + TTL)


def test_a_lease_that_ran_out_is_taken_over_with_a_higher_token(edition):
    assert [held(edition), held(edition, "two", now=NOW + TTL)] == [1, 2]
    assert edition.lease(EDITION).owner == "two"


def test_a_released_lease_lets_the_next_engine_in_at_once_with_a_higher_token(edition):
    edition.release_lease(EDITION, held(edition))
    assert edition.lease(EDITION).expires_at is None
    assert held(edition, "two") == 2


def test_a_lease_that_is_kept_does_not_run_out(edition):
    token = held(edition)
    assert edition.keep_lease(EDITION, token, now=NOW + TTL / 2, ttl=TTL)
    assert held(edition, "two", now=NOW + TTL) is None


def test_a_lease_that_ran_out_untaken_may_still_be_kept(edition):
    token = held(edition)
    assert edition.keep_lease(EDITION, token, now=LATER, ttl=TTL)
    assert held(edition, "two", now=LATER) is None


def test_who_was_overtaken_can_neither_keep_nor_release_the_lease(edition):
    old = held(edition)
    held(edition, "two", now=LATER)
    assert not edition.keep_lease(EDITION, old, now=LATER, ttl=TTL)
    edition.release_lease(EDITION, old)
    assert edition.lease(EDITION).is_live(LATER)


def test_a_heartbeat_after_the_release_does_not_take_the_lease_back(edition):
    token = held(edition)
    edition.release_lease(EDITION, token)
    assert not edition.keep_lease(EDITION, token, now=NOW, ttl=TTL)
    assert held(edition, "two") == 2


def test_editions_have_leases_of_their_own(edition):
    begin(edition, edition="kettle@2027-01-01")
    held(edition)
    assert edition.take_lease("kettle@2027-01-01", owner="two", now=NOW, ttl=TTL) == 1
    assert edition.lease("nobody@2027-01-01") is None


def test_an_edition_that_never_began_has_no_lease(ledger):
    with pytest.raises(LedgerError, match="not in the ledger"):
        held(ledger)


@pytest.mark.parametrize("before", ["never held", "run out"])
def test_of_many_that_reach_for_it_at_once_one_gets_it(edition, before):
    if before == "run out":
        held(edition)
    with ThreadPoolExecutor(8) as pool:
        tokens = list(pool.map(lambda n: held(edition, f"engine {n}", now=LATER), range(8)))
    assert [token for token in tokens if token is not None] == [2 if before == "run out" else 1]


def test_a_ledger_of_the_first_revision_gets_the_lease_and_keeps_its_rows(blank_url):
    store = Store(parse_url(blank_url))
    if store.path:
        store.path.parent.mkdir(parents=True)
    with store.write() as connection:
        command.upgrade(alembic_config(connection), "0001")
        about = {"launch": "learning-phone", "title": "t", "opens_at": NOW, "created_at": NOW}
        of_edition = {"id": EDITION, "state": "running", "plan_version": 1, "rehearsal": False}
        connection.execute(tables.edition.insert().values(**about, **of_edition))
        row = {**asdict(new()), "recipient": "g1", "group_id": "g1", "state": "sending", "token": 1, "attempts": 1}
        del row["group"]
        connection.execute(tables.delivery.insert().values(edition=EDITION, **row))
    assert not look_at(store.engine).has_table("edition_lease")
    store.close()

    ledger = open_ledger(blank_url)
    assert ledger.delivery(key()).state == "sending"
    assert ledger.edition(EDITION).state == "running"
    assert held(ledger) == 1
    with ledger.store.read() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == HEAD
    ledger.close()


# The fence.

CHECK = GateCheckRow(EDITION, "recruit", 1, NOW, "pass", latched=True, snapshot="{}")
JOINED = ([Person("m")], [Event("s", "1", "join", NOW, "g1", "m")])
WRITES = {
    "claim": lambda ledger, _: take(ledger, now=LATER),
    "reclaim": lambda ledger, lapsed: ledger.reclaim(lapsed, now=LATER, lease=MINUTE),
    "recover": lambda ledger, lapsed: ledger.recover(lapsed, "unknown", now=LATER, reason="?"),
    "schedule": lambda ledger, _: ledger.schedule(EDITION, [new("clue")]),
    "set_aside": lambda ledger, _: ledger.set_aside(EDITION, None, None, to="cancelled", reason="?", now=LATER),
    "keep_wording": lambda ledger, _: ledger.keep_wording(EDITION, "welcome", 1, "hello", now=LATER),
    "keep_check": lambda ledger, _: ledger.keep_check(CHECK),
    "set_edition_state": lambda ledger, _: ledger.set_edition_state(EDITION, "done", now=LATER),
    "take_in": lambda ledger, _: ledger.take_in(EDITION, *JOINED),
    "decide": lambda ledger, _: ledger.decide(EDITION, "fit", "override", by="Ann", reason="?", now=LATER),
}


def engine_with_a_lapsed_send(ledger):
    """An engine's view of the ledger, and the claim that it left in `sending` beyond the claim's own lease."""
    mine = ledger.fenced(EDITION, held(ledger))
    return mine, take(mine, limit=1, lease=timedelta(seconds=5))


def everything(ledger):
    """All that any write could change."""
    events, people = ledger.activity(EDITION, until=LATER)
    rows, said, checks = ledger.deliveries(EDITION), ledger.wordings(EDITION), ledger.checks(EDITION)
    return ledger.edition(EDITION), rows, said, checks, ledger.decisions(EDITION), events, people


@pytest.mark.parametrize("write", WRITES)
def test_an_engine_that_was_overtaken_writes_nothing_any_more(edition, write):
    mine, lapsed = engine_with_a_lapsed_send(edition)
    held(edition, "two", now=LATER)
    before = everything(edition)
    with pytest.raises(FencedError, match=f"{EDITION}: is run by two since 2026-12-12 12:01:00 UTC; it goes on there"):
        WRITES[write](mine, lapsed)
    assert everything(edition) == before


@pytest.mark.parametrize("write", WRITES)
def test_an_engine_writes_while_nobody_has_overtaken_it(edition, write):
    mine, lapsed = engine_with_a_lapsed_send(edition)
    before = everything(edition)
    WRITES[write](mine, lapsed)  # its lease ran out, but nobody wanted it
    assert everything(edition) != before


def test_only_settlements_permits_and_the_lease_itself_go_around_the_fence():
    methods = dict(inspect.getmembers(Ledger, inspect.isfunction))
    around = {name for name, method in methods.items() if "write(fenced=False)" in inspect.getsource(method)}
    # A refusal, and what became of a permit, are true whoever learned it; a row is given back by its own token alone.
    permits = {"permits_used", "permits_back", "refuse", "give_back"}
    # Claims ask for the fence in their own first statement: see "an overtaken engine writes nothing" above, and
    # test_together.py.
    assert around == {"settle", "claim", "claim_together", "take_lease", "keep_lease", "release_lease"} | permits


def test_an_overtaken_engine_still_settles_what_nobody_has_taken_since(edition):
    mine, (claim,) = engine_with_a_lapsed_send(edition)
    held(edition, "two", now=LATER)
    assert mine.settle([Settlement(claim, "sent", message_id="m-1")], now=LATER) == 1
    assert edition.delivery(claim.key).message_id == "m-1"


def test_an_overtaken_engine_does_not_settle_what_the_next_one_has_reclaimed(edition):
    mine, (claim,) = engine_with_a_lapsed_send(edition)
    theirs = edition.fenced(EDITION, held(edition, "two", now=LATER))
    theirs.reclaim([claim], now=LATER, lease=MINUTE)
    assert mine.settle([Settlement(claim, "sent")], now=LATER) == 0
    assert edition.delivery(claim.key).state == "sending"


def test_an_engine_that_released_its_lease_writes_nothing_any_more(edition):
    token = held(edition)
    edition.release_lease(EDITION, token)
    with pytest.raises(FencedError):
        take(edition.fenced(EDITION, token))


def test_who_was_overtaken_by_an_engine_that_is_done_is_told_so(edition):
    mine, _ = engine_with_a_lapsed_send(edition)
    edition.release_lease(EDITION, held(edition, "two", now=LATER))
    with pytest.raises(FencedError, match="was taken over by two at 2026-12-12 12:01:00 UTC; run it again"):
        take(mine)


def test_people_write_whoever_holds_the_lease(edition):
    mine, _ = engine_with_a_lapsed_send(edition)
    edition.set_aside(EDITION, "welcome", 1, to="held", reason="the launch was paused", now=NOW)
    edition.resolve(key("g2"), "skip", by="Ann", reason="too late", now=NOW)
    assert take(mine) == []


def test_nobody_takes_an_edition_over_in_the_middle_of_a_write(edition):
    mine, taken = edition.fenced(EDITION, held(edition)), []
    other = threading.Thread(target=lambda: taken.append(held(edition, "two", now=LATER)))
    with mine.store.write() as connection:
        connection.execute(text("UPDATE edition SET title = 'written by one'"))
        other.start()
        other.join(0.3)
        assert taken == []
    other.join()
    assert taken == [2]
    assert edition.edition(EDITION).title == "written by one"


# The engine.

TTL_OF_ONE = timedelta(seconds=0.6)


@pytest.fixture
def where(tmp_path):
    """A launch that has begun, on SQLite."""
    where = begun(tmp_path)
    yield where
    where.open().close()


class Engine:
    """An engine in an asyncio task of its own: it holds the lease and waits until it is told to leave."""

    def __init__(self, where, owner, *, ttl=TTL_OF_ONE, beat=0.1):
        self.where, self.owner, self.how = where, owner, {"ttl": ttl, "beat": beat}
        self.inside, self.leave = asyncio.Event(), asyncio.Event()

    async def __aenter__(self):
        self.task = asyncio.create_task(self.run())
        inside = asyncio.create_task(self.inside.wait())
        await asyncio.wait({inside, self.task}, return_when=asyncio.FIRST_COMPLETED)
        inside.cancel()
        return self

    async def __aexit__(self, *_):
        self.leave.set()
        await asyncio.gather(self.task, return_exceptions=True)

    async def run(self):
        async with holding(self.where, self.owner, **self.how) as self.ours:
            self.lease = current_lease()
            self.inside.set()
            await while_ours(self.leave.wait())


def lease_of(where):
    return where.open().lease(SPRING)


def overtake(where, owner="two"):
    """Another engine, whose clock is a minute ahead, takes the edition over."""
    where.open().take_lease(SPRING, owner=owner, now=datetime.now(UTC) + MINUTE, ttl=TTL)


async def test_a_second_engine_steps_aside_and_says_who_runs_it(where):
    async with Engine(where, "one") as one, Engine(where, "two") as two:
        with pytest.raises(FencedError, match=f"{SPRING}: is run by one since .* UTC; it goes on there"):
            await two.task
        assert (lease_of(where).owner, lease_of(where).token) == ("one", one.ours.token)


async def test_an_engine_keeps_its_lease_alive_for_longer_than_it_lasts(where):
    async with Engine(where, "one"):
        await asyncio.sleep(2 * TTL_OF_ONE.total_seconds())
        assert lease_of(where).is_live(datetime.now(UTC))


async def test_an_engine_that_ends_lets_the_next_one_in_at_once(where):
    for token in (1, 2):
        async with Engine(where, "one", ttl=timedelta(hours=1)) as one:
            assert one.ours.token == token


async def test_an_engine_that_is_cancelled_lets_the_next_one_in_at_once(where):
    async with Engine(where, "one", ttl=timedelta(hours=1)) as one:
        one.task.cancel()
    assert one.task.cancelled()
    assert lease_of(where).expires_at is None


async def test_a_phase_inside_the_launch_shares_the_launchs_lease(where):
    async with holding(where, "launch") as launch:
        async with holding(where, "phase") as phase:
            assert phase == launch
        assert lease_of(where).is_live(datetime.now(UTC))


async def test_an_engine_that_finds_itself_overtaken_stops_waiting(where):
    async with Engine(where, "one") as one:
        overtake(where)
        with pytest.raises(FencedError, match="is run by two"):
            await asyncio.wait_for(one.task, 5)
    assert lease_of(where).owner == "two"
    assert lease_of(where).is_live(datetime.now(UTC)), "who was overtaken has released it"


async def test_an_engine_that_was_overtaken_while_it_was_busy_does_not_begin_to_wait(where):
    async with Engine(where, "one") as one:
        overtake(where)
        await asyncio.gather(one.task, return_exceptions=True)
        with pytest.raises(FencedError):
            await asyncio.wait_for(one.lease.unless_lost(asyncio.sleep(60)), 5)


async def test_a_timeout_of_the_work_itself_is_not_taken_for_a_lost_lease(where):
    async def give_up():
        raise TimeoutError

    async with Engine(where, "one") as one:
        with pytest.raises(TimeoutError):
            await one.lease.unless_lost(give_up())


async def test_what_is_done_outside_the_ledger_can_be_confirmed_first(where):
    async with Engine(where, "one", beat=60) as one:
        one.lease.confirm()
        overtake(where)
        with pytest.raises(FencedError, match="is run by two"):
            one.lease.confirm()


async def test_a_ledger_that_is_busy_costs_a_heartbeat_and_not_the_lease(where, monkeypatch):
    keep, asked = Ledger.keep_lease, []

    def busy_at_first(self, *call, **how):
        asked.append(call)
        if len(asked) == 1:
            raise LedgerBusyError("is locked by another process")
        return keep(self, *call, **how)

    monkeypatch.setattr(Ledger, "keep_lease", busy_at_first)
    async with Engine(where, "one") as one:
        await asyncio.sleep(2 * TTL_OF_ONE.total_seconds())
        assert not one.lease.lost
        assert lease_of(where).is_live(datetime.now(UTC))


async def test_a_silent_engine_is_overtaken_even_if_its_clock_was_hours_ahead(where):
    ahead = datetime.now(UTC) + timedelta(hours=3)
    where.open().take_lease(SPRING, owner="one", now=ahead, ttl=TTL)
    async with Engine(where, "two") as two:
        assert two.ours.token == 2
        await asyncio.sleep(0.5)
        assert lease_of(where).expires_at < ahead, "the heartbeat does not tell the right time again"


async def test_an_engine_at_the_door_goes_in_as_soon_as_the_other_leaves(where):
    hour = timedelta(hours=1)
    async with Engine(where, "one", ttl=hour, beat=3600) as one:
        two = Engine(where, "two", ttl=hour)
        entering = asyncio.create_task(two.__aenter__())
        await asyncio.sleep(0.3)
        one.leave.set()
        await asyncio.wait_for(entering, 5)
        assert two.ours.token == 2
        await two.__aexit__()


async def test_a_rehearsals_lease_needs_no_heartbeat_while_its_time_flies(where):
    clock = VirtualClock(STARTS)
    with using_clock(clock):
        async with holding(where, "rehearsal") as ours:
            await while_ours(clock.sleep_until(STARTS + timedelta(days=2)))
            assert ours.open().keep_wording(SPRING, "hello", 1, "hello", now=clock.now())


async def test_a_rehearsal_does_not_wait_in_real_time_for_another_one(where):
    where.open().take_lease(SPRING, owner="one", now=STARTS, ttl=TTL)
    with using_clock(VirtualClock(STARTS)), pytest.raises(FencedError, match="is run by one"):
        await asyncio.wait_for(Engine(where, "two", ttl=timedelta(hours=1)).run(), 5)


async def test_of_two_engines_on_one_edition_one_says_everything_once(where, tmp_path):
    async def engine(owner):
        async with holding(where, owner, ttl=TTL_OF_ONE, beat=0.1) as ours:
            clock = VirtualClock(STARTS)
            verdict = await drive(ours, "recruit", clock, beats=2)
            await asyncio.sleep(1)  # the other one looks whether we are alive
            return verdict

    ended = await asyncio.gather(engine("one"), engine("two"), return_exceptions=True)
    assert sorted(type(each).__name__ for each in ended) == ["FencedError", "str"]
    said = [json.loads(line)["key"] for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert len(said) == len(set(said)) == 1


ENGINE = """
import asyncio, sys
from datetime import timedelta
from drumroll.ledger.edition_lease import FencedError
from drumroll.operate.edition import Where
from drumroll.operate.lease import holding, while_ours
from ledger_rows import MINUTE
from small_launch import STARTS

async def main():
    async with holding(Where(*sys.argv[1:]), "one", ttl=timedelta(seconds=1), beat=0.2) as ours:
        print("inside", flush=True)
        try:
            await while_ours(asyncio.sleep(60))
        except FencedError as fenced:
            print(fenced, flush=True)
        due = STARTS + 61 * MINUTE
        ours.open().claim(ours.edition, "hello", 1, now=due, limit=9, lease=MINUTE)

asyncio.run(main())
"""


@contextmanager
def engine_process(where):
    """An engine in a process of its own, inside its lease."""
    call = [sys.executable, "-c", ENGINE, where.edition, where.ledger, where.project]
    path = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "tests")])
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(call, env=os.environ | {"PYTHONPATH": path}, **pipes) as process:
        try:
            assert process.stdout.readline() == "inside\n", process.stderr.read()
            yield process
        finally:
            process.kill()


async def test_a_frozen_engine_is_overtaken_and_claims_nothing_once_it_thaws(where):
    with engine_process(where) as frozen:
        frozen.send_signal(signal.SIGSTOP)
        async with Engine(where, "two", ttl=timedelta(seconds=5)):
            frozen.send_signal(signal.SIGCONT)
            told, failed = await asyncio.to_thread(frozen.communicate, timeout=20)
        assert told.startswith(f"{SPRING}: is run by two since")
        assert "FencedError" in failed.splitlines()[-1]
    assert {row.state for row in where.open().deliveries(SPRING)} == {"due"}


async def test_after_a_kill_the_next_engine_waits_for_the_lease_to_run_out_and_tells_it(where, caplog):
    caplog.set_level("WARNING", logger="drumroll.story")
    with engine_process(where) as killed:
        killed.kill()
        killed.wait()
        assert lease_of(where).is_live(datetime.now(UTC))
        async with Engine(where, "two", ttl=timedelta(seconds=5)) as two:
            assert two.ours.token == 2
    waits, goes_on = [record.getMessage() for record in caplog.records]
    assert "one holds this launch; without a sign of life it goes on here in 1 s" in waits
    assert "one is silent; it goes on here" in goes_on


# Flow runs.


class TestFlowRuns:
    pytestmark = [pytest.mark.e2e, pytest.mark.prefect, pytest.mark.xdist_group("prefect")]

    @pytest.fixture
    async def run(self, prefect_api, where):
        """A flow run of the launch, as a worker would pick it up."""
        from prefect.client.orchestration import get_client

        from flows.launch import launch

        file = f"{where.project}/configs/spring.yaml"
        async with get_client() as client:
            parameters = {"file": file, "ledger": where.ledger}
            yield await client.create_flow_run(launch, parameters=parameters)

    async def play(self, run):
        from prefect.flow_engine import run_flow_async

        from flows.launch import launch

        return await run_flow_async(launch, flow_run=run, parameters=run.parameters, return_type="state")

    async def states(self, run):
        """The state of the run, and of the phase inside it if there is one."""
        from prefect.client.orchestration import get_client
        from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId

        phases = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[run.id]))
        async with get_client() as client:
            found = [await client.read_flow_run(run.id), *await client.read_flow_runs(flow_run_filter=phases)]
        return [each.state_name for each in found]

    async def inside(self, where):
        """Wait until the run has the lease and its first phase waits."""
        async with asyncio.timeout(30):
            while lease_of(where) is None:
                await asyncio.sleep(0.05)
            await asyncio.sleep(1)

    async def test_a_launch_beside_another_run_ends_as_elsewhere(self, run, where):
        async with Engine(where, "one"):
            state = await self.play(run)
        assert (state.type.value, state.name) == ("COMPLETED", "Elsewhere")
        assert state.message.startswith(f"{SPRING}: is run by one since")
        assert where.open().edition(SPRING).state == "running"

    async def test_a_phase_beside_the_launch_ends_as_elsewhere(self, prefect_api, where):
        from flows.recruit import recruit

        async with Engine(where, "one"):
            state = await recruit(SPRING, where.ledger, where.project, return_state=True)
        assert (state.name, await state.aresult()) == ("Elsewhere", "elsewhere")

    async def test_a_run_that_is_picked_up_twice_leaves_its_state_to_the_engine_at_work(self, run, where):
        from prefect.exceptions import Pause

        from tasks.engine import owner_for

        async with Engine(where, owner_for(run.id, "one")):
            with pytest.raises(Pause):
                await self.play(run)
        assert await self.states(run) == ["Running"]

    async def test_a_launch_that_is_overtaken_by_another_run_ends_as_elsewhere(self, run, where):
        playing = asyncio.create_task(self.play(run))
        await self.inside(where)
        overtake(where)
        assert (await asyncio.wait_for(playing, 20)).name == "Elsewhere"
        assert await self.states(run) == ["Elsewhere", "Elsewhere"]
        assert lease_of(where).owner == "two"

    async def test_a_launch_that_is_overtaken_by_its_own_run_sets_no_state(self, run, where):
        from prefect.exceptions import Pause

        from tasks.engine import owner_for

        playing = asyncio.create_task(self.play(run))
        await self.inside(where)
        overtake(where, owner_for(run.id, "two"))
        with pytest.raises(Pause):
            await asyncio.wait_for(playing, 20)
        assert await self.states(run) == ["Running", "Running"]

    async def test_a_held_edition_runs_again_only_once_its_engine_has_the_lease(self, run, where):
        where.open().set_edition_state(SPRING, "held", now=NOW)
        async with Engine(where, "one"):
            await self.play(run)
            assert where.open().edition(SPRING).state == "held"
