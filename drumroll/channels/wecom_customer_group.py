"""WeCom customer groups 客户群 by mass send 群发: we create the message, a member of the company sends it with one tap.

Sources: developer.work.weixin.qq.com/document/path/92135 (creating), /93338 (what became of it), /97610 (reminding),
/90253 (pictures), /92120 and /92571 (groups and members).
"""

import asyncio
import hashlib
import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import Field

from drumroll.capability import Capability, Rate
from drumroll.channels.answer import Broken, broken_error
from drumroll.channels.base import Attachment, Message, Receipt, Recipient, SendError
from drumroll.channels.credentials import VariableName
from drumroll.channels.platform import PlatformOptions
from drumroll.channels.text import check_can
from drumroll.channels.wecom_api import WecomApiChannel
from drumroll.errors import DrumrollError
from drumroll.launchfile.fields import AS_STRETCH, Duration, Text

_CONTACT = "/cgi-bin/externalcontact"
_MEGABYTE = 1024 * 1024
_PICTURES = frozenset({"png", "jpg", "jpeg"})
_MEDIA_LASTS = timedelta(days=2).total_seconds()  # WeCom keeps them for three days
_GROUP, _MEMBER = re.compile(r"wr[A-Za-z0-9_-]{1,62}"), re.compile(r"w[mo][A-Za-z0-9_-]{1,62}")


