"""What every channel kind promises, asked of each kind in the registry. A new kind needs a harness here."""

import asyncio
import io
import json
import logging
import re
import socket
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from drumroll.channels.base import Channel, ChannelContext, Message, Receipt, Recipient, SendError
from drumroll.channels.registry import KINDS, capability_for, channel_class, parse_options
from drumroll.errors import DrumrollError
from tests.channel_messages import message
from tests.doubles.apprise_target import JsonTarget
from tests.doubles.dingtalk import DingtalkDouble
from tests.doubles.discord import DiscordDouble
from tests.doubles.double import Double
from tests.doubles.feishu import FeishuDouble
from tests.doubles.matrix import MatrixDouble
from tests.doubles.slack import SlackDouble
from tests.doubles.smtp import SmtpDouble
from tests.doubles.telegram import TelegramDouble
from tests.doubles.wecom_api import WecomApiDouble
from tests.doubles.wecom_robot import WecomRobotDouble
from tests.webhook_sink import WebhookSink

CANARY = "CANARYc2VjcmV0"
SECRET = "whsec_" + "CANARYc2VjcmV0CANARYc2VjcmV0aaaa"

HOSTILE = {
    "markup": "<script>alert(1)</script> <b>fett</b> [x](javascript:1) **stark** &amp; <!-- -->",
    "mentions": "@everyone @all <@U123> <at user_id='all'>all</at> @channel",
    "template": "{{ 7 * 7 }} {% raw %} ${HOME} $(id) `id` %s %(x)s {0} #{1+1}",
    "bidi": "price \u202e0001\u202c \u2066x\u2069 \u200fשלום",
    "zero width": "te\u200bst\u200d \ufeff \u00ad",
    "newlines": "one\ntwo\n\n\tthree\u2028four\u2029five\n",
    "json": '","text":"forged"}\n{"key": "forged"} \\" \\u0000 \\n',
    "emoji": "👩🏽‍🚀🎉🇹🇼 𠮷野家",
    "chinese": "【公告03】 今晚 23:00 開搶",
}


class Harness:
    """How the contract builds one kind, breaks it, and sees what came of a send."""

    kind: str
    observable = True  # whether a send leaves something that can be looked at outside the channel
    address: str | None = "room-1"
    member = "u-7"

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.capsys = capsys
        self.environ = {"SECRET": SECRET, "URL": "", "UNUSED_TOKEN": CANARY}

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def written(self) -> dict[str, Any]:
        """The options as a launch file has them."""
        return {}

    def build(self, **options: Any) -> Channel:
        parsed = parse_options(self.kind, self.written() | options)
        return channel_class(self.kind)("main", parsed, ChannelContext(str(self.folder), self.environ))

    def message(self, key: str = "drm_0001", text: str = "Tonight at eight.", **changes: Any) -> Message:
        return message(key, text, **{"recipient": Recipient("taipei", "台北讀書會", self.address)} | changes)

    def to_member(self) -> Message:
        return message(recipient=Recipient("taipei", "台北讀書會", self.address, self.member, "小美"))

    def arrived(self) -> list[dict[str, Any]]:
        """What is there to see: text and member of each message."""
        raise NotImplementedError

    @contextmanager
    def broken(self) -> Iterator[None]:
        """Inside, no send succeeds."""
        raise NotImplementedError


class ConsoleHarness(Harness):
    kind = "console"
    printed = ""

    def arrived(self) -> list[dict[str, Any]]:
        self.printed += self.capsys.readouterr().out
        blocks = re.split(r"^── (.*)\n", self.printed, flags=re.MULTILINE)[1:]
        pairs = zip(blocks[::2], blocks[1::2], strict=True)
        return [
            {"text": text.removesuffix("\n\n"), "member": "u-7" if "→ 小美" in head else None} for head, text in pairs
        ]

    @contextmanager
    def broken(self) -> Iterator[None]:
        closed = io.StringIO()
        closed.close()
        with redirect_stdout(closed):
            yield


class FileHarness(Harness):
    kind = "file"

    def written(self) -> dict[str, Any]:
        return {"path": "out/sent.jsonl"}

    def arrived(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "out/sent.jsonl").read_text().splitlines()]

    @contextmanager
    def broken(self) -> Iterator[None]:
        (self.folder / "out/sent.jsonl").unlink()
        (self.folder / "out/sent.jsonl").mkdir()
        yield


class HandOffHarness(Harness):
    kind = "hand_off"
    observable = False  # the ledger holds the open task; the channel itself touches nothing

    def written(self) -> dict[str, Any]:
        return {"lead": "45m", "to": "Mei"}

    @contextmanager
    def broken(self) -> Iterator[None]:
        pytest.skip("there is nothing to break: no file, no connection")
        yield


