"""The channel into WeCom's customer groups against a double of WeCom's API."""

import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from drumroll.channels.base import Attachment, ChannelContext, Receipt, Recipient, SendError
from drumroll.channels.registry import capability_for, channel_class, parse_options
from drumroll.errors import DrumrollError
from tests.channel_messages import message
from tests.doubles.wecom_api import WecomApiDouble
from tests.opened_channels import opened as opened_channel

KIND = "wecom_customer_group"
TO = Recipient("taipei", "台北讀書會", "wrTAIPEI")
MEI = Recipient("taipei", "台北讀書會", "wrTAIPEI", "wmu-7", "小美")
PICTURE = Attachment("poster.png", b"\x89PNG-and-more")


def opened(double: WecomApiDouble, *, secret: str = "s3cret", **options: Any):
    written = {"corp_id_env": "CORP", "secret_env": "SECRET", "sender": "zhangsan", "api": double.url} | options
    return opened_channel(KIND, {"CORP": "ww1", "SECRET": secret}, **written)


def to_group(text: str = "Tonight at eight.", **changes: Any):
    return message(text=text, **{"recipient": TO} | changes)


async def outcome(
    double: WecomApiDouble, *, patience: str = "10s", secret: str = "s3cret", **changes: Any
) -> SendError:
    async with opened(double, timeout=patience, secret=secret) as channel:
        with pytest.raises(SendError) as caught:
            await channel.send(to_group(**changes))
    return caught.value


@pytest.fixture
async def double() -> AsyncIterator[WecomApiDouble]:
    async with WecomApiDouble() as double:
        yield double


# What it can do.


def test_it_leaves_an_hour_ahead_for_a_person_and_once_a_day():
    can = capability_for(KIND, parse_options(KIND, {"corp_id_env": "C", "secret_env": "S", "sender": "zhangsan"}))
    assert (can.lead, can.daily_cap, can.monthly_cap) == (timedelta(hours=1), 1, 28)
    assert (can.unattended, can.tracks, can.idempotent, can.look_up) == (False, True, False, False)


# Sending.


async def test_a_receipt_awaits_the_senders_tap_and_nobody_has_seen_anything(double):
    async with opened(double) as channel:
        assert await channel.send(to_group()) == Receipt("msgGCAAAX0001", "awaiting")
    assert (double.tasks["msgGCAAAX0001"]["text"], double.tasks["msgGCAAAX0001"]["to"]) == (
        "Tonight at eight.",
        "wrTAIPEI",
    )
    assert double.seen == []


async def test_what_looks_like_markup_or_a_mention_is_plain_text(double):
    async with opened(double) as channel:
        await channel.send(to_group("@all **no** <a href='x'>y</a> @所有人"))
    assert double.tasks["msgGCAAAX0001"]["text"] == "@all **no** <a href='x'>y</a> @所有人"


async def test_markdown_is_refused_before_anything_is_sent(double):
    error = await outcome(double, format="markdown")
    assert (error.kind, "format: text" in str(error)) == ("permanent", True)
    assert double.requests == 0


async def test_pictures_go_ahead_and_each_is_uploaded_once_for_all_groups(double):
    double.groups.append("wrKAOHSIUNG")
    other = Recipient("kaohsiung", "高雄", "wrKAOHSIUNG")
    async with opened(double) as channel:
        await channel.send(to_group(attachments=(PICTURE,)))
        await channel.send(to_group(attachments=(PICTURE,), recipient=other))
    assert [task["pictures"] for task in double.tasks.values()] == [["poster.png"], ["poster.png"]]
    assert len(double.media) == 1


@pytest.mark.parametrize("name", ["poster.gif", "plan.pdf", "film.mp4"])
async def test_a_file_that_is_no_picture_is_refused_before_anything_is_sent(double, name):
    error = await outcome(double, attachments=(Attachment(name, b"123456"),))
    assert (error.kind, "it takes only jpeg, jpg, png" in str(error)) == ("permanent", True)
    assert double.tokens == []


async def test_ten_pictures_are_one_too_many(double):
    error = await outcome(double, attachments=(PICTURE,) * 10)
    assert (error.kind, "9 fit" in str(error)) == ("permanent", True)


async def test_a_picture_that_wecom_refuses_leaves_no_doubt(double):
    error = await outcome(double, attachments=(Attachment("dot.png", b"1"),))
    assert (error.kind, "make the picture smaller" in str(error), double.tasks) == ("permanent", True, {})


async def test_a_text_over_four_thousand_bytes_is_refused(double):
    error = await outcome(double, text="公" * 1334)
    assert (error.kind, "2 more than the 4000 that fit" in str(error)) == ("permanent", True)


async def test_a_single_customer_is_addressed_by_their_external_userid(double):
    async with opened(double) as channel:
        await channel.send(to_group(recipient=MEI))
    assert double.tasks["msgGCAAAX0001"]["member"] == "u-7"


