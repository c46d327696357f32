"""Discord channels, through webhooks. Source: docs.discord.com/developers: resources/webhook, topics/rate-limits,
reference ("Uploading Files", "Message Formatting").
"""

import json
import re
import time
from datetime import UTC, datetime
from typing import Any

from pydantic import Field

from drumroll.capability import Capability, Extent, Format
from drumroll.channels.answer import retry_after_seconds, sensible_wait
from drumroll.channels.base import Message, Receipt, Recipient, SendError
from drumroll.channels.credentials import VariableName, by_address, fingerprint, remedy_for_address
from drumroll.channels.file_form import file_form, sent_name
from drumroll.channels.platform import PlatformChannel, PlatformOptions, Said
from drumroll.channels.text import check_can
from drumroll.channels.web_address import host_of, pieces

_MEGABYTE = 1024 * 1024
_MOST_CHARS = 2000
_MOST_AT_ONCE = 25 * _MEGABYTE  # of one request (resources/message, "Create Message")
_EVERYONE = "@everyone\n"
_SUPPRESS_EMBEDS = 1 << 2
# Other names of clients "may be blocked" (reference, "User Agent").
_CLIENT = {"User-Agent": "DiscordBot (drumroll, 1)"}
_HOSTS = frozenset({"discord.com", "discordapp.com"})
_WEBHOOK = re.compile(r"https?://[^/]+(?:/api(?:/v\d+)?)?/webhooks/(\d+/[\w-]+)", re.ASCII)
# What starts markup anywhere, emoji names like :tada:, and what starts it at the beginning of a line. A backslash shows
# any of it as it is.
_MARKUP = re.compile(
    r"[\\*_`<\[]|~(?=~)|\|(?=\|)|:(?=[\w+-]+:)|^(?P<lead>[ \t]*)(?:[>#+-]|(?P<number>\d+)\.(?=\s))",
    re.MULTILINE | re.ASCII,
)
_REMEDIES = {  # Discord's own codes (topics/opcodes-and-status-codes, "JSON Error Codes") → what helps
    10003: "the thread is gone or of another channel; correct the part behind the / of the address",
    10015: "the webhook was deleted; make a new one and put its URL into {variable}",
    40005: "make the attachment smaller",
    50006: "the text shows nothing; write some",
    50027: "the webhook's token is not valid; copy its URL again and put it into {variable}",
    50083: "the thread is archived; open it again",
    160005: "the thread is locked; unlock it",
    220001: "it is a forum; put a thread behind a / of the address",
}


