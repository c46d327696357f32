"""A double of Slack's Web API (docs.slack.dev/reference/methods): checks, limits, error bodies as documented.

Quoted from there: chat.postMessage {"ok": true, "channel": "C123ABC456", "ts": "1503435956.000247", "message": {…}} and
{"ok": false, "error": "too_many_attachments"}; files.getUploadURLExternal {"ok": true, "upload_url":
"https://files.slack.com/upload/v1/ABC123...", "file_id": "F123ABC456"}; files.completeUploadExternal {"ok": true, "files":
[{"id": "F123ABC456", "title": "slack-test"}]}; pins.add {"ok": true}; apis/web-api/rate-limits: HTTP 429 with "Retry-After:
30". Errors are HTTP 200 with "ok": false. Rich text as block-kit/blocks/rich-text-block says; files.completeUploadExternal
answers internal_error to a `markdown` block (slackapi/python-slack-sdk#1756), fails without the files' bytes, and ignores
`blocks` beside `initial_comment`. Only files.getUploadURLExternal and the reading methods insist on form encoding.
"""

import json
import re
from typing import Any

from aiohttp import web

from tests.doubles.double import Double

_RUNS = {"text", "link", "broadcast", "user", "usergroup", "channel", "emoji"}
_SCOPES = frozenset({"chat:write", "channels:read", "files:write", "pins:write", "channels:history", "im:write"})
_NEEDED = {
    "chat.postMessage": "chat:write",
    "files.getUploadURLExternal": "files:write",
    "files.completeUploadExternal": "files:write",
    "pins.add": "pins:write",
    "conversations.info": "channels:read",
    "conversations.history": "channels:history",
    "conversations.open": "im:write",
}


