"""The DingTalk custom robot against a double of its webhook."""

import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote_plus

import aiohttp
import pytest

from drumroll.channels.base import Recipient, SendError
from drumroll.channels.dingtalk import signature
from tests.channel_messages import message
from tests.doubles import dingtalk
from tests.doubles.dingtalk import DingtalkDouble
from tests.opened_channels import opened as opened_channel

TO = Recipient("taipei", "台北讀書會")
NAMED = Recipient("taipei", "台北讀書會", "taipei-chat")


def opened(double: DingtalkDouble, robots: Any = "token-1", **options: Any):
    environ = {"ROBOTS": robots if isinstance(robots, str) else json.dumps(robots), "SIGN": "SECdemo"}
    return opened_channel("dingtalk", environ, robots_env="ROBOTS", api=double.url, **options)


async def sent(double: DingtalkDouble, text: str = "Tonight at eight.", **changes: Any) -> dict[str, Any]:
    async with opened(double) as channel:
        await channel.send(message(text=text, **{"recipient": TO} | changes))
    return double.seen[0]


async def failed(double: DingtalkDouble, text: str = "Tonight at eight.", robots: Any = "token-1", **changes: Any):
    async with opened(double, robots) as channel:
        with pytest.raises(SendError) as caught:
            await channel.send(message(text=text, **{"recipient": TO} | changes))
    return caught.value


@pytest.fixture
async def double() -> AsyncIterator[DingtalkDouble]:
    async with DingtalkDouble() as double:
        yield double


async def test_the_double_answers_as_documented(double):
    documented = {"msgtype": "text", "text": {"content": "我就是我, 是不一样的烟火"}}
    async with aiohttp.ClientSession(double.url) as client:

        async def answer(query, body=documented):
            async with client.post(f"/robot/send?{query}", json=body) as response:
                assert response.status == 200
                return await response.json()

        assert await answer("access_token=token-1") == {"errcode": 0, "errmsg": "ok"}
        assert await answer("access_token=gone") == {"errcode": 300005, "errmsg": "token is not exist"}
        assert (await answer("access_token="))["errcode"] == 40035
        double.keyword = "监控报警"
        unkeyed = {"errcode": 310000, "errmsg": "keywords not in content"}
        assert await answer("access_token=token-1") == unkeyed
        double.keyword, double.secret = "", "SECdemo"
        assert (await answer("access_token=token-1"))["errmsg"] == "invalid timestamp"
        double.secret = None
        for _ in range(19):
            await answer("access_token=token-1")
        hasty = {"errcode": 130101, "errmsg": "send too fast, exceed 20 times per minute"}
        assert await answer("access_token=token-1") == hasty
        double.sent.clear()
        assert await answer("access_token=token-1") == hasty  # for ten minutes


def test_signatures_are_those_of_the_documented_program():
    # The secret of its example; the double signs with the program itself.
    assert quote_plus(signature(1577262236757, "this is secret")) == dingtalk.sign("1577262236757", "this is secret")


async def test_plain_text_is_neither_markup_nor_mention(double):
    text = "@all **bold** [x](https://a.example) @13800001111\nsecond line"
    seen = await sent(double, text)
    assert (seen["text"], seen["mentions"], seen["kind"]) == (text, [], "text")


@pytest.mark.parametrize("of", ["text", "markdown"])
async def test_everyone_is_mentioned_where_the_step_asks_for_it(double, of):
    assert (await sent(double, mention_all=True, format=of))["mentions"] == ["all"]


async def test_markdown_keeps_what_dingtalk_knows(double):
    text = "# Tonight\n\n- **one** and *two*\n- [here](https://a.example/x_(1))\n\n> first\n> second"
    seen = await sent(double, text, format="markdown")
    assert seen["raw"] == (
        "**Tonight**\n\n• **one** and *two*  \n• [here](https://a.example/x_%281%29)\n\n> first  \n> second"
    )
    assert seen["text"] == "Tonight\n\n• one and two\n• here\n\nfirst\nsecond"


async def test_the_title_is_the_first_line_as_members_read_it(double):
    assert (await sent(double, "# **To**night\n\nat eight", format="markdown"))["title"] == "Tonight"


async def test_a_long_first_line_is_shortened_in_the_preview_only(double):
    seen = await sent(double, "公" * 100, format="markdown")
    assert (seen["title"], seen["text"]) == ("公" * 59 + "…", "公" * 100)


async def test_text_in_markdown_becomes_no_markup(double):
    text = r"\*a\* \[x\](y) &lt;font&gt; \_b\_ `*c*`" + "\n\n\\# d\n\n1\\. e"
    seen = await sent(double, text, format="markdown")
    assert seen["text"] == "*a* [x](y) <font> _b_ *c*\n\n# d\n\n1. e"


async def test_a_signed_robot_gets_its_signature():
    async with DingtalkDouble(secret="SECdemo") as double:
        async with opened(double, secret_env="SIGN") as channel:
            for number in range(8):  # some signatures have a + or a / in them
                await channel.send(message(f"drm_{number}", recipient=TO))
        async with opened(double, {"taipei-chat": {"url": "token-1", "secret": "SECdemo"}}) as channel:
            await channel.send(message(recipient=NAMED))
            assert "its robot and its secret" in await channel.verify(NAMED)
        assert len(double.seen) == 9


async def test_a_wrong_secret_is_told_and_never_shown():
    async with DingtalkDouble(secret="another") as double:
        error = await failed(double, robots={"url": "token-1", "secret": "SECRET"})
    assert (error.kind, "sign not match" in str(error), "the robot's secret" in str(error)) == ("permanent", True, True)
    assert "SECRET" not in str(error)


async def test_a_missing_keyword_is_told():
    async with DingtalkDouble(keyword="监控报警") as double:
        error = await failed(double)
    assert (error.kind, "keywords not in content" in str(error)) == ("permanent", True)


async def test_a_removed_robot_is_told_and_its_token_never_shown(double):
    error = await failed(double, robots="token-of-the-removed")
    assert (error.kind, "the robot was removed" in str(error)) == ("permanent", True)
    assert "token-of-the-removed" not in str(error)


async def test_a_text_that_outgrows_the_request_is_refused(double):
    error = await failed(double, "\n" * 17_999)
    assert (error.kind, "that fit; shorten it" in str(error), double.requests) == ("permanent", True, 0)


@pytest.mark.parametrize(
    ("word", "kind", "words"),
    [
        ("error:400013", "permanent", "the group was dismissed"),
        ("error:400102", "permanent", "have it enabled"),
        ("error:300001", "permanent", "the robot was removed"),
        ("error:430102", "permanent", "change its words"),
        ("error:460101", "permanent", "shorten it"),
        ("error:-1", "transient", "tried again"),
        ("error:410100", "limited", "ten minutes"),
        ("punished", "limited", "ten minutes"),
    ],
)
async def test_each_error_has_its_kind_and_its_remedy(double, word, kind, words):
    double.then = word
    error = await failed(double)
    assert (error.kind, words in str(error), 'group "台北讀書會"' in str(error)) == (kind, True, True)


async def test_a_hasty_robot_waits_ten_minutes(double):
    async with opened(double) as channel:
        for number in range(20):
            await channel.send(message(f"drm_{number}", recipient=TO))
        with pytest.raises(SendError, match="130101") as caught:
            await channel.send(message("drm_20", recipient=TO))
    assert (caught.value.kind, caught.value.retry_after) == ("limited", 600.0)
