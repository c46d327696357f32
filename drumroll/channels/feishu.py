"""Feishu and Lark custom bots (飞书自定义机器人). Source: open.feishu.cn/document/client-docs/bot-v3/add-custom-bot."""

import base64
import hashlib
import hmac
import time
from typing import Any, ClassVar

from drumroll.capability import Capability, Extent, Format, Rate
from drumroll.channels.base import Message, Receipt, Recipient, SendError
from drumroll.channels.robots import Refusal, RobotChannel, SignedRobotOptions, receipt, request_extent
from drumroll.channels.text import check_can

_MOST_BYTES = 20_000  # "20 KB" of request, whichever a KB is
_SIGNED = 100  # bytes of timestamp and signature, where the bot asks for them
_BUSY = Refusal("it waits; Feishu is crowded at the full and the half hour", "limited", 10.0)
_WORDS_OF_HASTE = ("too many", "frequency", "rate limit")


class FeishuChannel(RobotChannel):
    """Each group's own custom bot. A lone one serves groups without an `address`; else that names the bot.

    In `format: text` nothing is markup and nobody is mentioned: it goes as rich text, whose words Feishu does not read
    for tags, as it does in plain text (`<at user_id="all">`). Markdown goes as a card. Pictures need an app of one's
    own, which these bots are not. For Lark say `api: https://open.larksuite.com`. Feishu gives no ids and takes no key:
    a lost answer leaves it open whether a message arrived.
    """

    title = "Feishu"
    host = "https://open.feishu.cn"
    kind = "feishu"
    path = "/open-apis/bot/v2/hook/"
    parameter = ""
    refusals: ClassVar = {
        9499: Refusal("it does not like the message; see whether it is too long or has a broken link"),
        11232: _BUSY,
        19001: Refusal("the bot was removed or its address is wrong; add one to the group and put its address in"),
        19002: Refusal("it does not like the message; see whether it is too long or has a broken link"),
        19021: Refusal("see whether the bot's secret is the right one, and this machine's clock"),
        19022: Refusal("let this machine's address in, in the bot's settings"),
        19024: Refusal("the bot wants a keyword in every message; write it, or have the bot sign instead"),
        99991400: _BUSY,
    }

    class Options(SignedRobotOptions):
        """Whose bots, and how they sign."""

    @staticmethod
    def capability_for(options: Options) -> Capability:
        """A hundred messages a minute and five a second from each bot, requests of 20 KB.

        The text has room for its envelope in them, markdown also for its escapes. The rates are a group's, for each
        has its own bot.
        """
        return Capability(
            max_bytes=18_000,
            markdown_max_bytes=10_000,
            written=_written,
            formats=frozenset({"text", "markdown"}),
            mention_all=True,
            timeout=options.timeout.total_seconds(),
            concurrency=options.concurrency,
            rates=(Rate(5, 1, "robot"), Rate(100, 60, "robot")),
            daily_cap=options.daily_cap,
        )

    async def send(self, message: Message) -> Receipt:
        """One rich text or card; raises SendError."""
        check_can(message, self.capability, name=self.name)
        to = message.recipient
        robot = self._robot(to)
        body = _body(message.text, message.format, everyone=message.mention_all)
        if robot.secret:
            now = int(time.time())
            body |= {"timestamp": str(now), "sign": signature(now, robot.secret)}
        said = await self._ask("POST", f"{self.path}{robot.token}", to=to, body=body)
        self._judged(said, to, said.body.get("code", said.body.get("StatusCode")), said.body.get("msg"))
        return receipt(message)

    def _refused(self, to: Recipient, code: int, words: str, refusal: Refusal) -> SendError:
        # 9499 stands for a bad request and, with other words, for haste: github.com/ccfos/nightingale/issues/1437.
        hasty = any(sign in words.lower() for sign in _WORDS_OF_HASTE)
        return super()._refused(to, code, words, _BUSY if hasty else refusal)


def _body(text: str, of: Format, *, everyone: bool) -> dict[str, Any]:
    if of == "markdown":
        from drumroll.channels.robot_markdown import to_feishu  # noqa: PLC0415 - only where markdown is sent

        mention = "<at id=all></at>\n" if everyone else ""
        card = {"elements": [{"tag": "markdown", "content": mention + to_feishu(text)}]}
        return {"msg_type": "interactive", "card": card}
    paragraphs = [[{"tag": "at", "user_id": "all"}]] if everyone else []
    paragraphs.append([{"tag": "text", "text": text}])
    return {"msg_type": "post", "content": {"post": {"zh_cn": {"content": paragraphs}}}}


def _written(text: str, of: Format, *, attached: bool, everyone: bool) -> Extent:  # noqa: ARG001 - asked like every kind
    return request_extent(_body(text, of, everyone=everyone), _MOST_BYTES - _SIGNED)


def signature(timestamp: int, secret: str) -> str:
    """Base64 of the HMAC-SHA256 of nothing, under timestamp, newline and secret; `timestamp` in seconds."""
    key = f"{timestamp}\n{secret}".encode()
    return base64.b64encode(hmac.digest(key, b"", hashlib.sha256)).decode()
