"""Matrix rooms, through an account that has joined them. Source: spec.matrix.org/latest/client-server-api."""

import asyncio
import contextlib
import hashlib
import json
import mimetypes
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import quote

from pydantic import AfterValidator, Field, WithJsonSchema

from drumroll.capability import Capability, Rate
from drumroll.channels.answer import retry_after_seconds, sensible_wait
from drumroll.channels.base import Attachment, Kind, Message, Receipt, Recipient, SendError
from drumroll.channels.credentials import VariableName, fingerprint, token_like
from drumroll.channels.platform import PlatformChannel, PlatformOptions, Said
from drumroll.channels.text import check_can
from drumroll.channels.web_address import AS_ADDRESS, public_address

_MEGABYTE = 1024 * 1024
# An event has at most 65,536 bytes ("Size limits"), and the server adds hashes, signatures and what came before.
_MOST_CONTENT = 60_000
_ROOM = re.compile(r"![^\s/]+|#[^\s:/]+:[^\s/]+")
_REMEDIES = {  # errcode ("Standard error response") → what helps
    "M_UNKNOWN_TOKEN": "the token was revoked; log the account in again and take the new one",
    "M_MISSING_TOKEN": "the server wants a token; see that nothing in front of it takes the header away",
    "M_FORBIDDEN": "invite the account into the room, have it join, and let it post (and pin where a step asks for it)",
    "M_NOT_FOUND": "see whether the group's address is right",
    "M_TOO_LARGE": "shorten the text or make the attachment smaller",
    "M_USER_DEACTIVATED": "the account is closed; use another one",
    "M_USER_LOCKED": "ask the server's administrator about the account",
    "M_USER_SUSPENDED": "ask the server's administrator about the account",
    "M_RESOURCE_LIMIT_EXCEEDED": "the server is full; ask its administrator",
    "M_UNRECOGNIZED": "see whether `api` is the address of a Matrix server",
}


