"""Alarms: what trips them and what does not, that each is told once, and that it reaches people."""

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import small_launch
from ledger_rows import EDITION as ANY_EDITION
from ledger_rows import MINUTE, begin, new
from ledger_rows import NOW as THEN
from small_launch import EDITION, STARTS, begun, halfway, held, send

from drumroll.activity import Event, Person
from drumroll.clock import VirtualClock, using_clock
from drumroll.ledger.alarms import AGAIN
from drumroll.ledger.model import Alarm, Settlement
from drumroll.metrics.leaving import at_least
from drumroll.operate.alarms import LONG_HELD, OVERDUE, SILENCE, alarms, stopped
from drumroll.operate.gating import decide
from drumroll.report.standing import needs

HELLO = STARTS + timedelta(hours=1)
CLUE = datetime(2027, 3, 4, 12, tzinfo=UTC)
GATE = datetime(2027, 3, 4, 14, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def kinds(where, now, **only):
    """The alarms of `where` at `now`, as (kind, subject)."""
    return {(alarm.kind, alarm.subject) for alarm in alarms(where, now=now)}


def the(where, kind, now):
    """The one alarm of that kind."""
    [alarm] = [alarm for alarm in alarms(where, now=now) if alarm.kind == kind]
    return alarm


def claim(where, step, at):
    return where.open().claim(EDITION, step, 1, now=at, limit=10, lease=MINUTE)


# What trips each kind, and what does not.


def test_a_message_that_nobody_takes_up_trips_after_five_minutes(tmp_path):
    where = begun(tmp_path)
    assert kinds(where, HELLO + OVERDUE) == set()
    alarm = the(where, "past-due", HELLO + OVERDUE + SECOND)
    assert alarm.subject == "hello/1"
    assert alarm.what == "No. 01 hello was due Wed 2027-03-03 10:00 UTC; 2 deliveries not taken up"
    assert f"drumroll status {EDITION}" in alarm.remedy


def test_a_launch_that_a_person_paused_is_late_on_purpose(tmp_path):
    where = begun(tmp_path)
    where.open().set_brake(EDITION, by="Ann", reason="rain", now=STARTS)
    assert kinds(where, HELLO + SILENCE + SECOND) == set()


def test_what_lies_behind_a_gate_is_not_past_due_before_it(tmp_path):
    where = held(tmp_path)
    assert not any(kind == "past-due" for kind, _ in kinds(where, where.plan().step("doors").due + SILENCE))


def test_a_message_that_a_person_released_is_late_from_then_on(tmp_path):
    where = halfway(tmp_path)
    [unknown] = where.open().deliveries(EDITION, state="unknown")
    released = CLUE + timedelta(hours=1)
    where.open().resolve(unknown.key, "resend", by="Ann", reason="it did not come", now=released)
    assert ("past-due", "clue/1") not in kinds(where, released + OVERDUE)
    assert ("past-due", "clue/1") in kinds(where, released + OVERDUE + SECOND)


def test_a_message_that_is_tried_again_and_again_trips_once_it_is_late(tmp_path):
    where = begun(tmp_path)
    for each in claim(where, "hello", HELLO):
        again = Settlement(each, "retry", error="503", retry_at=HELLO + timedelta(hours=1))
        where.open().settle([again], now=HELLO + SECOND)
    assert kinds(where, HELLO + OVERDUE) == set()
    assert kinds(where, HELLO + OVERDUE + SECOND) == {("retry", "hello/1")}


def test_a_hand_off_that_nobody_ticks_off_trips_after_ten_minutes_and_names_who_posts_it(tmp_path):
    where = halfway(tmp_path)
    assert ("hand-off", "clue/1") not in kinds(where, CLUE + 10 * MINUTE)
    alarm = the(where, "hand-off", CLUE + 10 * MINUTE + SECOND)
    assert (
        alarm.what == "No. 02 clue was to be posted by hand by Ann Thu 2027-03-04 12:00 UTC; 1 delivery not ticked off"
    )
    assert f"drumroll today {EDITION}" in alarm.remedy
    where.open().done(f"{EDITION}/clue/1/two", by="Ann", now=CLUE)
    assert ("hand-off", "clue/1") not in kinds(where, CLUE + 10 * MINUTE + SECOND)


def by_hand_with(monkeypatch, *options):
    """The small launch, its hand-off channel with these options beside."""
    written = "{kind: hand_off, lead: 30m, to: Ann}"
    wanted = written.replace("}", "".join(f", {option}" for option in options) + "}")
    monkeypatch.setattr(small_launch, "LAUNCH", small_launch.LAUNCH.replace(written, wanted))


def test_each_channel_says_after_how_long_its_hand_offs_are_late(tmp_path, monkeypatch):
    by_hand_with(monkeypatch, "remind_after: 2m")
    where = halfway(tmp_path)
    assert ("hand-off", "clue/1") not in kinds(where, CLUE + 2 * MINUTE)
    assert ("hand-off", "clue/1") in kinds(where, CLUE + 2 * MINUTE + SECOND)


def test_a_hand_off_that_is_still_not_ticked_off_goes_to_whoever_is_named_for_that(tmp_path, monkeypatch):
    by_hand_with(monkeypatch, "escalate_to: Ben")
    where = halfway(tmp_path)
    assert ("escalation", "clue/1") not in kinds(where, CLUE + 30 * MINUTE)
    late = CLUE + 30 * MINUTE + SECOND
    assert the(where, "escalation", late).what.startswith("Ben: No. 02 clue was to be posted by hand by Ann")
    assert ("hand-off", "clue/1") in kinds(where, late)
    where.open().done(f"{EDITION}/clue/1/two", by="Ben", now=CLUE)
    assert ("escalation", "clue/1") not in kinds(where, late)


def test_without_anybody_named_there_is_no_second_alarm(tmp_path):
    assert not any(kind == "escalation" for kind, _ in kinds(halfway(tmp_path), CLUE + timedelta(hours=9)))


def test_what_waits_for_a_tap_is_never_to_be_posted_by_hand(tmp_path, monkeypatch):
    tapped = "{kind: wecom_customer_group, corp_id_env: C, secret_env: S, sender: zhangsan}"
    launch = small_launch.LAUNCH.replace("{kind: hand_off, lead: 30m, to: Ann}", tapped)
    monkeypatch.setattr(small_launch, "LAUNCH", launch)
    where = halfway(tmp_path)
    assert ("tap", "clue/1") not in kinds(where, CLUE + OVERDUE)
    alarm = the(where, "tap", CLUE + OVERDUE + SECOND)
    assert alarm.what == "No. 02 clue was due Thu 2027-03-04 12:00 UTC; 1 delivery not confirmed by zhangsan"
    assert "do not post it by hand" in alarm.remedy
    assert not any(kind == "hand-off" for kind, _ in kinds(where, CLUE + timedelta(hours=9)))


@pytest.mark.parametrize("state", ["unknown", "failed"])
def test_a_message_that_only_a_person_can_settle_trips_at_once(tmp_path, state):
    where = begun(tmp_path)
    for each in claim(where, "hello", HELLO):
        where.open().settle([Settlement(each, state, error="the answer of <m3>")], now=HELLO)
    alarm = the(where, state, HELLO)
    assert alarm.subject == "hello/1"
    assert "2 deliveries" in alarm.what
    assert "m3" not in str(alarm), "what a platform or a member said stays in the ledger"


def test_a_held_message_trips_until_a_person_has_decided(tmp_path):
    where = begun(tmp_path)
    where.open().set_aside(EDITION, "hello", 1, to="held", reason="3 h late", now=HELLO)
    assert kinds(where, HELLO) == {("held", "hello/1")}
    for row in where.open().deliveries(EDITION, state="held"):
        where.open().resolve(row.key, "skip", by="Ann", reason="too late", now=HELLO)
    assert kinds(where, HELLO) == set()


def test_the_series_going_silent_trips_a_quarter_of_an_hour_after_the_planned_time(tmp_path):
    where = begun(tmp_path)
    assert ("cadence", "hello") not in kinds(where, HELLO + SILENCE)
    what = the(where, "cadence", HELLO + SILENCE + SECOND).what
    assert what == "nothing has reached anybody yet, though No. 01 hello was planned for Wed 2027-03-03 10:00 UTC"


def test_silence_is_counted_from_the_last_message_that_reached_a_group(tmp_path):
    where = halfway(tmp_path)
    alarm = the(where, "cadence", CLUE + SILENCE + SECOND)
    assert alarm.subject == "clue"
    assert "since No. 01 hello" in alarm.what
    where.open().done(f"{EDITION}/clue/1/two", by="Ann", now=CLUE)
    assert ("cadence", "clue") not in kinds(where, CLUE + SILENCE + SECOND), "one group has got it"


def test_a_message_that_a_person_dropped_is_no_silence(tmp_path):
    where = begun(tmp_path)
    where.open().set_aside(EDITION, "hello", None, to="cancelled", reason="not needed", now=STARTS)
    assert kinds(where, HELLO + SILENCE + SECOND) == set()


def test_a_gate_that_waits_for_a_person_for_an_hour_trips(tmp_path):
    where = held(tmp_path)
    assert ("gate", "recruit") not in kinds(where, GATE + LONG_HELD)
    alarm = the(where, "gate", GATE + LONG_HELD + SECOND)
    assert f"drumroll gate {EDITION} recruit --decide" in alarm.remedy
    decide(where, "recruit", "pass", by="Ann", reason="enough", now=GATE + LONG_HELD)
    assert ("gate", "recruit") not in kinds(where, GATE + LONG_HELD + SECOND)


def test_a_launch_that_nobody_runs_says_what_is_lost(tmp_path):
    with using_clock(VirtualClock(STARTS)):
        assert "next is No. 01 at 09:30 UTC" in stopped(begun(tmp_path), now=STARTS).what


def test_a_launch_that_waits_for_a_person_or_is_over_needs_nobody_to_run_it(tmp_path):
    where = held(tmp_path)
    assert stopped(where, now=GATE) is None
    decide(where, "recruit", "pass", by="Ann", reason="enough", now=GATE)
    assert stopped(where, now=GATE) is not None
    where.open().set_edition_state(EDITION, "aborted", now=GATE)
    assert stopped(where, now=GATE) is None


def test_status_lists_alarms_that_no_other_need_says_as_they_are_now(tmp_path):
    where = begun(tmp_path)
    ledger, plan = where.open(), where.plan()
    gone = Alarm(EDITION, "run", "run", "its run was to be picked up", "is a worker running?")
    ledger.raise_alarms(EDITION, [gone, late("old/1")], kinds=(), now=HELLO)
    found = needs(ledger, plan, ledger.edition(EDITION), now=HELLO + SILENCE + SECOND)
    assert [(need.what, need.key) for need in found] == [
        ("alarm", "past-due hello/1"),
        ("alarm", "cadence hello"),
        ("alarm", "run run"),
    ]


# Leaves.


def people_leave(tmp_path, *offsets, members=200, before=(), staff=()):
    """An edition whose members have been there for two days, and left at these minutes after `hello`."""
    where = begun(tmp_path)
    joined = [Event("t", f"j{n}", "join", STARTS - timedelta(days=2), "one", f"m{n}") for n in range(members)]
    at = [HELLO + timedelta(minutes=offset) for offset in (*offsets, *before)]
    left = [Event("t", f"l{n}", "leave", when, "one", f"m{n}") for n, when in enumerate(at)]
    where.open().take_in(EDITION, [Person(f"m{n}", is_staff=n in staff) for n in range(members)], joined + left)
    send(where, "hello", HELLO)
    return where


def test_a_spike_of_leaves_after_a_message_trips(tmp_path):
    where = people_leave(tmp_path, 5, 9, 14, 20, 31, 40, before=[-1500, -400])
    alarm = the(where, "leaves", HELLO + timedelta(hours=1))
    assert alarm.subject == "hello"
    assert alarm.what == "6 members left within 1 h of No. 01 hello, where 0.0 would be usual"


@pytest.mark.parametrize(
    ("offsets", "before"),
    [
        ([5, 9, 14, 31], []),
        ([5, 9, 14, 20, 31], [-30 * n for n in range(1, 60)]),
        ([-5, -9, -14, -20, -31, -40], []),
        ([125, 130, 135, 140, 145, 150], []),
    ],
    ids=["too few", "as many as always", "before it", "long after it"],
)
def test_leaves_that_the_message_does_not_explain_do_not_trip(tmp_path, offsets, before):
    where = people_leave(tmp_path, *offsets, before=before)
    assert not any(kind == "leaves" for kind, _ in kinds(where, HELLO + timedelta(hours=3)))


def test_staff_who_leave_and_members_who_move_to_another_group_do_not_trip(tmp_path):
    minutes = [5, 9, 14, 20, 31, 40]
    where = people_leave(tmp_path, *minutes, staff=range(3))
    moved = [Event("t", f"n{n}", "join", HELLO + timedelta(minutes=minutes[n]), "two", f"m{n}") for n in range(3, 6)]
    where.open().take_in(EDITION, [], moved)
    assert not any(kind == "leaves" for kind, _ in kinds(where, HELLO + timedelta(hours=1)))


def test_what_happened_longer_than_a_day_ago_is_no_alarm_any_more(tmp_path):
    where = people_leave(tmp_path, 5, 9, 14, 20, 31, 40)
    assert ("leaves", "hello") in kinds(where, HELLO + timedelta(hours=23))
    assert ("leaves", "hello") not in kinds(where, HELLO + timedelta(hours=24, seconds=1))


def test_the_odds_are_the_binomial_ones():
    assert at_least(0, 5, 0.3) == at_least(3, 5, 1.0) == 1
    assert at_least(1, 5, 0.0) == 0
    assert at_least(2, 3, 0.5) == pytest.approx(0.5)
    assert at_least(1, 40, 0.01) == pytest.approx(1 - 0.99**40)
    assert 0 < at_least(3000, 5000, 0.5) < 1e-40


# Each is told once.


def wrong(kind="past-due", subject="hello/1", what="is late", edition=ANY_EDITION):
    return Alarm(edition, kind, subject, what, "look")


@pytest.fixture
def book(ledger):
    begin(ledger, new())
    return ledger


def raised(book, *found, now=THEN, kinds=("past-due", "held")):
    return book.raise_alarms(ANY_EDITION, found, kinds=kinds, now=now)


def test_an_alarm_is_new_once_however_long_it_stands(book):
    [row] = raised(book, wrong())
    assert (row.subject, row.raised_at, row.told_at, row.cleared_at) == ("hello/1", THEN, None, None)
    assert raised(book, wrong(what="is very late"), now=THEN + MINUTE) == []
    [row] = book.open_alarms(ANY_EDITION)
    assert (row.what, row.raised_at) == ("is very late", THEN)


def test_an_alarm_that_is_not_found_any_more_is_cleared_and_new_when_it_comes_back(book):
    raised(book, wrong())
    assert raised(book) == []
    assert book.open_alarms() == []
    [row] = raised(book, wrong(), now=THEN + MINUTE)
    assert row.raised_at == THEN + MINUTE


def test_what_was_not_looked_for_is_not_cleared(book):
    raised(book, wrong(kind="held"))
    raised(book, kinds=["past-due"])
    assert [row.kind for row in book.open_alarms()] == ["held"]


def test_an_alarm_is_claimed_for_telling_once_and_again_after_a_day(book):
    raised(book, wrong(), wrong(subject="clue/1"))
    claimed = book.claim_alarms(ANY_EDITION, now=THEN)
    assert [row.subject for row in claimed] == ["hello/1", "clue/1"]
    assert book.claim_alarms(ANY_EDITION, now=THEN + MINUTE) == []
    book.tell_alarms(claimed, at=THEN)
    assert book.claim_alarms(ANY_EDITION, now=THEN + AGAIN - SECOND) == []
    assert len(book.claim_alarms(ANY_EDITION, now=THEN + AGAIN)) == 2


def test_what_did_not_get_through_is_claimed_again(book):
    raised(book, wrong())
    book.tell_alarms(book.claim_alarms(ANY_EDITION, now=THEN), at=None)
    assert book.open_alarms()[0].told_at is None
    assert len(book.claim_alarms(ANY_EDITION, now=THEN + SECOND)) == 1


def test_the_alarms_of_a_watch_that_died_while_it_told_them_are_claimed_two_minutes_later(book):
    raised(book, wrong())
    book.claim_alarms(ANY_EDITION, now=THEN)
    assert book.claim_alarms(ANY_EDITION, now=THEN + 2 * MINUTE - SECOND) == []
    assert len(book.claim_alarms(ANY_EDITION, now=THEN + 2 * MINUTE)) == 1


def test_of_eight_watches_at_once_one_raises_an_alarm_and_one_tells_it(book):
    def one_round(_):
        return len(raised(book, wrong())), len(book.claim_alarms(ANY_EDITION, now=THEN))

    with ThreadPoolExecutor(8) as pool:
        rounds = list(pool.map(one_round, range(8)))
    assert [sum(each) for each in zip(*rounds, strict=True)] == [1, 1]


# It reaches people.


class Receiver:
    """A real HTTP receiver on loopback; it answers `status` and keeps what it was sent."""

    def __init__(self):
        self.status, self.got, self.paths = 200, [], []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                receiver.paths.append(self.path)
                receiver.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(receiver.status)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"json://127.0.0.1:{self.server.server_port}/secret-token"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver(monkeypatch):
    receiver = Receiver()
    monkeypatch.setenv("DRUMROLL_ALARM_URL", receiver.url)
    yield receiver
    receiver.close()


@pytest.fixture
def events(monkeypatch):
    """What is handed to Prefect; that Prefect takes it is tested with its server."""
    emitted = []
    monkeypatch.setattr("tasks.alarming.emit_event", lambda event, **rest: emitted.append((event, rest)))
    return emitted


@pytest.fixture
def where(tmp_path):
    return begun(tmp_path)


async def ring(where, *found, at=STARTS):
    from tasks.alarming import Bell

    with using_clock(VirtualClock(at)):
        return await Bell().ring(where, found, kinds=("past-due", "held"))


def late(subject="hello/1", kind="past-due"):
    return wrong(kind=kind, subject=subject, what=f"{subject} is late", edition=EDITION)


async def test_an_alarm_is_logged_emitted_and_sent_once(where, receiver, events, caplog):
    for minute in range(3):
        [row] = await ring(where, late(), at=STARTS + minute * MINUTE)
    assert row.told_at == STARTS
    assert caplog.text.count("hello/1 is late; look") == 1
    assert [(event, rest["resource"]["prefect.resource.id"]) for event, rest in events] == [
        ("drumroll.alarm", f"drumroll.edition.{EDITION}")
    ]
    assert events[0][1]["payload"] == {
        "kind": "past-due",
        "subject": "hello/1",
        "what": "hello/1 is late",
        "remedy": "look",
    }
    [message] = receiver.got
    assert (message["title"], message["message"], message["type"]) == (
        f"Drumroll: {EDITION}",
        "- hello/1 is late; look",
        "warning",
    )


async def test_many_alarms_are_one_message_of_ten_lines(where, receiver, events):
    await ring(where, *(late(f"s{n}/1") for n in range(22)))
    [message] = receiver.got
    lines = message["message"].splitlines()
    assert len(lines) == 11
    assert lines[-1] == "and 12 more"
    assert len(events) == 22


async def test_a_refused_message_is_told_again_in_the_next_round_but_emitted_once(where, receiver, events, caplog):
    receiver.status = 500
    [row] = await ring(where, late())
    assert row.told_at is None
    assert "DRUMROLL_ALARM_URL: an alarm did not get through (JSON)" in caplog.text
    receiver.status = 200
    [row] = await ring(where, late(), at=STARTS + MINUTE)
    assert row.told_at == STARTS + MINUTE
    assert len(receiver.got) == 2
    assert len(events) == 1


async def test_after_a_refusal_no_other_edition_of_the_round_is_tried(where, receiver, events):
    from tasks.alarming import Bell

    receiver.status, bell = 500, Bell()
    begin(where.open(), new(), edition="other@2027-03-06")
    with using_clock(VirtualClock(STARTS)):
        await bell.ring(where, [late()], kinds=())
        from dataclasses import replace

        other = replace(where, edition="other@2027-03-06")
        await bell.ring(other, [wrong(edition=other.edition)], kinds=())
    assert len(receiver.got) == 1


@pytest.mark.parametrize("separator", [" ", ",", ", "])
async def test_several_addresses_are_all_told_and_one_that_is_down_repeats_nothing_for_the_others(
    where, receiver, events, monkeypatch, separator, caplog
):
    down = Receiver()
    down.close()
    monkeypatch.setenv("DRUMROLL_ALARM_URL", f"{down.url}{separator}{receiver.url}")
    for minute in range(2):
        await ring(where, late(), at=STARTS + minute * MINUTE)
    assert len(receiver.got) == 1
    assert caplog.text.count("did not get through") == 1


@pytest.mark.parametrize("address", ["nonsense", "http://[::1", "nothing://secret-token@host", "json://"])
async def test_an_address_that_is_none_is_said_without_showing_it(where, events, monkeypatch, caplog, address):
    monkeypatch.setenv("DRUMROLL_ALARM_URL", f"{address}/secret-token")
    [row] = await ring(where, late())
    assert row.told_at is None
    assert "DRUMROLL_ALARM_URL: an alarm did not get through" in caplog.text
    assert "secret-token" not in caplog.text


async def test_the_address_appears_in_no_log_however_much_is_logged(where, receiver, events, caplog):
    caplog.set_level("DEBUG")
    receiver.status = 403
    await ring(where, late())
    assert receiver.paths == ["/secret-token"]
    assert "secret-token" not in caplog.text
    assert str(receiver.server.server_port) not in caplog.text


async def test_without_an_address_an_alarm_is_told_by_its_log_line(where, events, monkeypatch):
    monkeypatch.delenv("DRUMROLL_ALARM_URL", raising=False)
    [row] = await ring(where, late())
    assert row.told_at == STARTS


async def test_two_watches_at_once_send_one_message(where, receiver, events):
    await asyncio.gather(ring(where, late()), ring(where, late()))
    assert len(receiver.got) == len(events) == 1
