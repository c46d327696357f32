"""A double of DingTalk's custom robots (open.dingtalk.com/document/robots/custom-robot-access).

Documented: {"msgtype":"text","text":{"content":"我就是我, 是不一样的烟火"}} → {"errcode":0,"errmsg":"ok"}; 20 messages a
minute from each robot, or it is blocked for ten; {"errcode":130101,"errmsg":"send too fast, exceed 20 times per
minute"}; {"errcode":310000,"errmsg":"keywords not in content"} | "invalid timestamp" | "sign not match" | "ip X.X.X.X
not in whitelist"; 400013 the group was dismissed, 400102 the robot was disabled; 300001 "token is not exist".
Seen of the real one: {"errcode":300005,"errmsg":"token is not exist"}, {"errcode":40035,"errmsg":"缺少参数 …"},
{"errcode":460101,"errmsg":"message too long, exceed 20000 bytes"}, and from the gateway before it {"status":1111,
"wait":5,"source":"x5","punish":"deny","uuid":"…"}: all of them with HTTP 200.
"""

import base64
import hashlib
import hmac
import re
import time
import urllib.parse
from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from tests.doubles.double import Double

_PUNISHED = {"status": 1111, "wait": 5, "source": "x5", "punish": "deny", "uuid": "24ce64f68ff5dc054dca012fc3931165"}


class DingtalkDouble(Double):
    """Robots by their tokens. `seen` has text, to (the token), kind, title, mentions and raw."""

    def __init__(
        self,
        *,
        tokens: Sequence[str] = ("token-1",),
        secret: str | None = None,
        keyword: str = "",
        per_minute: int = 20,
        **more: Any,
    ) -> None:
        super().__init__(**more)
        self.tokens, self.secret, self.keyword, self.per_minute = set(tokens), secret, keyword, per_minute
        self.sent: dict[str, deque[float]] = defaultdict(deque)
        self.blocked_until: dict[str, float] = defaultdict(float)

    def routes(self, app: web.Application) -> None:
        app.router.add_post("/robot/send", self.send)

    async def take(self, request: web.Request) -> web.StreamResponse:
        token, now = request.query.get("access_token", ""), time.monotonic()
        if not token:
            return error(40035, "缺少参数 access_token")
        if token not in self.tokens:
            return error(300005, "token is not exist")
        if (refused := self._checked(request)) is not None:
            return error(310000, refused)
        if sum(at > now - 60 for at in self.sent[token]) >= self.per_minute:
            self.blocked_until[token] = now + 600
        if now < self.blocked_until[token]:
            return error(130101, "send too fast, exceed 20 times per minute")
        if len(await request.read()) > 20_000:
            return error(460101, "message too long, exceed 20000 bytes")
        body = await request.json()
        kind = body.get("msgtype")
        part = body.get(kind) or {}
        raw = part.get("content" if kind == "text" else "text", "")
        if not raw or (kind == "markdown" and not part.get("title")):
            return error(40035, "缺少参数 json")
        if kind not in {"text", "markdown"}:
            return error(400105, "unsupported msgtype")
        if self.keyword not in raw:
            return error(310000, "keywords not in content")
        at = body.get("at", {})
        mentions = (["all"] if at.get("isAtAll") else []) + at.get("atMobiles", []) + at.get("atUserIds", [])
        self.sent[token].append(now)
        text = raw if kind == "text" else _plain(raw)
        self.show(text, to=token, kind=kind, title=part.get("title"), mentions=mentions, raw=raw)
        return web.json_response({"errcode": 0, "errmsg": "ok"})

    def _checked(self, request: web.Request) -> str | None:
        if self.secret is None:
            return None
        stamp = request.query.get("timestamp", "")
        if not stamp.isdecimal() or abs(time.time() * 1000 - int(stamp)) > 3600 * 1000:
            return "invalid timestamp"
        expected = urllib.parse.unquote_plus(sign(stamp, self.secret))
        return None if hmac.compare_digest(request.query.get("sign", ""), expected) else "sign not match"

    async def trouble(self, word: str, request: web.Request) -> web.StreamResponse:
        if word == "punished":
            return web.json_response(_PUNISHED)
        name, _, code = word.partition(":")
        if name == "error":
            return error(int(code), "some trouble")
        raise NotImplementedError(word)


def sign(timestamp: str, secret: str) -> str:
    """As the documentation's Python example."""
    secret_enc = secret.encode("utf-8")
    string_to_sign_enc = f"{timestamp}\n{secret}".encode()
    hmac_code = hmac.new(secret_enc, string_to_sign_enc, digestmod=hashlib.sha256).digest()
    return urllib.parse.quote_plus(base64.b64encode(hmac_code))


def error(code: int, words: str) -> web.Response:
    return web.json_response({"errcode": code, "errmsg": words})


def _plain(raw: str) -> str:
    """What members read of markdown."""
    kept: list[str] = []

    def keep(found: re.Match[str]) -> str:
        kept.append(found[1])
        return f"\0{len(kept) - 1}\0"

    shown = re.sub(r"\\([!-/:-@\[-`{-~])", keep, raw)
    shown = re.sub(r"(?<! )(?<!\n)\n(?!\n)", " ", shown)  # a line ends with two blanks only
    shown = re.sub(r"\[([^\]\n]*)\]\([^)\s]*\)", r"\1", shown)
    shown = re.sub(r"\*\*(.+?)\*\*|\*(.+?)\*", lambda m: m[1] or m[2], shown)
    shown = re.sub(r"(?m)^ *(?:>|#{1,6}(?= )) ?", "", shown)
    return re.sub(r"\0(\d+)\0", lambda m: kept[int(m[1])], shown.replace("  \n", "\n"))
