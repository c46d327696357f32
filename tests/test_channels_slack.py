"""The Slack channel against a double of the Web API."""

import json
import socket
from collections.abc import AsyncIterator

import pytest

from drumroll.channels.base import Attachment, ChannelContext, Recipient, SendError
from drumroll.channels.registry import capability_for, channel_class, parse_options
from drumroll.errors import DrumrollError
from tests.channel_messages import message
from tests.doubles import slack as documented
from tests.doubles.slack import SlackDouble
from tests.opened_channels import opened as opened_channel

TO = Recipient("taipei", "台北讀書會", "C0001")
MEI = Recipient("taipei", "台北讀書會", "C0001", "U0007", "小美")
PICTURE = Attachment("海報.png", b"\x89PNG")


def opened(double: SlackDouble, token: str = "xoxb-1-ABC", **options):
    return opened_channel("slack", {"TOKEN": token}, token_env="TOKEN", api=f"{double.url}/api", **options)


def to_group(text: str = "Tonight at eight.", **changes):
    return message(text=text, **{"recipient": TO} | changes)


async def outcome(double: SlackDouble, *, patience: str = "10s", history: bool = False, **changes) -> SendError:
    async with opened(double, timeout=patience, history=history) as channel:
        with pytest.raises(SendError) as caught:
            await channel.send(to_group(**changes))
    return caught.value


async def seen_of(double: SlackDouble, text: str, **changes) -> dict:
    async with opened(double) as channel:
        await channel.send(to_group(text, **changes))
    return double.seen[-1]


@pytest.fixture
async def double() -> AsyncIterator[SlackDouble]:
    async with SlackDouble() as double:
        yield double


async def test_the_receipt_carries_slacks_timestamp(double):
    async with opened(double) as channel:
        assert (await channel.send(to_group())).message_id == "1503435956.000001"


@pytest.mark.parametrize(
    "text",
    [
        "*bold* _em_ ~gone~ `code` ```block``` :tada: > quoted",
        "<https://a.example|here> &lt;b&gt; &amp; snake_case_names 3*4*5",
        "• one\n\n\t- two\n1. three",
    ],
)
async def test_plain_text_shows_as_it_is_written(double, text):
    seen = await seen_of(double, text)
    assert seen["text"] == text
    assert [run for part in seen["blocks"][0]["elements"] for run in part["elements"] if "style" in run] == []


async def test_an_address_in_plain_text_stays_a_link_without_a_preview(double):
    seen = await seen_of(double, "看 https://a.example/x_y_z，今晚")
    assert seen["blocks"][0]["elements"][0]["elements"][1] == {"type": "link", "url": "https://a.example/x_y_z"}
    assert not seen["unfurls"]


@pytest.mark.parametrize("written", ["text", "markdown"])
async def test_no_text_mentions_anybody(double, written):
    assert (await seen_of(double, "@channel <!channel> <@U0007> @here <!subteam^S1>", format=written))["mentions"] == []


async def test_what_notifications_show_holds_no_control_sequence(double):
    assert (await seen_of(double, "<!channel> & <@U0007>"))["fallback"] == "&lt;!channel&gt; &amp; &lt;@U0007&gt;"


async def test_a_step_that_asks_for_it_mentions_the_channel(double):
    seen = await seen_of(double, "Tonight at eight.", mention_all=True)
    assert (seen["text"], seen["mentions"]) == ("@channel\nTonight at eight.", ["channel"])


async def test_a_list_too_can_follow_the_mention(double):
    seen = await seen_of(double, "- one", format="markdown", mention_all=True)
    assert (seen["text"], seen["mentions"]) == ("@channel\n• one", ["channel"])


