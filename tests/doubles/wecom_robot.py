"""A double of WeCom's group robots (developer.work.weixin.qq.com/document/path/99110 and 90313).

Documented: {"msgtype":"text","text":{"content":"hello world"}} → {"errcode":0,"errmsg":"ok"}; `<@userid>` mentions in
text and markdown; text 2,048 bytes, markdown 4,096; pictures of 2 MB as base64 with their md5; files of 5 B to 20 MB by
upload_media → {"errcode":0,"errmsg":"ok","type":"file","media_id":"1G6nrLmr5EC3MMb_-zK1dDdzmd0p7cNliYu9V5w7o8K0",
"created_at":"1380000000"}, good for the robot that uploaded it; 20 messages a minute from each robot.
Seen of the real one: {"errcode":93000,"errmsg":"invalid webhook url, hint: […], from ip: …, more info at …"},
{"errcode":45009,"errmsg":"api freq out of limit, …"}, {"errcode":40058,"errmsg":"markdown.content exceed max length
4096. invalid Request Parameter, …"}: all of them with HTTP 200.
"""

import base64
import hashlib
import re
import time
from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from tests.doubles.double import Double

_HINT = "hint: [1672133087235733136500908], from ip: 203.0.113.7, more info at https://open.work.weixin.qq.com/devtool"
_MENTION = re.compile(r"<@([A-Za-z0-9][\w.@-]*)>", re.ASCII)


class WecomRobotDouble(Double):
    """Robots by their keys. `seen` has text, to (the key), kind, mentions, raw, file (its name) and content."""

    def __init__(self, *, keys: Sequence[str] = ("key-1",), per_minute: int = 20, **more: Any) -> None:
        super().__init__(**more)
        self.keys, self.per_minute = set(keys), per_minute
        self.sent: dict[str, deque[float]] = defaultdict(deque)
        self.media: dict[str, tuple[str, str, bytes]] = {}

    def routes(self, app: web.Application) -> None:
        app.router.add_post("/cgi-bin/webhook/send", self.send)
        app.router.add_post("/cgi-bin/webhook/upload_media", self._upload)

    async def take(self, request: web.Request) -> web.StreamResponse:
        key = request.query.get("key", "")
        if key not in self.keys:
            return error(93000, "invalid webhook url")
        recent, now = self.sent[key], time.monotonic()
        while recent and recent[0] <= now - 60:
            recent.popleft()
        if len(recent) >= self.per_minute:
            return error(45009, "api freq out of limit")
        body = await request.json()
        kind = body.get("msgtype")
        refused = getattr(self, f"_{kind}", self._unknown)(key, body.get(kind) or {})
        if refused is not None:
            return refused
        recent.append(now)
        return web.json_response({"errcode": 0, "errmsg": "ok"})

    def _unknown(self, key: str, part: dict[str, Any]) -> web.Response:
        return error(40008, "invalid message type")

    def _text(self, key: str, part: dict[str, Any]) -> web.Response | None:
        content = part.get("content", "")
        if not content:
            return error(44004, "empty content")
        if len(content.encode()) > 2048:
            return error(40058, "text.content exceed max length 2048. invalid Request Parameter")
        everyone = ["@all"] if "@all" in part.get("mentioned_list", []) else []
        shown = content.replace("\u2060", "")
        self.show(shown, to=key, kind="text", mentions=everyone + _MENTION.findall(content), raw=content)
        return None

    def _markdown(self, key: str, part: dict[str, Any]) -> web.Response | None:
        content = part.get("content", "")
        if len(content.encode()) > 4096:
            return error(40058, "markdown.content exceed max length 4096. invalid Request Parameter")
        self.show(_plain(content), to=key, kind="markdown", mentions=_MENTION.findall(content), raw=content)
        return None

    def _image(self, key: str, part: dict[str, Any]) -> web.Response | None:
        content = base64.b64decode(part.get("base64", ""))
        if hashlib.md5(content).hexdigest() != part.get("md5"):
            return error(301019, "image md5 not match")
        if len(content) > 2 * 1024 * 1024:
            return error(40009, "invalid image size")
        if not content.startswith((b"\x89PNG", b"\xff\xd8")):
            return error(40004, "invalid media type")
        self.show("", to=key, kind="image", content=content)
        return None

    def _file(self, key: str, part: dict[str, Any]) -> web.Response | None:
        owner, name, content = self.media.get(part.get("media_id", ""), ("", "", b""))
        if owner != key:
            return error(40007, "invalid media_id")
        self.show("", to=key, kind="file", file=name, content=content)
        return None

    async def _upload(self, request: web.Request) -> web.Response:
        key = request.query.get("key", "")
        if key not in self.keys:
            return error(93000, "invalid webhook url")
        if request.query.get("type") != "file":
            return error(40005, "invalid type")
        media = (await request.post()).get("media")
        if not isinstance(media, web.FileField):
            return error(44001, "empty media data")
        content = media.file.read()
        if not 5 < len(content) <= 20 * 1024 * 1024:
            return error(40006, "invalid file size")
        number = f"media-{len(self.media) + 1}"
        self.media[number] = (key, media.filename, content)
        done = {"errcode": 0, "errmsg": "ok", "type": "file", "media_id": number, "created_at": "1380000000"}
        return web.json_response(done)

    async def trouble(self, word: str, request: web.Request) -> web.StreamResponse:
        name, _, code = word.partition(":")
        if name == "error":
            return error(int(code), "some trouble")
        raise NotImplementedError(word)


def error(code: int, words: str) -> web.Response:
    return web.json_response({"errcode": code, "errmsg": f"{words}, {_HINT}/query?e={code}"})


def _plain(content: str) -> str:
    """What members read of markdown."""
    content = re.sub(r"\[([^\]\n]*)\]\([^)\s]*\)", r"\1", content)
    content = re.sub(r"</?font[^>]*>", "", content)
    content = re.sub(r"\*\*(.+?)\*\*|`([^`\n]+)`", lambda m: m[1] or m[2], content)
    return re.sub(r"(?m)^ *(?:>|#{1,6}(?= )) ?", "", content).replace("\u2060", "")