class WecomCustomerGroupChannel(WecomApiChannel):
    """Mass messages to customer groups: their owner, a member of the company, confirms each in the WeCom app.

    A group's address is its chat id (`wr…`), a member's id their external userid (`wm…`). Nothing reaches anybody
    before the tap, so each message leaves `lead` ahead of its instant. WeCom takes no key, and its list of mass
    messages names neither group nor creator: a lost answer leaves it open whether the member got a task.
    """

    class Options(PlatformOptions):
        """Which app of which company, and who of its members owns the groups."""

        corp_id_env: VariableName = Field(description="Environment variable that holds the company's id (ww…).")
        secret_env: VariableName = Field(
            description="Environment variable that holds the secret of an app that may call customer contact 客户联系."
        )
        sender: Text = Field(description="Userid of the member who owns the groups and confirms each message.")
        lead: Duration = Field(
            default=timedelta(minutes=60),
            ge=timedelta(0),
            description="How long before its instant the member is asked to confirm.",
        )
        remind_after: Duration | None = Field(
            default=timedelta(minutes=30),
            gt=timedelta(0),
            description="WeCom reminds whoever has not confirmed after that long, and again, three times in all.",
            json_schema_extra=AS_STRETCH,
        )
        daily_cap: int | None = Field(
            default=1, gt=0, description="Most messages one group may get on a local day; what WeCom allows at least."
        )
        monthly_cap: int | None = Field(
            default=28,
            gt=0,
            description="Most messages one group may get in a calendar month: WeCom allows as many as it has days.",
        )

    @staticmethod
    def capability_for(options: Options) -> Capability:
        """4,000 bytes and nine pictures; a message a day to one group; a person has to tap, `lead` ahead of time."""
        return Capability(
            max_bytes=4000,
            attachments=9,
            attachment_bytes=10 * _MEGABYTE,
            attachment_types=_PICTURES,
            tracks=True,
            unattended=False,
            direct=True,
            message_ids=True,
            lead=options.lead,
            timeout=options.timeout.total_seconds(),
            concurrency=options.concurrency,
            rates=(Rate(10_000),),
            daily_cap=options.daily_cap,
            monthly_cap=options.monthly_cap,
        )

    def _read_credentials(self) -> tuple[str, ...]:
        self._media: dict[str, tuple[str, float]] = {}
        self._uploading = asyncio.Lock()
        return super()._read_credentials()

    async def send(self, message: Message) -> Receipt:
        """Create the task that the sender is to confirm; its receipt is `awaiting`.

        Raises SendError. Until the task itself is asked for, nothing is in doubt: pictures go ahead of it.
        """
        check_can(message, self.capability, name=self.name)
        to, asked = message.recipient, False
        task = self._target(to) | {"sender": self._options.sender, "text": {"content": message.text}}
        try:
            async with asyncio.timeout(self.capability.timeout):
                pictures = [
                    {"msgtype": "image", "image": {"media_id": await self._upload(to, file)}}
                    for file in message.attachments
                ]
                if pictures:
                    task["attachments"] = pictures
                await self._access(to)
                asked = True
                said = await self._call(f"{_CONTACT}/add_msg_template", to, task, asks=False)
        except TimeoutError:
            broken, timeout = Broken(connected=asked, late=True), self.capability.timeout
            where = "this machine's network"
            raise broken_error(broken, who=self._who(to), timeout=timeout, idempotent=False, where=where) from None
        if set(said.body.get("fail_list") or ()) & {to.address, to.member}:
            remedy = "see whether the sender owns the group, and it takes mass messages"
            raise self._error(to, "cannot send there", kind="permanent", words="it is in fail_list", remedy=remedy)
        return Receipt(message_id=str(said.body.get("msgid")), state="awaiting")

    async def follow(self, message_id: str, to: Recipient) -> Receipt | None:
        """A receipt once the sender confirmed, a permanent SendError when WeCom did not deliver it even so.

        Trouble with asking is transient: it says nothing about the message.
        """
        try:
            entry = await self._result(message_id, to)
        except SendError as error:
            raise SendError(str(error), kind="transient", retry_after=error.retry_after) from None
        status = entry.get("status")
        if status == 1:
            sent_at = entry.get("send_time")
            at = datetime.fromtimestamp(sent_at, UTC) if isinstance(sent_at, int) and sent_at > 0 else None
            return Receipt(message_id=message_id, sent_at=at)
        if status in {2, 3}:
            why = "they are no customer of the sender any more" if status == 2 else "they got as many as WeCom allows"
            remedy = "send it another way, or skip it"
            raise self._error(to, f"did not deliver message {message_id}: {why}", kind="permanent", remedy=remedy)
        return None

    async def remind(self, message_id: str, to: Recipient) -> None:
        """Have WeCom show the task to its sender again; it does so three times in 24 hours at most."""
        await self._call(f"{_CONTACT}/remind_groupmsg_send", to, {"msgid": message_id})

    async def verify(self, to: Recipient | None) -> str:
        """Whether the sender may contact customers, or owns the group."""
        sender = self._options.sender
        if to is None:
            said = await self._call(f"{_CONTACT}/get_follow_user_list", to, method="GET")
            if sender not in (said.body.get("follow_user") or ()):
                remedy = f"give {sender} customer contact 客户联系 in the admin console, within the app's sight"
                raise DrumrollError(f"{self._who(to)} does not let {sender} contact customers", remedy=remedy)
            return f"{sender} may contact customers"
        wanted = {"status_filter": 0, "owner_filter": {"userid_list": [sender]}}
        chat = self._target(to).get("chat_id_list", [None])[0]
        if await self._find(f"{_CONTACT}/groupchat/list", to, wanted, "group_chat_list", "chat_id", chat) is None:
            remedy = "correct the group's address, or name its owner as `sender`"
            raise DrumrollError(f"{self._who(to)} knows no such group of {sender}", remedy=remedy)
        return f"{sender} owns it"

    def _target(self, to: Recipient) -> dict[str, Any]:
        if to.member and _MEMBER.fullmatch(to.member):
            return {"chat_type": "single", "external_userid": [to.member]}
        if not to.member and to.address and _GROUP.fullmatch(to.address):
            return {"chat_type": "group", "chat_id_list": [to.address]}
        remedy = "write the external userid, wm…" if to.member else "write the group's chat id, wr…"
        raise self._error(to, "cannot be reached: it has no such address", kind="permanent", remedy=remedy)

    async def _result(self, message_id: str, to: Recipient) -> dict[str, Any]:
        """What became of it, as WeCom has it; empty while nobody confirmed (then it lists no group at all)."""
        field, key = ("external_userid", to.member) if to.member else ("chat_id", to.address)
        wanted = {"msgid": message_id, "userid": self._options.sender}
        return await self._find(f"{_CONTACT}/get_groupmsg_send_result", to, wanted, "send_list", field, key) or {}

    async def _upload(self, to: Recipient, file: Attachment) -> str:
        """The media id of a picture, which is uploaded once for all groups."""
        sha = hashlib.sha256(file.content).hexdigest()
        async with self._uploading:
            media, ends = self._media.get(sha, ("", 0.0))
            if time.monotonic() >= ends:
                said = await self._call("/cgi-bin/media/upload?type=image", to, file)
                media = str(said.body.get("media_id"))
                self._media[sha] = (media, time.monotonic() + _MEDIA_LASTS)
        return media
