"""Telegram groups, through a bot that is a member of them. Source: core.telegram.org/bots/api and /bots/faq."""

import json
from typing import Any

from pydantic import Field

from drumroll.capability import Capability, Extent, Format, Rate
from drumroll.channels.answer import sensible_wait
from drumroll.channels.base import Attachment, Message, Receipt, Recipient, SendError
from drumroll.channels.credentials import VariableName, fingerprint, token_like
from drumroll.channels.file_form import file_form
from drumroll.channels.platform import PlatformChannel, PlatformOptions, Said
from drumroll.channels.text import check_can, utf16_length, without_mentions

_MEGABYTE = 1024 * 1024
_MOST_CHARS, _MOST_CAPTION = 4096, 1024  # "after entities parsing"
_REMEDIES = (  # the beginning of Telegram's own words → what helps
    ("bad request: chat not found", "see whether the group's address is right and the bot is a member"),
    ("bad request: message thread not found", "the topic is gone; correct the part behind the / of the address"),
    ("forbidden: bot was kicked", "add the bot to the group again"),
    ("forbidden: bot is not a member", "add the bot to the group"),
    ("forbidden: the group chat was deleted", "the group is gone; take it out of the launch"),
    ("bad request: not enough rights", "let the bot post, and pin where the step asks for it"),
    ("bad request: topic_closed", "open the topic again"),
    ("unauthorized", "the token was revoked; get a new one from @BotFather"),
    ("not found", "the token is not one of a bot; get one from @BotFather"),
)


