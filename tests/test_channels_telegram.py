"""The Telegram channel against a double of the Bot API."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from drumroll.channels.base import Attachment, ChannelContext, Recipient, SendError
from drumroll.channels.registry import channel_class, parse_options
from drumroll.errors import DrumrollError
from tests.channel_messages import message
from tests.doubles.telegram import TelegramDouble
from tests.opened_channels import opened as opened_channel

TO = Recipient("taipei", "台北讀書會", "-1001")
PICTURE = Attachment("poster.png", b"\x89PNG")


def opened(double: TelegramDouble, token: str = "123:ABC", **options: Any):
    return opened_channel("telegram", {"TOKEN": token}, token_env="TOKEN", api=double.url, **options)


def to_group(text: str = "Tonight at eight.", **changes: Any):
    return message(text=text, **{"recipient": TO} | changes)


async def outcome(double: TelegramDouble, *, patience: str = "10s", **changes: Any) -> SendError:
    async with opened(double, timeout=patience) as channel:
        with pytest.raises(SendError) as caught:
            await channel.send(to_group(**changes))
    return caught.value


@pytest.fixture
async def double() -> AsyncIterator[TelegramDouble]:
    async with TelegramDouble() as double:
        yield double


async def test_the_receipt_carries_telegrams_number(double):
    async with opened(double) as channel:
        assert (await channel.send(to_group())).message_id == "1"


async def test_markdown_arrives_as_bold_links_and_lists(double):
    async with opened(double) as channel:
        await channel.send(
            to_group("# Tonight\n\n- **one** & <b>two</b>\n- [here](https://a.example/?a=1&b=2)", format="markdown")
        )
    assert double.seen[0]["html"] == (
        '<b>Tonight</b>\n\n• <b>one</b> &amp; &lt;b&gt;two&lt;/b&gt;\n• <a href="https://a.example/?a=1&amp;b=2">here</a>'
    )


async def test_a_link_that_runs_something_loses_its_address(double):
    async with opened(double) as channel:
        await channel.send(to_group("[x](javascript:alert(1)) [y](tg://user?id=7)", format="markdown"))
    assert "href" not in double.seen[0]["html"]


async def test_plain_text_mentions_nobody(double):
    async with opened(double) as channel:
        await channel.send(to_group("@everyone ask @drum_bot or mail a@example.org"))
    assert double.seen[0]["mentions"] == []


async def test_an_address_with_an_at_sign_still_leads_where_it_did(double):
    async with opened(double) as channel:
        await channel.send(to_group("@all read https://medium.com/@drum/one, a@b.c"))
    assert double.seen[0]["raw"] == "@\u2060all read https://medium.com/@drum/one, a@b.c"


async def test_a_text_that_outgrows_the_limit_with_what_keeps_it_from_mentioning_is_refused(double):
    error = await outcome(double, text="@a " * 1100)
    assert (error.kind, double.requests) == ("permanent", 0)
    assert "4400 characters with what keeps @names from mentioning, 304 more than the 4096 that fit" in str(error)


async def test_markdown_is_measured_by_what_members_read(double):
    async with opened(double) as channel:
        await channel.send(to_group("**" + "x" * 4090 + "**", format="markdown"))
    assert double.seen[0]["text"] == "x" * 4090


async def test_markdown_mentions_nobody(double):
    async with opened(double) as channel:
        await channel.send(to_group("hello @drum_user", format="markdown"))
    assert double.seen[0]["mentions"] == []


async def test_a_picture_carries_the_text_as_its_caption(double):
    async with opened(double) as channel:
        await channel.send(to_group(attachments=(PICTURE,)))
    assert (double.seen[0]["file"], double.seen[0]["text"]) == ("poster.png", "Tonight at eight.")


async def test_a_caption_over_its_own_limit_is_refused(double):
    error = await outcome(double, text="x" * 1025, attachments=(PICTURE,))
    assert error.kind == "permanent"
    assert "1 more than the 1024 that fit" in str(error)


async def test_a_step_that_asks_for_it_is_pinned(double):
    async with opened(double) as channel:
        await channel.send(to_group(pin=True))
    assert double.seen[0]["pinned"]


async def test_what_arrived_and_could_not_be_pinned_is_for_a_person(double):
    double.bot_status = "member"
    error = await outcome(double, pin=True)
    assert error.kind == "ambiguous"
    assert "pin it by hand" in str(error)
    assert len(double.seen) == 1


async def test_a_topic_is_addressed_behind_a_slash(double):
    async with opened(double) as channel:
        await channel.send(to_group(recipient=Recipient("taipei", "台北", "-1001/7")))
    assert double.seen[0]["topic"] == 7


@pytest.mark.parametrize("address", [None, "", "taipei", "-1001/seven", "@", "../x"])
async def test_an_address_that_is_none_is_refused_before_anything_is_sent(double, address):
    error = await outcome(double, recipient=Recipient("taipei", "台北", address))
    assert error.kind == "permanent"
    assert "台北" in str(error)
    assert double.requests == 0


@pytest.mark.parametrize(
    ("word", "kind", "words"),
    [
        ("limited:10072", "limited", "retry after 10072"),
        ("migrated:-1002", "permanent", "its address is now -1002"),
        ("internal", "ambiguous", "look into the group"),
        ("html", "ambiguous", "not JSON"),
        ("413", "permanent", "shorten the text"),
        ("502", "ambiguous", "look into the group"),
        ("503", "transient", "tried again"),
        ("drop", "ambiguous", "broke the connection off"),
        ("then-drop", "ambiguous", "broke the connection off"),
    ],
)
async def test_each_trouble_ends_in_the_right_kind_and_names_the_group(double, word, kind, words):
    double.then = word
    error = await outcome(double)
    assert (error.kind, words in str(error), "台北讀書會" in str(error)) == (kind, True, True)


async def test_a_rate_limit_says_how_long(double):
    double.then = "limited:10072"
    assert (await outcome(double)).retry_after == 10072.0


async def test_a_server_that_hangs_leaves_it_open(double):
    double.then = "then-slow:5"
    error = await outcome(double, patience="1s")
    assert (error.kind, "no answer for 1 s" in str(error)) == ("ambiguous", True)


async def test_a_removed_bot_is_told_with_its_remedy(double):
    double.bot_status = "kicked"
    error = await outcome(double)
    assert (error.kind, "add the bot to the group again" in str(error)) == ("permanent", True)


async def test_an_unknown_group_is_told_with_its_remedy(double):
    error = await outcome(double, recipient=Recipient("taipei", "台北", "-999"))
    assert (error.kind, "group's address" in str(error)) == ("permanent", True)


async def test_a_revoked_token_is_told_and_never_shown(double):
    async with opened(double, token="123:REVOKED") as channel:
        with pytest.raises(SendError, match="get a new one from @BotFather") as caught:
            await channel.send(to_group())
    assert caught.value.kind == "permanent"
    assert "REVOKED" not in str(caught.value)


async def test_verify_names_the_bot_and_sends_nothing(double):
    async with opened(double) as channel:
        assert await channel.verify(None) == "@drum_bot"
        assert await channel.verify(TO) == "the bot is administrator there"
    assert double.requests == 0


async def test_verify_finds_a_group_that_the_bot_left(double):
    double.bot_status = "left"
    async with opened(double) as channel:
        with pytest.raises(DrumrollError, match="add the bot"):
            await channel.verify(TO)


async def test_loopback_is_called_only_where_the_operator_allows_it(double):
    parsed = parse_options("telegram", {"token_env": "TOKEN", "api": double.url})
    channel = channel_class("telegram")("main", parsed, ChannelContext(".", {"TOKEN": "123:ABC"}))
    await channel.open()
    with pytest.raises(SendError, match="DRUMROLL_PRIVATE_HOSTS") as caught:
        await channel.send(to_group())
    await channel.close()
    assert caught.value.kind == "permanent"
    assert double.requests == 0


async def test_one_bot_pays_for_all_its_groups_and_no_other(double):
    async with opened(double) as one, opened(double, token="456:DEF") as other:
        assert one.bucket(TO) == one.bucket(Recipient("b", "B", "-1002")) != other.bucket(TO)
        assert "ABC" not in one.bucket(TO)