@pytest.mark.parametrize("address", [None, "", "taipei", "wr", "wmu-7", "wrTAIPEI/x", "../x"])
async def test_an_address_that_is_none_is_refused_before_anything_is_sent(double, address):
    error = await outcome(double, recipient=Recipient("taipei", "台北讀書會", address))
    assert (error.kind, "wr…" in str(error), "台北讀書會" in str(error)) == ("permanent", True, True)
    assert double.tokens == []


@pytest.mark.parametrize(
    ("word", "kind", "words"),
    [
        ("errcode:45009", "limited", "it waits"),
        ("errcode:45033", "limited", "it waits"),
        ("errcode:-1", "transient", "tried again"),
        ("errcode:48002", "permanent", "客户联系"),
        ("errcode:49008", "permanent", "take it out of the launch"),
        ("errcode:60020", "permanent", "trusted IPs"),
        ("errcode:90501", "permanent", "customer group"),
        ("errcode:99999", "permanent", "devtool/query?e=99999"),
        ("fail-list", "permanent", "owns the group"),
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
    assert not error.doubtful


async def test_a_rate_limit_holds_the_whole_app(double):
    double.then = "errcode:45009"
    error = await outcome(double)
    assert (error.kind, error.group, error.retry_after) == ("limited", False, None)


async def test_a_server_that_hangs_leaves_it_open(double):
    double.then = "then-slow:5"
    error = await outcome(double, patience="1s")
    assert (error.kind, "no answer for 1 s" in str(error)) == ("ambiguous", True)


async def test_a_closed_port_is_certainly_not_delivered(double):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        async with opened(double, api=f"http://127.0.0.1:{taken.getsockname()[1]}") as channel:
            with pytest.raises(SendError, match="cannot be reached") as caught:
                await channel.send(to_group())
    assert (caught.value.kind, caught.value.doubtful) == ("transient", False)


async def test_a_group_of_somebody_else_is_told_with_its_remedy(double):
    error = await outcome(double, recipient=Recipient("taipei", "台北", "wrOTHER"))
    assert (error.kind, "the sender owns no such group" in str(error)) == ("permanent", True)


# The credential.


async def test_one_token_serves_until_its_time_is_over(double):
    async with opened(double) as channel:
        for key in ("drm_1", "drm_2", "drm_3"):
            await channel.send(to_group(key=key))
    assert len(double.tokens) == 1


async def test_a_token_that_is_over_is_fetched_anew(double):
    double.expires_in = 0
    async with opened(double) as channel:
        await channel.send(to_group())
    assert len(double.tokens) > 1


@pytest.mark.parametrize("ended", ["expired", "forgotten"])
async def test_a_token_that_wecom_ends_early_is_fetched_anew_and_the_message_goes_once(double, ended):
    async with opened(double) as channel:
        await channel.send(to_group())
        if ended == "expired":
            double.expired.update(double.tokens)
        else:
            double.tokens[:] = ["another"]
        await channel.send(to_group("Once more."))
    assert [task["text"] for task in double.tasks.values()] == ["Tonight at eight.", "Once more."]


async def test_a_token_is_fetched_anew_only_once(double):
    double.answers_everything = 42001
    error = await outcome(double)
    assert (error.kind, len(double.tokens)) == ("permanent", 2)


async def test_a_revoked_secret_is_told_and_never_shown(double):
    error = await outcome(double, secret="REVOKED")
    assert (error.kind, "`secret_env`" in str(error)) == ("permanent", True)
    assert "REVOKED" not in str(error)


async def test_a_missing_secret_is_named_when_the_channel_opens(double):
    parsed = parse_options(KIND, {"corp_id_env": "CORP", "secret_env": "SECRET", "sender": "zhangsan"})
    channel = channel_class(KIND)("main", parsed, ChannelContext(".", {"CORP": "ww1"}))
    with pytest.raises(DrumrollError, match="SECRET is not set"):
        await channel.open()


async def test_one_app_pays_for_all_its_groups_and_no_other(double):
    async with opened(double) as one, opened(double, secret="another") as other:
        assert one.bucket(TO) == one.bucket(MEI) != other.bucket(TO)
        assert "s3cret" not in one.bucket(TO)


async def test_loopback_is_called_only_where_the_operator_allows_it(double):
    written = {"corp_id_env": "CORP", "secret_env": "SECRET", "sender": "zhangsan", "api": double.url}
    context = ChannelContext(".", {"CORP": "ww1", "SECRET": "s3cret"})
    channel = channel_class(KIND)("main", parse_options(KIND, written), context)
    await channel.open()
    with pytest.raises(SendError, match="DRUMROLL_PRIVATE_HOSTS") as caught:
        await channel.send(to_group())
    await channel.close()
    assert (caught.value.kind, double.tokens) == ("permanent", [])


# What became of it.


async def test_nobody_knows_what_becomes_of_it_before_the_tap(double):
    async with opened(double) as channel:
        sent = await channel.send(to_group())
        assert await channel.follow(sent.message_id, TO) is None
        double.dispatching = True
        assert await channel.follow(sent.message_id, TO) is None


async def test_after_the_tap_it_is_sent_at_the_time_that_wecom_says(double):
    async with opened(double) as channel:
        sent = await channel.send(to_group())
        double.tap(sent.message_id, send_time=1_552_536_375)
        told = await channel.follow(sent.message_id, TO)
    assert told == Receipt(sent.message_id, "sent", datetime(2019, 3, 14, 4, 6, 15, tzinfo=UTC))


async def test_a_single_customers_result_is_found_by_their_id(double):
    async with opened(double) as channel:
        sent = await channel.send(to_group(recipient=MEI))
        assert await channel.follow(sent.message_id, MEI) is None
        double.tap(sent.message_id)
        assert (await channel.follow(sent.message_id, MEI)).state == "sent"


@pytest.mark.parametrize(("status", "why"), [(2, "no customer of the sender"), (3, "as many as WeCom allows")])
async def test_what_wecom_does_not_deliver_is_refused_for_good(double, status, why):
    async with opened(double) as channel:
        sent = await channel.send(to_group())
        double.tap(sent.message_id, status)
        with pytest.raises(SendError, match=why) as caught:
            await channel.follow(sent.message_id, TO)
    assert (caught.value.kind, "台北讀書會" in str(caught.value)) == ("permanent", True)


@pytest.mark.parametrize("code", [48002, 41047, 60020])
async def test_trouble_with_asking_says_nothing_about_the_message(double, code):
    async with opened(double) as channel:
        sent = await channel.send(to_group())
        double.answers_everything = code
        with pytest.raises(SendError, match=f"answered {code}") as caught:
            await channel.follow(sent.message_id, TO)
    assert caught.value.kind == "transient"


async def test_the_member_is_reminded_three_times_a_day_at_most(double):
    async with opened(double) as channel:
        sent = await channel.send(to_group())
        for _ in range(3):
            await channel.remind(sent.message_id, TO)
        with pytest.raises(SendError, match="answered 45009"):
            await channel.remind(sent.message_id, TO)
    assert len(double.tasks[sent.message_id]["reminders"]) == 3


# Trying it out beforehand.


async def test_verify_asks_whether_the_sender_may_contact_customers_and_sends_nothing(double):
    async with opened(double) as channel:
        assert await channel.verify(None) == "zhangsan may contact customers"
        assert await channel.verify(TO) == "zhangsan owns it"
    assert double.requests == 0


async def test_verify_finds_a_group_on_any_page(double):
    double.groups, double.page = [f"wrG{n}" for n in range(7)] + ["wrTAIPEI"], 3
    async with opened(double) as channel:
        assert await channel.verify(TO) == "zhangsan owns it"


async def test_verify_finds_a_group_of_somebody_else(double):
    double.groups = ["wrOTHER"]
    async with opened(double) as channel:
        with pytest.raises(DrumrollError, match="knows no such group of zhangsan; correct the group's address"):
            await channel.verify(TO)


async def test_verify_finds_a_sender_without_customer_contact(double):
    double.owner = "wangwu"
    async with opened(double) as channel:
        with pytest.raises(DrumrollError, match="does not let zhangsan contact customers"):
            await channel.verify(None)


# The double itself.


async def test_the_double_answers_like_the_documented_examples(double):
    double.groups.append("wrOgQhDgAAMYQiS5ol9G7gK9JVAAAA")
    contact = f"{double.url}/cgi-bin/externalcontact"
    async with aiohttp.ClientSession() as session:

        async def said(method: str, url: str, **more: Any) -> dict[str, Any]:
            async with session.request(method, url, **more) as answer:
                assert answer.status == 200
                return await answer.json()

        token = await said("GET", f"{double.url}/cgi-bin/gettoken?corpid=ww1&corpsecret=s3cret")
        assert token.keys() == {"errcode", "errmsg", "access_token", "expires_in"}
        with_token = {"access_token": token["access_token"]}
        chat = "wrOgQhDgAAMYQiS5ol9G7gK9JVAAAA"
        task = {"chat_type": "group", "chat_id_list": [chat, "wrNOBODY"], "sender": "zhangsan"}
        task |= {"text": {"content": "文本消息内容"}}
        made = await said("POST", f"{contact}/add_msg_template", params=with_token, json=task)
        assert (made["errcode"], made["errmsg"], made["fail_list"]) == (0, "ok", ["wrNOBODY"])
        wanted = {"msgid": made["msgid"], "userid": "zhangsan", "limit": 50}
        result = f"{contact}/get_groupmsg_send_result"
        assert (await said("POST", result, params=with_token, json=wanted))["send_list"] == []
        double.tap(made["msgid"], send_time=1552536375)
        assert (await said("POST", result, params=with_token, json=wanted))["send_list"] == [
            {"chat_id": chat, "userid": "zhangsan", "status": 1, "send_time": 1552536375}
        ]
        remind = await said("POST", f"{contact}/remind_groupmsg_send", params=with_token, json={"msgid": made["msgid"]})
        assert remind == {"errcode": 0, "errmsg": "ok"}
        wrong = await said("POST", result, params={"access_token": "none"}, json=wanted)
        assert wrong["errcode"] == 40014
        assert "https://open.work.weixin.qq.com/devtool/query?e=40014" in wrong["errmsg"]
