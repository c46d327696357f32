"""Brakes: what holds editions back, in the ledger, in the engine and as a person sets it."""

import json
import logging
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from ledger_rows import EDITION, MINUTE, NOW, begin, new, take
from prefect.exceptions import Pause
from small_launch import EDITION as SPRING
from small_launch import STARTS, begun, project, send

from drumroll.check import check_file
from drumroll.cli.main import main
from drumroll.clock import VirtualClock, using_clock
from drumroll.ledger.brakes import ALL
from drumroll.ledger.ledger import default_url, open_ledger
from drumroll.ledger.model import Settlement
from drumroll.operate.beats import next_beat
from drumroll.operate.braking import held_back, overdue
from drumroll.operate.edition import Where
from drumroll.operate.edition import begin as begin_edition
from drumroll.operate.sending import send_step
from drumroll.operate.waking import coming_beat
from drumroll.operate.wording import make_ready
from tasks.announce import announce
from tasks.gate import gate
from tasks.render import render
from tasks.waiting import stood_by
from tests.driver import drive

LATER = NOW + MINUTE


@pytest.fixture
def edition(ledger):
    begin(ledger, new(), new(group="g2"))
    return ledger


def pause(ledger, scope=EDITION, by="Ann", now=NOW):
    return ledger.set_brake(scope, by=by, reason="wrong price", now=now)


def resume(ledger, scope=EDITION, by="Bob"):
    return ledger.release_brake(scope, by=by, reason="corrected", now=LATER)


# In the ledger, on both databases.


@pytest.mark.parametrize("scope", [EDITION, ALL])
def test_under_a_brake_nothing_is_claimed_and_nothing_is_lost(edition, scope):
    assert pause(edition, scope)
    assert take(edition) == []
    assert edition.counts(EDITION) == {"due": 2}
    assert resume(edition, scope)
    assert [claim.recipient for claim in take(edition)] == ["g1", "g2"]


def test_a_brake_on_one_edition_leaves_the_others_alone(edition):
    begin(edition, new(), edition="kettle@2027-01-01")
    pause(edition, "kettle@2027-01-01")
    assert len(take(edition)) == 2


def test_an_edition_that_begins_under_the_brake_on_all_is_held_back_too(edition):
    pause(edition, ALL)
    begin(edition, new(), edition="kettle@2027-01-01")
    kettle = {"now": LATER, "limit": 9, "lease": MINUTE}
    assert edition.claim("kettle@2027-01-01", "welcome", 1, **kettle) == []
    resume(edition, ALL)
    assert len(edition.claim("kettle@2027-01-01", "welcome", 1, **kettle)) == 1


def test_an_editions_own_brake_outlasts_the_one_on_all(edition):
    assert pause(edition)
    assert pause(edition, ALL, by="Cleo")
    assert edition.brake(EDITION).by == "Ann"
    resume(edition, ALL)
    assert take(edition) == []
    assert [brake.scope for brake in edition.brakes()] == [EDITION]


def test_a_brake_that_is_set_stays_as_it_was_set(edition):
    assert pause(edition)
    assert not pause(edition, by="Cleo", now=LATER)
    brake = edition.brake(EDITION)
    assert (brake.scope, brake.set_at, brake.by, brake.reason) == (EDITION, NOW, "Ann", "wrong price")
    assert resume(edition)
    assert not resume(edition)
    assert edition.brake(EDITION) is None


def test_who_paused_and_who_resumed_is_on_record_with_every_edition_it_held_back(edition):
    begin(edition, edition="kettle@2027-01-01")
    begin(edition, edition="over@2027-01-01")
    begin(edition, edition="tried@2027-01-01", rehearsal=True)
    edition.set_edition_state("over@2027-01-01", "done", now=NOW)
    pause(edition)
    pause(edition, ALL)
    resume(edition, ALL)

    def said(name):
        return [(row.subject, row.choice, row.by, row.reason) for row in edition.decisions(name)]

    on_all = [("pause", "all launches", "Ann", "wrong price"), ("resume", "all launches", "Bob", "corrected")]
    assert said(EDITION) == [("pause", "this launch", "Ann", "wrong price"), *on_all]
    assert said("kettle@2027-01-01") == on_all
    assert said("over@2027-01-01") == said("tried@2027-01-01") == []


