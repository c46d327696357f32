"""The Matrix channel against a double of a server's client API; tests/test_e2e_matrix.py has a real one."""

import socket
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from pydantic import ValidationError

from drumroll.capability import Rate
from drumroll.channels.base import Attachment, ChannelContext, Recipient, SendError
from drumroll.channels.registry import capability_for, channel_class, parse_options
from drumroll.errors import DrumrollError
from tests.channel_messages import message
from tests.doubles.matrix import MatrixDouble
from tests.opened_channels import opened as opened_channel

ROOM = "!room:example.org"
TO = Recipient("taipei", "台北讀書會", ROOM)
PICTURE = Attachment("poster.png", b"\x89PNG")


def opened(double: MatrixDouble, token: str = "syt_ABC", **options: Any):
    return opened_channel("matrix", {"TOKEN": token}, **{"token_env": "TOKEN", "api": double.url} | options)


def to_group(text: str = "Tonight at eight.", **changes: Any):
    return message(text=text, **{"recipient": TO} | changes)


async def outcome(double: MatrixDouble, *, options: dict[str, Any] | None = None, **changes: Any) -> SendError:
    async with opened(double, **options or {}) as channel:
        with pytest.raises(SendError) as caught:
            await channel.send(to_group(**changes))
    return caught.value


@pytest.fixture
async def double() -> AsyncIterator[MatrixDouble]:
    async with MatrixDouble() as double:
        yield double


async def test_the_double_answers_as_the_documentation_says():
    key = "/_matrix/client/v3/rooms/%21636q39766251%3Aexample.com/send/m.room.message/35"
    async with (
        MatrixDouble(rooms=("!636q39766251:example.com",), script=["limited-ms:2000"]) as double,
        aiohttp.ClientSession(double.url) as http,
    ):

        async def ask(method: str, path: str, *, token: str = "syt_ABC", **more: Any):
            async with http.request(method, path, headers={"Authorization": f"Bearer {token}"}, **more) as answer:
                return answer.status, await answer.json()

        hello = {"json": {"msgtype": "m.text", "body": "hello"}}
        limited = {"errcode": "M_LIMIT_EXCEEDED", "error": "Too many requests", "retry_after_ms": 2000}
        assert await ask("PUT", key, **hello) == (429, limited)
        status, body = await ask("PUT", key, **hello)
        assert (status, list(body)) == (200, ["event_id"])
        assert await ask("PUT", key, **hello) == (status, body)

        unknown = "/_matrix/client/v3/directory/room/%23monkeys%3Amatrix.org"
        not_found = {"errcode": "M_NOT_FOUND", "error": "Room alias #monkeys:matrix.org not found."}
        assert await ask("GET", unknown) == (404, not_found)
        double.soft_logout = True
        logged_out = {"errcode": "M_UNKNOWN_TOKEN", "error": "Soft logged out", "soft_logout": True}
        assert await ask("GET", unknown, token="old") == (401, logged_out)
        upload = "/_matrix/media/v3/upload?filename=War%20and%20Peace.pdf"
        status, body = await ask("POST", upload, data=b"<bytes>")
        assert (status, body["content_uri"][:6]) == (200, "mxc://")
        double.largest = 1024 * 1024
        too_large = {"errcode": "M_TOO_LARGE", "error": "Cannot upload files larger than 1mb"}
        assert await ask("POST", upload, data=bytes(1024 * 1024 + 1)) == (413, too_large)


async def test_the_receipt_carries_the_event(double):
    async with opened(double) as channel:
        assert (await channel.send(to_group())).message_id == "$1:example.org"


async def test_the_same_key_again_is_the_same_event(double):
    async with opened(double) as one:
        first = await one.send(to_group())
    async with opened(double) as other:
        assert await other.send(to_group()) == first
    assert len(double.seen) == 1


async def test_markdown_arrives_as_html_beside_the_text_as_it_was_written(double):
    written = "# Tonight\n\n- **one** & <b>two</b>\n- [here](https://a.example/?a=1&b=2)"
    async with opened(double) as channel:
        await channel.send(to_group(written, format="markdown"))
    assert double.seen[0]["text"] == written
    assert double.seen[0]["html"] == (
        "<h1>Tonight</h1>\n<ul>\n<li><strong>one</strong> &amp; &lt;b&gt;two&lt;/b&gt;</li>\n"
        '<li><a href="https://a.example/?a=1&amp;b=2">here</a></li>\n</ul>'
    )


