"""The Apprise channel through Apprise's own plugins, against a server on loopback."""

import json
import logging
import socket
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from drumroll.channels.apprise_service import SERVICES
from drumroll.channels.base import ChannelContext, Recipient, SendError
from drumroll.channels.registry import channel_class, parse_options
from drumroll.errors import DrumrollError
from tests.channel_messages import message
from tests.doubles.apprise_target import JsonTarget
from tests.doubles.double import Double
from tests.opened_channels import opened as opened_channel

MOMENT = timedelta(milliseconds=100)
TO = Recipient("taipei", "台北讀書會")


def url_of(double: Double, more: str = "", schema: str = "json") -> str:
    return f"{schema}://user:CANARY@127.0.0.1:{double.port}/CANARY/{more}"


def opened(double: Double, url: str | None = None, **options: Any):
    return opened_channel("apprise", {"URLS": url or url_of(double)}, **({"url_env": "URLS"} | options))


def to_group(text: str = "Tonight at eight.", **changes: Any):
    return message(text=text, **{"recipient": TO} | changes)


async def outcome(double: Double, *, url: str | None = None, patience: Any = "10s", **changes: Any) -> SendError:
    async with opened(double, url, timeout=patience) as channel:
        with pytest.raises(SendError) as caught:
            await channel.send(to_group(**changes))
    return caught.value


async def refused_to_open(double: Double, url: str) -> str:
    with pytest.raises(DrumrollError) as caught:
        async with opened(double, url):
            pass
    assert "CANARY" not in str(caught.value) + repr(caught.value.__context__)
    return str(caught.value)


@pytest.fixture
async def double() -> AsyncIterator[JsonTarget]:
    async with JsonTarget() as double:
        yield double


async def test_apprise_posts_what_its_page_shows(double):
    async with opened(double) as channel:
        receipt = await channel.send(to_group())
    assert double.seen[0]["posted"] == {
        "version": "1.0",
        "title": "",
        "message": "Tonight at eight.",
        "attachments": [],
        "type": "info",
    }
    assert receipt.message_id == "drm_0001"


async def test_each_group_has_the_url_under_its_address(double):
    urls = json.dumps({"room-1": url_of(double, "one"), "room-2": url_of(double, "two")})
    async with opened(double, urls) as channel:
        await channel.send(to_group(recipient=Recipient("b", "B", "room-2")))
        await channel.send(to_group(recipient=Recipient("a", "A", "room-1")))
    assert [seen["path"][-3:] for seen in double.seen] == ["two", "one"]


async def test_a_group_without_a_url_is_told(double):
    urls = json.dumps({"room-2": url_of(double)})
    error = await outcome(double, url=urls)
    assert (error.kind, "台北讀書會" in str(error), "URLS" in str(error)) == ("permanent", True, True)


async def test_a_lone_url_is_not_for_groups_that_have_an_address(double):
    error = await outcome(double, recipient=Recipient("staff", "Staff", "room-9"))
    assert (error.kind, "for groups without an `address`" in str(error)) == ("permanent", True)
    assert double.requests == 0


async def test_a_member_cannot_be_reached(double):
    error = await outcome(double, recipient=Recipient("taipei", "台北", "room-1", "u-7"))
    assert (error.kind, "no single member" in str(error)) == ("permanent", True)


async def test_plain_text_mentions_nobody(double):
    async with opened(double) as channel:
        await channel.send(to_group("@all <!channel> <@U1> <at user_id='all'> a@b.c 1 < 2"))
    assert (
        double.seen[0]["text"] == "@\u2060all <\u2060!channel> <\u2060@\u2060U1> <\u2060at user_id='all'> a@b.c 1 < 2"
    )


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("text", "Tonight\n\n• one (https://a.example)"),
        ("markdown", "# Tonight\n\n- **one** [one](https://a.example)".replace("**one** ", "")),
        ("html", '<h1>Tonight</h1>\n<ul>\n<li><a href="https://a.example">one</a></li>\n</ul>'),
    ],
)
async def test_markdown_arrives_as_the_service_writes(double, form, text):
    async with opened(double, url_of(double, f"?format={form}")) as channel:
        await channel.send(to_group("# Tonight\n\n- [one](https://a.example)", format="markdown"))
    assert double.seen[0]["text"] == text


async def test_plain_text_stays_text_where_the_service_writes_html(double):
    async with opened(double, url_of(double, "?format=html")) as channel:
        await channel.send(to_group("1 < 2 & **x**"))
    assert double.seen[0]["text"] == "1 < 2 & **x**"


async def test_line_breaks_at_the_end_are_not_trimmed(double):
    async with opened(double) as channel:
        await channel.send(to_group("text \n\n"))
    assert double.seen[0]["text"] == "text \n\n"


async def test_a_text_over_the_services_own_limit_is_refused_and_not_cut():
    async with JsonTarget() as double:
        error = await outcome(double, url=f"misskey://CANARYCANARY@127.0.0.1:{double.port}", text="x" * 513)
    assert (error.kind, "1 more than the 512 that fit" in str(error)) == ("permanent", True)
    assert double.requests == 0


