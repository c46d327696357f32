"""The Discord channel against a double of its webhooks."""

import json
import socket
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drumroll.channels.base import Attachment, ChannelContext, Recipient, SendError
from drumroll.channels.discord import _literal
from drumroll.channels.registry import channel_class, parse_options
from drumroll.errors import DrumrollError
from tests.channel_messages import message
from tests.doubles import discord as documented
from tests.doubles.discord import ID, TOKEN, DiscordDouble, Rendered
from tests.opened_channels import opened as opened_channel

TO = Recipient("taipei", "台北讀書會")
PICTURE = Attachment("海報.png", b"\x89PNG")


def opened(double: DiscordDouble, webhooks: str | None = None, **options):
    environ = {"WEBHOOKS": double.address() if webhooks is None else webhooks}
    return opened_channel("discord", environ, webhooks_env="WEBHOOKS", api=f"{double.url}/api/v10", **options)


def to_group(text: str = "Tonight at eight.", **changes):
    return message(text=text, **{"recipient": TO} | changes)


async def outcome(double: DiscordDouble, *, patience: str = "10s", webhooks: str | None = None, **changes) -> SendError:
    async with opened(double, webhooks, timeout=patience) as channel:
        with pytest.raises(SendError) as caught:
            await channel.send(to_group(**changes))
    return caught.value


async def seen_of(double: DiscordDouble, text: str, **changes) -> dict:
    async with opened(double) as channel:
        await channel.send(to_group(text, **changes))
    return double.seen[-1]


@pytest.fixture
async def double() -> AsyncIterator[DiscordDouble]:
    async with DiscordDouble() as double:
        yield double


async def test_the_receipt_carries_discords_id(double):
    async with opened(double) as channel:
        assert (await channel.send(to_group())).message_id == "1001"


@pytest.mark.parametrize(
    "text",
    [
        "**bold** *em* _em_ __under__ ~~gone~~ ||spoiler|| `code` ```block```",
        "# title\n## less\n-# small\n> quoted\n>>> all\n- one\n* two\n  + three\n12. twelve\n 1. one",
        "[here](https://a.example) <https://b.example/a_b_c>",
        "<@80351110224678912> <@&165511591545143296> <#103735883630395392> <t:1618953630:R> <a:b1nzy:392938283556143104>",
        r"¯\_(ツ)_/¯ \* \\ C:\temp\new_*",
        ":tada: at 12:30:45 and 3*4*5 in snake_case_names, ~5 | 6",
        "https://a.example/some_long_path_(x)?a=1*2，接著看 https://b.example。",
    ],
)
async def test_plain_text_shows_as_it_is_written(double, text):
    seen = await seen_of(double, text)
    assert (seen["text"], seen["marks"]) == (text, [])


_PIECES = [*"\\*_~`|<>[]()#-+:.@! \n\tab1公9&", "https://a.b/", "1. ", "**", "```", "<@123>"]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(_PIECES), max_size=30).map("".join))
def test_no_plain_text_is_markup(text):
    shown = Rendered(_literal(text))
    assert (shown.text, shown.marks) == (text, [])


async def test_an_address_in_plain_text_stays_a_link_without_a_preview(double):
    seen = await seen_of(double, "看 https://a.example/x_y_z，今晚")
    assert Rendered(seen["content"]).links == ["https://a.example/x_y_z"]
    assert not seen["embeds"]


async def test_plain_text_mentions_nobody(double):
    assert (await seen_of(double, "@everyone ask <@80351110224678912> or @here"))["mentions"] == []


async def test_markdown_mentions_nobody(double):
    seen = await seen_of(double, "**@everyone** <@80351110224678912> <@&165511591545143296>", format="markdown")
    assert (seen["mentions"], seen["marks"]) == ([], ["strong"])


async def test_a_step_that_asks_for_it_mentions_everyone(double):
    seen = await seen_of(double, "Tonight at eight.", mention_all=True)
    assert (seen["text"], seen["mentions"]) == ("@everyone\nTonight at eight.", ["@everyone"])