class DiscordChannel(PlatformChannel):
    """A webhook's messages, one webhook a Discord channel. With several, a group's address names its webhook.

    A lone webhook serves groups without an address. `/123` behind it, or alone, is thread 123 of the channel. In
    `format: text` nothing is markup, and nobody is ever mentioned unless a step asks for @everyone. Discord takes no
    key from webhooks: a lost answer leaves it open whether a message arrived.
    """

    title = "Discord"
    host = "https://discord.com/api/v10"

    class Options(PlatformOptions):
        """Which webhooks."""

        webhooks_env: VariableName = Field(
            description=(
                "Environment variable that holds a webhook's URL, for a group without an `address` (or with a /thread "
                "alone); for several groups, a JSON object of URLs by the groups' `address`."
            )
        )
        silent: bool = Field(default=False, description="Send without a sound.")

    @staticmethod
    def capability_for(options: Options) -> Capability:
        """No rates: Discord forbids to hard-code them; what its answers say is kept to."""
        return Capability(
            max_chars=_MOST_CHARS,
            written=_written,
            formats=frozenset({"text", "markdown"}),
            attachments=10,
            attachment_bytes=20 * _MEGABYTE,
            mention_all=True,
            message_ids=True,
            timeout=options.timeout.total_seconds(),
            concurrency=options.concurrency,
            daily_cap=options.daily_cap,
        )

    def _read_credentials(self) -> tuple[str, ...]:
        hosts = _HOSTS | ({host_of(self._options.api)} if self._options.api else set())
        self._webhooks = self._credential(self._options.webhooks_env, lambda value: _webhooks(value, hosts))
        self._rested: dict[str, float] = {}
        return tuple(part for path in self._webhooks.values() for part in (path, path.partition("/")[2]))

    def bucket(self, to: Recipient) -> str:
        """Each webhook pays for itself."""
        return f"discord:{fingerprint(self._webhooks.get(_address(to)[0], ''))}"

    async def send(self, message: Message) -> Receipt:
        """One message with its files. Raises SendError; `limited` before asking while its webhook has to rest."""
        check_can(message, self.capability, name=self.name)
        to = message.recipient
        webhook, thread = self._way(to)
        fields = self._fields(message)
        rest = self._rested.get(webhook, 0.0) - time.monotonic()
        if rest > 0:
            raise self._error(to, "lets this webhook rest", kind="limited", retry_after=rest, remedy="it waits")
        path = f"/webhooks/{webhook}?wait=true" + (f"&thread_id={thread}" if thread else "")
        body = _form(fields, message) if message.attachments else fields
        said = await self._ask("POST", path, to=to, body=body, headers=_CLIENT)
        self._note_rest(webhook, said)
        if not (200 <= said.status < 300 and "id" in said.body):
            raise self._refusal(said, to)
        return Receipt(message_id=str(said.body["id"]))

    async def verify(self, to: Recipient | None) -> str:
        """The name of the group's webhook, or how many webhooks there are and that all of them still exist."""
        if to is None:
            for address in self._webhooks:
                name = address or "the lone webhook"
                await self._look(Recipient(name, name, address))
            return f"{len(self._webhooks)} webhooks" if len(self._webhooks) > 1 else "one webhook"
        return f'webhook "{await self._look(to)}"'

    async def _look(self, to: Recipient) -> str:
        said = await self._ask("GET", f"/webhooks/{self._way(to)[0]}", to=to, headers=_CLIENT, asks=True)
        if not (said.status == 200 and "id" in said.body):
            raise self._refusal(said, to, asks=True)
        return str(said.body.get("name"))

    def _way(self, to: Recipient) -> tuple[str, str]:
        """ID and token of the webhook, and the thread or nothing."""
        address, thread = _address(to)
        webhook = self._webhooks.get(address)
        if to.member:
            remedy = "send the step to the group, or put the group on a channel that reaches single members"
            raise self._error(to, "cannot reach a single member", kind="permanent", remedy=remedy)
        if webhook is None:
            remedy = remedy_for_address(self._webhooks, self._options.webhooks_env, "webhook")
            raise self._error(to, "has no webhook for it", kind="permanent", remedy=f"{remedy}, with /123 for a thread")
        if thread and not thread.isdecimal():
            remedy = "write the thread's number behind the /, like main/123"
            raise self._error(to, "cannot be reached: it has no such thread", kind="permanent", remedy=remedy)
        return webhook, thread

    def _fields(self, message: Message) -> dict[str, Any]:
        if sum(len(file.content) for file in message.attachments) > _MOST_AT_ONCE - _MEGABYTE:
            problem = f'takes 24 MiB at once and step "{message.step}" attaches more'
            raise self._error(message.recipient, problem, kind="permanent", remedy="make the attachments smaller")
        return {
            "content": _words(message.text, message.format, everyone=message.mention_all),
            "allowed_mentions": {"parse": ["everyone"] if message.mention_all else []},
            "flags": _SUPPRESS_EMBEDS | (1 << 12 if self._options.silent else 0),
        }

    def _note_rest(self, webhook: str, said: Said) -> None:
        """Remember how long a used-up webhook rests, as the headers of every answer say."""
        if said.headers.get("x-ratelimit-remaining") == "0":
            after = retry_after_seconds(said.headers.get("x-ratelimit-reset-after"), now=datetime.now(UTC))
            self._rested[webhook] = time.monotonic() + (after or 0.0)

    def _refusal(self, said: Said, to: Recipient, *, asks: bool = False) -> SendError:
        code, words = said.body.get("code"), _why(said.body)
        if said.status == 429:  # without JSON it is Cloudflare's, for the whole machine
            wait = sensible_wait(said.body.get("retry_after"))
            wait = retry_after_seconds(said.retry_after, now=datetime.now(UTC)) if wait is None else wait
            return self._error(to, "answered 429", kind="limited", words=words, retry_after=wait, remedy="it waits")
        if "message" not in said.body or said.status >= 500:
            return self._strange(said, to, asks=asks)
        remedy = _REMEDIES.get(code, "see what Discord asks for") if isinstance(code, int) else "see what it asks for"
        remedy = remedy.format(variable=self._options.webhooks_env)
        return self._error(to, f"answered {said.status}, {code}", kind="permanent", words=words, remedy=remedy)