@pytest.mark.parametrize(
    ("word", "kind", "words"),
    [
        ("401", "permanent", "check the credentials"),
        ("404", "permanent", "may be gone"),
        ("413", "permanent", "shorten the text"),
        ("302", "permanent", "redirects are not followed"),
        ("429", "limited", "it waits"),
        ("503", "transient", "tried again"),
        ("500", "ambiguous", "look into the group"),
        ("502", "ambiguous", "look into the group"),
        ("drop", "ambiguous", "does not say why"),
        ("then-drop", "ambiguous", "does not say why"),
    ],
)
async def test_each_trouble_ends_in_the_right_kind_and_names_the_group(double, word, kind, words):
    double.then = word
    error = await outcome(double)
    assert (error.kind, words in str(error), "台北讀書會" in str(error)) == (kind, True, True)
    assert "CANARY" not in str(error)
    assert double.requests == 1


async def test_a_page_that_is_no_answer_of_the_service_counts_as_sent(double):
    """Apprise believes every 200: what the class warns of."""
    double.then = "html"
    async with opened(double) as channel:
        assert (await channel.send(to_group())).state == "sent"


async def test_a_server_that_hangs_leaves_it_open(double):
    double.then = "then-slow:5"
    error = await outcome(double, patience=MOMENT)
    assert (error.kind, len(double.seen)) == ("ambiguous", 1)


async def test_a_closed_port_is_tried_again(double):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        error = await outcome(double, url=f"json://127.0.0.1:{taken.getsockname()[1]}/CANARY")
    assert (error.kind, "cannot be reached" in str(error)) == ("transient", True)


async def test_a_plugin_that_breaks_leaves_it_open_and_quotes_nothing(double, monkeypatch):
    from apprise.plugins.custom_json import NotifyJSON

    def break_down(*_: Any, **__: Any):
        raise RuntimeError("at json://CANARY")

    monkeypatch.setattr(NotifyJSON, "send", break_down)
    error = await outcome(double)
    assert (error.kind, "RuntimeError" in str(error), "CANARY" in str(error)) == ("ambiguous", True, False)


async def test_what_apprise_logs_reaches_nobody(double, caplog):
    caplog.set_level(logging.DEBUG)
    double.then = "404"
    await outcome(double)
    assert "CANARY" not in caplog.text


@pytest.mark.parametrize(
    "url", ["syslog://CANARY", "dbus://", "macosx://", "windows://", "file:///etc/CANARY", "fcm://a/b"]
)
async def test_what_runs_or_writes_on_this_machine_is_refused(double, url):
    assert "not asked over HTTP" in await refused_to_open(double, url)


@pytest.mark.parametrize(
    "url", ["CANARY", "https://hooks.example/CANARY", "tgram://123:CANARY/1", "mailto://u:CANARY@b.c"]
)
async def test_what_is_no_address_of_the_long_tail_is_refused(double, url):
    assert "URLS" in await refused_to_open(double, url)


@pytest.mark.parametrize(
    "value",
    [
        "{}",
        '{"room-1": 7}',
        '{"a": "json://CANARY", "a": "json://x"}',
        '{"room-1": "json://CANARY"',
        '["json://CANARY"]',
    ],
)
async def test_an_object_that_is_none_is_refused(double, value):
    assert "URLS" in await refused_to_open(double, value)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("?overflow=split", "overflow"),
        ("?overflow=truncate", "overflow"),
        ("?verify=no", "verify"),
        ("?redirect=yes", "redirect"),
        ("?retry=3", "retry"),
        ("?optional=yes", "optional"),
    ],
)
async def test_a_url_that_undoes_a_promise_is_refused(double, more, words):
    assert words in await refused_to_open(double, url_of(double, more))


async def test_a_url_with_several_targets_is_refused(double):
    assert "several targets" in await refused_to_open(double, "ntfy://127.0.0.1/one/two")


async def test_a_missing_variable_is_named(double):
    with pytest.raises(DrumrollError, match="URLS"):
        async with opened_channel("apprise", {}, url_env="URLS"):
            pass


def test_every_service_on_the_list_is_one_of_apprise_and_asked_over_http():
    from apprise.manager_plugins import NotificationManager

    plugins = NotificationManager()
    known = set(plugins.schemas(include_disabled=True))
    assert known >= SERVICES, SERVICES - known
    local = {"syslog", "dbus", "kde", "qt", "gio", "glib", "gnome", "macosx", "windows", "blink1", "fcm", "vapid"}
    assert not SERVICES & (local | {"mailto", "mqtt", "irc", "xmpp", "growl", "rsyslog", "smpp", "aprs"})


async def test_verify_names_the_service_and_sends_nothing(double):
    async with opened(double) as channel:
        assert (await channel.verify(None)).startswith("1 URL (JSON); ")
        assert (await channel.verify(TO)).startswith("JSON, up to 32,768 characters; ")
    assert double.requests == 0


async def test_each_url_pays_for_itself(double):
    urls = json.dumps({"room-1": url_of(double, "one"), "room-2": url_of(double, "two")})
    async with opened(double, urls) as channel:
        one, two = (channel.bucket(Recipient("a", "A", address)) for address in ("room-1", "room-2"))
    assert one != two
    assert "CANARY" not in one + two


async def test_loopback_is_called_only_where_the_operator_allows_it(double):
    environ = {"URLS": f"json://localhost:{double.port}/CANARY"}
    channel = channel_class("apprise")(
        "main", parse_options("apprise", {"url_env": "URLS"}), ChannelContext(".", environ)
    )
    await channel.open()
    with pytest.raises(SendError, match="DRUMROLL_PRIVATE_HOSTS") as caught:
        await channel.send(to_group())
    await channel.close()
    assert (caught.value.kind, double.requests) == ("permanent", 0)