async def test_markdown_arrives_in_discords_dialect(double):
    text = "# Tonight\n\n- **one** & `a_b*c`\n- [here](https://a.example/?a=1&b=2)\n\n> first\n> second\n\n*end_of*"
    seen = await seen_of(double, text, format="markdown")
    assert seen["content"] == (
        "**Tonight**\n\n• **one** & ``a_b*c``\n• [here](<https://a.example/?a=1&b=2>)\n\n"
        "> first\n> second\n\n*end\\_of*"
    )


async def test_a_quotation_in_a_quotation_loses_nothing(double):
    seen = await seen_of(double, "> one\n>\n> > two\n\nthree", format="markdown")
    assert seen["content"] == "> one\n> \n> > two\n\nthree"


async def test_code_keeps_its_backticks(double):
    seen = await seen_of(double, "`` `a` `` and\n\n```\nx = '`' * 3  # _not_ em\n```", format="markdown")
    assert (seen["text"], seen["marks"]) == ("\u200b`a`\u200b and\n\nx = '`' * 3  # _not_ em", ["code", "block"])


async def test_a_link_whose_words_are_another_address_shows_both(double):
    seen = await seen_of(double, "[https://a.example](https://b.example)", format="markdown")
    assert seen["text"] == "https://a.example (https://b.example)"


async def test_a_link_that_runs_something_loses_its_address(double):
    seen = await seen_of(double, "[x](javascript:alert(1)) [y](discord://-/settings)", format="markdown")
    assert (seen["text"], Rendered(seen["content"]).links) == ("[x](javascript:alert(1)) y", [])


async def test_files_go_along_under_their_own_names(double):
    seen = await seen_of(double, "Look.", attachments=(PICTURE, Attachment("plan.pdf", b"%PDF")))
    assert (seen["files"], seen["text"]) == (["海報.png", "plan.pdf"], "Look.")


async def test_a_silent_channel_sends_without_a_sound(double):
    async with opened(double, silent=True) as channel:
        await channel.send(to_group())
    assert double.seen[0]["flags"] == 4 | 4096


async def test_two_thousand_characters_that_need_no_escape_fit(double):
    assert len((await seen_of(double, "公" * 2000))["text"]) == 2000


async def test_a_text_that_fits_only_unescaped_is_refused_with_the_overhead(double):
    error = await outcome(double, text="*" + "x" * 1999)
    assert error.kind == "permanent"
    assert "2001 characters" in str(error)
    assert "1 more than the 2000 that fit" in str(error)
    assert double.requests == 0


async def test_more_than_one_request_may_carry_is_refused_before_anything_is_sent(double):
    error = await outcome(
        double, attachments=(Attachment("a.mp4", bytes(13 << 20)), Attachment("b.mp4", bytes(13 << 20)))
    )
    assert (error.kind, "24 MiB at once" in str(error), double.requests) == ("permanent", True, 0)


async def test_a_group_chooses_its_webhook_by_its_address():
    async with DiscordDouble(webhooks={"1": "a" * 20, "2": "b" * 20}) as double:
        named = json.dumps({"north": double.address("1"), "south": double.address("2")})
        async with opened(double, named) as channel:
            await channel.send(to_group(recipient=Recipient("s", "S", "south")))
    assert double.seen[0]["to"] == "2"


@pytest.mark.parametrize("address", ["/123", "main/123"])
async def test_a_thread_is_addressed_behind_a_slash(double, address):
    webhooks = double.address() if address.startswith("/") else json.dumps({"main": double.address()})
    async with opened(double, webhooks) as channel:
        await channel.send(to_group(recipient=Recipient("taipei", "台北", address)))
    assert double.seen[0]["thread"] == "123"


@pytest.mark.parametrize("address", ["room-1", "/seven", "a/b", "/1/2", "../x"])
async def test_an_address_that_is_none_is_refused_before_anything_is_sent(double, address):
    error = await outcome(double, recipient=Recipient("taipei", "台北", address))
    assert error.kind == "permanent"
    assert "台北" in str(error)
    assert double.requests == 0


