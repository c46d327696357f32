"""DingTalk custom robots (钉钉自定义机器人). Source: open.dingtalk.com/document/robots/custom-robot-access.

Signatures: open.dingtalk.com/document/robots/customize-robot-security-settings.
"""

import base64
import hashlib
import hmac
import time
from typing import Any, ClassVar
from urllib.parse import quote_plus

from drumroll.capability import Capability, Extent, Format, Rate
from drumroll.channels.base import Message, Receipt
from drumroll.channels.robots import Refusal, RobotChannel, SignedRobotOptions, receipt, request_extent
from drumroll.channels.text import check_can

_MOST_BYTES = 20_000
_LONGEST_TITLE = 60  # characters
_BLOCKED = Refusal("it waits: DingTalk blocks a hasty robot for ten minutes", "limited", 600.0)
_GONE = Refusal("the robot was removed or its token is wrong; add one to the group and put its address in")
_UNWANTED = Refusal("DingTalk does not let it through; change its words or its link")
_TURNED_AWAY = 1111  # `status` of an answer without `errcode`, by the gateway that keeps hasty robots out


class DingtalkChannel(RobotChannel):
    """Each group's own robot. A lone robot serves groups without an `address`; else that names the robot.

    In `format: text` nothing is markup and nobody is mentioned. Pictures go as links in markdown only. Lists of members
    and the phone show markdown by its first line. DingTalk gives no ids and takes no key: a lost answer leaves it open
    whether a message arrived.
    """

    title = "DingTalk"
    host = "https://oapi.dingtalk.com"
    kind = "dingtalk"
    path = "/robot/send"
    parameter = "access_token"
    refusals: ClassVar = {
        -1: Refusal("it is busy; it is tried again", "transient"),
        40035: Refusal("it misses something in the message; see whether the text is empty"),
        130101: _BLOCKED,
        300001: _GONE,
        300005: _GONE,
        310000: Refusal("see whether the robot's secret, its keywords and its list of addresses fit this machine"),
        400013: Refusal("the group was dismissed; take it out of the launch"),
        400101: _GONE,
        400102: Refusal("the robot was disabled; have it enabled in DingTalk"),
        400106: _GONE,
        410100: _BLOCKED,
        430101: _UNWANTED,
        430102: _UNWANTED,
        430103: _UNWANTED,
        430104: _UNWANTED,
        460101: Refusal("the text does not fit; shorten it or split it into two steps"),
        660026: _BLOCKED,
    }

    class Options(SignedRobotOptions):
        """Whose robots, and how they sign."""

    @staticmethod
    def capability_for(options: Options) -> Capability:
        """Twenty messages a minute from each robot, or it is blocked for ten; requests of 20,000 bytes.

        The text has room for its envelope in them, markdown also for its escapes. The rate is a group's, for each has
        its own robot.
        """
        return Capability(
            max_bytes=18_000,
            markdown_max_bytes=10_000,
            written=_written,
            formats=frozenset({"text", "markdown"}),
            mention_all=True,
            timeout=options.timeout.total_seconds(),
            concurrency=options.concurrency,
            rates=(Rate(20, 60, "robot"),),
            daily_cap=options.daily_cap,
        )

    async def send(self, message: Message) -> Receipt:
        """One text or markdown; raises SendError."""
        check_can(message, self.capability, name=self.name)
        to = message.recipient
        robot = self._robot(to)
        body = _body(message.text, message.format, everyone=message.mention_all)
        path = f"{self.path}?access_token={robot.token}"
        if robot.secret:
            now = time.time_ns() // 1_000_000
            path += f"&timestamp={now}&sign={quote_plus(signature(now, robot.secret))}"
        said = await self._ask("POST", path, to=to, body=body)
        if "errcode" not in said.body and said.body.get("status") == _TURNED_AWAY:
            raise self._refused(to, _TURNED_AWAY, "", _BLOCKED)
        self._judged(said, to, said.body.get("errcode"), said.body.get("errmsg"))
        return receipt(message)


def _body(text: str, of: Format, *, everyone: bool) -> dict[str, Any]:
    at = {"at": {"isAtAll": True}} if everyone else {}
    if of == "text":
        return {"msgtype": "text", "text": {"content": text}} | at
    from drumroll.channels.robot_markdown import first_line, to_dingtalk  # noqa: PLC0415 - only where markdown is sent

    title = first_line(text)
    if len(title) > _LONGEST_TITLE:  # a preview of what follows in full
        title = title[: _LONGEST_TITLE - 1] + "…"
    return {"msgtype": "markdown", "markdown": {"title": title, "text": to_dingtalk(text)}} | at


def _written(text: str, of: Format, *, attached: bool, everyone: bool) -> Extent:  # noqa: ARG001 - asked like every kind
    return request_extent(_body(text, of, everyone=everyone), _MOST_BYTES)


def signature(timestamp: int, secret: str) -> str:
    """Base64 of the HMAC-SHA256 of timestamp, newline and secret, under the secret; `timestamp` in milliseconds."""
    digest = hmac.digest(secret.encode(), f"{timestamp}\n{secret}".encode(), hashlib.sha256)
    return base64.b64encode(digest).decode()
