"""A double of Feishu's custom bots (open.feishu.cn/document/client-docs/bot-v3/add-custom-bot).

Documented: {"code":0,"msg":"success","data":{},"Extra":null,"StatusCode":0,"StatusMessage":"success"};
{"code":9499,"msg":"Bad Request","data":{}} for what it cannot read and for bodies over 20 KB; {"code":19024,"msg":
"Key Words Not Found"}; {"code":19022,"msg":"Ip Not Allowed"}; {"code":19021,"msg":"sign match fail or timestamp is not
within one hour from current time"}; 100 messages a minute and 5 a second from each bot. `<at user_id="all">` mentions
in text, {"tag":"at","user_id":"all"} in rich text, `<at id=all></at>` in cards, whose other marks are written as
&#NN; where they are text (…/message-card/message-cards-content/using-markdown-tags).
Seen of the real one, with HTTP 200: {"code":19001,"msg":"param invalid: incoming webhook access token invalid"},
{"code":11232,"data":{},"msg":"frequency limited psm[lark.oapi.app_platform_runtime]appID[1500]"}; with HTTP 400:
{"code":9499,"msg":"too many request","data":{}}.
"""

import base64
import hashlib
import hmac
import html
import re
import time
from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from tests.doubles.double import Double

_SIGN = "sign match fail or timestamp is not within one hour from current time"
_LIMITED = "frequency limited psm[lark.oapi.app_platform_runtime]appID[1500]"


class FeishuDouble(Double):
    """Bots by their tokens. `seen` has text, to (the token), kind, mentions and raw."""

    def __init__(
        self,
        *,
        tokens: Sequence[str] = ("hook-1",),
        secret: str | None = None,
        keyword: str = "",
        per_second: int = 5,
        per_minute: int = 100,
        **more: Any,
    ) -> None:
        super().__init__(**more)
        self.tokens, self.secret, self.keyword = set(tokens), secret, keyword
        self.rates = ((1, per_second), (60, per_minute))
        self.sent: dict[str, deque[float]] = defaultdict(deque)

    def routes(self, app: web.Application) -> None:
        app.router.add_post("/open-apis/bot/v2/hook/{token}", self.send)

    async def take(self, request: web.Request) -> web.StreamResponse:
        token = request.match_info["token"]
        if token not in self.tokens:
            return error(19001, "param invalid: incoming webhook access token invalid")
        now = time.monotonic()
        if any(sum(at > now - seconds for at in self.sent[token]) >= most for seconds, most in self.rates):
            return error(11232, _LIMITED)
        if len(await request.read()) > 20 * 1024:
            return error(9499, "Bad Request")
        body = await request.json()
        if self.secret is not None and not self._signed(body):
            return error(19021, _SIGN)
        try:
            shown = {"text": _text, "post": _post, "interactive": _card}[body["msg_type"]](body)
        except (KeyError, TypeError, AttributeError):
            return error(9499, "Bad Request")
        if self.keyword not in shown["text"]:
            return error(19024, "Key Words Not Found")
        self.sent[token].append(now)
        self.show(to=token, kind=body["msg_type"], **shown)
        done = {"code": 0, "msg": "success", "data": {}, "Extra": None, "StatusCode": 0, "StatusMessage": "success"}
        return web.json_response(done)

    def _signed(self, body: dict[str, Any]) -> bool:
        stamp = str(body.get("timestamp", ""))
        if not stamp.isdecimal() or abs(time.time() - int(stamp)) > 3600:
            return False
        return hmac.compare_digest(str(body.get("sign")), sign(stamp, str(self.secret)))

    async def trouble(self, word: str, request: web.Request) -> web.StreamResponse:
        if word == "hasty":
            return web.json_response({"code": 9499, "msg": "too many request", "data": {}}, status=400)
        name, _, code = word.partition(":")
        if name == "error":
            return error(int(code), "some trouble")
        raise NotImplementedError(word)


def sign(stamp: str, secret: str) -> str:
    """As the documentation's Python example."""
    string_to_sign = f"{stamp}\n{secret}"
    hmac_code = hmac.new(string_to_sign.encode("utf-8"), digestmod=hashlib.sha256).digest()
    return base64.b64encode(hmac_code).decode("utf-8")


def error(code: int, words: str) -> web.Response:
    return web.json_response({"code": code, "msg": words, "data": {}})


def _text(body: dict[str, Any]) -> dict[str, Any]:
    raw = body["content"]["text"]
    mentions = re.findall(r"<at\s+user_id\s*=\s*[\"']?([\w-]+)", raw)
    return {"text": re.sub(r"<at[^>]*>(.*?)</at>", r"@\1", raw), "raw": raw, "mentions": mentions}


def _post(body: dict[str, Any]) -> dict[str, Any]:
    mentions, lines = [], []
    for paragraph in body["content"]["post"]["zh_cn"]["content"]:
        words = "".join(part["text"] for part in paragraph if part["tag"] in {"text", "a"})
        mentions += [part["user_id"] for part in paragraph if part["tag"] == "at"]
        lines += [words] if any(part["tag"] != "at" for part in paragraph) else []
    return {"text": "\n".join(lines), "raw": None, "mentions": mentions}


def _card(body: dict[str, Any]) -> dict[str, Any]:
    raw = "\n".join(part["content"] for part in body["card"]["elements"])
    mentions = re.findall(r"<at (?:id|ids|email)=[\"']?([\w@.,-]+)", raw)
    shown = re.sub(r"<at [^>]*></at>\n?", "", raw)
    shown = re.sub(r"\[([^\]\n]*)\]\((?:https?)://[^)\s]*\)", r"\1", shown)
    shown = re.sub(r"\*\*(.+?)\*\*|~~(.+?)~~|\*(.+?)\*", lambda m: m[1] or m[2] or m[3], shown)
    shown = re.sub(r":([A-Z][A-Za-z]+):", "😀", re.sub(r"</?(?:font|text_tag)[^>]*>", "", shown))
    return {"text": html.unescape(shown), "raw": raw, "mentions": mentions}
