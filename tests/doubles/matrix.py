"""A double of a Matrix server's client API (spec.matrix.org/latest/client-server-api): checks, limits, error bodies.

Examples of its answers, from the documentation (github.com/matrix-org/matrix-spec, data/api/client-server):
{"event_id":"$YUwRidLecu:example.com"} (room_send.yaml), {"errcode":"M_UNKNOWN_TOKEN","error":"Soft logged out","soft_logout":true}
(refresh.yaml), {"errcode":"M_LIMIT_EXCEEDED","error":"Too many requests","retry_after_ms":2000} (errors/rate_limited.yaml),
{"content_uri":"mxc://example.com/AQwafuaFswefuhsfAFAgsw"} and {"errcode":"M_TOO_LARGE","error":"Cannot upload files larger
than 100mb"} (content-repo.yaml), {"errcode":"M_NOT_FOUND","error":"Room alias #monkeys:matrix.org not found."} and
{"room_id":"!abnjk1jdasj98:capuchins.com","servers":[…]} (directory.yaml).

The words of Synapse's refusals ("User @x not in room !y", …) are as a Synapse 1.163 gave them; tests/test_e2e_matrix.py
asks one for the same.
"""

import json
import re
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from tests.doubles.double import Double

_CLIENT = "/_matrix/client/v3"
_MOST_EVENT = 65_536
_TAGS = """del h1 h2 h3 h4 h5 h6 blockquote p a ul ol sup sub li b i u strong em s code hr br div table thead tbody tr
    th td caption pre span details summary"""
_ATTRIBUTES = {
    ("a", "href"): r"(https?|ftp|mailto|magnet):.*",
    ("ol", "start"): r"\d+",
    ("code", "class"): r"language-.*",
}