def _address(to: Recipient) -> tuple[str | None, str]:
    address, _, thread = (to.address or "").partition("/")
    return address or None, thread


def _webhooks(value: str, hosts: frozenset[str]) -> dict[str | None, str]:
    """`id/token` of each webhook by its address, None where there is only one. ValueError, quoting nothing."""

    def path_of(url: Any) -> str:
        match = _WEBHOOK.fullmatch(str(url).rstrip("/"))
        if match is None or host_of(str(url)) not in hosts:
            raise ValueError("holds a URL that is none of a webhook; copy it from the channel's settings")
        return match.group(1)

    found = by_address(value, path_of, shape='{"group address": "webhook URL", …}')
    if any("/" in (address or "") for address in found):
        raise ValueError("has a / in an address; threads are for the groups in the launch file")
    return found


def _written(text: str, of: Format, *, attached: bool, everyone: bool) -> Extent:  # noqa: ARG001 - asked like every kind
    # Discord counts code points (discord/discord-api-docs#1315).
    return Extent(len(_words(text, of, everyone=everyone)), _MOST_CHARS, "characters", " with its escapes and mentions")


def _words(text: str, of: Format, *, everyone: bool) -> str:
    return (_EVERYONE if everyone else "") + (_literal(text) if of == "text" else _marked(text))


def _marked(text: str) -> str:
    from drumroll.channels.markdown import Markup  # noqa: PLC0415 - only where markdown is sent

    text = Markup(
        marks={
            "strong": ("**", "**"),
            "em": ("*", "*"),
            "s": ("~~", "~~"),
            "code": ("``", "``"),
            "pre": ("```\n", "\n```"),
            "quote": (_QUOTE, _UNQUOTE),
        },
        link=_link,
        plain=_literal,
        # Nothing is escaped inside of code: backticks are kept apart from each other and from those around it.
        verbatim=lambda words: re.sub("^(?=`)|(?<=`)(?=`)|(?<=`)$", "\u200b", words),
    ).write(text)
    while _QUOTED.search(text):  # one in another comes first
        text = _QUOTED.sub(_quoted, text)
    return text.strip("\n")


# Discord marks every line of a quotation, which is only known when all of them are written. Nobody can write these.
_QUOTE, _UNQUOTE = "\ufdd0", "\ufdd1"
_QUOTED = re.compile(f"{_QUOTE}([^{_QUOTE}{_UNQUOTE}]*){_UNQUOTE}")


def _quoted(found: re.Match[str]) -> str:
    return re.sub("^", "> ", found[1].rstrip("\n"), flags=re.MULTILINE) + "\n"


def _link(href: str, inner: str) -> str:
    """A masked link. Discord shows one that masks another address raw, so both addresses are written out."""
    if inner == f"<{href}>":
        return inner
    return f"{inner} (<{href}>)" if "<http" in inner else f"[{inner}](<{href}>)"


def _literal(text: str) -> str:
    """`text` showing as it is; what is an address stays one, and ends where it ends."""
    return "".join(f"<{piece}>" if is_link else _MARKUP.sub(_escape, piece) for piece, is_link in pieces(text))


def _escape(found: re.Match[str]) -> str:
    lead, number = found["lead"] or "", found["number"]
    return f"{lead}{number}\\." if number else f"{lead}\\{found.group()[len(lead) :]}"


def _why(body: Any) -> str:
    """Discord's message, and the first complaint deep inside of an "Invalid Form Body"."""
    words, errors = str(body.get("message", "")), body.get("errors")
    while isinstance(errors, dict) and errors:
        name, errors = next(iter(errors.items()))
        if name == "_errors" and isinstance(errors, list) and errors and isinstance(errors[0], dict):
            return f"{words}: {errors[0].get('message', '')}"
    return words


def _form(fields: dict[str, Any], message: Message) -> Any:
    names = [{"id": number, "filename": sent_name(file.name)} for number, file in enumerate(message.attachments)]
    whole = json.dumps(fields | {"attachments": names}, ensure_ascii=False)
    return file_form(
        {f"files[{number}]": file for number, file in enumerate(message.attachments)}, {"payload_json": whole}
    )
