"""The WeCom group robot against a double of its webhook."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from drumroll.channels.base import Attachment, Recipient, SendError
from tests.channel_messages import message
from tests.doubles.wecom_robot import WecomRobotDouble
from tests.opened_channels import opened as opened_channel

TO = Recipient("taipei", "台北讀書會")
PICTURE = Attachment("poster.png", b"\x89PNG picture")
SHEET = Attachment("課程表.pdf", b"%PDF-1.7")


def opened(double: WecomRobotDouble, key: str = "key-1", **options: Any):
    return opened_channel("wecom_robot", {"ROBOTS": key}, robots_env="ROBOTS", api=double.url, **options)


async def sent(double: WecomRobotDouble, text: str = "Tonight at eight.", **changes: Any) -> dict[str, Any]:
    async with opened(double) as channel:
        await channel.send(message(text=text, **{"recipient": TO} | changes))
    return double.seen[0]


async def failed(double: WecomRobotDouble, text: str = "Tonight at eight.", key: str = "key-1", **changes: Any):
    async with opened(double, key) as channel:
        with pytest.raises(SendError) as caught:
            await channel.send(message(text=text, **{"recipient": TO} | changes))
    return caught.value


@pytest.fixture
async def double() -> AsyncIterator[WecomRobotDouble]:
    async with WecomRobotDouble() as double:
        yield double


async def test_the_double_answers_as_documented(double):
    documented = {"msgtype": "text", "text": {"content": "hello world"}}
    mentioned = {"content": "广州今日天气：29度", "mentioned_list": ["wangqing", "@all"]}
    async with aiohttp.ClientSession(double.url) as client:

        async def answer(key, **body):
            async with client.post(f"/cgi-bin/webhook/send?key={key}", json=body) as response:
                assert response.status == 200
                return await response.json()

        assert await answer("key-1", **documented) == {"errcode": 0, "errmsg": "ok"}
        assert (await answer("key-1", msgtype="text", text=mentioned))["errcode"] == 0
        assert (await answer("key-9", **documented))["errmsg"].startswith("invalid webhook url, hint: [")
        long = await answer("key-1", msgtype="markdown", markdown={"content": "x" * 4097})
        assert (long["errcode"], "exceed max length 4096" in long["errmsg"]) == (40058, True)
        for _ in range(18):
            await answer("key-1", **documented)
        assert (await answer("key-1", **documented))["errcode"] == 45009
    assert double.seen[1]["mentions"] == ["@all"]


async def test_plain_text_mentions_nobody(double):
    text = "<@zhangsan> @all ask <@all> or a@example.org"
    seen = await sent(double, text)
    assert (seen["text"], seen["mentions"]) == (text, [])


async def test_everyone_is_mentioned_where_the_step_asks_for_it(double):
    assert (await sent(double, mention_all=True))["mentions"] == ["@all"]


async def test_everyone_cannot_be_mentioned_in_markdown(double):
    error = await failed(double, format="markdown", mention_all=True)
    assert (error.kind, "write `format: text`" in str(error), double.requests) == ("permanent", True, 0)


async def test_markdown_keeps_what_wecom_knows(double):
    text = "# Tonight\n\n- **one** and *two*\n- [here](https://a.example/x_(1)) `code`\n\n> first\n> second"
    assert (await sent(double, text, format="markdown"))["raw"] == (
        "**Tonight**\n\n• **one** and two\n• [here](https://a.example/x_%281%29) `code`\n\n> first\n> second"
    )


async def test_text_in_markdown_becomes_no_markup_and_no_mention(double):
    text = r"\*\*a\*\* <@zhangsan> \[x\](y) <font color=info>b \# c" + "\n\n\\# d"
    seen = await sent(double, text, format="markdown")
    assert seen["mentions"] == []
    assert seen["text"] == "**a** <@zhangsan> [x](y) <font color=info>b # c\n\n# d"


async def test_no_mention_comes_together_where_wecom_has_no_mark(double):
    seen = await sent(double, "<@*zhangsan*>", format="markdown")
    assert (seen["mentions"], seen["text"]) == ([], "<@zhangsan>")


async def test_an_address_of_mail_or_a_phone_stands_in_the_text(double):
    text = "[write](mailto:a@b.example) or <a@b.example> or [call](tel:+886-2)"
    seen = await sent(double, text, format="markdown")
    assert seen["text"] == "write (a@b.example) or a@b.example or call (+886-2)"


async def test_a_link_that_runs_something_loses_its_address(double):
    raw = (await sent(double, "[x](javascript:1) [y](tg://user?id=7)", format="markdown"))["raw"]
    assert "](" not in raw


async def test_a_text_that_outgrows_the_limit_with_what_parts_its_mentions_is_refused(double):
    error = await failed(double, " @a" * 600)
    assert (error.kind, "1552 more than the 2048 that fit" in str(error)) == ("permanent", True)
    assert double.requests == 0


async def test_markdown_has_its_own_limit(double):
    assert (await sent(double, "公" * 1365, format="markdown"))["text"] == "公" * 1365
    assert (await failed(double, "公" * 1366, format="markdown")).kind == "permanent"


async def test_a_picture_stands_below_the_text(double):
    await sent(double, attachments=(PICTURE,))
    assert [(seen["kind"], seen["text"]) for seen in double.seen] == [("text", "Tonight at eight."), ("image", "")]
    assert double.seen[1]["content"] == PICTURE.content


async def test_a_file_keeps_its_name(double):
    await sent(double, attachments=(SHEET,))
    assert [seen["kind"] for seen in double.seen] == ["text", "file"]
    assert (double.seen[1]["file"], double.seen[1]["content"]) == ("課程表.pdf", SHEET.content)


async def test_a_picture_too_large_to_be_shown_goes_as_a_file(double):
    await sent(double, attachments=(Attachment("poster.png", b"\x89PNG" + bytes(2 * 1024 * 1024)),))
    assert [seen["kind"] for seen in double.seen] == ["text", "file"]


@pytest.mark.parametrize("content", [b"tiny", bytes(20 * 1024 * 1024 + 1)])
async def test_a_file_that_wecom_does_not_take_keeps_the_text_back(double, content):
    error = await failed(double, attachments=(Attachment("a.zip", content),))
    assert (error.kind, "a.zip" in str(error), double.seen) == ("permanent", True, [])


@pytest.mark.parametrize("word", ["error:45009", "error:-1", "503", "drop"])
async def test_a_text_without_its_picture_is_for_a_person(double, word):
    double.script = ["accept", word]
    error = await failed(double, attachments=(PICTURE,))
    assert error.kind == "ambiguous"
    assert "took the text and" in str(error)
    assert "poster.png" in str(error)
    assert "post the file by hand" in str(error)
    assert len(double.seen) == 1


async def test_a_text_that_was_refused_leaves_no_picture(double):
    double.script = ["error:-1"]
    assert (await failed(double, attachments=(PICTURE,))).kind == "transient"
    assert double.seen == []


class _WithoutUploads(WecomRobotDouble):
    async def _upload(self, request: web.Request) -> web.Response:
        return web.Response(text="<html>", content_type="text/html")


async def test_an_upload_that_failed_leaves_nothing_in_doubt():
    async with _WithoutUploads() as double:
        error = await failed(double, attachments=(SHEET,))
    assert (error.kind, error.doubtful, double.seen) == ("transient", False, [])


@pytest.mark.parametrize(
    ("word", "kind", "words"),
    [
        ("error:93000", "permanent", "the robot was removed"),
        ("error:93004", "permanent", "have it enabled"),
        ("error:93008", "permanent", "not in the group any more"),
        ("error:40058", "permanent", "shorten it"),
        ("error:45002", "permanent", "shorten it"),
        ("error:-1", "transient", "tried again"),
        ("error:45033", "limited", "it waits"),
    ],
)
async def test_each_error_has_its_kind_and_its_remedy(double, word, kind, words):
    double.then = word
    error = await failed(double)
    assert (error.kind, words in str(error), 'group "台北讀書會"' in str(error)) == (kind, True, True)


async def test_a_removed_robot_is_told_and_its_key_never_shown(double):
    error = await failed(double, key="key-of-the-removed")
    assert (error.kind, "the robot was removed" in str(error)) == ("permanent", True)
    assert "key-of-the-removed" not in str(error)


async def test_the_twenty_first_message_of_a_minute_waits(double):
    async with opened(double) as channel:
        for number in range(20):
            await channel.send(message(f"drm_{number}", recipient=TO))
        with pytest.raises(SendError, match="45009") as caught:
            await channel.send(message("drm_20", recipient=TO))
    assert (caught.value.kind, caught.value.retry_after, caught.value.group) == ("limited", 60.0, False)
    assert len(double.seen) == 20
