"""A double of Discord's webhooks (docs.discord.com/developers): checks, limits, error bodies, markdown as documented.

Quoted from there: resources/webhook, "Example Incoming Webhook": {"name": "test webhook", "type": 1, "channel_id":
"199737254929760256", "token": "3d89bb75…", "avatar": null, "guild_id": …, "id": "223704706495545344", …}; topics/rate-limits:
{"message": "You are being rate limited.", "retry_after": 64.57, "global": false}, with Retry-After: 65 and
X-RateLimit-Reset-After: 64.57; reference, "Error Messages": {"code": 50035, "message": "Invalid Form Body", "errors":
{"access_token": {"_errors": [{"code": "BASE_TYPE_REQUIRED", "message": "This field is required"}]}}};
topics/opcodes-and-status-codes: 10003 Unknown channel, 10015 Unknown Webhook, 50006 Cannot send an empty message, 50027
Invalid webhook token provided, 40005 Request entity too large, 220001 Webhooks posted to forum channels must have a
thread_name or thread_id. Lengths are code points (discord/discord-api-docs#1315). Its markdown follows
support.discord.com, "Markdown Text 101".
"""

import json
import math
import re
from typing import Any

from aiohttp import web

from tests.doubles.double import Double

ID, TOKEN = (
    "223704706495545344",
    "3d89bb7572e0fb30d8128367b3b1b44fecd1726de135cbe28a41f8b2f777c372ba2939e72279b94526ff5d1",
)
_MENTION = re.compile(r"@everyone|@here|<@!?\d+>|<@&\d+>")
_MOST = 20 * 1024 * 1024


class DiscordDouble(Double):
    """Some webhooks. `seen` has text (as members read it), content, marks, mentions, embeds, flags, to, thread, files."""

    def __init__(self, *, webhooks: dict[str, str] | None = None, **more: Any) -> None:
        super().__init__(**more)
        self.webhooks = webhooks or {ID: TOKEN}
        self.deleted, self.forum = False, False
        self.threads = {"123"}
        self.headers: dict[str, str] = {}
        self.looks = 0

    def address(self, number: str = ID) -> str:
        """The webhook's URL, as Discord's settings copy it."""
        return f"{self.url}/api/webhooks/{number}/{self.webhooks[number]}"

    def routes(self, app: web.Application) -> None:
        app.router.add_post("/api/v10/webhooks/{id}/{token}", self.send)
        app.router.add_get("/api/v10/webhooks/{id}/{token}", self._look)

    async def take(self, request: web.Request) -> web.StreamResponse:
        if (refused := self._unknown(request)) is not None:
            return refused
        if not request.headers.get("User-Agent", "").startswith("DiscordBot ("):
            return web.Response(status=403, text="error code: 1010")
        fields, files = await _fields(request)
        content, thread = str(fields.get("content") or ""), request.query.get("thread_id")
        if thread and thread not in self.threads:
            return error(400, 10003, "Unknown Channel")
        if self.forum and not thread:
            return error(400, 220001, "Webhooks posted to forum channels must have a thread_name or thread_id")
        if not content.strip() and not files:
            return error(400, 50006, "Cannot send an empty message")
        if len(content) > 2000:
            return invalid("content", "BASE_TYPE_MAX_LENGTH", "Must be 2000 or fewer in length.")
        if len(files) > 10 or any(len(file) > _MOST for file in files.values()):
            return error(413, 40005, "Request entity too large")
        shown = Rendered(content)
        pinged = [] if fields.get("allowed_mentions", {}).get("parse") == [] else _MENTION.findall(content)
        number = self.show(
            shown.text,
            content=content,
            marks=shown.marks,
            mentions=pinged,
            embeds=not fields.get("flags", 0) & 4 and bool(shown.links),
            flags=fields.get("flags", 0),
            to=request.match_info["id"],
            thread=thread,
            files=list(files),
        )
        if request.query.get("wait") != "true":
            return web.Response(status=204)
        return web.json_response({"id": str(1000 + number), "type": 0, "content": content}, headers=self.headers)

    async def trouble(self, word: str, request: web.Request) -> web.StreamResponse:
        name, _, value = word.partition(":")
        if name in {"limited", "global"}:
            return limited(float(value), everywhere=name == "global")
        if name == "cloudflare":
            return web.Response(status=429, text="error code: 1015", headers={"Retry-After": value})
        if name == "internal":
            return error(500, 0, "500: Internal Server Error")
        if name == "invalid":
            return invalid("content", "BASE_TYPE_REQUIRED", "This field is required")
        raise NotImplementedError(word)

    def _unknown(self, request: web.Request) -> web.Response | None:
        number, token = request.match_info["id"], request.match_info["token"]
        if self.deleted or number not in self.webhooks:
            return error(404, 10015, "Unknown Webhook")
        return None if token == self.webhooks[number] else error(401, 50027, "Invalid Webhook Token")

    async def _look(self, request: web.Request) -> web.Response:
        self.looks += 1
        number, token = request.match_info["id"], request.match_info["token"]
        return self._unknown(request) or web.json_response(webhook(number, token))