@pytest.mark.parametrize(
    "written",
    [
        "[x](javascript:alert(1))",
        "[x](<data:text/html,<script>>)",
        "![x](https://a.example/pixel.png)",
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        '[x](https://a.example "a\\" onclick=\\"alert(1)")',
        "```html onload=alert(1)\n<script>\n```",
        "<https://a.example/?<script>>",
    ],
)
async def test_markdown_brings_no_markup_that_clients_would_not_show(double, written):
    async with opened(double) as channel:
        await channel.send(to_group(written, format="markdown"))
    titles = [what for what in double.seen[0]["stripped"] if what.startswith("a title=")]  # tooltips, left out
    assert double.seen[0]["stripped"] == titles


async def test_plain_text_is_no_markup(double):
    async with opened(double) as channel:
        await channel.send(to_group("**not bold** <b>nor this</b>"))
    assert (double.seen[0]["text"], double.seen[0]["html"]) == ("**not bold** <b>nor this</b>", None)


@pytest.mark.parametrize("written_in", ["text", "markdown"])
async def test_a_text_mentions_nobody(double, written_in):
    async with opened(double) as channel:
        await channel.send(to_group("@room ask @host:example.org", format=written_in))
    assert double.seen[0]["mentions"] == {}


async def test_a_step_that_asks_for_it_mentions_everyone(double):
    async with opened(double) as channel:
        await channel.send(to_group(mention_all=True))
    assert double.seen[0]["mentions"] == {"room": True}


async def test_a_picture_carries_the_text_as_its_caption(double):
    async with opened(double) as channel:
        await channel.send(to_group("**Tonight**", attachments=(PICTURE,), format="markdown"))
    seen = double.seen[0]
    assert (seen["kind"], seen["file"], seen["html"]) == ("m.image", "poster.png", "<p><strong>Tonight</strong></p>")
    assert seen["info"] == {"mimetype": "image/png", "size": 4}
    assert double.uploaded[seen["url"]] == ("poster.png", "image/png", b"\x89PNG")


async def test_another_file_is_no_picture(double):
    async with opened(double) as channel:
        await channel.send(to_group(attachments=(Attachment("計畫.pdf", b"%PDF"),)))
    assert (double.seen[0]["kind"], double.seen[0]["file"]) == ("m.file", "計畫.pdf")


async def test_a_picture_for_many_rooms_is_uploaded_once(double):
    async with opened(double) as channel:
        for key in ("drm_1", "drm_2"):
            await channel.send(to_group(key=key, attachments=(PICTURE,)))
    assert (len(double.seen), len(double.uploaded)) == (2, 1)


async def test_a_file_that_is_too_large_for_the_server_is_refused_and_nothing_arrives(double):
    double.largest = 3
    error = await outcome(double, attachments=(PICTURE,))
    assert (error.kind, "make the attachment smaller" in str(error)) == ("permanent", True)
    assert double.seen == []


async def test_a_file_over_ten_megabytes_is_never_uploaded(double):
    error = await outcome(double, attachments=(Attachment("a.png", bytes(10 * 1024 * 1024 + 1)),))
    assert (error.kind, double.asked) == ("permanent", [])


async def test_markup_that_makes_a_text_too_large_is_refused_before_anything_is_sent(double):
    error = await outcome(double, text="&" * 19_000, format="markdown")
    assert (error.kind, "more than the 60000 that fit" in str(error)) == ("permanent", True)
    assert double.requests == 0


async def test_the_longest_text_that_fits_arrives(double):
    async with opened(double) as channel:
        await channel.send(to_group("開" * 6_666, format="markdown"))
    assert len(double.seen) == 1


async def test_a_step_that_asks_for_it_is_pinned_below_what_is_pinned_already(double):
    double.state[ROOM, "m.room.power_levels"]["users"][double.user] = 50
    double.state[ROOM, "m.room.pinned_events"] = {"pinned": ["$old"]}
    async with opened(double) as channel:
        await channel.send(to_group(pin=True))
        await channel.send(to_group(pin=True))
    assert double.state[ROOM, "m.room.pinned_events"] == {"pinned": ["$old", "$1:example.org"]}


async def test_what_arrived_and_may_not_be_pinned_is_for_a_person(double):
    error = await outcome(double, pin=True)
    assert (error.kind, "pin it by hand" in str(error), "台北讀書會" in str(error)) == ("ambiguous", True, True)
    assert len(double.seen) == 1


async def test_an_alias_is_resolved_once(double):
    double.aliases["#taipei:example.org"] = ROOM
    to = Recipient("taipei", "台北", "#taipei:example.org")
    async with opened(double) as channel:
        for key in ("drm_1", "drm_2"):
            await channel.send(to_group(key=key, recipient=to))
    assert [seen["to"] for seen in double.seen] == [ROOM, ROOM]
    assert double.asked == ["GET /_matrix/client/v3/directory/room/#taipei:example.org"]


async def test_an_unknown_alias_is_told_with_its_remedy(double):
    error = await outcome(double, recipient=Recipient("taipei", "台北", "#typo:example.org"))
    assert (error.kind, "see whether the group's address is right" in str(error)) == ("permanent", True)


