"""What the channels to platforms share: questions leave nothing in doubt, one value or many by address, files in forms."""

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from drumroll.channels.base import Attachment, Recipient, SendError
from drumroll.channels.credentials import by_address, remedy_for_address
from drumroll.channels.file_form import file_form
from drumroll.channels.http_post import _MOST_READ
from drumroll.channels.slack import SlackChannel
from tests.doubles.double import Double
from tests.opened_channels import opened

SHAPE = '{"group address": "…"}'
ASKING = {  # kinds that ask before anything is sent → what they are opened with
    "discord": ({"webhooks_env": "WEBHOOKS"}, {"WEBHOOKS": "{url}/api/webhooks/1/abc"}),
    "slack": ({"token_env": "TOKEN"}, {"TOKEN": "xoxb-1"}),
    "telegram": ({"token_env": "TOKEN"}, {"TOKEN": "123:ABCDEF"}),
    "wecom_customer_group": (
        {"corp_id_env": "CORP", "secret_env": "SECRET", "sender": "zhangsan"},
        {"CORP": "ww1", "SECRET": "s3cret-of-ww1"},
    ),
}


class Anything(Double):
    """Answers whatever is asked with `body`; `paths` has what was asked."""

    body: Any = {}

    def routes(self, app: web.Application) -> None:
        self.paths: list[str] = []
        app.router.add_route("*", "/{path:.*}", self.send)

    async def take(self, request: web.Request) -> web.StreamResponse:
        self.paths.append(request.path)
        return web.json_response(self.body)


@pytest.fixture
async def anything() -> AsyncIterator[Anything]:
    async with Anything() as double:
        yield double


@pytest.mark.parametrize("word", ["drop", "html", "502", "503"])
@pytest.mark.parametrize("kind", ASKING)
async def test_a_question_without_an_answer_leaves_nothing_in_doubt(anything, kind, word):
    anything.then = word
    options, environ = ASKING[kind]
    environ = {name: value.replace("{url}", anything.url) for name, value in environ.items()}
    async with opened(kind, environ, api=anything.url, **options) as channel:
        with pytest.raises(SendError) as caught:
            await channel.verify(None)
    assert (caught.value.kind, caught.value.doubtful) == ("transient", False)
    assert "it is tried again" in str(caught.value)


async def test_telegram_in_trouble_leaves_nothing_in_doubt_when_it_was_only_asked(anything):
    anything.body = {"ok": False, "error_code": 500, "description": "Internal Server Error"}
    async with opened("telegram", {"TOKEN": "123:ABCDEF"}, token_env="TOKEN", api=anything.url) as channel:
        with pytest.raises(SendError) as caught:
            await channel.verify(None)
    assert caught.value.kind == "transient"


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/x",
        "https://files.slack.com@evil.example/x",
        "http://files.slack.com/x",
        "https://files.slack.com:8443/x",
        "https://files.slack.com.evil.example/x",
        "https://127.0.0.1/x",
    ],
)
async def test_no_host_but_the_platforms_own_is_asked(url):
    async with opened("slack", {"TOKEN": "xoxb-1"}, token_env="TOKEN") as channel:
        assert isinstance(channel, SlackChannel)
        with pytest.raises(SendError, match="only its own address") as caught:
            await channel._ask("POST", url, to=Recipient("taipei", "台北", "C1"))
    assert caught.value.kind == "permanent"


async def test_a_long_answer_is_read_to_its_end(anything):
    anything.body = {"ok": True, "result": {"username": "drum_bot", "more": "x" * (_MOST_READ - 100)}}
    async with opened("telegram", {"TOKEN": "123:ABCDEF"}, token_env="TOKEN", api=anything.url) as channel:
        assert await channel.verify(None) == "@drum_bot"


def test_a_lone_value_is_for_groups_without_an_address():
    assert by_address(" one \n", str, shape=SHAPE) == {None: "one"}


def test_several_values_are_named_by_address():
    assert by_address('{"a": "one", "b": "two"}', str, shape=SHAPE) == {"a": "one", "b": "two"}


def test_a_lone_value_may_be_an_object_itself():
    assert by_address('{"url": "one"}', json.dumps, shape=SHAPE, parts=frozenset({"url"})) == {None: '{"url": "one"}'}


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("{", "is no JSON object"),
        ("{}", "is no JSON object"),
        ('{"": "one"}', "is no JSON object"),
        ('{" ": "one"}', "is no JSON object"),
        ('{"a": ' * 100_000, "is no JSON object"),
        ('{"a": "one", "a": "two"}', "names a group twice"),
        ('{"members": "one", "staff": "one"}', "the same place from two addresses"),
    ],
)
def test_what_could_lead_a_group_astray_is_refused(value, problem):
    with pytest.raises(ValueError, match=problem) as caught:
        by_address(value, str, shape=SHAPE)
    assert caught.value.__cause__ is None
    assert "one" not in str(caught.value)


def test_the_remedy_says_whether_there_is_one_for_all_or_one_for_each():
    assert remedy_for_address({None: 1}, "ROBOTS", "robot").startswith("ROBOTS holds one robot, for groups without")
    assert remedy_for_address({"a": 1}, "ROBOTS", "robot").startswith("ROBOTS must name one under exactly")


async def test_a_files_name_cannot_write_headers(anything):
    name = 'a"; name="chat_id"\r\nX-Evil: 1\r\n\r\n海報 50%.png'
    taken: dict[str, Any] = {}

    async def take(request: web.Request) -> web.StreamResponse:
        for part, value in (await request.post()).items():
            taken[part] = value.filename if isinstance(value, web.FileField) else value
        return web.json_response({})

    anything.take = take
    form = file_form({"photo": Attachment(name, b"\x89PNG")}, {"chat_id": "-1"})
    async with aiohttp.ClientSession() as client, client.post(anything.url, data=form) as response:
        assert response.status == 200
    assert taken == {"chat_id": "-1", "photo": "a'; name='chat_id'X-Evil: 1海報 50%.png"}