class Rendered:
    """What Discord's apps make of a content: `text` without its markup, and which `marks` and `links` it found."""

    def __init__(self, content: str) -> None:
        self.marks: list[str] = []
        self.links: list[str] = []
        self.text = self._render(content, starts_line=True)

    def _render(self, left: str, *, starts_line: bool) -> str:
        shown = ""
        while left:
            at_start = (starts_line and not shown) or shown.endswith("\n")
            for name, rule, needs_start in _RULES:
                if (found := rule.match(left)) and (at_start or not needs_start):
                    shown += self._apply(name, found)
                    left = left[found.end() :]
                    break
            else:
                shown += left[0]
                left = left[1:]
        return shown

    def _apply(self, name: str, found: re.Match[str]) -> str:
        if name == "escape":
            return found[1]
        if name in {"address", "bracketed"}:
            self.links.append(found[1])
            return found[1]
        self.marks.append(name)
        if name == "link":
            self.links.append(found[2])
        if name in {"code", "block"}:
            return found[1]
        return self._render(found[1], starts_line=False) if found.re.groups else found[0]


_RULES = [
    (name, re.compile(rule, re.DOTALL), needs_start)
    for name, rule, needs_start in (
        ("escape", r"\\([^0-9A-Za-z\s])", False),
        ("block", r"```(?:[a-z]*\n)?(.+?)\n?```", False),
        ("code", r"``(.+?)``(?!`)", False),
        ("code", r"`([^`]+)`", False),
        ("bracketed", r"<(https?://[^ >]+)>", False),
        ("address", r"(https?://[^\s<]+[^<.,:;\"'\]\s])", False),
        ("mention", r"<(?:@[!&]?|#|a?:\w+:|t:)\d+[^>]*>", False),
        ("link", r"\[((?:\\.|[^\[\]])*)\]\(<?(https?://[^)>]*)>?\)", False),
        ("subtext", r"-# ()", True),
        ("heading", r"#{1,3} ()", True),
        ("quote", r">(?:>>)? ()", True),
        ("list", r"[ \t]*(?:[-*+]|\d+\.)\s()", True),
        ("strong", r"\*\*(.+?)\*\*(?!\*)", False),
        ("underline", r"__(.+?)__(?!_)", False),
        ("em", r"\*(?=\S)([^*]+?)\*(?!\*)", False),
        ("em", r"_([^_]+?)_(?![0-9A-Za-z])", False),
        ("strike", r"~~(.+?)~~", False),
        ("spoiler", r"\|\|(.+?)\|\|", False),
        ("emoji", r":[0-9A-Za-z_+-]+:", False),
    )
]


def webhook(number: str, token: str) -> dict[str, Any]:
    """As "Get Webhook with Token" answers: the documented example, without its user."""
    return {
        "name": "test webhook",
        "type": 1,
        "channel_id": "199737254929760256",
        "token": token,
        "avatar": None,
        "guild_id": "199737254929760256",
        "id": number,
        "application_id": None,
    }


def error(status: int, code: int, message: str, **more: Any) -> web.Response:
    return web.json_response({"message": message, "code": code} | more, status=status)


def invalid(field: str, code: str, message: str) -> web.Response:
    return error(400, 50035, "Invalid Form Body", errors={field: {"_errors": [{"code": code, "message": message}]}})


def limited(seconds: float, *, everywhere: bool = False) -> web.Response:
    headers = {"Retry-After": str(math.ceil(seconds)), "X-RateLimit-Scope": "global" if everywhere else "user"}
    if everywhere:
        headers["X-RateLimit-Global"] = "true"
    else:
        headers |= {"X-RateLimit-Limit": "10", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset-After": str(seconds)}
    body = {"message": "You are being rate limited.", "retry_after": seconds, "global": everywhere}
    return web.json_response(body, status=429, headers=headers)


async def _fields(request: web.Request) -> tuple[dict[str, Any], dict[str, bytes]]:
    if request.content_type == "application/json":
        return await request.json(), {}
    form = await request.post()
    whole = form["payload_json"]
    assert isinstance(whole, (str, bytearray))
    fields = json.loads(whole)
    files = {}
    for each in fields["attachments"]:
        file = form[f"files[{each['id']}]"]
        assert isinstance(file, web.FileField)
        assert file.filename == each["filename"]
        files[file.filename] = file.file.read()
    return fields, files