@pytest.mark.parametrize("address", [None, "", "taipei", "#taipei", "!", "!a b:c", "@host:example.org", "!a/../x:y"])
async def test_an_address_that_is_none_is_refused_before_anything_is_asked(double, address):
    error = await outcome(double, recipient=Recipient("taipei", "台北", address))
    assert (error.kind, "台北" in str(error)) == ("permanent", True)
    assert (double.requests, double.asked) == (0, [])


async def test_a_room_of_version_12_has_an_id_without_a_server():
    room = "!31hneApxJ_1o-63DmFrpeqnkFfWppnzWso1JvH3ogLM"
    async with MatrixDouble(rooms=(room,)) as double:
        async with opened(double) as channel:
            await channel.send(to_group(recipient=Recipient("taipei", "台北", room)))
        assert double.seen[0]["to"] == room


async def test_one_member_cannot_be_addressed(double):
    error = await outcome(double, recipient=Recipient("taipei", "台北", ROOM, "@mei:example.org"))
    assert (error.kind, double.requests) == ("permanent", 0)


@pytest.mark.parametrize(
    ("word", "kind", "doubtful", "words"),
    [
        ("limited:7", "limited", False, "it waits"),
        ("internal", "transient", True, "with the same key"),
        ("html", "transient", True, "not JSON"),
        ("413", "permanent", False, "shorten the text"),
        ("404", "permanent", False, "see whether `api` is right"),
        ("502", "transient", True, "tried again"),
        ("503", "transient", False, "tried again"),
        ("drop", "transient", True, "with the same key"),
        ("then-drop", "transient", True, "with the same key"),
    ],
)
async def test_each_trouble_ends_in_the_right_kind_and_names_the_group(double, word, kind, doubtful, words):
    double.then = word
    error = await outcome(double)
    assert (error.kind, error.doubtful, words in str(error)) == (kind, doubtful, True)
    assert 'channel "main": group "台北讀書會": Matrix' in str(error)


async def test_what_was_taken_while_the_connection_broke_is_found_again(double):
    double.script = ["then-drop", "then-drop"]  # aiohttp itself tries a PUT a second time
    await outcome(double)
    async with opened(double) as channel:
        assert (await channel.send(to_group())).message_id == "$1:example.org"
    assert len(double.seen) == 1


@pytest.mark.parametrize(("word", "seconds"), [("limited:7", 7.0), ("limited-ms:2500", 2.5)])
async def test_a_rate_limit_says_how_long_in_the_header_or_in_milliseconds(double, word, seconds):
    double.then = word
    assert (await outcome(double)).retry_after == seconds


async def test_a_server_that_hangs_leaves_it_to_the_same_key(double):
    double.then = "then-slow:5"
    error = await outcome(double, options={"timeout": "1s"})
    assert (error.kind, error.doubtful, "no answer for 1 s" in str(error)) == ("transient", True, True)


async def test_a_closed_port_is_tried_again(double):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        api = f"http://127.0.0.1:{taken.getsockname()[1]}"
        error = await outcome(double, options={"api": api})
    assert (error.kind, error.doubtful, "cannot be reached" in str(error)) == ("transient", False, True)


async def test_a_lost_answer_to_an_upload_leaves_nothing_in_doubt(double):
    async with MatrixDouble() as gone:
        url = gone.url
    error = await outcome(double, options={"api": url}, attachments=(PICTURE,))
    assert (error.kind, error.doubtful) == ("transient", False)


@pytest.mark.parametrize("word", ["drop", "internal", "502"])
async def test_an_application_services_doubtful_message_is_for_a_person(double, word):
    double.then = word
    error = await outcome(double, options={"appservice_user": double.user})
    assert (error.kind, "look into the group" in str(error)) == ("ambiguous", True)


async def test_an_application_service_sends_as_its_user(double):
    async with opened(double, appservice_user=double.user) as channel:
        await channel.send(to_group())
    error = await outcome(double, options={"appservice_user": "@other:example.org"})
    assert (error.kind, "cannot masquerade" in str(error)) == ("permanent", True)


async def test_an_account_that_is_not_in_the_room_is_told_with_its_remedy(double):
    error = await outcome(double, recipient=Recipient("taipei", "台北", "!other:example.org"))
    assert (error.kind, "invite the account into the room" in str(error)) == ("permanent", True)


async def test_a_room_that_was_replaced_is_told_with_its_new_address(double):
    double.state[ROOM, "m.room.tombstone"] = {"replacement_room": "!new:example.org"}
    double.state[ROOM, "m.room.power_levels"]["events_default"] = 50
    error = await outcome(double)
    assert (error.kind, "the address is now !new:example.org" in str(error)) == ("permanent", True)


