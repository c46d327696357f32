"""Trouble that passes, and trouble of one launch, channel or server that leaves the others alone."""

import asyncio
import contextlib
import json
import sqlite3
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import anyio
import httpx
import pytest
from ledger_rows import MINUTE
from small_launch import EDITION, STARTS, begun, send

from drumroll.channels.jsonl_file import FileChannel
from drumroll.clock import VirtualClock, using_clock
from drumroll.errors import LedgerAwayError, LedgerBusyError, LedgerError
from drumroll.ledger.ledger import open_ledger
from drumroll.operate.beats import Beat
from drumroll.operate.preparing import prepare
from drumroll.operate.sending import recover_step, send_step
from drumroll.operate.waking import READY
from drumroll.operate.wording import make_ready

HELLO = STARTS + timedelta(hours=1)
SECRET = "https://example.org/hook/s3cret"


@pytest.fixture
def where(tmp_path):
    return begun(tmp_path)


@pytest.fixture
def beat(where):
    return Beat("announce", HELLO, "hello")


@pytest.fixture
def broken_channel(monkeypatch):
    """A channel with a bug of its own, which quotes its address."""

    async def opens(_self):
        raise RuntimeError(f"cannot reach {SECRET}")

    monkeypatch.setattr(FileChannel, "open", opens)


def sent_to(where):
    out = Path(where.project, "out.jsonl")
    return [json.loads(line)["group"] for line in out.read_text().splitlines()] if out.exists() else []


# The ledger is away for a while.


