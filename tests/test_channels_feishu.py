"""The Feishu custom bot against a double of its webhook."""

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from drumroll.channels.base import Recipient, SendError
from drumroll.channels.feishu import signature
from tests.channel_messages import message
from tests.doubles import feishu
from tests.doubles.feishu import FeishuDouble
from tests.opened_channels import opened as opened_channel

TO = Recipient("taipei", "台北讀書會")
NAMED = Recipient("taipei", "台北讀書會", "taipei-chat")


def opened(double: FeishuDouble, robots: Any = "hook-1", **options: Any):
    environ = {"ROBOTS": robots if isinstance(robots, str) else json.dumps(robots), "SIGN": "demo"}
    return opened_channel("feishu", environ, robots_env="ROBOTS", api=double.url, **options)


async def sent(double: FeishuDouble, text: str = "Tonight at eight.", **changes: Any) -> dict[str, Any]:
    async with opened(double) as channel:
        await channel.send(message(text=text, **{"recipient": TO} | changes))
    return double.seen[0]


async def failed(double: FeishuDouble, text: str = "Tonight at eight.", robots: Any = "hook-1", **changes: Any):
    async with opened(double, robots) as channel:
        with pytest.raises(SendError) as caught:
            await channel.send(message(text=text, **{"recipient": TO} | changes))
    return caught.value


@pytest.fixture
async def double() -> AsyncIterator[FeishuDouble]:
    async with FeishuDouble() as double:
        yield double


async def test_the_double_answers_as_documented(double):
    async with aiohttp.ClientSession(double.url) as client:

        async def answer(body, token="hook-1"):
            async with client.post(f"/open-apis/bot/v2/hook/{token}", json=body) as response:
                assert response.status == 200
                return await response.json()

        text = {"msg_type": "text", "content": {"text": '<at user_id="all">所有人</at> 新更新提醒'}}
        assert await answer(text) == {
            "code": 0,
            "msg": "success",
            "data": {},
            "Extra": None,
            "StatusCode": 0,
            "StatusMessage": "success",
        }
        assert await answer({"msg_type": "text"}) == {"code": 9499, "msg": "Bad Request", "data": {}}
        assert (await answer(text, "gone"))["code"] == 19001
        double.secret = "demo"
        assert (await answer(text | {"timestamp": "1599360473", "sign": "x"}))["code"] == 19021
        double.secret, double.keyword = None, "应用报警"
        assert (await answer(text))["msg"] == "Key Words Not Found"
    assert (double.seen[0]["text"], double.seen[0]["mentions"]) == ("@所有人 新更新提醒", ["all"])


def test_signatures_are_those_of_the_documented_example():
    # Secret and timestamp of the guide's Java example; its result as two other projects have it.
    assert signature(1599360473, "demo") == "l1N0gAcBjdwBvGm1xMjOF0XSyaLRpR7tuO5dHfhAYc8="
    assert feishu.sign("1599360473", "demo") == "l1N0gAcBjdwBvGm1xMjOF0XSyaLRpR7tuO5dHfhAYc8="


async def test_plain_text_is_neither_markup_nor_mention(double):
    text = '<at user_id="all">all</at> **bold** [x](https://a.example) &amp; :OK:\nsecond line'
    seen = await sent(double, text)
    assert (seen["text"], seen["mentions"], seen["kind"]) == (text, [], "post")


@pytest.mark.parametrize("of", ["text", "markdown"])
async def test_everyone_is_mentioned_where_the_step_asks_for_it(double, of):
    seen = await sent(double, mention_all=True, format=of)
    assert (seen["mentions"], seen["text"]) == (["all"], "Tonight at eight.")


async def test_markdown_becomes_a_card(double):
    text = "# Tonight\n\n- **one** and *two*\n- [here](https://a.example/x_(1))\n\n> first\n> second"
    seen = await sent(double, text, format="markdown")
    assert (seen["kind"], seen["raw"]) == (
        "interactive",
        "**Tonight**\n\n• **one** and *two*\n• [here](https://a.example/x_%281%29)\n\n│ first\n│ second",
    )


async def test_text_in_markdown_becomes_no_markup_and_no_mention(double):
    text = r"\*a\* <at id=all></at> &lt;at id=all&gt; \[x\](y) :OK: `*b*` ~c~"
    seen = await sent(double, text, format="markdown")
    assert seen["mentions"] == []
    assert seen["text"] == "*a* <at id=all></at> <at id=all> [x](y) :OK: *b* ~c~"


async def test_an_address_in_the_text_stays_whole(double):
    raw = (await sent(double, "see https://a.example/x_y_z today", format="markdown"))["raw"]
    assert "](https://a.example/x_y_z) today" in raw


async def test_a_signed_bot_gets_its_signature():
    async with FeishuDouble(secret="demo") as double:
        async with opened(double, secret_env="SIGN") as channel:
            await channel.send(message(recipient=TO))
        async with opened(double, {"taipei-chat": {"url": "hook-1", "secret": "demo"}}) as channel:
            await channel.send(message(recipient=NAMED))
            assert "its robot and its secret" in await channel.verify(NAMED)
        async with opened(double, {"url": "hook-1", "secret": "demo"}) as channel:
            await channel.send(message(recipient=TO))
        assert len(double.seen) == 3


async def test_a_wrong_secret_is_told_and_never_shown():
    async with FeishuDouble(secret="another") as double:
        error = await failed(double, robots={"url": "hook-1", "secret": "SECRET"})
    assert (error.kind, "the bot's secret" in str(error)) == ("permanent", True)
    assert "SECRET" not in str(error)


async def test_a_removed_bot_is_told_and_its_token_never_shown(double):
    error = await failed(double, robots="hook-of-the-removed")
    assert (error.kind, "the bot was removed" in str(error)) == ("permanent", True)
    assert "hook-of-the-removed" not in str(error)


async def test_a_text_that_outgrows_the_request_is_refused(double):
    error = await failed(double, "\n" * 17_999)
    assert (error.kind, "that fit; shorten it" in str(error), double.requests) == ("permanent", True, 0)


async def test_the_longest_markdown_arrives_with_its_escapes(double):
    text = r"今晚：#第三場\*" * 476
    assert 9_900 < len(text.encode()) <= 10_000
    assert (await sent(double, text, format="markdown"))["text"] == text.replace("\\", "")


@pytest.mark.parametrize(
    ("word", "kind", "words"),
    [
        ("error:19022", "permanent", "let this machine's address in"),
        ("error:19024", "permanent", "keyword"),
        ("error:9499", "permanent", "too long"),
        ("error:11232", "limited", "the full and the half hour"),
        ("hasty", "limited", "too many request"),
    ],
)
async def test_each_error_has_its_kind_and_its_remedy(double, word, kind, words):
    double.then = word
    error = await failed(double)
    assert (error.kind, words in str(error), 'group "台北讀書會"' in str(error)) == (kind, True, True)


async def test_the_sixth_message_of_a_second_waits(double):
    async with opened(double) as channel:
        for number in range(5):
            await channel.send(message(f"drm_{number}", recipient=TO))
        with pytest.raises(SendError, match="11232") as caught:
            await channel.send(message("drm_5", recipient=TO))
    assert (caught.value.kind, caught.value.retry_after) == ("limited", 10.0)


async def test_lark_is_another_server_of_the_same_kind():
    address = "https://open.larksuite.com/open-apis/bot/v2/hook/hook-1"
    environ = {"ROBOTS": address}
    async with opened_channel("feishu", environ, robots_env="ROBOTS", api="https://open.larksuite.com") as channel:
        assert "1 robot has a well-formed address" in await channel.verify(None)