@pytest.mark.parametrize(("soft", "remedy"), [(False, "the token was revoked"), (True, "the token has expired")])
async def test_a_token_that_is_over_is_told_and_never_shown(double, soft, remedy):
    double.soft_logout = soft
    async with opened(double, token="syt_REVOKED") as channel:
        with pytest.raises(SendError, match=remedy) as caught:
            await channel.send(to_group())
    assert caught.value.kind == "permanent"
    assert "REVOKED" not in str(caught.value)


async def test_verify_names_the_account_and_what_it_may_do(double):
    async with opened(double) as channel:
        assert await channel.verify(None) == "@drum:example.org"
        assert await channel.verify(TO) == "@drum:example.org may post"
        double.state[ROOM, "m.room.power_levels"]["users"][double.user] = 50
        assert await channel.verify(TO) == "@drum:example.org may post, pin, mention everyone"
    assert double.requests == 0


async def test_verify_says_that_a_room_is_encrypted(double):
    double.state[ROOM, "m.room.encryption"] = {"algorithm": "m.megolm.v1.aes-sha2"}
    async with opened(double) as channel:
        assert "its messages will not be" in await channel.verify(TO)


async def test_who_made_a_room_of_version_12_may_do_everything_there(double):
    double.state[ROOM, "m.room.create"] = {"room_version": "12"}
    double.state[ROOM, "m.room.power_levels"]["events_default"] = 50
    double.makers[ROOM] = double.user
    async with opened(double) as channel:
        assert "pin" in await channel.verify(TO)


@pytest.mark.parametrize(
    ("what", "content", "words"),
    [
        ("m.room.member/@drum:example.org", {"membership": "leave"}, "have it join"),
        ("m.room.member/@drum:example.org", {"membership": "invite"}, "have it join"),
        ("m.room.power_levels", {"events_default": 50}, "may not post there"),
        ("m.room.tombstone", {"replacement_room": "!new:example.org"}, "the address is now !new"),
    ],
)
async def test_verify_finds_what_would_fail(double, what, content, words):
    double.state[ROOM, what] = content
    async with opened(double) as channel:
        with pytest.raises(DrumrollError, match=words):
            await channel.verify(TO)


async def test_verify_finds_a_room_that_the_account_was_never_in(double):
    async with opened(double) as channel:
        with pytest.raises(DrumrollError, match="invite the account"):
            await channel.verify(Recipient("taipei", "台北", "!other:example.org"))


async def test_verify_finds_a_login_that_would_forget_what_it_sent(double):
    double.device = None
    async with opened(double) as channel:
        with pytest.raises(DrumrollError, match="has no device"):
            await channel.verify(None)
    async with opened(double, appservice_user=double.user) as channel:
        assert await channel.verify(None) == "@drum:example.org"


async def test_loopback_is_called_only_where_the_operator_allows_it(double):
    parsed = parse_options("matrix", {"token_env": "TOKEN", "api": double.url})
    channel = channel_class("matrix")("main", parsed, ChannelContext(".", {"TOKEN": "syt_ABC"}))
    await channel.open()
    with pytest.raises(SendError, match="DRUMROLL_PRIVATE_HOSTS") as caught:
        await channel.send(to_group())
    await channel.close()
    assert caught.value.kind == "permanent"
    assert double.requests == 0


async def test_one_account_pays_for_all_its_rooms_and_no_other(double):
    async with opened(double) as one, opened(double, token="syt_DEF") as other:
        assert one.bucket(TO) == one.bucket(Recipient("b", "B", "!b:example.org")) != other.bucket(TO)
        assert "ABC" not in one.bucket(TO)


def test_only_a_login_that_remembers_keys_is_said_to_honour_them():
    account = {"api": "https://example.org", "token_env": "TOKEN"}
    service = account | {"appservice_user": "@drum:example.org"}
    assert capability_for("matrix", parse_options("matrix", account)).idempotent
    assert not capability_for("matrix", parse_options("matrix", service)).idempotent


def test_an_account_has_the_rate_that_its_server_gives_it():
    account = {"api": "https://example.org", "token_env": "TOKEN"}
    assert capability_for("matrix", parse_options("matrix", account)).rates == ()
    assert capability_for("matrix", parse_options("matrix", account | {"per_minute": 12})).rates == (Rate(12),)


@pytest.mark.parametrize(
    "wrong", [{}, {"api": "example.org"}, {"api": "https://u:p@example.org"}, {"appservice_user": "drum"}]
)
def test_senseless_options_are_refused(wrong):
    written = {"token_env": "TOKEN"} | ({"api": "https://example.org"} if "appservice_user" in wrong else {}) | wrong
    with pytest.raises(ValidationError):
        parse_options("matrix", written)