def test_rehearsals_have_no_brakes(ledger):
    begin(ledger, new(), rehearsal=True)
    pause(ledger, ALL)
    assert ledger.brake(EDITION) is None
    assert len(take(ledger)) == 1


def test_what_is_on_its_way_is_settled_under_a_brake(edition):
    (claim,) = take(edition, limit=1)
    pause(edition)
    assert edition.in_flight([EDITION], now=NOW) == 1
    assert edition.settle([Settlement(claim, "sent")], now=LATER) == 1
    assert edition.in_flight([EDITION], now=NOW) == 0


def test_what_an_engine_left_behind_is_not_sent_again_under_a_brake(edition):
    take(edition, lease=timedelta(seconds=5))
    pause(edition)
    lapsed = edition.expired(EDITION, now=LATER)
    assert edition.reclaim(lapsed, now=LATER, lease=MINUTE, to_send=True) == []
    resume(edition)
    assert len(edition.reclaim(lapsed, now=LATER, lease=MINUTE, to_send=True)) == 2


def test_a_pause_waits_for_a_claim_that_is_being_made_and_later_claims_wait_for_the_pause(edition):
    """Else a claim that began before the pause could be committed, and sent, after it."""
    from sqlalchemy import event

    order, claiming = [], threading.Event()

    def slowly(_connection, _cursor, statement, *_):
        if "UPDATE delivery" in statement and not claiming.is_set():
            claiming.set()
            time.sleep(0.3)  # a pause that did not wait would be over by then

    def pause_meanwhile():
        claiming.wait(5)
        order.append("pausing")
        pause(edition)

    event.listen(edition.store.engine, "after_cursor_execute", slowly)
    event.listen(edition.store.engine, "commit", lambda _: order.append(threading.current_thread().name))
    with ThreadPoolExecutor(1, thread_name_prefix="pause") as pool:
        pausing = pool.submit(pause_meanwhile)
        first = take(edition, limit=1)
        pausing.result(10)
    assert len(first) == 1
    assert order == ["pausing", "MainThread", "pause_0"]
    assert take(edition) == []


def test_after_a_pause_has_returned_no_claim_of_any_engine_succeeds(ledger_url):
    ledger = open_ledger(ledger_url)
    begin(ledger, *(new(group=f"g{number}") for number in range(400)))
    taken_at, stop = [], threading.Event()

    def engine(_):
        while not stop.is_set():
            if take(ledger, limit=1):
                taken_at.append(time.monotonic())

    with ThreadPoolExecutor(3) as pool:
        engines = [pool.submit(engine, number) for number in range(3)]
        while len(taken_at) < 20:
            time.sleep(0.001)
        pause(ledger)
        claimed = ledger.counts(EDITION)["sending"]
        time.sleep(0.2)
        stop.set()
        for each in engines:
            each.result(10)
    assert 20 <= claimed < 400
    assert ledger.counts(EDITION)["sending"] == claimed
    ledger.close()


# In the engine.


@pytest.fixture
def where(tmp_path):
    """A launch that has begun, on SQLite."""
    where = begun(tmp_path)
    yield where
    where.open().close()


def hold_back(where, scope=SPRING, now=STARTS):
    assert where.open().set_brake(scope, by="Ann", reason="wrong price", now=now)


def let_go(where, scope=SPRING, now=STARTS):
    assert where.open().release_brake(scope, by="Ann", reason="", now=now)


def test_an_edition_is_held_back_by_its_own_brake_by_the_one_on_all_and_by_neither_once_it_is_over(where):
    assert held_back(where) is None
    hold_back(where, ALL)
    assert held_back(where) == "Paused by Ann: wrong price"
    where.open().set_edition_state(SPRING, "aborted", now=STARTS)
    assert held_back(where) is None


def test_a_run_that_waits_without_a_process_is_not_woken_for_a_paused_edition(where):
    assert coming_beat(where, now=STARTS) is not None
    hold_back(where)
    assert coming_beat(where, now=STARTS) is None