class SlackDouble(Double):
    """One app in `channels`. `seen` has text, to, member, ts, blocks, fallback, mentions, unfurls, files, pinned, metadata."""

    def __init__(self, *, token: str = "xoxb-1-ABC", **more: Any) -> None:
        super().__init__(**more)
        self.token, self.scopes = token, set(_SCOPES)
        self.channels: dict[str, dict[str, Any]] = {"C0001": about("C0001"), "C0002": about("C0002")}
        self.auth_error = ""
        self.files: dict[str, dict[str, Any]] = {}
        self.uploads: list[str] = []  # troubles of the upload address, one a request
        self.files_at: str | None = None
        self.calls: list[str] = []
        self.shown_a_page = 0  # most messages that conversations.history gives at once

    def routes(self, app: web.Application) -> None:
        for method in ("chat.postMessage", "files.completeUploadExternal"):
            app.router.add_post(f"/api/{method}", self.send)
        app.router.add_post("/upload/v1/{id}", self._take_up)
        app.router.add_post("/api/{method}", self._other)

    async def take(self, request: web.Request) -> web.StreamResponse:
        method = request.path.rpartition("/")[2]
        self.calls.append(method)
        if (refused := self._unauthorized(request, method)) is not None:
            return refused
        fields = await _fields(request)
        shares = method == "files.completeUploadExternal"
        where = fields.get("channels" if shares and "channels" in fields else "channel_id" if shares else "channel", "")
        if (refused := self._closed(where)) is not None:
            return refused
        blocks = json.loads(fields.get("blocks", "[]"))
        if shares and any(block["type"] == "markdown" for block in blocks):
            return error("internal_error")
        try:
            text = "\n".join(_shown(block) for block in blocks) if blocks else _unescaped(fields.get("text", ""))
        except (KeyError, TypeError, ValueError) as problem:
            return error("invalid_blocks", response_metadata={"messages": [f"[ERROR] {problem}"]})
        if not text.strip() and not shares:
            return error("no_text")
        if len(fields.get("text", "")) > 40000:
            return error("msg_too_long")
        files = json.loads(fields.get("files", "[]")) if shares else []
        if shares and (not files or any("content" not in self.files.get(file["id"], {}) for file in files)):
            return error("file_not_found")
        ts = f"1503435956.{len(self.seen) + 1:06}"
        self.show(
            text,
            to=where,
            member=f"u-{where[1:]}" if where.startswith("U") else None,
            ts=ts,
            blocks=blocks,
            fallback=fields.get("text"),
            mentions=_mentions(blocks, "" if blocks else fields.get("text", "")),
            unfurls=fields.get("unfurl_links") != "false",
            files=[self.files[file["id"]]["filename"] for file in files],
            pinned=False,
            metadata=json.loads(fields.get("metadata", "null")),
        )
        if shares:
            return ok(files=[{"id": file["id"], "title": file.get("title", "")} for file in files])
        channel = f"D{where[1:]}" if where.startswith("U") else where
        return ok(channel=channel, ts=ts, message={"text": fields.get("text"), "type": "message", "ts": ts})

    async def trouble(self, word: str, request: web.Request) -> web.StreamResponse:
        name, _, value = word.partition(":")
        if name == "limited":
            return limited(int(value))
        if name == "error":
            return error(value)
        raise NotImplementedError(word)

    def _unauthorized(self, request: web.Request, method: str) -> web.Response | None:
        given = request.headers.get("Authorization", "")
        if not given:
            return error("not_authed")
        if self.auth_error or given != f"Bearer {self.token}":
            return error(self.auth_error or "invalid_auth")
        needed = _NEEDED.get(method)
        if needed and needed not in self.scopes:
            return error("missing_scope", needed=needed, provided=",".join(sorted(self.scopes)))
        return None

    def _closed(self, where: str) -> web.Response | None:
        if where.startswith("U"):
            return None
        channel = self.channels.get(where)
        if channel is None or (channel["is_private"] and not channel["is_member"]):
            return error("channel_not_found")
        if channel["is_archived"]:
            return error("is_archived")
        return None if channel["is_member"] or "chat:write.public" in self.scopes else error("not_in_channel")

    async def _take_up(self, request: web.Request) -> web.Response:
        word = self.uploads.pop(0) if self.uploads else "200"
        content = await request.read()
        file = self.files[request.match_info["id"]]
        if word != "200" or len(content) != int(file["length"]):
            return web.Response(status=int(word) if word != "200" else 400, text="FAIL")
        file["content"] = content
        return web.Response(text=f"OK - {len(content)}")

    async def _other(self, request: web.Request) -> web.Response:
        method = request.match_info["method"]
        self.calls.append(method)
        if request.content_type != "application/x-www-form-urlencoded":
            return error("invalid_arguments")
        answer = self._unauthorized(request, method) or self._asked(method, await _fields(request))
        answer.headers["X-OAuth-Scopes"] = ",".join(sorted(self.scopes))
        return answer

    def _asked(self, method: str, fields: dict[str, str]) -> web.Response:
        if method == "auth.test":
            return ok(url="https://subarachnoid.slack.com/", team="Subarachnoid Workspace", user="drum", bot_id="B0001")
        if method == "files.getUploadURLExternal":
            name = f"F{len(self.files) + 1:04}"
            self.files[name] = {"filename": fields["filename"], "length": fields["length"]}
            return ok(upload_url=f"{self.files_at or self.url}/upload/v1/{name}", file_id=name)
        if method == "conversations.open":
            return ok(channel={"id": f"D{fields['users'][1:]}"})
        if method == "conversations.history":
            return self._history(fields)
        channel = self.channels.get(fields["channel"])
        if method == "conversations.info":
            return ok(channel=channel) if channel else error("channel_not_found")
        if method == "pins.add":
            found = [each for each in self.seen if each["ts"] == fields["timestamp"]]
            if not found:
                return error("message_not_found")
            found[0]["pinned"] = True
            return ok()
        return error("unknown_method")

    def _history(self, fields: dict[str, str]) -> web.Response:
        where, start = fields["channel"], int(fields.get("cursor", "0"))
        if where.startswith("U"):
            return error("channel_not_found")
        most = self.shown_a_page or int(fields.get("limit", "100"))
        there = [each for each in reversed(self.seen) if each["to"] in {where, f"U{where[1:]}"}]
        names = {"ts": "ts", "text": "fallback", "blocks": "blocks"}
        page = [
            {"type": "message"} | {name: each[ours] for name, ours in names.items()}
            for each in there[start : start + most]
        ]
        if fields.get("include_all_metadata") == "true":
            kept = [{"metadata": each["metadata"]} if each["metadata"] else {} for each in there[start : start + most]]
            page = [message | more for message, more in zip(page, kept, strict=True)]
        more = start + most < len(there)
        return ok(messages=page, has_more=more, response_metadata={"next_cursor": str(start + most) if more else ""})