async def test_markdown_arrives_as_rich_text(double):
    text = "# Tonight\n\n**one** & *two* ~~x~~ `a_b`\n\n- [here](https://a.example/?a=1&b=2)\n- https://b.example.\n\n> said\n\n```\n*x*\n```"
    seen = await seen_of(double, text, format="markdown")
    head, items, quote, code = seen["blocks"][0]["elements"]
    assert head["elements"] == [
        {"type": "text", "text": "Tonight", "style": {"bold": True}},
        {"type": "text", "text": "\n\n"},
        {"type": "text", "text": "one", "style": {"bold": True}},
        {"type": "text", "text": " & "},
        {"type": "text", "text": "two", "style": {"italic": True}},
        {"type": "text", "text": " "},
        {"type": "text", "text": "x", "style": {"strike": True}},
        {"type": "text", "text": " "},
        {"type": "text", "text": "a_b", "style": {"code": True}},
    ]
    assert [item["elements"] for item in items["elements"]] == [
        [{"type": "link", "url": "https://a.example/?a=1&b=2", "text": "here"}],
        [{"type": "link", "url": "https://b.example"}, {"type": "text", "text": "."}],
    ]
    assert (quote["type"], code["type"]) == ("rich_text_quote", "rich_text_preformatted")
    assert code["elements"] == [{"type": "text", "text": "*x*"}]


async def test_lists_keep_their_numbers_and_their_depth(double):
    seen = await seen_of(double, "3. one\n\n   more\n   - deep\n4. two", format="markdown")
    assert seen["text"] == "3. one\nmore\n  • deep\n4. two"


async def test_a_link_that_runs_something_loses_its_address(double):
    seen = await seen_of(double, "[x](javascript:alert(1)) [y](slack://open)", format="markdown")
    assert "link" not in json.dumps(seen["blocks"])


async def test_a_text_over_the_advised_length_is_refused(double):
    assert "1 more than the 4000 that fit" in str(await outcome(double, text="x" * 4001))


async def test_a_member_is_addressed_by_id(double):
    assert (await seen_of(double, "For you.", recipient=MEI))["to"] == "U0007"


async def test_files_go_up_first_and_are_posted_with_the_text(double):
    async with opened(double) as channel:
        receipt = await channel.send(to_group(attachments=(PICTURE, Attachment("plan.pdf", b"%PDF")), mention_all=True))
    seen = double.seen[0]
    assert (seen["files"], seen["text"]) == (["海報.png", "plan.pdf"], "@channel\nTonight at eight.")
    assert (receipt.message_id, double.files["F0001"]["content"]) == ("F0001", b"\x89PNG")
    assert double.calls[-1] == "files.completeUploadExternal"


async def test_a_file_for_a_member_goes_to_the_member(double):
    assert (await seen_of(double, "For you.", recipient=MEI, attachments=(PICTURE,)))["to"] == "U0007"


@pytest.mark.parametrize(("word", "kind"), [("500", "transient"), ("503", "transient"), ("413", "permanent")])
async def test_a_file_that_does_not_go_up_leaves_nothing_posted(double, word, kind):
    double.uploads = ["200", word]
    error = await outcome(double, attachments=(PICTURE, Attachment("plan.pdf", b"%PDF")))
    assert (error.kind, error.doubtful, double.requests) == (kind, False, 0)
    assert (word == "413") != ("it is tried again" in str(error))


async def test_files_are_carried_to_nobody_but_slack(double):
    double.files_at = "https://evil.example"
    error = await outcome(double, attachments=(PICTURE,))
    assert (error.kind, "not asked at evil.example" in str(error)) == ("permanent", True)


async def test_files_whose_last_answer_is_lost_leave_it_open(double):
    double.then = "then-drop"
    assert (await outcome(double, attachments=(PICTURE,))).kind == "ambiguous"


async def test_a_step_that_asks_for_it_is_pinned(double):
    assert (await seen_of(double, "Tonight at eight.", pin=True))["pinned"]


async def test_what_arrived_and_could_not_be_pinned_is_for_a_person(double):
    double.scopes.remove("pins:write")
    error = await outcome(double, pin=True)
    assert error.kind == "ambiguous"
    assert "pin it by hand" in str(error)
    assert len(double.seen) == 1