class WebhookHarness(Harness):
    kind = "webhook"

    async def start(self) -> None:
        self.sink = WebhookSink(honour_keys=True, secret=SECRET)
        await self.sink.__aenter__()
        self.environ["URL"] = f"http://user:{CANARY}@127.0.0.1:{self.sink.port}/{CANARY}/x?key={CANARY}"

    async def stop(self) -> None:
        await self.sink.__aexit__()

    def written(self) -> dict[str, Any]:
        return {"url_env": "URL", "secret_env": "SECRET", "idempotent": True}

    def arrived(self) -> list[dict[str, Any]]:
        return self.sink.data

    @contextmanager
    def broken(self) -> Iterator[None]:
        self.sink.then = 'body:{"error": "no such key ' + CANARY + '"}'
        yield


class DoubleHarness(Harness):
    """For kinds whose platform has a double."""

    double: Double

    async def start(self) -> None:
        self.environ["DRUMROLL_PRIVATE_HOSTS"] = "127.0.0.1"
        await self.double.__aenter__()

    async def stop(self) -> None:
        await self.double.__aexit__()

    def arrived(self) -> list[dict[str, Any]]:
        return self.double.seen

    @contextmanager
    def broken(self) -> Iterator[None]:
        self.double.then = "413"
        yield
        self.double.then = "accept"


class AppriseHarness(DoubleHarness):
    kind = "apprise"
    address = None

    async def start(self) -> None:
        self.double = JsonTarget()
        await super().start()
        self.environ["URLS"] = f"json://user:{CANARY}@127.0.0.1:{self.double.port}/{CANARY}/?-key={CANARY}"

    def written(self) -> dict[str, Any]:
        return {"url_env": "URLS"}

    def arrived(self) -> list[dict[str, Any]]:
        return [seen | {"text": re.sub("(?<=[@<])\u2060", "", seen["text"])} for seen in self.double.seen]


class DingtalkHarness(DoubleHarness):
    kind = "dingtalk"
    address = None

    async def start(self) -> None:
        self.double = DingtalkDouble(tokens=[CANARY], secret=CANARY, per_minute=1000)
        self.environ |= {"ROBOTS": f"https://oapi.dingtalk.com/robot/send?access_token={CANARY}", "SIGN": CANARY}
        await super().start()

    def written(self) -> dict[str, Any]:
        return {"robots_env": "ROBOTS", "secret_env": "SIGN", "api": self.double.url}


class EmailHarness(DoubleHarness):
    kind = "email"
    address = "list@example.org"
    member = "u-7@example.org"

    async def start(self) -> None:
        self.double = SmtpDouble(login=("news@example.org", CANARY))
        self.environ |= {"MAIL_USER": "news@example.org", "MAIL_PASSWORD": CANARY}
        await super().start()

    def written(self) -> dict[str, Any]:
        login = {"user_env": "MAIL_USER", "password_env": "MAIL_PASSWORD", "security": "none"}
        return {"host": "127.0.0.1", "port": self.double.port, "from": "Club <news@example.org>"} | login

    @contextmanager
    def broken(self) -> Iterator[None]:
        self.double.then = f"end:554 5.7.1 Message rejected, {CANARY}"
        yield
        self.double.then = "accept"


class FeishuHarness(DoubleHarness):
    kind = "feishu"
    address = None

    async def start(self) -> None:
        self.double = FeishuDouble(tokens=[CANARY], secret=CANARY, per_second=1000, per_minute=1000)
        self.environ |= {"ROBOTS": f"https://open.feishu.cn/open-apis/bot/v2/hook/{CANARY}", "SIGN": CANARY}
        await super().start()

    def written(self) -> dict[str, Any]:
        return {"robots_env": "ROBOTS", "secret_env": "SIGN", "api": self.double.url}


class DiscordHarness(DoubleHarness):
    kind = "discord"
    address = None

    async def start(self) -> None:
        self.double = DiscordDouble(webhooks={"1": CANARY})
        await super().start()
        self.environ["WEBHOOKS"] = f"{self.double.url}/api/webhooks/1/{CANARY}"

    def written(self) -> dict[str, Any]:
        return {"webhooks_env": "WEBHOOKS", "api": f"{self.double.url}/api/v10"}


class MatrixHarness(DoubleHarness):
    kind = "matrix"
    address = "!room:example.org"

    async def start(self) -> None:
        self.double = MatrixDouble(token=CANARY)
        self.environ["TOKEN"] = CANARY
        await super().start()

    def written(self) -> dict[str, Any]:
        return {"token_env": "TOKEN", "api": self.double.url}


class SlackHarness(DoubleHarness):
    kind = "slack"
    address = "C0001"
    member = "U7"

    async def start(self) -> None:
        self.double = SlackDouble(token=f"xoxb-{CANARY}")
        self.environ["TOKEN"] = f"xoxb-{CANARY}"
        await super().start()

    def written(self) -> dict[str, Any]:
        return {"token_env": "TOKEN", "api": f"{self.double.url}/api"}