class MatrixChannel(PlatformChannel):
    """An account's messages. A group's address is its room id (`!…:server`) or an alias (`#name:server`).

    A message's key is its transaction id: the same id again returns the same event, so that a doubtful send is simply
    repeated. Servers promise that to one login ("Transaction identifiers"): Synapse remembers for a day, and for logins
    without a device, such as application services, only until it restarts; for those nothing is repeated. `m.mentions`
    stands in every message, so no text mentions anybody. Messages are not encrypted.
    """

    title = "Matrix"
    host = ""

    class Options(PlatformOptions):
        """Which account, on which server."""

        api: Annotated[str, AfterValidator(public_address), WithJsonSchema(AS_ADDRESS)] = Field(
            description="The account's server, as its /.well-known/matrix/client says, without a slash at its end."
        )
        token_env: VariableName = Field(description="Environment variable that holds the account's access token.")
        appservice_user: str | None = Field(
            default=None,
            pattern=r"^@[^\s:]+:\S+$",
            description="The token is an application service's; send as this user of it, like @drum:example.org.",
        )
        per_minute: int | None = Field(
            default=None,
            gt=0,
            description="Most messages a minute of this account. Unset, the server's own refusals say when to wait:"
            " Synapse takes ten at once and then twelve a minute, unless its administrator lifts that for the account;"
            " application services have no limit there.",
        )

    @staticmethod
    def capability_for(options: Options) -> Capability:
        """Formatted messages carry their text twice; pictures and files carry it as their caption."""
        return Capability(
            max_bytes=30_000,
            markdown_max_bytes=20_000,
            formats=frozenset({"text", "markdown"}),
            attachments=1,
            attachment_bytes=10 * _MEGABYTE,
            pin=True,
            mention_all=True,
            idempotent=options.appservice_user is None,
            message_ids=True,
            timeout=options.timeout.total_seconds(),
            concurrency=options.concurrency,
            rates=(Rate(options.per_minute),) if options.per_minute else (),
            daily_cap=options.daily_cap,
        )

    def _read_credentials(self) -> tuple[str, ...]:
        self._token = self._credential(self._options.token_env, token_like)
        self._aliases: dict[str, str] = {}
        self._uploads: dict[bytes, str] = {}
        self._uploading = asyncio.Lock()
        return (self._token,)

    def bucket(self, to: Recipient) -> str:  # noqa: ARG002 - one account for every room
        """The account pays."""
        return f"matrix:{fingerprint(self._api, self._token, self._options.appservice_user or '')}"

    async def send(self, message: Message) -> Receipt:
        """One event: the text, or a picture or file with it as its caption; pinned where the step asks for it.

        Raises SendError. What arrived and may not be pinned is `ambiguous`: a person pins it.
        """
        check_can(message, self.capability, name=self.name)
        to = message.recipient
        if to.member:
            problem = "has no way to one member: that would be a room of its own"
            raise self._error(to, problem, kind="permanent", remedy="send it to the group")
        room, content = await self._prepared(message)
        repeats = self.capability.idempotent
        path = f"/rooms/{_part(room)}/send/m.room.message/{_part(message.key)}"
        said = await self._say("PUT", path, to, content, repeats=repeats)
        if said.body.get("errcode") == "M_FORBIDDEN" and (new := await self._successor(to, room)):
            raise self._upgraded(to, new)
        event = str(self._checked(said, to, "event_id", repeats=repeats)["event_id"])
        if message.pin:
            await self._pin(to, room, event)
        return Receipt(message_id=event)

    async def verify(self, to: Recipient | None) -> str:
        """Whose token it is, or what the account may do in the room."""
        me = self._checked(await self._say("GET", "/account/whoami", to), to, "user_id")
        user = str(me["user_id"])
        if to is None:
            if self.capability.idempotent and not me.get("device_id"):
                problem = f"says the token of {user} has no device, so it would not notice a message that is repeated"
                raise self._error(to, problem, kind="permanent", remedy="log the account in and take that token")
            return user
        room = await self._room(to)
        member = await self._state(to, room, f"m.room.member/{_part(user)}") or {}
        if member.get("membership") != "join":
            problem = f"says {user} is not in the room"
            raise self._error(to, problem, kind="permanent", remedy="invite the account and have it join")
        if new := await self._successor(to, room):
            raise self._upgraded(to, new)
        may = await self._rights(to, room, user)
        if not may["post"]:
            problem = f"says {user} may not post there"
            raise self._error(to, problem, kind="permanent", remedy="raise its power level, or lower the room's")
        what = f"{user} may " + ", ".join(right for right, given in may.items() if given)
        encrypted = await self._state(to, room, "m.room.encryption")
        return what + ("; the room is encrypted, and its messages will not be" if encrypted else "")

    async def _room(self, to: Recipient) -> str:
        address = to.address or ""
        if not _ROOM.fullmatch(address):
            remedy = "write its room id, like !abc:example.org, or an alias, like #name:example.org"
            raise self._error(to, "cannot be reached: it has no such address", kind="permanent", remedy=remedy)
        if address.startswith("!"):
            return address
        if address not in self._aliases:
            said = await self._say("GET", f"/directory/room/{_part(address)}", to)
            self._aliases[address] = str(self._checked(said, to, "room_id")["room_id"])
        return self._aliases[address]

    async def _prepared(self, message: Message) -> tuple[str, dict[str, Any]]:
        try:
            return await self._room(message.recipient), await self._content(message)
        except SendError as error:
            error.doubtful = False  # whatever was lost, nobody could see it
            raise

    async def _content(self, message: Message) -> dict[str, Any]:
        content: dict[str, Any] = {"msgtype": "m.text", "body": message.text}
        if message.format == "markdown":
            from drumroll.channels.markdown import to_html  # noqa: PLC0415 - only where markdown is sent

            content |= {"format": "org.matrix.custom.html", "formatted_body": to_html(message.text)}
        # Present and empty: clients then look for no names and no @room in the text ("User and room mentions").
        content["m.mentions"] = {"room": True} if message.mention_all else {}
        size = len(json.dumps(content, ensure_ascii=False).encode())
        if size > _MOST_CONTENT:
            problem = f"would get {size} bytes with the markup, more than the {_MOST_CONTENT} that fit"
            raise self._error(message.recipient, problem, kind="permanent", remedy="shorten the text")
        if message.attachments:
            file = message.attachments[0]
            kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
            content |= {  # with a file name of its own, the body is a caption ("Media captions")
                "msgtype": "m.image" if file.is_image else "m.file",
                "filename": file.name,
                "info": {"mimetype": kind, "size": len(file.content)},
                "url": await self._upload(message.recipient, file, kind),
            }
        return content

    async def _upload(self, to: Recipient, file: Attachment, kind: str) -> str:
        """Where the file is on the server: the same file goes there once, however many rooms it is for."""
        which = hashlib.sha256(f"{file.name}\0".encode() + file.content).digest()
        async with self._uploading:
            if which not in self._uploads:
                path = f"/_matrix/media/v3/upload?filename={_part(file.name)}"
                said = await self._say("POST", path, to, file.content, headers={"Content-Type": kind})
                self._uploads[which] = str(self._checked(said, to, "content_uri")["content_uri"])
        return self._uploads[which]

    async def _pin(self, to: Recipient, room: str, event: str) -> None:
        try:
            state = await self._state(to, room, "m.room.pinned_events") or {}
            pinned = list(state.get("pinned") or [])
            if event not in pinned:
                path = f"/rooms/{_part(room)}/state/m.room.pinned_events"
                self._checked(await self._say("PUT", path, to, {"pinned": [*pinned, event]}), to, "event_id")
        except SendError as error:
            problem = f"took the message and did not pin it ({error.message})"
            if error.kind != "permanent" and self.capability.idempotent:
                # Sending it again finds it there, and pins it.
                wait, remedy = error.retry_after, "it is tried again with the same key"
                failed = self._error(to, problem, kind="transient", retry_after=wait, remedy=remedy, doubtful=True)
            else:
                failed = self._error(to, problem, kind="ambiguous", remedy="pin it by hand, then resolve it as sent")
            raise failed from None

    async def _successor(self, to: Recipient, room: str) -> str | None:
        """The room that took this one's place ("Room upgrades"), where it may be known."""
        with contextlib.suppress(SendError):
            return (await self._state(to, room, "m.room.tombstone") or {}).get("replacement_room")
        return None

    def _upgraded(self, to: Recipient, new: str) -> SendError:
        remedy = f"have the account join the new room; the address is now {new}"
        return self._error(to, "says the room was replaced by another", kind="permanent", remedy=remedy)

    async def _rights(self, to: Recipient, room: str, user: str) -> dict[str, bool]:
        """Whether the account may do what steps ask for ("m.room.power_levels", its defaults)."""
        levels = await self._state(to, room, "m.room.power_levels") or {}
        events, mine = levels.get("events", {}), levels.get("users", {}).get(user, levels.get("users_default", 0))
        needs = {
            "post": events.get("m.room.message", levels.get("events_default", 0)),
            "pin": events.get("m.room.pinned_events", levels.get("state_default", 50)),
            "mention everyone": levels.get("notifications", {}).get("room", 50),
        }
        may = {right: int(mine) >= int(least) for right, least in needs.items()}
        if all(may.values()):
            return may
        # From version 12 on, who made a room stands above all levels and in none.
        made = await self._state(to, room, "m.room.create/?format=event") or {}
        content = made.get("content", {})
        makers = {made.get("sender"), *content.get("additional_creators", [])}
        stands_above = user in makers and content.get("room_version", "1") not in {str(old) for old in range(1, 12)}
        return dict.fromkeys(may, True) if stands_above else may

    async def _state(self, to: Recipient, room: str, what: str) -> Mapping[str, Any] | None:
        """A piece of the room's state, None where there is none. Raises SendError."""
        said = await self._say("GET", f"/rooms/{_part(room)}/state/{what}", to)
        if said.status == 404 and said.body.get("errcode") == "M_NOT_FOUND":
            return None
        return self._checked(said, to)

    async def _say(
        self,
        method: str,
        path: str,
        to: Recipient | None,
        body: Any = None,
        *,
        repeats: bool = True,
        headers: Mapping[str, str] | None = None,
    ) -> Said:
        """One call, whatever its answer. `repeats`: it may be made again without harm."""
        path = path if path.startswith("/_matrix/") else f"/_matrix/client/v3{path}"
        if user := self._options.appservice_user:
            path += ("&" if "?" in path else "?") + f"user_id={_part(user)}"
        headers = {"Authorization": f"Bearer {self._token}", **(headers or {})}
        return await self._ask(method, path, to=to, body=body, headers=headers, idempotent=repeats)

    def _checked(self, said: Said, to: Recipient | None, wants: str = "", *, repeats: bool = True) -> Mapping[str, Any]:
        """The answer's body, with `wants` in it. Raises SendError."""
        if "errcode" in said.body:
            raise self._refusal(said, to, repeats=repeats)
        if said.status != 200 or not said.is_json or (wants and wants not in said.body):
            raise self._strange(said, to, idempotent=repeats)
        return said.body

    def _refusal(self, said: Said, to: Recipient | None, *, repeats: bool) -> SendError:
        code, words = str(said.body["errcode"]), str(said.body.get("error", ""))
        problem = f"answered {code}"
        if code == "M_LIMIT_EXCEEDED":
            wait = retry_after_seconds(said.retry_after, now=datetime.now(UTC))
            if wait is None:  # servers before version 1.10 say it in milliseconds
                old = sensible_wait(said.body.get("retry_after_ms"))
                wait = None if old is None else old / 1000
            return self._error(to, problem, kind="limited", words=words, retry_after=wait, remedy="it waits")
        if said.status >= 500:
            kind: Kind = "transient" if repeats else "ambiguous"
            remedy = "it is tried again with the same key" if repeats else "it may have arrived; look into the group"
            return self._error(to, problem, kind=kind, words=words, remedy=remedy, doubtful=repeats)
        remedy = _REMEDIES.get(code, "see what the server asks for")
        if code == "M_UNKNOWN_TOKEN" and said.body.get("soft_logout"):
            remedy = "the token has expired; log the account in again, without refresh tokens"
        return self._error(to, problem, kind="permanent", words=words, remedy=remedy)


def _part(text: str) -> str:
    return quote(text, safe="")
