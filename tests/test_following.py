"""Messages that a platform holds until somebody's tap: what becomes of them reaches the ledger, and reminders the member."""

import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
import small_launch
from small_launch import EDITION, STARTS, begun

from drumroll.channels.base import Recipient
from drumroll.clock import VirtualClock, using_clock
from drumroll.ledger.model import Settlement
from drumroll.operate.edition import Where
from drumroll.operate.following import follow
from drumroll.operate.running import look, not_yet_posted
from drumroll.report.hand_offs import hand_offs
from drumroll.report.standing import needs
from tests.channel_messages import message
from tests.doubles.wecom_api import WecomApiDouble
from tests.opened_channels import opened

HELLO = STARTS + timedelta(hours=1)
ASKED = HELLO - timedelta(hours=1)
KEY = f"{EDITION}/hello/1/two"
MINUTE = timedelta(minutes=1)
BY_HAND = "{kind: hand_off, lead: 30m, to: Ann}"


@dataclass
class Stage:
    """An edition whose first message waits for the tap of zhangsan."""

    where: Where
    double: WecomApiDouble
    message_id: str

    async def follow(self, at: datetime):
        return await follow(self.where, VirtualClock(at))

    @property
    def row(self):
        return self.where.open().delivery(KEY)

    @property
    def reminders(self) -> int:
        return len(self.double.tasks[self.message_id]["reminders"])


@pytest.fixture
async def double() -> AsyncIterator[WecomApiDouble]:
    async with WecomApiDouble(groups=["wrTWO"]) as double:
        yield double


@pytest.fixture
async def stage(double, tmp_path, monkeypatch) -> Stage:
    return await staged(double, tmp_path, monkeypatch)


async def staged(double, tmp_path, monkeypatch, *, api: str | None = None, more: str = "") -> Stage:
    written = {"corp_id_env": "CORP", "secret_env": "SECRET", "sender": "zhangsan"}
    tapped = ", ".join(f"{name}: {value}" for name, value in written.items())
    channel = f'{{kind: wecom_customer_group, {tapped}, api: "{api or double.url}"{more}}}'
    launch = small_launch.LAUNCH.replace(BY_HAND, channel)
    launch = launch.replace("name: Room two, channel: by_hand}", "name: Room two, channel: by_hand, address: wrTWO}")
    monkeypatch.setattr(small_launch, "LAUNCH", launch)
    for name, value in {"CORP": "ww1", "SECRET": "s3cret", "DRUMROLL_PRIVATE_HOSTS": "127.0.0.1"}.items():
        monkeypatch.setenv(name, value)
    where = begun(tmp_path)
    async with opened(
        "wecom_customer_group", {"CORP": "ww1", "SECRET": "s3cret"}, **written, api=double.url
    ) as channel:
        sent = await channel.send(message(recipient=Recipient("two", "Room two", "wrTWO")))
    ledger = where.open()
    (claim,) = ledger.claim(EDITION, "hello", 1, now=ASKED, limit=9, lease=MINUTE)  # the other group is not due yet
    ledger.settle([Settlement(claim, "awaiting", message_id=sent.message_id)], now=ASKED)
    assert sent.message_id is not None
    return Stage(where, double, sent.message_id)


# What became of it.


async def test_before_the_tap_it_still_awaits(stage):
    assert (await stage.follow(ASKED + MINUTE)).sent == 0
    assert stage.row.state == "awaiting"


async def test_after_the_tap_it_is_sent_at_the_time_that_the_platform_says(stage):
    tapped = HELLO + timedelta(seconds=3)
    stage.double.tap(stage.message_id, send_time=int(tapped.timestamp()))
    assert (await stage.follow(HELLO + 4 * MINUTE)).sent == 1
    assert (stage.row.state, stage.row.sent_at, stage.row.lateness_ms) == ("sent", tapped, 3000)


async def test_what_the_platform_refuses_has_failed_and_a_person_is_asked(stage):
    stage.double.tap(stage.message_id, 3)
    assert (await stage.follow(HELLO)).failed == 1
    assert (stage.row.state, stage.row.sent_at) == ("failed", None)
    assert "as many as WeCom allows" in stage.row.error


async def test_what_is_settled_is_not_asked_about_again(stage):
    stage.double.tap(stage.message_id)
    await stage.follow(HELLO)
    tokens = len(stage.double.tokens)
    assert (await stage.follow(HELLO + MINUTE)).sent == 0
    assert len(stage.double.tokens) == tokens


async def test_a_tick_that_comes_first_stands(stage, monkeypatch):
    stage.double.tap(stage.message_id)
    ledger = stage.where.open()
    kept = type(ledger).platform_result

    def after_a_tick(self, *args, **more):
        self.done(KEY, by="Ann", now=HELLO)
        return kept(self, *args, **more)

    monkeypatch.setattr(type(ledger), "platform_result", after_a_tick)
    assert (await stage.follow(HELLO + MINUTE)).sent == 0
    assert (stage.row.state, stage.row.sent_at) == ("sent", HELLO)