async def test_a_lone_webhook_is_not_for_groups_that_have_an_address(double):
    error = await outcome(double, recipient=Recipient("staff", "Staff", "staff/123"))
    assert (error.kind, 'group "Staff"' in str(error), double.requests) == ("permanent", True, 0)
    assert "WEBHOOKS holds one webhook, for groups without an `address`" in str(error)


async def test_a_single_member_cannot_be_addressed(double):
    error = await outcome(double, recipient=Recipient("taipei", "台北", "", "u-7", "小美"))
    assert (error.kind, "single member" in str(error), double.requests) == ("permanent", True, 0)


@pytest.mark.parametrize(
    "webhooks",
    [
        "https://evil.example/api/webhooks/1/abcSECRET",
        "https://discord.com/api/webhooks/1",
        "https://discord.com/api/webhooks/1/abcSECRET/slack",
        "https://discord.com@evil.example/api/webhooks/1/abcSECRET",
        '{"a": "https://discord.com/api/webhooks/1/abcSECRET", "b": 7}',
        '{"a/1": "https://discord.com/api/webhooks/1/abcSECRET"}',
        '{"a": SECRET',
        '{"a": "https://discord.com/api/webhooks/1/abcSECRET", "a": "https://discord.com/api/webhooks/2/abcSECRET"}',
        '{"a": "https://discord.com/api/webhooks/1/abcSECRET", "b": "https://discordapp.com/api/webhooks/1/abcSECRET"}',
        '{"": "https://discord.com/api/webhooks/1/abcSECRET"}',
        "{}",
    ],
)
async def test_what_is_no_webhook_is_refused_when_it_opens_and_never_shown(double, webhooks):
    with pytest.raises(DrumrollError, match="environment variable WEBHOOKS") as caught:
        async with opened(double, webhooks):
            pass
    assert "SECRET" not in str(caught.value)


async def test_discords_own_two_names_are_taken(double):
    named = {
        "a": f"https://discord.com/api/webhooks/1/{TOKEN}",
        "b": f"https://discordapp.com/api/v10/webhooks/2/{TOKEN}/",
    }
    async with opened(double, json.dumps(named)) as channel:
        assert len({channel.bucket(Recipient(key, key, key)) for key in named}) == 2