async def test_a_foreground_engine_stands_by_says_why_once_and_says_when_it_goes_on(where, caplog, monkeypatch):
    monkeypatch.setattr("tasks.waiting._SOON", timedelta(seconds=0.01))
    caplog.set_level(logging.INFO, logger="drumroll.story")
    assert not await stood_by(where)
    hold_back(where)
    assert await stood_by(where)
    assert await stood_by(where)
    let_go(where)
    assert not await stood_by(where)
    assert [line.message.partition("  ")[2] for line in caplog.records] == ["Paused by Ann: wrong price", "it goes on"]


async def test_a_worker_gets_its_process_back_with_who_paused_it_and_why(where, monkeypatch):
    given = []

    async def give_back(wake, what):
        given.append((wake, what))
        raise Pause  # as where a worker picked the run up

    monkeypatch.setattr("tasks.waiting.give_back", give_back)
    hold_back(where)
    with pytest.raises(Pause):
        await stood_by(where)
    [(wake, what)] = given
    assert what == "Paused by Ann: wrong price"
    assert timedelta(minutes=50) < wake - datetime.now(UTC) < timedelta(hours=1)


async def test_a_brake_set_at_the_last_moment_stops_a_message_that_is_ready(where):
    clock = VirtualClock(STARTS)
    beat = next_beat(where, "recruit", now=STARTS)
    await clock.sleep_until(beat.at)
    ready = make_ready(where, beat, now=clock.now())
    hold_back(where)
    assert (await send_step(where, ready, clock)).states == {}
    assert where.open().step_states(SPRING)["hello", 1] == {"due": 2}
    let_go(where)
    assert (await send_step(where, ready, clock)).states == {"awaiting": 1}


async def test_nothing_grows_final_under_a_brake_and_what_the_pause_made_late_is_judged_when_it_is_over(
    where, monkeypatch
):
    """The engine's own loop: a pause over the hand-over, the message and the gate."""
    from flows.operate import until_its_gate

    async def without_prefect(task, *given):
        return await task.fn(*given)

    monkeypatch.setattr("tasks.waiting._SOON", timedelta(minutes=5))
    hold_back(where)
    clock = VirtualClock(STARTS)
    let_go_at = where.plan().step("hello").due + timedelta(minutes=10)

    async def resume_at(since, until):
        if since < let_go_at <= until:
            assert where.open().counts(SPRING) == {"due": 6}
            assert where.open().checks(SPRING) == []
            let_go(where, now=until)

    clock.on_advance = resume_at
    for task in (render, announce, gate):
        monkeypatch.setattr(f"flows.operate.{task.fn.__name__}", partial(without_prefect, task))
    monkeypatch.setattr("tasks.gate.show_gate", nothing)
    with using_clock(clock):
        await until_its_gate(where, "recruit")
    rows = {f"{row.step}/{row.recipient}": row for row in where.open().deliveries(SPRING)}
    assert rows["hello/one"].state == "sent"
    assert let_go_at <= rows["hello/one"].sent_at < let_go_at + timedelta(minutes=1)
    assert rows["clue/one"].lateness_ms == 0


async def nothing(*_):
    pass


HOURLY = "".join(
    f'      - {{id: hour-{hour}, at: "D-3 {hour}:00", topic: hour {hour}, template: recruit/clue}}\n'
    for hour in range(11, 16)
)


async def test_after_a_pause_of_three_hours_the_newest_goes_out_and_what_it_has_overtaken_waits_for_a_person(tmp_path):
    file = project(tmp_path)
    file.write_text(file.read_text().replace("      - {id: clue", HOURLY + "      - {id: clue"))
    plan = check_file(file).accepted()
    where = Where(plan.edition, default_url(tmp_path), str(tmp_path))
    begin_edition(plan, ledger=where.open(), rehearsal=False, now=STARTS)
    due = where.plan().step("hour-11").due
    clock = VirtualClock(due - timedelta(minutes=40))
    with using_clock(clock):
        await drive(where, "recruit", clock, beats=2)  # hello, and its hand-over
        hold_back(where)
        await clock.sleep_until(due + timedelta(hours=3, minutes=5))  # 14:05: four of them are overdue
        expected = overdue(where.open(), SPRING, now=clock.now())
        let_go(where)
        before = {row.key for row in where.open().deliveries(SPRING, state="sent")}
        while next_beat(where, "recruit", now=clock.now()).at <= clock.now():
            await drive(where, "recruit", clock, beats=1)
    rows = {row.step: row for row in where.open().deliveries(SPRING) if row.recipient == "one"}
    assert [rows[f"hour-{hour}"].state for hour in range(11, 16)] == ["held", "held", "held", "sent", "due"]
    assert "a newer message is due too" in rows["hour-12"].error
    newly = {row.key for row in where.open().deliveries(SPRING, state="sent")} - before
    assert newly == {f"{SPRING}/hour-14/1/one"}
    assert [(late.step, late.act, late.deliveries) for late in expected if late.step != "hour-15"] == [
        ("hour-11", "hold", 1),  # its other one was handed over before
        ("hour-12", "hold", 2),
        ("hour-13", "hold", 2),
        ("hour-14", "rerender", 2),
    ]
    where.open().close()