async def test_trouble_with_the_credential_fails_no_message_and_names_the_channel(stage):
    stage.double.answers_everything = 48002
    found = await stage.follow(HELLO)
    assert stage.row.state == "awaiting"
    assert found.trouble.keys() == {"by_hand"}
    assert "answered 48002" in found.trouble["by_hand"]


async def test_a_platform_that_is_away_leaves_the_message_as_it_is(double, tmp_path, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        stage = await staged(double, tmp_path, monkeypatch, api=f"http://127.0.0.1:{taken.getsockname()[1]}")
        found = await stage.follow(HELLO)
    assert (stage.row.state, "cannot be reached" in found.trouble["by_hand"]) == ("awaiting", True)


async def test_what_people_post_by_hand_has_no_platform_to_ask(tmp_path):
    where = small_launch.halfway(tmp_path)
    found = await follow(where, VirtualClock(small_launch.NOW))
    assert (found.sent, found.failed, found.trouble) == (0, 0, {})


# Reminders.


async def test_whoever_has_not_tapped_is_reminded_three_times_in_all(stage):
    for minute in range(0, 300, 5):
        await stage.follow(ASKED + minute * MINUTE)
    assert stage.reminders == 3
    at = [each.at for each in stage.where.open().decisions(EDITION, KEY) if each.choice == "reminded"]
    assert at == [ASKED + 30 * MINUTE, ASKED + 60 * MINUTE, ASKED + 90 * MINUTE]


async def test_a_watch_that_starts_again_does_not_remind_again(stage):
    for _ in range(3):
        await stage.follow(ASKED + 40 * MINUTE)
    assert stage.reminders == 1


async def test_whoever_has_tapped_is_not_reminded(stage):
    stage.double.tap(stage.message_id)
    assert (await stage.follow(ASKED + 40 * MINUTE)).reminded == 0
    assert stage.reminders == 0


async def test_the_channel_says_when_to_remind(double, tmp_path, monkeypatch):
    stage = await staged(double, tmp_path, monkeypatch, more=", remind_after: 5m")
    assert (await stage.follow(ASKED + 5 * MINUTE)).reminded == 1


async def test_nobody_is_reminded_of_a_launch_that_is_paused(stage):
    stage.where.open().set_brake(EDITION, by="Ann", reason="rain", now=ASKED)
    await stage.follow(ASKED + 40 * MINUTE)
    assert stage.reminders == 0


# What people are shown meanwhile.


async def test_nobody_is_shown_a_text_to_post_beside_the_one_that_waits_for_a_tap(stage):
    with using_clock(VirtualClock(HELLO)):
        [item, *_] = hand_offs(stage.where.open(), stage.where.plan(), now=HELLO)
    assert (item.state, item.text, item.poster) == ("awaiting", None, "zhangsan")
    assert item.note == "zhangsan confirms it in the platform's app; post nothing by hand"


async def test_status_says_who_has_not_confirmed(stage):
    ledger = stage.where.open()
    found = needs(ledger, stage.where.plan(), ledger.edition(EDITION), now=HELLO + MINUTE)
    [need] = [need for need in found if need.what == "hand-off"]
    assert (need.why, need.command) == ("overdue by 1 m, not confirmed by zhangsan", f"drumroll today {EDITION}")


async def test_what_a_platform_holds_is_not_handed_over_again_in_other_words(stage):
    running = look(stage.where.open(), EDITION)
    assert [row.key for row in running.rows if row.state == "awaiting"] == [KEY]
    assert not_yet_posted(running, now=ASKED + MINUTE) == []


# The watch.


async def test_a_round_of_the_watch_writes_down_what_was_tapped(stage, monkeypatch):
    from tasks.watch import look_after

    monkeypatch.delenv("DRUMROLL_ALARM_URL", raising=False)
    stage.double.tap(stage.message_id, send_time=int(HELLO.timestamp()))

    class Quiet:
        async def ring(self, where, found, *, kinds):
            self.found = found
            return []

    bell = Quiet()
    with using_clock(VirtualClock(HELLO + MINUTE)):
        await look_after(stage.where, None, bell)
    assert (stage.row.state, bell.found) == ("sent", [])


async def test_a_round_of_the_watch_calls_people_when_nobody_can_be_asked(stage):
    from tasks.watch import _follow

    stage.double.answers_everything = 60020
    with using_clock(VirtualClock(HELLO)):
        alarm = await _follow(stage.where)
    assert (alarm.kind, alarm.subject) == ("watch", "follow")
    assert "by_hand" in alarm.what
