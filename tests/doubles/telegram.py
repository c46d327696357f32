"""A double of Telegram's Bot API (core.telegram.org/bots/api): checks, limits and error bodies as documented.

Examples of its answers, from the documentation and from Telegram's own server (github.com/tdlib/telegram-bot-api):
{"ok":true,"result":{"message_id":1,…}}, {"ok":false,"error_code":400,"description":"Bad Request: chat not found"},
{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 35","parameters":{"retry_after":35}}.
"""

import html
import re
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from tests.doubles.double import Double

_TAGS = {"b", "strong", "i", "em", "u", "s", "code", "pre", "a", "blockquote"}


class TelegramDouble(Double):
    """One bot, a member of `chats`. `seen` has text, to, member, raw, html, mentions, pinned, topic, file."""

    def __init__(self, *, token: str = "123:ABC", chats: Sequence[Any] = (-1001,), **more: Any) -> None:
        super().__init__(**more)
        self.token, self.chats = token, set(chats)
        self.bot_status = "administrator"

    def routes(self, app: web.Application) -> None:
        for method in ("sendMessage", "sendPhoto", "sendDocument"):
            app.router.add_post(f"/bot{{token}}/{method}", self.send)
        for name, handler in {
            "getMe": self._me,
            "getChatMember": self._member,
            "pinChatMessage": self._pin,
        }.items():
            app.router.add_post(f"/bot{{token}}/{name}", handler)

    async def take(self, request: web.Request) -> web.StreamResponse:
        if (refused := self._unauthorized(request)) is not None:
            return refused
        fields = await _fields(request)
        chat = fields.get("chat_id")
        if chat not in self.chats and not (isinstance(chat, int) and chat > 0):
            return error(400, "Bad Request: chat not found")
        if self.bot_status == "kicked":
            return error(403, "Forbidden: bot was kicked from the supergroup chat")
        with_file = request.path.endswith(("sendPhoto", "sendDocument"))
        raw = str(fields.get("caption" if with_file else "text", ""))
        try:
            text = _shown(raw) if fields.get("parse_mode") == "HTML" else raw
        except ValueError as problem:
            return error(400, f"Bad Request: can't parse entities: {problem}")
        if not text and not with_file:
            return error(400, "Bad Request: message text is empty")
        if len(text.encode("utf-16-le")) // 2 > (1024 if with_file else 4096):
            return error(
                400, "Bad Request: message caption is too long" if with_file else "Bad Request: message is too long"
            )
        number = self.show(
            text.replace("@\u2060", "@"),
            member=f"u-{chat}" if isinstance(chat, int) and chat > 0 else None,
            to=chat,
            raw=raw,
            html=raw if fields.get("parse_mode") == "HTML" else None,
            mentions=re.findall(r"(?<!\w)@[A-Za-z][A-Za-z0-9_]{4,31}", text),
            pinned=False,
            topic=fields.get("message_thread_id"),
            file=fields.get("photo") or fields.get("document"),
        )
        return ok({"message_id": number, "date": 0, "chat": {"id": chat, "type": "supergroup"}, "text": text})

    async def trouble(self, word: str, request: web.Request) -> web.StreamResponse:
        name, _, value = word.partition(":")
        if name == "limited":
            seconds = int(value)
            return error(429, f"Too Many Requests: retry after {seconds}", parameters={"retry_after": seconds})
        if name == "migrated":
            what = "Bad Request: group chat was upgraded to a supergroup chat"
            return error(400, what, parameters={"migrate_to_chat_id": int(value)})
        if name == "internal":
            return error(500, "Internal Server Error")
        raise NotImplementedError(word)

    def _unauthorized(self, request: web.Request) -> web.Response | None:
        given = request.match_info["token"]
        if ":" not in given:
            return error(404, "Not Found")
        return None if given == self.token else error(401, "Unauthorized")

    async def _me(self, request: web.Request) -> web.Response:
        bot = {"id": 123, "is_bot": True, "first_name": "Drum", "username": "drum_bot"}
        return self._unauthorized(request) or ok(bot)

    async def _member(self, request: web.Request) -> web.Response:
        if (await _fields(request)).get("chat_id") not in self.chats:
            return error(400, "Bad Request: chat not found")
        return ok({"user": {"id": 123}, "status": self.bot_status})

    async def _pin(self, request: web.Request) -> web.Response:
        if self.bot_status != "administrator":
            return error(400, "Bad Request: not enough rights to manage pinned messages in the chat")
        self.seen[(await _fields(request))["message_id"] - 1]["pinned"] = True
        return ok(True)


def ok(result: Any) -> web.Response:
    return web.json_response({"ok": True, "result": result})


def error(code: int, description: str, **more: Any) -> web.Response:
    return web.json_response({"ok": False, "error_code": code, "description": description} | more, status=code)


async def _fields(request: web.Request) -> dict[str, Any]:
    if request.content_type == "application/json":
        return await request.json()
    fields: dict[str, Any] = {}
    for name, value in (await request.post()).items():
        if isinstance(value, web.FileField):
            fields[name] = value.filename
        else:
            fields[name] = int(value) if re.fullmatch(r"-?\d+", value) else value
    return fields


def _shown(marked: str) -> str:
    """What members read of `parse_mode: HTML`; ValueError for a tag that it has not."""
    open_tags: list[str] = []
    for closing, tag in re.findall(r"<(/?)([a-zA-Z][a-zA-Z0-9-]*)[^>]*>", marked):
        if tag not in _TAGS:
            raise ValueError(f'Unsupported start tag "{tag}"')
        if closing and (not open_tags or open_tags.pop() != tag):
            raise ValueError(f'Unmatched end tag "{tag}"')
        if not closing:
            open_tags.append(tag)
    if open_tags:
        raise ValueError(f'Can\'t find end tag corresponding to start tag "{open_tags[-1]}"')
    return html.unescape(re.sub(r"<[^>]*>", "", marked))