class TelegramHarness(DoubleHarness):
    kind = "telegram"
    address = "-1001"
    member = "7"

    async def start(self) -> None:
        self.double = TelegramDouble(token=f"123:{CANARY}")
        self.environ["TOKEN"] = f"123:{CANARY}"
        await super().start()

    def written(self) -> dict[str, Any]:
        return {"token_env": "TOKEN", "api": self.double.url}


class WecomCustomerGroupHarness(DoubleHarness):
    kind = "wecom_customer_group"
    address = "wrTAIPEI"
    member = "wmu-7"

    async def start(self) -> None:
        self.double = WecomApiDouble(corp=f"ww{CANARY}", secret=CANARY)
        self.environ |= {"CORP": f"ww{CANARY}", "APP_SECRET": CANARY}
        await super().start()

    def written(self) -> dict[str, Any]:
        return {"corp_id_env": "CORP", "secret_env": "APP_SECRET", "sender": "zhangsan", "api": self.double.url}

    def arrived(self) -> list[dict[str, Any]]:
        return list(self.double.tasks.values())  # what the sender's app shows: members see nothing before the tap


class WecomRobotHarness(DoubleHarness):
    kind = "wecom_robot"

    async def start(self) -> None:
        self.double = WecomRobotDouble(keys=[CANARY], per_minute=1000)
        address = f"https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key={CANARY}"
        self.environ["ROBOTS"] = json.dumps({"room-1": address, "room-2": "key-2"})
        await super().start()

    def written(self) -> dict[str, Any]:
        return {"robots_env": "ROBOTS", "api": self.double.url}


_KINDS = (
    AppriseHarness,
    ConsoleHarness,
    DingtalkHarness,
    DiscordHarness,
    EmailHarness,
    FeishuHarness,
    FileHarness,
    HandOffHarness,
    MatrixHarness,
    SlackHarness,
    TelegramHarness,
    WebhookHarness,
    WecomCustomerGroupHarness,
    WecomRobotHarness,
)
HARNESSES = {harness.kind: harness for harness in _KINDS}


@pytest.fixture(params=sorted(KINDS))
async def harness(request: pytest.FixtureRequest, tmp_path: Path, capsys) -> AsyncIterator[Harness]:
    built = HARNESSES[request.param](tmp_path, capsys)
    await built.start()
    yield built
    await built.stop()


@pytest.fixture
async def channel(harness: Harness) -> AsyncIterator[Channel]:
    built = harness.build()
    await built.open()
    yield built
    await built.close()


def test_every_kind_has_a_harness():
    assert HARNESSES.keys() == KINDS.keys()


def test_only_what_people_post_may_be_invisible(harness: Harness):
    assert harness.observable or not harness.build().capability.unattended


def test_the_class_and_its_options_are_documented(harness: Harness):
    kind = channel_class(harness.kind)
    assert kind.__doc__
    assert kind.Options.__doc__
    assert [name for name, field in kind.Options.model_fields.items() if not field.description] == []


def test_an_unknown_option_is_refused(harness: Harness):
    with pytest.raises(ValidationError, match="Extra inputs"):
        parse_options(harness.kind, harness.written() | {"colour": "red"})


def test_options_never_change(harness: Harness):
    options = parse_options(harness.kind, harness.written())
    for name in type(options).model_fields:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(options, name, None)


def test_the_capability_is_known_before_opening(harness: Harness):
    options = parse_options(harness.kind, harness.written())
    assert harness.build().capability == capability_for(harness.kind, options)


def test_it_is_a_channel(channel: Channel):
    assert isinstance(channel, Channel)


async def test_opening_and_closing_twice_is_safe(harness: Harness):
    channel = harness.build()
    await channel.open()
    await channel.open()
    await channel.send(harness.message())
    await channel.close()
    await channel.close()


async def test_it_can_be_closed_unopened(harness: Harness):
    await harness.build().close()


async def test_it_can_be_opened_again(harness: Harness):
    channel = harness.build()
    for key in ("drm_1", "drm_2"):
        await channel.open()
        await channel.send(harness.message(key))
        await channel.close()
    assert not harness.observable or len(harness.arrived()) == 2


async def test_a_send_returns_a_receipt(harness: Harness, channel: Channel):
    receipt = await channel.send(harness.message())
    assert isinstance(receipt, Receipt)
    assert receipt.state == ("sent" if channel.capability.unattended else "awaiting")


async def test_a_repeated_key_has_no_second_effect_where_that_is_promised(harness: Harness, channel: Channel):
    first = await channel.send(harness.message())
    again = await channel.send(harness.message())
    promised = channel.capability.idempotent or channel.capability.look_up
    assert first == again or not promised
    assert not harness.observable or len(harness.arrived()) == (1 if promised else 2)


