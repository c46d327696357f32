"""WeCom group robots (企业微信群机器人). Source: developer.work.weixin.qq.com/document/path/99110 (before: 91770).

Error codes: developer.work.weixin.qq.com/document/path/90313.
"""

import base64
import hashlib
from typing import Any, ClassVar

from drumroll.capability import Capability, Extent, Format, Rate
from drumroll.channels.base import Attachment, Message, Receipt, Recipient, SendError
from drumroll.channels.file_form import file_form
from drumroll.channels.platform import Said
from drumroll.channels.robots import Refusal, RobotChannel, RobotOptions, receipt
from drumroll.channels.text import check_can, without_mentions

_MEGABYTE = 1024 * 1024
_MARKED = " with what keeps its words from being markup or mentions"
_MOST_TEXT, _MOST_MARKDOWN = 2048, 4096  # UTF-8 bytes
_PICTURES = (".png", ".jpg", ".jpeg")
_LEAST_FILE = 6  # "文件大小在5B~20M之间": more than five bytes
_TOO_LONG = Refusal("the text does not fit; shorten it or split it into two steps")
_BAD_FILE = Refusal("see whether the attachment is a sound file that is not too large")


class WecomRobotChannel(RobotChannel):
    """Each internal group's own robot. A lone robot serves groups without an `address`; else that names the robot.

    In `format: text` nothing is markup and nobody is mentioned. An attachment is a message of its own, below the text:
    a PNG or JPEG of up to 2 MiB is shown as a picture, everything else is a file. WeCom gives no ids and takes no key:
    a lost answer leaves it open whether a message arrived.
    """

    title = "WeCom"
    host = "https://qyapi.weixin.qq.com"
    kind = "wecom_robot"
    path = "/cgi-bin/webhook/send"
    parameter = "key"
    refusals: ClassVar = {
        -1: Refusal("it is busy; it is tried again", "transient"),
        40004: _BAD_FILE,
        40006: _BAD_FILE,
        40007: _BAD_FILE,
        40009: _BAD_FILE,
        40058: _TOO_LONG,
        44001: _BAD_FILE,
        44004: Refusal("the text is empty"),
        45001: _BAD_FILE,
        45002: _TOO_LONG,
        45009: Refusal("it waits", "limited", 60.0),
        45033: Refusal("it waits", "limited", 60.0),
        93000: Refusal("the robot was removed or its key is wrong; add one to the group and put its address in"),
        93004: Refusal("the robot was disabled; have it enabled in WeCom"),
        93008: Refusal("the robot is not in the group any more; add one and put its address in"),
        301019: _BAD_FILE,
    }

    class Options(RobotOptions):
        """Whose robots."""

    @staticmethod
    def capability_for(options: Options) -> Capability:
        """Twenty messages a minute from each robot, 2,048 bytes of text or 4,096 of markdown.

        The rate is a group's, for each has its own robot; an attachment counts as another message. Everyone can be
        mentioned in `format: text` only.
        """
        return Capability(
            max_bytes=_MOST_TEXT,
            markdown_max_bytes=_MOST_MARKDOWN,
            written=_written,
            formats=frozenset({"text", "markdown"}),
            attachments=1,
            attachment_bytes=20 * _MEGABYTE,
            mention_all=True,
            mention_all_formats=frozenset({"text"}),
            timeout=options.timeout.total_seconds(),
            concurrency=options.concurrency,
            rates=(Rate(20, 60, "robot"),),
            daily_cap=options.daily_cap,
        )

    async def send(self, message: Message) -> Receipt:
        """The text, then its attachment.

        Raises SendError. A text that arrived without its attachment is `ambiguous`: a person posts what is missing.
        """
        check_can(message, self.capability, name=self.name)
        token = self._robot(message.recipient).token
        words = self._words(message)
        file = message.attachments[0] if message.attachments else None
        below = await self._prepared(file, token, message.recipient) if file else None
        await self._post(words, token, message.recipient)
        if file and below:
            await self._post_below(below, file, token, message.recipient)
        return receipt(message)

    def _words(self, message: Message) -> dict[str, Any]:
        content = _content(message.text, message.format)
        if message.format == "markdown":
            return {"msgtype": "markdown", "markdown": {"content": content}}
        everyone = {"mentioned_list": ["@all"]} if message.mention_all else {}
        return {"msgtype": "text", "text": {"content": content} | everyone}

    async def _prepared(self, file: Attachment, token: str, to: Recipient) -> dict[str, Any]:
        """The message that shows the file; it is uploaded first, while nothing is to be seen yet."""
        if file.name.lower().endswith(_PICTURES) and len(file.content) <= 2 * _MEGABYTE:
            content = base64.b64encode(file.content).decode()
            md5 = hashlib.md5(file.content, usedforsecurity=False).hexdigest()
            return {"msgtype": "image", "image": {"base64": content, "md5": md5}}
        if len(file.content) < _LEAST_FILE:
            raise self._error(
                to,
                f"takes no file of {len(file.content)} bytes",
                kind="permanent",
                remedy=f"see whether {file.name} is the right one",
            )
        path = f"/cgi-bin/webhook/upload_media?key={token}&type=file"
        form = file_form({"media": file}, content_type="application/octet-stream")
        said = self._read(await self._ask("POST", path, to=to, body=form, asks=True), to, asks=True)
        return {"msgtype": "file", "file": {"media_id": str(said.body.get("media_id"))}}

    async def _post(self, body: dict[str, Any], token: str, to: Recipient) -> None:
        self._read(await self._ask("POST", f"{self.path}?key={token}", to=to, body=body), to)

    async def _post_below(self, body: dict[str, Any], file: Attachment, token: str, to: Recipient) -> None:
        try:
            await self._post(body, token, to)
        except SendError as error:
            whether = "perhaps not" if error.kind == "ambiguous" else "not"
            problem = f"took the text and {whether} {file.name} ({error.message})"
            remedy = "post the file by hand where it is missing, then resolve it as sent"
            raise self._error(to, problem, kind="ambiguous", remedy=remedy) from None

    def _read(self, said: Said, to: Recipient, *, asks: bool = False) -> Said:
        return self._judged(said, to, said.body.get("errcode"), said.body.get("errmsg"), asks=asks)


def _content(text: str, of: Format) -> str:
    if of == "text":
        return without_mentions(text)  # `<@userid>` mentions even here
    from drumroll.channels.robot_markdown import to_wecom  # noqa: PLC0415 - only where markdown is sent

    return to_wecom(text)


def _written(text: str, of: Format, *, attached: bool, everyone: bool) -> Extent:  # noqa: ARG001 - asked like every kind
    return Extent(
        len(_content(text, of).encode()), _MOST_MARKDOWN if of == "markdown" else _MOST_TEXT, "bytes", _MARKED
    )