# As a person sets it.


@pytest.fixture
def drumroll(tmp_path, monkeypatch, capsys):
    """Runs the command in the project, an hour into the launch: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    for name in ("DRUMROLL_LEDGER", "PREFECT_API_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("drumroll.cli.nudging.nudge", lambda *_: None)  # no server here: see test_remote

    def run(*arguments, now=STARTS):
        monkeypatch.setattr(sys, "argv", ["drumroll", *arguments])
        with using_clock(VirtualClock(now)), pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    return run


PAUSE = ("--reason", "wrong price", "--by", "Ann")


def test_pause_says_so_to_machines_and_again_changes_nothing(where, drumroll):
    code, out, _ = drumroll("pause", "spring", *PAUSE, "--json")
    assert code == 0
    assert json.loads(out) == {
        "scope": SPRING,
        "changed": True,
        "by": "Ann",
        "reason": "wrong price",
        "since": "2027-03-03T09:00:00Z",
        "editions": [SPRING],
        "in_flight": 0,
        "awaiting": 0,
    }
    code, out, _ = drumroll("pause", SPRING, "--reason", "again", "--by", "Bob", now=STARTS + MINUTE)
    assert (code, out) == (0, f"{SPRING}: paused already, by Ann since 2027-03-03 09:00 UTC: wrong price\n")


def test_pause_of_all_names_what_is_under_way_and_resume_of_one_is_refused_then(where, drumroll):
    code, out, _ = drumroll("pause", "--all", *PAUSE)
    assert code == 0
    assert out.splitlines() == [
        "every launch of this ledger: paused; nothing is sent until `drumroll resume --all`",
        f"under way: {SPRING}; what begins from now on is paused too",
    ]
    code, _, err = drumroll("resume", "spring", "--by", "Ann")
    assert code == 1
    assert "is held back with every launch of this ledger, by Ann: wrong price; `drumroll resume --all` lets" in err


def test_what_is_with_people_to_post_by_hand_is_said_when_it_is_paused(where, drumroll):
    send(where, "hello", STARTS + timedelta(hours=1))
    _, out, _ = drumroll("pause", "spring", *PAUSE)
    assert "1 delivery with people to post by hand: tell them to wait" in out


def test_a_dry_run_of_resume_tells_what_it_would_do_and_changes_nothing(where, drumroll):
    hold_back(where)
    late = where.plan().step("hello").due + timedelta(minutes=40)
    code, out, _ = drumroll("resume", "spring", "--dry-run", "--by", "Bob", now=late)
    assert code == 0
    assert f"{SPRING}: overdue deliveries would be: 2 sent in words of now" in out
    assert where.open().brake(SPRING) is not None


def test_resume_tells_machines_what_becomes_of_what_is_overdue(where, drumroll):
    hold_back(where)
    late = where.plan().step("hello").due + timedelta(hours=3)
    code, out, _ = drumroll("resume", "spring", "--by", "Bob", "--json", now=late)
    assert code == 0
    [edition] = json.loads(out)["editions"]
    assert edition == {
        "edition": SPRING,
        "paused": None,
        "overdue": {"send": 0, "rerender": 0, "skip": 0, "hold": 2},
        "steps": [
            {
                "step": "hello",
                "number": 1,
                "due": "2027-03-03T10:00:00Z",
                "act": "hold",
                "deliveries": 2,
                "reason": "3h late; a person decides",
            }
        ],
    }
    assert where.open().brake(SPRING) is None
    assert [row.by for row in where.open().decisions(SPRING, "resume")] == ["Bob"]


def test_resume_of_all_leaves_what_was_paused_by_name(where, drumroll):
    hold_back(where)
    hold_back(where, ALL)
    code, out, _ = drumroll("resume", "--all", "--by", "Bob")
    assert code == 0
    assert f"{SPRING}: still paused by Ann since " in out
    assert held_back(where) == "Paused by Ann: wrong price"


def test_resume_of_what_was_not_paused_says_so(where, drumroll):
    code, out, _ = drumroll("resume", "spring", "--by", "Bob")
    assert code == 0
    assert "was not paused; nothing was changed" in out
    assert where.open().decisions(SPRING) == []


@pytest.mark.parametrize(
    ("call", "code", "said"),
    [
        (("pause", *PAUSE), 2, "say which launch; give LAUNCH or --all"),
        (("pause", "spring", "--all", *PAUSE), 2, "one launch, or all?; give LAUNCH or --all"),
        (("resume", "--by", "Ann"), 2, "give LAUNCH or --all"),
        (("pause", "spring", "--by", "Ann"), 2, "Missing option '--reason'"),
        (("pause", "spring", "--reason", " ", "--by", "Ann"), 2, "it goes on record"),
        (("pause", "autumn", *PAUSE), 1, 'no edition or launch "autumn"'),
    ],
)
def test_a_call_that_says_too_little_or_too_much_pauses_nothing(where, drumroll, call, code, said):
    ended, _, err = drumroll(*call)
    assert ended == code
    assert said in err
    assert where.open().brakes() == []


def test_of_two_editions_under_way_one_must_be_named(where, drumroll):
    begin(where.open(), edition="spring@2027-06-01", now=STARTS + MINUTE)
    code, _, err = drumroll("pause", "spring", *PAUSE)
    assert code == 1
    assert f"2 editions of it are under way; name one of {SPRING}, spring@2027-06-01, or say --all" in err
    assert drumroll("pause", "spring@2027-06-01", *PAUSE)[0] == 0


def test_what_is_over_or_a_rehearsal_is_not_paused(where, drumroll):
    begin(where.open(), edition="tried@2027-06-01", rehearsal=True)
    assert "is a rehearsal, which sends nothing" in drumroll("pause", "tried", *PAUSE)[2]
    where.open().set_edition_state(SPRING, "done", now=STARTS)
    assert "is done, and sends nothing any more" in drumroll("pause", "spring", *PAUSE)[2]


def test_who_posts_by_hand_is_told_to_wait(where, drumroll):
    hold_back(where)
    assert drumroll("today")[2] == f"{SPRING} is paused by Ann, post nothing now: wrong price\n"


@pytest.mark.prefect
@pytest.mark.e2e
@pytest.mark.xdist_group("prefect")
async def test_a_paused_launch_waits_without_a_process_says_why_and_is_woken_once_it_is_resumed(
    prefect_api, tmp_path, monkeypatch
):
    from prefect.client.orchestration import get_client
    from test_waiting import Deployed, tend

    from flows.launch import launch

    monkeypatch.delenv("DRUMROLL_WAITING", raising=False)
    monkeypatch.delenv("DRUMROLL_LEDGER", raising=False)
    file = project(tmp_path)
    opens = datetime.now(UTC) + timedelta(days=2, hours=6)  # two days before it, the launch is under way
    file.write_text(file.read_text().replace("2027-03-06 12:00", f"{opens:%Y-%m-%d} 12:00"))
    ledger = open_ledger(default_url(tmp_path))
    ledger.set_brake(ALL, by="Ann", reason="wrong price", now=datetime.now(UTC))
    async with get_client() as client:
        run = await Deployed.make(client, launch, file=str(file))
        assert await run.pick_up()
        paused = (await run.now_is()).state
        assert (paused.name, paused.message) == ("Waiting", "Paused by Ann: wrong price")
        [edition] = ledger.editions()
        where = Where(edition.id, default_url(tmp_path), str(tmp_path))
        await tend(where)
        assert (await run.now_is()).state.id == paused.id
        ledger.release_brake(ALL, by="Ann", reason="", now=datetime.now(UTC))
        await tend(where)
        woken = (await run.now_is()).state
        assert (woken.name, woken.id != paused.id) == ("Waiting", True)
        assert "Paused" not in woken.message
    ledger.close()