@pytest.mark.parametrize(
    ("word", "kind", "words"),
    [
        ("limited:64.57", "limited", "You are being rate limited"),
        ("global:64.57", "limited", "You are being rate limited"),
        ("cloudflare:30", "limited", "429"),
        ("internal", "ambiguous", "look into the group"),
        ("invalid", "permanent", "Invalid Form Body: This field is required"),
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


@pytest.mark.parametrize(("word", "wait"), [("limited:64.57", 64.57), ("global:2.5", 2.5), ("cloudflare:30", 30.0)])
async def test_a_rate_limit_says_how_long(double, word, wait):
    double.then = word
    assert (await outcome(double)).retry_after == wait


async def test_a_webhook_that_is_used_up_is_not_asked_again_until_it_rested(double):
    double.headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset-After": "40"}
    async with opened(double) as channel:
        await channel.send(to_group())
        with pytest.raises(SendError, match="rest") as caught:
            await channel.send(to_group())
    assert caught.value.kind == "limited"
    assert 39 < (caught.value.retry_after or 0) <= 40
    assert double.requests == 1


async def test_one_webhook_that_rests_leaves_the_others_alone():
    async with DiscordDouble(webhooks={"1": "a" * 20, "2": "b" * 20}) as double:
        double.headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset-After": "40"}
        named = json.dumps({"north": double.address("1"), "south": double.address("2")})
        async with opened(double, named) as channel:
            for group in ("north", "south"):
                await channel.send(to_group(recipient=Recipient(group, group, group)))
    assert len(double.seen) == 2


async def test_a_server_that_hangs_leaves_it_open(double):
    double.then = "then-slow:5"
    error = await outcome(double, patience="1s")
    assert (error.kind, "no answer for 1 s" in str(error)) == ("ambiguous", True)


async def test_a_closed_port_is_tried_again(double):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        api = f"http://127.0.0.1:{taken.getsockname()[1]}/api/v10"
        environ = {"WEBHOOKS": f"{api}/webhooks/{ID}/{TOKEN}"}
        async with opened_channel("discord", environ, webhooks_env="WEBHOOKS", api=api) as channel:
            with pytest.raises(SendError, match="cannot be reached") as caught:
                await channel.send(to_group())
    assert caught.value.kind == "transient"


async def test_a_deleted_webhook_is_told_with_its_remedy(double):
    double.deleted = True
    error = await outcome(double)
    assert (error.kind, "put its URL into WEBHOOKS" in str(error)) == ("permanent", True)


async def test_a_wrong_token_is_told_and_never_shown(double):
    error = await outcome(double, webhooks=f"{double.url}/api/webhooks/{ID}/REVOKEDREVOKED")
    assert (error.kind, "token is not valid" in str(error)) == ("permanent", True)
    assert "REVOKED" not in str(error)


async def test_a_thread_that_is_gone_is_told_with_its_remedy(double):
    error = await outcome(double, recipient=Recipient("taipei", "台北", "/999"))
    assert (error.kind, "behind the /" in str(error)) == ("permanent", True)


async def test_a_forum_needs_a_thread(double):
    double.forum = True
    assert "it is a forum" in str(await outcome(double))


async def test_a_text_that_shows_nothing_is_told_with_its_remedy(double):
    assert "the text shows nothing" in str(await outcome(double, text=" \n "))


async def test_verify_looks_at_the_webhook_and_sends_nothing(double):
    async with opened(double) as channel:
        assert await channel.verify(None) == "one webhook"
        assert await channel.verify(TO) == 'webhook "test webhook"'
    assert (double.requests, double.looks) == (0, 2)


async def test_verify_finds_a_deleted_webhook(double):
    double.deleted = True
    async with opened(double, json.dumps({"north": double.address()})) as channel:
        with pytest.raises(DrumrollError, match=r'group "north".*make a new one'):
            await channel.verify(None)


async def test_loopback_is_called_only_where_the_operator_allows_it(double):
    parsed = parse_options("discord", {"webhooks_env": "WEBHOOKS", "api": f"{double.url}/api/v10"})
    channel = channel_class("discord")("main", parsed, ChannelContext(".", {"WEBHOOKS": double.address()}))
    await channel.open()
    with pytest.raises(SendError, match="DRUMROLL_PRIVATE_HOSTS") as caught:
        await channel.send(to_group())
    await channel.close()
    assert caught.value.kind == "permanent"
    assert double.requests == 0


async def test_each_webhook_pays_for_itself_and_gives_nothing_away(double):
    async with opened(double) as one, opened(double, f"{double.url}/api/webhooks/7/{TOKEN}") as other:
        assert one.bucket(TO) == one.bucket(Recipient("b", "B", "/123")) != other.bucket(TO)
        assert TOKEN not in one.bucket(TO)


def test_the_double_answers_as_documented():
    assert (
        documented.webhook(ID, TOKEN).items() >= {"name": "test webhook", "type": 1, "id": "223704706495545344"}.items()
    )
    answer = documented.limited(64.57)
    assert json.loads(answer.body) == {"message": "You are being rate limited.", "retry_after": 64.57, "global": False}
    assert (answer.headers["Retry-After"], answer.headers["X-RateLimit-Reset-After"]) == ("65", "64.57")
    assert json.loads(documented.limited(64.57, everywhere=True).body)["global"] is True
    assert json.loads(documented.invalid("access_token", "BASE_TYPE_REQUIRED", "This field is required").body) == {
        "code": 50035,
        "errors": {"access_token": {"_errors": [{"code": "BASE_TYPE_REQUIRED", "message": "This field is required"}]}},
        "message": "Invalid Form Body",
    }


def test_the_double_reads_discords_markdown():
    assert Rendered("**a** __b__ \\*c\\* <https://a.example>").text == "a b *c* https://a.example"
    assert Rendered("# x\n> y\n- z\n1. w").marks == ["heading", "quote", "list", "list"]