async def test_it_finds_a_key_again_where_that_is_promised(harness: Harness, channel: Channel):
    receipt = await channel.send(harness.message())
    if channel.capability.look_up:
        assert await channel.look_up("drm_0001", harness.message().recipient) == receipt
        assert await channel.look_up("drm_0002", harness.message().recipient) is None
    else:
        with pytest.raises(DrumrollError, match="main"):  # a None would mean "did not arrive"
            await channel.look_up("drm_0001", harness.message().recipient)


@pytest.mark.parametrize("what", HOSTILE)
async def test_hostile_text_arrives_unchanged(harness: Harness, channel: Channel, what: str):
    await channel.send(harness.message(text=HOSTILE[what]))
    if harness.observable:
        assert [seen["text"] for seen in harness.arrived()] == [HOSTILE[what]]


async def test_a_single_member_can_be_addressed_where_that_is_promised(harness: Harness, channel: Channel):
    if not channel.capability.direct:
        with pytest.raises(SendError, match="member") as caught:
            await channel.send(harness.to_member())
        assert caught.value.kind == "permanent"
        return
    await channel.send(harness.to_member())
    if harness.observable:
        assert [seen["member"] for seen in harness.arrived()] == ["u-7"]


async def test_a_hundred_at_once_all_arrive(harness: Harness, channel: Channel):
    sends = (channel.send(harness.message(f"drm_{n}", f"text {n}")) for n in range(100))
    receipts = await asyncio.gather(*sends)
    assert len(receipts) == 100
    if harness.observable:
        assert sorted(seen["text"] for seen in harness.arrived()) == sorted(f"text {n}" for n in range(100))


async def test_a_text_over_the_limit_is_refused_for_good(harness: Harness):
    settable = "max_bytes" in channel_class(harness.kind).Options.model_fields
    channel = harness.build(max_bytes=9) if settable else harness.build()
    await channel.open()
    can = channel.capability
    most = can.max_bytes // 3 if can.max_bytes else can.max_chars or 1_000_000
    if can.max_bytes or can.max_chars:
        with pytest.raises(SendError, match="that fit") as caught:
            await channel.send(harness.message(text="公" * (most + 1)))
        assert caught.value.kind == "permanent"
    await channel.send(harness.message(text="公" * most))
    await channel.close()
    if harness.observable:
        assert [len(seen["text"]) for seen in harness.arrived()] == [most]


async def test_half_a_character_is_refused_for_good(harness: Harness, channel: Channel):
    with pytest.raises(SendError, match=r"lone surrogate.*position 3") as caught:
        await channel.send(harness.message(text="oh \ud83d no"))
    assert caught.value.kind == "permanent"
    await channel.send(harness.message())
    assert not harness.observable or len(harness.arrived()) == 1


async def test_a_broken_channel_says_so_with_a_typed_error(harness: Harness, channel: Channel):
    await channel.send(harness.message("drm_before"))
    with harness.broken(), pytest.raises(SendError, match='channel "main"') as caught:
        await channel.send(harness.message())
    assert caught.value.kind == "permanent"


async def test_no_secret_shows(harness: Harness, channel: Channel, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    shown = [
        repr(channel),
        repr(parse_options(harness.kind, harness.written())),
        repr(ChannelContext(".", harness.environ)),
    ]
    await channel.send(harness.message())
    error = await _failure_of(harness, channel)
    if error is not None:
        shown += [repr(error), str(error), "".join(traceback.format_exception(error)), repr(error.__context__)]
    assert CANARY not in "\n".join([*shown, caplog.text])


async def test_no_secret_shows_in_a_failed_connection(caplog: pytest.LogCaptureFixture, tmp_path: Path, capsys):
    """Nor in the traceback of aiohttp's own error behind it."""
    caplog.set_level(logging.DEBUG)
    harness = WebhookHarness(tmp_path, capsys)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        harness.environ["URL"] = f"http://127.0.0.1:{taken.getsockname()[1]}/{CANARY}?key={CANARY}"
        channel = harness.build()
        await channel.open()
        with pytest.raises(SendError) as caught:
            await channel.send(message())
        await channel.close()
    assert caught.value.__context__ is None
    assert CANARY not in caplog.text + str(caught.value) + "".join(traceback.format_exception(caught.value))


async def test_a_message_is_never_changed_by_sending(harness: Harness, channel: Channel):
    sent = harness.message()
    await channel.send(sent)
    assert sent == harness.message()


async def _failure_of(harness: Harness, channel: Channel) -> SendError | None:
    if not harness.observable:
        return None
    with harness.broken(), pytest.raises(SendError) as caught:
        await channel.send(harness.message("drm_other"))
    return caught.value