async def test_a_pin_on_files_is_refused_before_anything_is_sent(double):
    error = await outcome(double, pin=True, attachments=(PICTURE,))
    assert (error.kind, double.calls) == ("permanent", [])


@pytest.mark.parametrize("address", [None, "", "book-club", "#book-club", "c0001", "U0007", "../x"])
async def test_an_address_that_is_none_is_refused_before_anything_is_sent(double, address):
    error = await outcome(double, recipient=Recipient("taipei", "台北", address))
    assert error.kind == "permanent"
    assert "台北" in str(error)
    assert double.calls == []


@pytest.mark.parametrize(
    ("word", "kind", "words"),
    [
        ("limited:30", "limited", "ratelimited"),
        ("error:rate_limited", "limited", "rate_limited"),
        ("error:internal_error", "ambiguous", "look into the group"),
        ("error:fatal_error", "ambiguous", "look into the group"),
        ("error:service_unavailable", "transient", "tried again"),
        ("error:msg_too_long", "permanent", "shorten the text"),
        ("error:restricted_action", "permanent", "let the app post"),
        ("error:something_new", "permanent", "something_new"),
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
    double.then = "limited:30"
    assert (await outcome(double)).retry_after == 30.0


async def test_a_server_that_hangs_leaves_it_open(double):
    double.then = "then-slow:5"
    error = await outcome(double, patience="1s")
    assert (error.kind, "no answer for 1 s" in str(error)) == ("ambiguous", True)


async def test_a_closed_port_is_tried_again():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        api = f"http://127.0.0.1:{taken.getsockname()[1]}/api"
        async with opened_channel("slack", {"TOKEN": "xoxb-1"}, token_env="TOKEN", api=api) as channel:
            with pytest.raises(SendError, match="cannot be reached") as caught:
                await channel.send(to_group())
    assert caught.value.kind == "transient"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"is_archived": True}, "out of the launch"),
        ({"is_member": False}, "invite the app"),
        ({"is_member": False, "is_private": True}, "invite the app if the channel is private"),
    ],
)
async def test_a_channel_that_is_closed_is_told_with_its_remedy(double, changes, words):
    double.channels["C0001"] |= changes
    error = await outcome(double)
    assert (error.kind, words in str(error)) == ("permanent", True)


@pytest.mark.parametrize("code", ["invalid_auth", "token_revoked", "token_expired", "account_inactive"])
async def test_a_token_that_is_no_good_is_told_with_its_remedy_and_never_shown(double, code):
    double.auth_error = code
    error = await outcome(double)
    assert (error.kind, code in str(error), "see what Slack" in str(error)) == ("permanent", True, False)
    assert "xoxb-1-ABC" not in str(error)


async def test_a_missing_scope_is_named(double):
    double.scopes.remove("chat:write")
    error = await outcome(double)
    assert (error.kind, "missing_scope: chat:write" in str(error)) == ("permanent", True)


async def test_verify_names_the_app_and_sends_nothing(double):
    async with opened(double) as channel:
        assert await channel.verify(None) == "drum in Subarachnoid Workspace"
        assert await channel.verify(TO) == "the app may post in #book-club"
    assert double.requests == 0


@pytest.mark.parametrize("changes", [{"is_archived": True}, {"is_member": False}])
async def test_verify_finds_a_channel_that_is_closed(double, changes):
    double.channels["C0001"] |= changes
    async with opened(double) as channel:
        with pytest.raises(DrumrollError, match="台北讀書會"):
            await channel.verify(TO)


async def test_verify_knows_that_some_apps_may_post_in_every_public_channel(double):
    double.channels["C0001"] |= {"is_member": False}
    double.scopes.add("chat:write.public")
    async with opened(double) as channel:
        assert await channel.verify(TO) == "the app may post in #book-club"


async def test_with_history_a_message_is_found_by_its_key(double):
    async with opened(double, history=True) as channel:
        receipts = [await channel.send(to_group(key=key)) for key in ("drm_1", "drm_2")]
        assert [await channel.look_up(key, TO) for key in ("drm_1", "drm_2")] == receipts
        assert await channel.look_up("drm_3", TO) is None
        assert await channel.look_up("drm_1", Recipient("b", "B", "C0002")) is None