def about(name: str, **changes: Any) -> dict[str, Any]:
    """A channel as conversations.info describes it."""
    whole = {"id": name, "name": "book-club", "is_channel": True, "is_archived": False, "is_private": False}
    return whole | {"is_member": True} | changes


def ok(**more: Any) -> web.Response:
    return web.json_response({"ok": True} | more)


def error(code: str, **more: Any) -> web.Response:
    return web.json_response({"ok": False, "error": code} | more)


def limited(seconds: int) -> web.Response:
    body = {"ok": False, "error": "ratelimited"}
    return web.json_response(body, status=429, headers={"Retry-After": str(seconds)})


async def _fields(request: web.Request) -> dict[str, str]:
    if request.content_type == "application/json":
        read = await request.json()
        return {name: value if isinstance(value, str) else json.dumps(value) for name, value in read.items()}
    return {name: str(value) for name, value in (await request.post()).items()}


def _unescaped(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _shown(block: dict[str, Any]) -> str:
    """What members read of a rich_text block; ValueError for what the documentation has not."""
    if block["type"] != "rich_text":
        raise ValueError(f"unsupported type: {block['type']}")
    if not block["elements"]:
        raise ValueError("no elements")
    return "\n".join(_part(element) for element in block["elements"])


def _part(element: dict[str, Any]) -> str:
    kind = element["type"].removeprefix("rich_text_")
    if kind == "list":
        number, indent = element.get("offset", 0), element.get("indent", 0)
        if element["style"] not in {"bullet", "ordered"} or not 0 <= indent <= 8:
            raise ValueError("no such list")
        marks = [
            f"{number + n}. " if element["style"] == "ordered" else "• " for n in range(1, 1 + len(element["elements"]))
        ]
        items = zip(marks, element["elements"], strict=True)
        return "\n".join("  " * indent + mark + _part(item) for mark, item in items)
    if kind not in {"section", "quote", "preformatted"}:
        raise ValueError(f"unsupported type: {element['type']}")
    shown = ""
    for run in element["elements"]:
        if run["type"] not in _RUNS:
            raise ValueError(f"unsupported type: {run['type']}")
        if run["type"] == "text" and not run["text"]:
            raise ValueError("must be more than 0 characters")
        if run["type"] == "link" and not re.match(r"(https?|mailto|tel):", run["url"]):
            raise ValueError("invalid url")
        shown += run.get("text") or run.get("url") or f"@{run.get('range', '?')}"
    return shown


def _mentions(blocks: Any, text: str) -> list[str]:
    """Whom Slack notifies: mention elements of blocks, control sequences of a text without blocks."""
    if isinstance(blocks, list):
        return [who for each in blocks for who in _mentions(each, "")] + re.findall(r"<(![a-z^]+|@[UW]\w+)[^>]*>", text)
    if not isinstance(blocks, dict):
        return []
    own = {"broadcast": blocks.get("range"), "user": blocks.get("user_id"), "usergroup": blocks.get("usergroup_id")}
    mentioned = own.get(blocks.get("type", ""))
    return ([mentioned] if mentioned else []) + _mentions(blocks.get("elements", []), "")