@contextlib.contextmanager
def locked(where, monkeypatch):
    """Somebody else writes to the ledger for longer than a write waits."""
    monkeypatch.setattr("drumroll.ledger.store.BUSY_SECONDS", 0.02)
    with contextlib.closing(sqlite3.connect(where.open().store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


class Work:
    """What an engine does: it fails on a locked ledger, or with `error`, as often as it is told to."""

    def __init__(self, monkeypatch, failures=1, error=None):
        monkeypatch.setattr("tasks.engine._PAUSE", 0.01)
        self._monkeypatch, self._left, self._error = monkeypatch, failures, error
        self.begun = 0

    async def __call__(self, where):
        self.begun += 1
        if self._left:
            self._left -= 1
            if self._error is not None:
                raise self._error
            with locked(where, self._monkeypatch):
                where.open().keep_wording(where.edition, "hello", 1, "Hello", now=HELLO)
        return "done"


async def test_an_engine_whose_ledger_was_locked_begins_anew_instead_of_failing(where, monkeypatch):
    from tasks.engine import as_its_engine

    work = Work(monkeypatch, failures=2)
    assert (await as_its_engine(where, work), work.begun) == ("done", 3)


async def test_a_rehearsal_does_not_wait_for_a_locked_ledger(where, monkeypatch):
    from tasks.engine import as_its_engine

    with using_clock(VirtualClock(STARTS)), pytest.raises(LedgerBusyError):
        await as_its_engine(where, Work(monkeypatch))


@pytest.mark.parametrize("status", [None, 503, 404])
@pytest.mark.parametrize("deployed", [True, False])
async def test_a_deployed_run_outlasts_prefects_server_and_no_refusal(where, monkeypatch, status, deployed):
    from tasks.engine import as_its_engine

    request = httpx.Request("POST", "http://127.0.0.1/api")
    error = httpx.ConnectError("refused")
    if status is not None:
        error = httpx.HTTPStatusError("no", request=request, response=httpx.Response(status, request=request))
    monkeypatch.setattr("tasks.engine.this_run", lambda: SimpleNamespace(deployment_id=uuid4() if deployed else None))
    work = Work(monkeypatch, error=error)
    if deployed and status != 404:
        assert (await as_its_engine(where, work), work.begun) == ("done", 2)
    else:
        with pytest.raises(httpx.HTTPError):
            await as_its_engine(where, work)


async def test_a_run_that_is_picked_up_waits_for_its_ledger_to_answer(where, monkeypatch):
    from tasks import edition

    answers = [LedgerAwayError("cannot be reached"), LedgerBusyError("is shutting down"), where]

    def signed(_ledger):
        if isinstance(answer := answers.pop(0), Exception):
            raise answer
        return answer

    monkeypatch.setattr(edition, "_PAUSE", 0.01)
    monkeypatch.setattr(edition, "signed", signed)
    assert await edition.open_launch.fn("no.yaml", None, None, None, None) is where


def test_a_database_server_that_never_answered_is_told_from_one_that_went_away():
    with pytest.raises(LedgerAwayError, match="cannot be reached"):
        open_ledger("postgresql://nobody@127.0.0.1:9/nothing")


# Prefect's server is away.


async def test_a_phase_does_not_fail_for_want_of_its_picture(where, caplog):
    from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    from tasks.show import show_phase

    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api", PREFECT_CLIENT_MAX_RETRIES: 0}):
        await show_phase(where, "recruit")
    assert "Prefect does not take the artifact phase-spring-2027-03-06-recruit" in caplog.text


async def test_a_worker_with_runs_in_it_does_not_give_up_on_prefects_server():
    from tasks.resident import Guest, ResidentWorker

    worker = ResidentWorker("pool")
    with pytest.raises(httpx.ConnectError), worker._needed():
        raise httpx.ConnectError("refused")
    worker._guests.add(Guest(uuid4(), anyio.TASK_STATUS_IGNORED))
    with worker._needed():
        raise httpx.ConnectError("refused")


async def test_trouble_of_whatever_kind_with_flow_runs_leaves_the_round_of_the_watch_alone(where, monkeypatch, caplog):
    from tasks import watch

    async def stumbles(*_arguments, **_options):
        raise KeyError("drumroll.project")

    monkeypatch.setattr(watch, "tend_runs", stumbles)
    monkeypatch.setattr(watch, "tend_questions", stumbles)
    assert await watch._tend(where.open(), [where], timedelta(0)) is None
    await watch._ask(where.open(), [where], {})
    assert "flow runs could not be looked after" in caplog.text
    assert "questions about held steps could not be looked after" in caplog.text


async def test_a_round_of_the_watch_that_stumbles_is_followed_by_the_next(monkeypatch):
    from tasks import staying_up

    rounds = []

    async def round_():
        rounds.append(1)
        raise ValueError("of whatever kind")

    monkeypatch.setattr(staying_up, "watch_once", round_)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(staying_up._keep_watch(0.01), 0.2)
    assert len(rounds) > 1


# A channel with a bug.


async def test_a_channel_with_a_bug_is_told_before_the_instant_without_its_address(where, broken_channel, caplog):
    await prepare(where, Beat("announce", datetime.now(UTC) + MINUTE, "hello"))
    assert "hello, due in 60 s, may not go out: RuntimeError in a channel" in caplog.text
    assert "s3cret" not in caplog.text


async def test_a_channel_with_a_bug_leaves_the_others_alone_and_no_row_without_an_end(where, beat, broken_channel):
    await send_step(where, make_ready(where, beat, now=HELLO), VirtualClock(HELLO - READY))
    assert where.open().step_states(EDITION)["hello", 1] == {"awaiting": 1, "unknown": 1}


# A launch that a person has ended.


async def test_nothing_leaves_for_an_aborted_launch_though_it_was_ready(where, beat):
    class Machine(VirtualClock):
        async def sleep_until(self, at):
            await super().sleep_until(at)
            where.open().set_edition_state(EDITION, "aborted", now=at)

    await send_step(where, make_ready(where, beat, now=HELLO), Machine(HELLO - READY))
    assert sent_to(where) == []


async def test_what_a_dead_engine_left_is_not_sent_again_for_an_aborted_launch(where, beat):
    ledger = where.open()
    ready = make_ready(where, beat, now=HELLO)
    [claim] = ledger.claim(EDITION, "hello", 1, now=HELLO, limit=1, lease=MINUTE, channel="log")
    ledger.set_edition_state(EDITION, "aborted", now=HELLO)
    await recover_step(where, ready, VirtualClock(HELLO + 2 * MINUTE))
    assert sent_to(where) == []
    assert ledger.delivery(claim.key).state == "sending"


# Many launches in one process.


async def test_a_launch_that_is_sending_lets_others_be_set_up(where, beat, monkeypatch):
    from tasks import announce
    from tasks.seat import Seat, seated

    told, when_sending = [], []

    async def sending(*arguments):
        when_sending.extend(told)
        return await send_step(*arguments)

    monkeypatch.setattr(announce, "send_step", sending)
    with using_clock(VirtualClock(HELLO)), seated(Seat(lambda: told.append("set up"))):
        await announce.announce.fn(where, make_ready(where, beat, now=HELLO))
    assert when_sending == ["set up"]


async def test_a_gate_that_takes_its_time_keeps_no_other_launch_waiting(where, monkeypatch):
    from tasks import gate

    threads = []

    def reading(*arguments, **options):
        threads.append(threading.current_thread())
        time.sleep(0.2)

    monkeypatch.setattr(gate, "read_gate", reading)
    reader = asyncio.create_task(gate.gate.fn(where, "recruit"))
    await asyncio.sleep(0.05)
    assert not reader.done()
    assert await reader == ""
    assert threads != [threading.current_thread()]


def test_a_server_that_cuts_a_question_off_does_not_make_its_ledger_a_copy(postgres, monkeypatch):
    url = postgres()
    ledger = open_ledger(f"{url}{'&' if '?' in url else '?'}options=-c%20statement_timeout%3D400")
    ledger.see_home(now=HELLO)
    ledger.store.close()  # asked once per connection
    monkeypatch.setattr("drumroll.ledger.home._SERVER", ("SELECT pg_sleep(2)",))
    with pytest.raises(LedgerError, match="took too long"):
        ledger.is_copy()
    monkeypatch.undo()
    assert not ledger.is_copy()
    ledger.close()


def test_where_a_launch_is_says_no_password():
    from drumroll.operate.edition import Where

    assert "s3cret" not in repr(Where("e", "postgresql://me:s3cret@db/x", "/p"))


def test_a_launch_on_a_copy_calls_people_before_anything_is_late(where):
    from drumroll.operate.alarms import alarms

    send(where, "hello", HELLO)
    assert [alarm for alarm in alarms(where, now=HELLO) if alarm.kind == "copy"] == []
    where.open().disown(now=HELLO)
    [alarm] = [alarm for alarm in alarms(where, now=HELLO) if alarm.kind == "copy"]
    assert "drumroll db confirm" in alarm.remedy
