"""Slack channels, through an app that is a member of them. Source: docs.slack.dev/reference/methods and
/apis/web-api/rate-limits.
"""

import io
import json
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape
from typing import Any
from urllib.parse import urlencode

from pydantic import Field

from drumroll.capability import Capability, Rate
from drumroll.channels import rich_text
from drumroll.channels.answer import retry_after_seconds
from drumroll.channels.base import Attachment, Message, Receipt, Recipient, SendError
from drumroll.channels.credentials import VariableName, fingerprint, token_like
from drumroll.channels.platform import PlatformChannel, PlatformOptions, Said
from drumroll.channels.text import check_can

_GIGABYTE = 1024 * 1024 * 1024
_ADDRESS = re.compile(r"[CGDUW][A-Z0-9]+")
_FORM = "application/x-www-form-urlencoded; charset=utf-8"
_EVENT = "drumroll"
_LOOK_BACK = 86400.0
# Apps that are sold outside of Slack's Marketplace get no more than 15 at once; we read only the beginning of very long
# answers, and ask for fewer then.
_PAGES, _PAGE = 40, (15, 4, 1)
_LIMITED = {"ratelimited", "rate_limited"}
_IN_DOUBT = {"internal_error", "fatal_error"}  # "some aspect of the operation" may have succeeded
_PASSING = {"service_unavailable", "request_timeout", "team_added_to_org", "external_channel_migrating"}
_REMEDIES = {  # Slack's own words → what helps
    "channel_not_found": "see whether the address is the channel's id, and invite the app if the channel is private",
    "not_in_channel": "invite the app to the channel",
    "is_archived": "bring the channel back from the archive, or take the group out of the launch",
    "restricted_action": "let the app post, in the workspace's settings",
    "restricted_action_read_only_channel": "let the app post, in the channel's settings",
    "invalid_auth": "the token is not valid; copy the bot token (xoxb-…) again",
    "not_authed": "the token is not valid; copy the bot token (xoxb-…) again",
    "not_allowed_token_type": "that is another kind of token; use the bot token (xoxb-…)",
    "token_revoked": "the token was revoked; install the app again and use its new token",
    "token_expired": "the token has expired; turn token rotation off, or put a new one",
    "account_inactive": "the app was removed from the workspace; install it again",
    "missing_scope": "give the app this scope, then install it again",
    "msg_too_long": "shorten the text or split it into two steps",
    "msg_blocks_too_long": "shorten the text or split it into two steps",
    "no_text": "the text shows nothing; write some",
    "file_uploads_disabled": "the workspace takes no files; leave the attachments out",
    "file_upload_size_restricted": "the workspace takes no large files; make it smaller",
    "file_type_not_allowed": "the workspace does not take this kind of file; leave it out",
    "not_pinnable": "leave `pin` out",
}


