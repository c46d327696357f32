"""What all group robots behind webhooks promise: which one speaks, who pays, and what every server's trouble means."""

import json
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from drumroll.channels.base import ChannelContext, Recipient, SendError
from drumroll.channels.registry import capability_for, channel_class, parse_options
from drumroll.errors import DrumrollError
from tests.channel_messages import message
from tests.doubles.dingtalk import DingtalkDouble
from tests.doubles.double import Double
from tests.doubles.feishu import FeishuDouble
from tests.doubles.wecom_robot import WecomRobotDouble
from tests.opened_channels import opened as opened_channel

TO = Recipient("taipei", "台北讀書會", "taipei-chat")
OTHER = Recipient("tainan", "台南讀書會", "tainan-chat")
ROBOT = json.dumps({"taipei-chat": "robot-1"})


@dataclass
class Case:
    kind: str
    double: Double
    webhook: str  # how its addresses begin

    def opened(self, robots: Any = ROBOT, **options: Any):
        written = robots if isinstance(robots, str) else json.dumps(robots)
        return opened_channel(self.kind, {"ROBOTS": written}, robots_env="ROBOTS", api=self.double.url, **options)


CASES = {
    "dingtalk": (lambda: DingtalkDouble(tokens=["robot-1", "robot-2"]), "/robot/send?access_token="),
    "feishu": (lambda: FeishuDouble(tokens=["robot-1", "robot-2"]), "/open-apis/bot/v2/hook/"),
    "wecom_robot": (lambda: WecomRobotDouble(keys=["robot-1", "robot-2"]), "/cgi-bin/webhook/send?key="),
}


@pytest.fixture(params=sorted(CASES))
async def case(request) -> AsyncIterator[Case]:
    make, path = CASES[request.param]
    async with make() as double:
        yield Case(request.param, double, channel_class(request.param).host + path)


async def failed(case: Case, robots: Any = ROBOT, *, to: Recipient = TO, patience: str = "10s") -> SendError:
    async with case.opened(robots, timeout=patience) as channel:
        with pytest.raises(SendError) as caught:
            await channel.send(message(recipient=to))
    return caught.value


async def unopened(case: Case, robots: str) -> str:
    with pytest.raises(DrumrollError) as caught:
        async with case.opened(robots):
            pass
    return str(caught.value)


@pytest.mark.parametrize("address", [None, ""])
async def test_a_lone_robot_speaks_to_a_group_without_an_address(case, address):
    async with case.opened(case.webhook + "robot-1") as channel:
        await channel.send(message(recipient=Recipient("taipei", "台北", address)))
    assert [seen["to"] for seen in case.double.seen] == ["robot-1"]


async def test_a_lone_robot_is_not_for_groups_that_have_an_address(case):
    """Else a staff group with an address of its own would reach members, and `check` could not see it."""
    error = await failed(case, "robot-1", to=Recipient("staff", "Staff", "staff-chat"))
    assert (error.kind, case.double.requests) == ("permanent", 0)
    assert 'group "Staff"' in str(error)
    assert "ROBOTS holds one robot, for groups without an `address`; leave that out, or name" in str(error)
    assert "staff-chat" not in str(error)


async def test_of_several_robots_each_group_has_its_own(case):
    async with case.opened({"taipei-chat": case.webhook + "robot-1", "tainan-chat": "robot-2"}) as channel:
        await channel.send(message(recipient=OTHER))
        await channel.send(message(recipient=TO))
    assert [seen["to"] for seen in case.double.seen] == ["robot-2", "robot-1"]


@pytest.mark.parametrize("address", [None, "", "Taipei-chat", "https://x.example/hook/SECRET"])
async def test_a_group_without_a_robot_is_refused_before_anything_is_sent(case, address):
    error = await failed(case, {"taipei-chat": "robot-1"}, to=Recipient("taipei", "台北", address))
    assert (error.kind, case.double.requests) == ("permanent", 0)
    assert 'group "台北"' in str(error)
    assert "ROBOTS must name one" in str(error)
    assert "SECRET" not in str(error)


@pytest.mark.parametrize(
    ("robots", "problem"),
    [
        ("", "is not set"),
        ("two words", "no token"),
        ("what/ever", "not a webhook address"),
        ("{", "no JSON object"),
        ("{}", "no JSON object"),
        ('{"": "robot-1"}', "no JSON object"),
        ('{"a": "robot-1", "a": "robot-2"}', "names a group twice"),
        ('{"a": "robot-1", "b": "robot-1"}', "the same place from two addresses"),
        ('{"a": 7}', "not a webhook address"),
        ('{"a": null}', "not a webhook address"),
        ("https://elsewhere.example/hook/SECRET", "on another server; say which with `api`"),
        ('{"a": ["SECRET"]}', "not a webhook address"),
    ],
)
async def test_robots_that_are_none_are_told_when_the_channel_opens(case, robots, problem):
    words = await unopened(case, robots)
    assert "ROBOTS" in words
    assert problem.replace("not a webhook address", "is not a webhook address") in words
    assert "SECRET" not in words