class MatrixDouble(Double):
    """One account, joined to `rooms`. `seen` has text, to, member, html, stripped (what of the HTML clients
    do not render), mentions (of m.mentions), kind, file, url, info, event, key.

    `state` holds a room's state: (room, "type") or (room, "type/key") → content. `remembers`: whether the same
    transaction id returns the same event, as it does for logins with a device.
    """

    user = "@drum:example.org"

    def __init__(
        self,
        *,
        token: str = "syt_ABC",
        rooms: tuple[str, ...] = ("!room:example.org",),
        device: str | None = "D",
        largest: int = 100 * 1024 * 1024,
        **more: Any,
    ) -> None:
        super().__init__(**more)
        self.token, self.device, self.largest = token, device, largest
        self.state: dict[tuple[str, str], dict[str, Any]] = {}
        for room in rooms:
            self.state[room, "m.room.create"] = {"room_version": "11"}
            self.state[room, "m.room.power_levels"] = {"users": {"@host:example.org": 100}}
            self.state[room, f"m.room.member/{self.user}"] = {"membership": "join"}
        self.aliases: dict[str, str] = {}
        self.makers: dict[str, str] = {}  # room → who made it
        self.soft_logout = False
        self.remembers = True
        self.asked: list[str] = []  # what was asked, except for sending
        self.uploaded: dict[str, tuple[str, str, bytes]] = {}  # uri → file name, type, content
        self._known: dict[tuple[str, str], str] = {}

    def routes(self, app: web.Application) -> None:
        app.router.add_put(_CLIENT + "/rooms/{room}/send/{type}/{key}", self.send)
        app.router.add_get(_CLIENT + "/account/whoami", self._asking(self._whoami))
        app.router.add_get(_CLIENT + "/directory/room/{alias}", self._asking(self._directory))
        app.router.add_get(_CLIENT + "/rooms/{room}/state/{what:.+}", self._asking(self._read_state))
        app.router.add_put(_CLIENT + "/rooms/{room}/state/{what:.+}", self._asking(self._write_state))
        app.router.add_post("/_matrix/media/v3/upload", self._asking(self._upload))
        app.router.add_route("*", "/{path:_matrix/.*}", self._unrecognized)

    async def take(self, request: web.Request) -> web.StreamResponse:
        if (refused := self._unauthorized(request)) is not None:
            return refused
        room, key = unquote(request.match_info["room"]), request.match_info["key"]
        if (room, key) in self._known and self.remembers:
            return web.json_response({"event_id": self._known[room, key]})
        if (refused := self._outside(room) or self._below(room, "m.room.message", "events_default", 0)) is not None:
            return refused
        try:
            content = json.loads(await request.read())
        except ValueError:
            return error(400, "M_NOT_JSON", "Content not JSON.")
        if len(json.dumps(content, ensure_ascii=False).encode()) > _MOST_EVENT - 500:
            return error(413, "M_TOO_LARGE", "event too large")
        html = content.get("formatted_body")
        if (html is None) != (content.get("format") != "org.matrix.custom.html"):
            return error(400, "M_BAD_JSON", "format and formatted_body need each other")
        if (url := content.get("url")) and url not in self.uploaded:
            return error(404, "M_NOT_FOUND", "Unknown media ID")
        mentions = content.get("m.mentions")
        legacy = re.findall(r"@room|@\w+:[\w.]+", content["body"]) if mentions is None else []
        event = f"${len(self.seen) + 1}:example.org"
        self._known[room, key] = event
        self.show(
            content["body"],
            to=room,
            html=html,
            stripped=stripped(html or ""),
            mentions=mentions if mentions is not None else legacy,
            kind=content["msgtype"],
            file=content.get("filename"),
            url=url,
            info=content.get("info"),
            event=event,
            key=key,
        )
        return web.json_response({"event_id": event})

    async def trouble(self, word: str, request: web.Request) -> web.StreamResponse:
        name, _, value = word.partition(":")
        if name == "limited":  # since 1.10 in a header, before in the body
            return error(429, "M_LIMIT_EXCEEDED", "Too many requests", {"Retry-After": value}, retry_after_ms=2000)
        if name == "limited-ms":
            return error(429, "M_LIMIT_EXCEEDED", "Too many requests", retry_after_ms=int(value))
        if name == "internal":
            return error(500, "M_UNKNOWN", "Internal server error")
        raise NotImplementedError(word)

    def _asking(self, handler: Any) -> Any:
        async def asked(request: web.Request) -> web.StreamResponse:
            self.asked.append(f"{request.method} {unquote(request.path)}")
            return self._unauthorized(request) or await handler(request)

        return asked

    def _unauthorized(self, request: web.Request) -> web.Response | None:
        given = request.headers.get("Authorization", "")
        if not given.startswith("Bearer "):
            return error(401, "M_MISSING_TOKEN", "Missing access token")
        if given != f"Bearer {self.token}":
            if self.soft_logout:
                return error(401, "M_UNKNOWN_TOKEN", "Soft logged out", soft_logout=True)
            return error(401, "M_UNKNOWN_TOKEN", "Unrecognised access token", soft_logout=False)
        if (user := request.query.get("user_id")) not in {None, self.user}:
            return error(403, "M_FORBIDDEN", f"Application service cannot masquerade as this user ({user}).")
        return None

    def _outside(self, room: str) -> web.Response | None:
        membership = self.state.get((room, f"m.room.member/{self.user}"), {}).get("membership")
        if membership == "join":
            return None
        return error(403, "M_FORBIDDEN", f"User {self.user} not in room {room}")

    def _below(self, room: str, event: str, otherwise: str, least: int) -> web.Response | None:
        levels = self.state.get((room, "m.room.power_levels"), {})
        needed = levels.get("events", {}).get(event, levels.get(otherwise, least))
        has = levels.get("users", {}).get(self.user, levels.get("users_default", 0))
        if has >= needed:
            return None
        what = f"You don't have permission to post that to the room. user_level ({has}) < send_level ({needed})"
        return error(403, "M_FORBIDDEN", what)

    async def _whoami(self, request: web.Request) -> web.Response:
        return web.json_response({"user_id": self.user} | ({"device_id": self.device} if self.device else {}))

    async def _directory(self, request: web.Request) -> web.Response:
        alias = unquote(request.match_info["alias"])
        if alias not in self.aliases:
            return error(404, "M_NOT_FOUND", f"Room alias {alias} not found.")
        return web.json_response({"room_id": self.aliases[alias], "servers": ["example.org"]})

    async def _read_state(self, request: web.Request) -> web.Response:
        room, what = unquote(request.match_info["room"]), unquote(request.match_info["what"]).rstrip("/")
        if (room, f"m.room.member/{self.user}") not in self.state:
            return error(403, "M_FORBIDDEN", f"User {self.user} not in room {room}, and room previews are disabled")
        if (room, what) not in self.state:
            return error(404, "M_NOT_FOUND", "Event not found.")
        content = self.state[room, what]
        if request.query.get("format") == "event":
            return web.json_response({"content": content, "sender": self.makers.get(room)})
        return web.json_response(content)

    async def _write_state(self, request: web.Request) -> web.Response:
        room, what = unquote(request.match_info["room"]), unquote(request.match_info["what"]).rstrip("/")
        if (refused := self._outside(room) or self._below(room, what, "state_default", 50)) is not None:
            return refused
        self.state[room, what] = await request.json()
        return web.json_response({"event_id": "$state:example.org"})

    async def _upload(self, request: web.Request) -> web.Response:
        content = await request.read()
        if len(content) > self.largest:
            return error(413, "M_TOO_LARGE", f"Cannot upload files larger than {self.largest // 1024 // 1024}mb")
        uri = f"mxc://example.org/{len(self.uploaded) + 1}"
        self.uploaded[uri] = (request.query["filename"], request.content_type, content)
        return web.json_response({"content_uri": uri})

    async def _unrecognized(self, request: web.Request) -> web.Response:
        return error(404, "M_UNRECOGNIZED", "Unrecognized request")


def stripped(html: str) -> list[str]:
    """Tags and attributes that clients should not render ("m.room.message msgtypes")."""
    found: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            if tag not in _TAGS.split():
                found.append(tag)
            found.extend(
                f"{tag} {name}={value}"
                for name, value in attrs
                if not re.fullmatch(_ATTRIBUTES.get((tag, name), "(?!)"), value or "")
            )

    Reader().feed(html)
    return found


def error(status: int, code: str, words: str, headers: Any = None, **more: Any) -> web.Response:
    return web.json_response({"errcode": code, "error": words} | more, status=status, headers=headers)