async def test_with_history_a_members_message_is_found_too(double):
    async with opened(double, history=True) as channel:
        receipt = await channel.send(to_group(recipient=MEI))
        assert await channel.look_up("drm_0001", MEI) == receipt


async def test_a_look_up_turns_pages(double):
    double.shown_a_page = 2
    async with opened(double, history=True) as channel:
        receipts = [await channel.send(to_group(key=f"drm_{n}")) for n in range(7)]
        assert await channel.look_up("drm_0", TO) == receipts[0]


async def test_a_look_up_reads_long_messages_one_by_one(double):
    async with opened(double, history=True) as channel:
        receipts = [await channel.send(to_group("公" * 4000, key=f"drm_{n}")) for n in range(4)]
        assert await channel.look_up("drm_0", TO) == receipts[0]


async def test_a_look_up_that_cannot_read_far_enough_does_not_say_no(double):
    double.shown_a_page = 1
    async with opened(double, history=True) as channel:
        for n in range(41):
            await channel.send(to_group(key=f"drm_{n}"))
        with pytest.raises(DrumrollError, match="look into the group"):
            await channel.look_up("drm_0", TO)


@pytest.mark.parametrize("word", ["then-drop", "html", "error:internal_error"])
async def test_with_history_a_lost_answer_is_looked_up_instead_of_asked_about(double, word):
    double.then = word
    error = await outcome(double, history=True)
    assert (error.kind, error.doubtful) == ("transient", True)


async def test_a_missing_right_to_read_is_named(double):
    double.scopes.remove("channels:history")
    async with opened(double, history=True) as channel:
        with pytest.raises(DrumrollError, match="missing_scope: channels:history"):
            await channel.look_up("drm_1", TO)


def test_what_is_looked_up_has_no_files():
    plain, looked_up = (
        capability_for("slack", parse_options("slack", {"token_env": "TOKEN", "history": history}))
        for history in (False, True)
    )
    assert (plain.look_up, plain.attachments) == (False, 10)
    assert (looked_up.look_up, looked_up.attachments) == (True, 0)


async def test_loopback_is_called_only_where_the_operator_allows_it(double):
    parsed = parse_options("slack", {"token_env": "TOKEN", "api": f"{double.url}/api"})
    channel = channel_class("slack")("main", parsed, ChannelContext(".", {"TOKEN": "xoxb-1-ABC"}))
    await channel.open()
    with pytest.raises(SendError, match="DRUMROLL_PRIVATE_HOSTS") as caught:
        await channel.send(to_group())
    await channel.close()
    assert caught.value.kind == "permanent"
    assert double.requests == 0


async def test_one_app_pays_for_all_its_channels_and_no_other(double):
    async with opened(double) as one, opened(double, token="xoxb-2-DEF") as other:
        assert one.bucket(TO) == one.bucket(Recipient("b", "B", "C0002")) != other.bucket(TO)
        assert "ABC" not in one.bucket(TO)


def test_the_double_answers_as_documented():
    assert json.loads(documented.error("too_many_attachments").body) == {"ok": False, "error": "too_many_attachments"}
    assert json.loads(documented.ok().body) == {"ok": True}
    answer = documented.limited(30)
    assert (answer.status, answer.headers["Retry-After"]) == (429, "30")


async def test_the_doubles_methods_answer_as_documented(double):
    async with opened(double) as channel:
        upload = await channel._call("files.getUploadURLExternal", TO, {"filename": "a.jpg", "length": 53072})
        posted = await channel._call("chat.postMessage", TO, {"channel": "C0001", "text": "Hello &amp; &lt;world&gt;"})
    assert upload.body.keys() == {"ok", "upload_url", "file_id"}
    assert posted.body.keys() == {"ok", "channel", "ts", "message"}
    assert double.seen[0]["text"] == "Hello & <world>"