async def test_an_address_without_its_key_is_told(case):
    assert "not a webhook address" in await unopened(case, case.webhook)


async def test_the_webhook_of_another_platform_is_told(case):
    others = {kind: channel_class(kind).host + path for kind, (_, path) in CASES.items() if kind != case.kind}
    for address in others.values():
        assert "another server" in await unopened(case, address + "robot-1")


async def test_each_robot_pays_for_its_own_group(case):
    async with case.opened({"taipei-chat": "robot-1", "tainan-chat": "robot-2"}) as channel, case.opened() as other:
        assert channel.bucket(TO) != channel.bucket(OTHER)
        assert channel.bucket(TO) == other.bucket(TO)
        assert channel.bucket(TO).startswith(f"{case.kind}:")
        assert "robot-1" not in channel.bucket(TO)
        assert channel.bucket(Recipient("x", "X", "unknown")) == ""


async def test_the_rates_are_a_robots_so_that_many_groups_do_not_wait_for_each_other(case):
    can = capability_for(case.kind, parse_options(case.kind, {"robots_env": "ROBOTS"}))
    assert {rate.per for rate in can.rates} == {"robot"}
    assert can.per_minute is None


async def test_verify_says_what_was_seen_to_and_calls_nobody(case):
    async with case.opened({"taipei-chat": "robot-1", "tainan-chat": "robot-2"}) as channel:
        assert "2 robots have a well-formed address" in await channel.verify(None)
        assert "the address of its robot is there" in await channel.verify(TO)
        with pytest.raises(DrumrollError, match="has no robot for it"):
            await channel.verify(Recipient("x", "X", "unknown"))
    assert case.double.requests == 0


async def test_the_receipt_carries_our_key_for_they_give_no_id(case):
    async with case.opened() as channel:
        assert (await channel.send(message("drm_7", recipient=TO))).message_id == "drm_7"
        assert not channel.capability.message_ids


@pytest.mark.parametrize(
    ("word", "kind", "words"),
    [
        ("html", "ambiguous", "not JSON"),
        ("413", "permanent", "shorten the text"),
        ("404", "permanent", "see whether `api` is right"),
        ("502", "ambiguous", "look into the group"),
        ("503", "transient", "tried again"),
        ("drop", "ambiguous", "broke the connection off"),
        ("then-drop", "ambiguous", "broke the connection off"),
        ("error:4711", "permanent", "answered 4711 (some trouble"),
    ],
)
async def test_each_trouble_ends_in_the_right_kind_and_names_the_group(case, word, kind, words):
    case.double.then = word
    error = await failed(case)
    assert (error.kind, words in str(error), 'group "台北讀書會"' in str(error)) == (kind, True, True)


async def test_a_server_that_hangs_leaves_it_open(case, monkeypatch):
    case.double.then = "then-slow:5"
    async with case.opened() as channel:
        monkeypatch.setattr(channel._poster._session, "_timeout", _patience(0.05))
        with pytest.raises(SendError, match="gave no answer") as caught:
            await channel.send(message(recipient=TO))
    assert caught.value.kind == "ambiguous"


async def test_a_closed_port_is_tried_again(case):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        api = f"http://127.0.0.1:{taken.getsockname()[1]}"
        async with opened_channel(case.kind, {"ROBOTS": ROBOT}, robots_env="ROBOTS", api=api) as channel:
            with pytest.raises(SendError, match="cannot be reached") as caught:
                await channel.send(message(recipient=TO))
    assert (caught.value.kind, caught.value.doubtful) == ("transient", False)


async def test_loopback_is_called_only_where_the_operator_allows_it(case):
    parsed = parse_options(case.kind, {"robots_env": "ROBOTS", "api": case.double.url})
    channel = channel_class(case.kind)("main", parsed, ChannelContext(".", {"ROBOTS": ROBOT}))
    await channel.open()
    with pytest.raises(SendError, match="DRUMROLL_PRIVATE_HOSTS") as caught:
        await channel.send(message(recipient=TO))
    await channel.close()
    assert (caught.value.kind, case.double.requests) == ("permanent", 0)


def _patience(seconds: float):
    import aiohttp

    return aiohttp.ClientTimeout(total=seconds)