class TelegramChannel(PlatformChannel):
    """A bot's messages. A group's address is its chat id (`-1001234567890`) or `@name`, with `/7` for topic 7 of it.

    In `format: text` nothing is markup and nobody is mentioned. Telegram takes no key: a lost answer leaves it open
    whether a message arrived.
    """

    title = "Telegram"
    host = "https://api.telegram.org"

    class Options(PlatformOptions):
        """Which bot."""

        token_env: VariableName = Field(description="Environment variable that holds the bot's token.")
        silent: bool = Field(default=False, description="Send without a sound.")

    @staticmethod
    def capability_for(options: Options) -> Capability:
        """One message a second and twenty a minute to one group, some thirty a second in all."""
        return Capability(
            max_chars=_MOST_CHARS,
            caption_chars=_MOST_CAPTION,
            written=_written,
            formats=frozenset({"text", "markdown"}),
            attachments=1,
            attachment_bytes=10 * _MEGABYTE,
            pin=True,
            direct=True,
            message_ids=True,
            timeout=options.timeout.total_seconds(),
            concurrency=options.concurrency,
            rates=(Rate(30, 1), Rate(1, 1, "group"), Rate(20, 60, "group")),
            daily_cap=options.daily_cap,
        )

    def _read_credentials(self) -> tuple[str, ...]:
        self._token = self._credential(self._options.token_env, token_like)
        return (self._token, self._token.partition(":")[2])

    def bucket(self, to: Recipient) -> str:  # noqa: ARG002 - one bot for every group
        """The bot pays."""
        return f"telegram:{fingerprint(self._token)}"

    async def send(self, message: Message) -> Receipt:
        """One message, or one picture or file with its caption; pinned afterwards where the step asks for it.

        Raises SendError. A message that arrived and could not be pinned is `ambiguous`: a person pins it.
        """
        check_can(message, self.capability, name=self.name)
        to = message.recipient
        chat = self._chat(to)
        text = {"parse_mode": "HTML"} if message.format == "markdown" else {}
        words = self._words(message)
        if message.attachments:
            file = message.attachments[0]
            part = "photo" if file.is_image else "document"
            fields = chat | text | {"caption": words, "disable_notification": self._options.silent}
            said = await self._call(f"send{part.title()}", to, _form(fields, part, file))
        else:
            fields = chat | text | {"text": words, "disable_notification": self._options.silent}
            said = await self._call("sendMessage", to, fields)
        number = said.body.get("result", {}).get("message_id")
        if message.pin:
            await self._pin(to, chat, number)
        return Receipt(message_id=str(number))

    async def verify(self, to: Recipient | None) -> str:
        """Whose token it is, or whether the bot may post in the group."""
        bot = (await self._call("getMe", to, {}, asks=True)).body["result"]
        if to is None:
            return f"@{bot.get('username')}"
        about = {"chat_id": self._chat(to)["chat_id"], "user_id": bot["id"]}
        member = (await self._call("getChatMember", to, about, asks=True)).body["result"]
        status = member.get("status")
        if status in {"left", "kicked"} or (status == "restricted" and not member.get("can_send_messages")):
            problem = f"says the bot is {status} there"
            raise self._error(to, problem, kind="permanent", remedy="add the bot and let it post")
        return f"the bot is {status} there"

    def _chat(self, to: Recipient) -> dict[str, Any]:
        address, _, topic = str(to.member or to.address or "").partition("/")
        is_id = address.removeprefix("-").isdecimal()
        if not (is_id or (address.startswith("@") and address[1:].replace("_", "").isalnum())) or (
            topic and not topic.isdecimal()
        ):
            remedy = "write its chat id, like -1001234567890, or @name, with /7 for topic 7"
            raise self._error(to, "cannot be reached: it has no such address", kind="permanent", remedy=remedy)
        chat: dict[str, Any] = {"chat_id": int(address) if is_id else address}
        return chat | ({"message_thread_id": int(topic)} if topic else {})

    def _words(self, message: Message) -> str:
        if message.format == "text":
            return without_mentions(message.text)
        from drumroll.channels.markdown import to_telegram  # noqa: PLC0415 - only where markdown is sent

        return to_telegram(message.text)

    async def _pin(self, to: Recipient, chat: dict[str, Any], number: Any) -> None:
        try:
            await self._call("pinChatMessage", to, {"chat_id": chat["chat_id"], "message_id": number}, asks=True)
        except SendError as error:
            problem = f"took message {number} and did not pin it ({error.message})"
            remedy = "pin it by hand, then resolve it as sent"
            raise self._error(to, problem, kind="ambiguous", remedy=remedy) from None

    async def _call(self, method: str, to: Recipient | None, fields: Any, *, asks: bool = False) -> Said:
        """One call of the API. `asks`: it sends no message."""
        said = await self._ask("POST", f"/bot{self._token}/{method}", to=to, body=fields, asks=asks)
        if said.body.get("ok") is True and "result" in said.body:
            return said
        if "error_code" not in said.body:
            raise self._strange(said, to, asks=asks)
        raise self._refusal(said, to, asks=asks)

    def _refusal(self, said: Said, to: Recipient | None, *, asks: bool) -> SendError:
        words, code = str(said.body.get("description", "")), said.body.get("error_code")
        more = said.body.get("parameters")
        more = more if isinstance(more, dict) else {}
        if code == 429:
            wait = sensible_wait(more.get("retry_after"))
            # Without a word on whose limit it is, the whole bot waits: Telegram blocks a bot that goes on.
            return self._error(to, "answered 429", kind="limited", words=words, retry_after=wait, remedy="it waits")
        if "migrate_to_chat_id" in more:
            remedy = f"the group became a supergroup: its address is now {more['migrate_to_chat_id']}"
            return self._error(to, f"answered {code}", kind="permanent", words=words, remedy=remedy)
        if isinstance(code, int) and code >= 500 and asks:
            return self._error(to, f"answered {code}", kind="transient", words=words, remedy="it is tried again")
        if isinstance(code, int) and code >= 500:  # "Internal Server Error": it may have been delivered
            remedy = "it may have arrived; look into the group, then resolve it"
            return self._error(to, f"answered {code}", kind="ambiguous", words=words, remedy=remedy)
        known = (remedy for start, remedy in _REMEDIES if words.lower().startswith(start))
        remedy = next(known, "see what Telegram asks for")
        return self._error(to, f"answered {code}", kind="permanent", words=words, remedy=remedy)


def _written(text: str, of: Format, *, attached: bool, everyone: bool) -> Extent:  # noqa: ARG001 - nobody is mentioned
    if of == "markdown":
        from drumroll.channels.markdown import to_words  # noqa: PLC0415 - only where markdown is sent

        text = to_words(text)
    most = _MOST_CAPTION if attached else _MOST_CHARS
    return Extent(utf16_length(without_mentions(text)), most, "characters", " with what keeps @names from mentioning")


def _form(fields: dict[str, Any], part: str, file: Attachment) -> Any:
    said = {name: value if isinstance(value, str) else json.dumps(value) for name, value in fields.items()}
    return file_form({part: file}, said)