class SlackChannel(PlatformChannel):
    """A Slack app's messages. A group's address is the id of its channel, like C0123456789; a member's one is U….

    Texts go out as `rich_text`, in which nothing is a mention but the one that `mention_all` asks for. Needs the scopes
    chat:write, channels:read (to verify), files:write for attachments and pins:write for pins. Slack takes no key:
    with `history`, a message whose answer was lost is found again by the metadata that it carries.
    """

    title = "Slack"
    host = "https://slack.com/api"
    hosts = frozenset({"https://files.slack.com"})

    class Options(PlatformOptions):
        """Which app."""

        token_env: VariableName = Field(description="Environment variable that holds the app's bot token (xoxb-…).")
        history: bool = Field(
            default=False,
            description="The app may read the channels (channels:history), so that a lost answer is looked up; then "
            "without attachments, which Slack shares some time later.",
        )

    @staticmethod
    def capability_for(options: Options) -> Capability:
        """One message a second to one channel and "several hundred" a minute in all, of which we use two.

        Slack advises 4,000 characters and names no limit of rich text.
        """
        return Capability(
            max_chars=4000,
            formats=frozenset({"text", "markdown"}),
            attachments=0 if options.history else 10,
            attachment_bytes=_GIGABYTE,
            pin=True,
            pin_with_files=False,
            mention_all=True,
            look_up=options.history,
            direct=True,
            message_ids=True,
            timeout=options.timeout.total_seconds(),
            concurrency=options.concurrency,
            rates=(Rate(200, 60), Rate(1, 1, "group")),
            daily_cap=options.daily_cap,
        )

    def _read_credentials(self) -> tuple[str, ...]:
        self._token = self._credential(self._options.token_env, token_like)
        return (self._token, self._token.rpartition("-")[2])

    def bucket(self, to: Recipient) -> str:  # noqa: ARG002 - one app for every channel
        """The app pays."""
        return f"slack:{fingerprint(self._token)}"

    async def send(self, message: Message) -> Receipt:
        """One message; pinned afterwards where the step asks for it. Files go up first and are posted by one request.

        Raises SendError. A message that arrived and could not be pinned is `ambiguous`: a person pins it. The receipt
        of a message with files carries the first file's id: Slack does not tell the message's.
        """
        check_can(message, self.capability, name=self.name)
        to = message.recipient
        channel = self._channel(to)
        write = rich_text.from_markdown if message.format == "markdown" else rich_text.literal
        elements = write(message.text)
        if message.mention_all:
            elements = rich_text.to_everyone(elements)
        blocks = [{"type": "rich_text", "elements": elements}]
        if message.attachments:
            return await self._post_files(message, channel, blocks)
        fields: dict[str, Any] = {"channel": channel, "blocks": blocks, "text": _fallback(elements), "mrkdwn": False}
        fields |= {"unfurl_links": False, "unfurl_media": False}
        if self._options.history:
            fields["metadata"] = {"event_type": _EVENT, "event_payload": {"key": message.key}}
        said = await self._call("chat.postMessage", to, fields, wanted="ts", found_again=self._options.history)
        if message.pin:
            await self._pin(to, str(said.body.get("channel", channel)), str(said.body["ts"]))
        return Receipt(message_id=str(said.body["ts"]))

    async def look_up(self, key: str, to: Recipient) -> Receipt | None:
        """The message with this key among those of the last day; only with `history`. Raises SendError."""
        if not self._options.history:
            return await super().look_up(key, to)
        channel = self._channel(to)
        if to.member:
            opened = await self._call("conversations.open", to, {"users": channel}, wanted="channel", asks=True)
            channel = opened.body["channel"]["id"]
        fields = {"channel": channel, "include_all_metadata": True, "oldest": time.time() - _LOOK_BACK}
        cursor = ""
        for _ in range(_PAGES):
            said = await self._page(to, fields | ({"cursor": cursor} if cursor else {}))
            for each in said["messages"]:
                if each.get("metadata", {}).get("event_payload", {}).get("key") == key:
                    return Receipt(message_id=str(each["ts"]))
            cursor = said.get("response_metadata", {}).get("next_cursor", "")
            if not cursor:
                return None
        problem = f"has too many messages of one day there to say whether {key} is among them"
        raise self._error(to, problem, kind="permanent", remedy="look into the group, then resolve it")

    async def _page(self, to: Recipient, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """The next messages of a channel, newest first."""
        for most in _PAGE[:-1]:
            try:
                return await self._newest(to, fields, most)
            except SendError as error:
                if error.kind != "transient":
                    raise
        return await self._newest(to, fields, _PAGE[-1])

    async def _newest(self, to: Recipient, fields: Mapping[str, Any], most: int) -> Mapping[str, Any]:
        asked = {**fields, "limit": most}
        return (await self._call("conversations.history", to, asked, wanted="messages", asks=True)).body

    async def verify(self, to: Recipient | None) -> str:
        """Whose token it is, or whether the app may post in the group."""
        who = (await self._call("auth.test", to, {}, asks=True)).body
        if to is None:
            return f"{who.get('user')} in {who.get('team')}"
        said = await self._call("conversations.info", to, {"channel": self._channel(to)}, wanted="channel", asks=True)
        about = said.body["channel"]
        if about.get("is_archived"):
            raise self._error(to, "says it is archived", kind="permanent", remedy=_REMEDIES["is_archived"])
        anywhere = "chat:write.public" in said.headers.get("x-oauth-scopes", "") and not about.get("is_private")
        if not about.get("is_member", True) and not anywhere:
            problem = "says the app is no member there"
            raise self._error(to, problem, kind="permanent", remedy=_REMEDIES["not_in_channel"])
        return f"the app may post in #{about.get('name')}"

    def _channel(self, to: Recipient) -> str:
        address = str(to.member or to.address or "")
        if _ADDRESS.fullmatch(address) and (address[0] in "UW") == bool(to.member):
            return address
        remedy = "write the channel's id, like C0123456789 (at the end of its details)"
        raise self._error(to, "cannot be reached: it has no such address", kind="permanent", remedy=remedy)

    async def _pin(self, to: Recipient, channel: str, ts: str) -> None:
        try:
            await self._call("pins.add", to, {"channel": channel, "timestamp": ts}, asks=True)
        except SendError as error:
            problem = f"took message {ts} and did not pin it ({error.message})"
            remedy = "pin it by hand, then resolve it as sent"
            raise self._error(to, problem, kind="ambiguous", remedy=remedy) from None

    async def _post_files(self, message: Message, channel: str, blocks: list[dict[str, Any]]) -> Receipt:
        to = message.recipient
        files = [{"id": await self._upload(file, to), "title": file.name} for file in message.attachments]
        place = {"channels": channel} if to.member else {"channel_id": channel}
        fields = {"files": files, "blocks": blocks, **place}
        await self._call("files.completeUploadExternal", to, fields, wanted="files")
        return Receipt(message_id=files[0]["id"])

    async def _upload(self, file: Attachment, to: Recipient) -> str:
        """The id under which Slack keeps the file. Whatever goes wrong here, nobody has seen anything yet."""
        about = {"filename": file.name, "length": len(file.content)}
        place = await self._call("files.getUploadURLExternal", to, about, wanted="upload_url", asks=True)
        # A stream, for aiohttp holds everything else up while it writes many bytes at once.
        content = io.BytesIO(file.content)
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(len(file.content))}
        said = await self._ask("POST", str(place.body["upload_url"]), to=to, body=content, headers=headers, asks=True)
        if said.status != 200:
            raise self._strange(said, to, asks=True)
        return str(place.body["file_id"])

    async def _call(
        self,
        method: str,
        to: Recipient | None,
        fields: Mapping[str, Any],
        *,
        wanted: str = "ok",
        asks: bool = False,
        found_again: bool = False,
    ) -> Said:
        """One call of the API; `wanted` is in its answer. `asks`: it posts nothing; `found_again`: `look_up` tells."""
        # Some methods read no JSON; all read forms, with JSON in the fields that are no plain values.
        form = {name: value if isinstance(value, str) else json.dumps(value) for name, value in fields.items()}
        headers = {"Content-Type": _FORM, "Authorization": f"Bearer {self._token}"}
        body = urlencode(form).encode()
        said = await self._ask(
            "POST", f"/{method}", to=to, body=body, headers=headers, idempotent=found_again, asks=asks
        )
        if said.body.get("ok") is True and wanted in said.body:
            return said
        raise self._refusal(said, to, found_again=found_again, asks=asks)

    def _refusal(self, said: Said, to: Recipient | None, *, found_again: bool, asks: bool) -> SendError:
        code = str(said.body.get("error", ""))
        if said.status == 429 or code in _LIMITED:
            # Slack does not say whether the channel's or the app's limit is reached.
            wait = retry_after_seconds(said.retry_after, now=datetime.now(UTC))
            return self._error(to, "answered 429", kind="limited", words=code, retry_after=wait, remedy="it waits")
        if not code:
            return self._strange(said, to, idempotent=found_again, asks=asks)
        if code in _PASSING or (code in _IN_DOUBT and (asks or found_again)):
            remedy, doubtful = "it is tried again", code in _IN_DOUBT and not asks
            return self._error(to, "refused", kind="transient", words=code, remedy=remedy, doubtful=doubtful)
        if code in _IN_DOUBT:
            remedy = "it may have arrived; look into the group, then resolve it"
            return self._error(to, "refused", kind="ambiguous", words=code, remedy=remedy)
        remedy = _REMEDIES.get(code, "see what Slack asks for")
        return self._error(to, "refused", kind="permanent", words=_why(said.body), remedy=remedy)


def _fallback(elements: list[dict[str, Any]]) -> str:
    """For notifications; no control sequence of Slack's (docs.slack.dev/messaging/formatting-message-text) in it."""
    return escape(rich_text.shown(elements), quote=False)


def _why(body: Mapping[str, Any]) -> str:
    """Slack's error code, the scope that is missing, and its first explanation."""
    more = body.get("response_metadata")
    explained = more.get("messages") if isinstance(more, dict) else None
    explained = explained if isinstance(explained, list) else []
    return ": ".join(str(each) for each in (body.get("error"), body.get("needed"), *explained[:1]) if each)
