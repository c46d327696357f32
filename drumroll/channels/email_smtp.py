"""E-mail, through a mail server of the operator's. Sources: RFC 5321 (SMTP), 5322 (headers), 6409 (port 587)."""

import base64
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from drumroll.capability import Capability, Rate
from drumroll.channels.base import Channel, ChannelContext, Message, Receipt, Recipient, SendError
from drumroll.channels.credentials import VariableName, credential, fingerprint
from drumroll.channels.email_letter import letter, mailbox, message_id, sender_of
from drumroll.channels.reach import Reach, is_loopback
from drumroll.channels.smtp_answer import Failure, Security, failure_error
from drumroll.channels.text import check_can
from drumroll.errors import DrumrollError
from drumroll.launchfile.fields import AS_STRETCH, Duration, Part, Text

if TYPE_CHECKING:
    from drumroll.channels.smtp_line import MailServer

_MEGABYTE = 1024 * 1024
# Gmail shows the first 102 KB of a mail and hides the rest behind a link: nothing of a text is to be cut.
_MOST_TEXT = 100_000


def _host(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9.:-]{0,252})", name):
        raise ValueError("is no host name; write it alone, like smtp.example.org")
    return name


def _sender(text: str) -> str:
    sender_of(text)
    return text


def _way_out(address: str) -> str:
    if not re.fullmatch(r"(?:https?://|mailto:)[!-;=?-~]{1,800}", address):
        raise ValueError("write an address to leave the list at, like https://example.org/leave or mailto:…")
    return address


class EmailChannel(Channel):
    """Mail to a group's one address (`list@example.org`), or to a member whose id is an e-mail address.

    Markdown is sent as text with HTML beside it. The Message-ID is derived from the message's key, so that many lists
    and mailboxes drop a second copy; SMTP itself promises nothing of the kind, and a mail whose last answer was lost
    may have arrived. What bounces later comes back to `from`, unseen by this channel.
    """

    class Options(Part):
        """Which server, and who writes."""

        # Pydantic would quote a wrong value, which may be a secret pasted into the wrong place.
        model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

        host: Annotated[str, AfterValidator(_host)] = Field(description="The mail server's name.")
        port: int = Field(default=587, ge=1, le=65535, description="Its port; often 587, or 465 with `security: tls`.")
        security: Security = Field(
            default="starttls", description="How the connection is encrypted: starttls, tls from the start, or none."
        )
        user_env: VariableName | None = Field(default=None, description="Environment variable with the user name.")
        password_env: VariableName | None = Field(default=None, description="Environment variable with the password.")
        sender: Annotated[str, AfterValidator(_sender)] = Field(
            alias="from", description='Who writes, like "Reading Club <news@example.org>".'
        )
        reply_to: Annotated[str, AfterValidator(_sender)] | None = Field(
            default=None, description="Where answers go, where not to `from`."
        )
        subject: Text | None = Field(default=None, description="Subject of every mail; else a text's first line.")
        list_unsubscribe: Annotated[str, AfterValidator(_way_out)] | None = Field(
            default=None, description="Web or mailto address to leave the list at (List-Unsubscribe, RFC 2369)."
        )
        timeout: Duration = Field(
            default=timedelta(seconds=30),
            gt=timedelta(0),
            le=timedelta(minutes=10),
            description="Longest time that one mail may take, up to 10m.",
            json_schema_extra=AS_STRETCH,
        )
        concurrency: int = Field(default=4, ge=1, le=100, description="Most connections at once.")
        per_minute: int | None = Field(default=None, gt=0, description="Most mails the server takes in 60 s.")
        daily_cap: int | None = Field(default=None, gt=0, description="Most mails one group may get on a local day.")

        @model_validator(mode="after")
        def _whole_login(self) -> Self:
            if (self.user_env is None) != (self.password_env is None):
                raise ValueError("a login needs both user_env and password_env")
            if self.user_env is not None and self.security == "none" and not is_loopback(self.host):
                raise ValueError("a password must not travel unencrypted; write `security: starttls` or `tls`")
            return self

    @staticmethod
    def capability_for(options: Options) -> Capability:
        """Texts of 100 kB (Gmail cuts off what is longer), ten attachments of 10 MB if the server takes as much."""
        return Capability(
            max_bytes=_MOST_TEXT,
            formats=frozenset({"text", "markdown"}),
            attachments=10,
            attachment_bytes=10 * _MEGABYTE,
            direct=True,
            timeout=options.timeout.total_seconds(),
            concurrency=options.concurrency,
            rates=() if options.per_minute is None else (Rate(options.per_minute),),
            daily_cap=options.daily_cap,
        )

    def __init__(self, name: str, options: Options, context: ChannelContext) -> None:
        self.name = name
        self.capability = self.capability_for(options)
        self._options = options
        self._context = context
        self._from = sender_of(options.sender)
        self._reply_to = sender_of(options.reply_to) if options.reply_to else None
        self._server: MailServer | None = None
        self._secrets: tuple[str, ...] = ()
        self._user = ""

    async def open(self) -> None:
        """Read the login; connections are made when mails are sent. DrumrollError naming what is missing."""
        if self._server is not None:
            return
        from drumroll.channels.smtp_line import MailServer  # noqa: PLC0415 - slow to load; `check` never opens

        options, login = self._options, None
        if options.user_env is not None and options.password_env is not None:
            self._user, password = self._read(options.user_env), self._read(options.password_env)
            login = (self._user, password)
            self._secrets = _forms_of(self._user, password)
        self._server = MailServer(
            options.host,
            options.port,
            security=options.security,
            login=login,
            greeting=self._from.domain,
            concurrency=options.concurrency,
            timeout=self.capability.timeout,
            reach=Reach.of(self._context.environ),
        )

    async def send(self, message: Message) -> Receipt:
        """One mail with all that belongs to it; its receipt carries the Message-ID. Raises SendError."""
        check_can(message, self.capability, name=self.name)
        to = message.recipient
        address = self._address(to)
        try:
            number = message_id(message.key, self._from)
        except ValueError as error:
            raise SendError(f"{self._who(to)} cannot take it: {error}", kind="permanent") from None
        options = self._options
        mail = letter(
            message,
            sender=self._from,
            to=address,
            subject=options.subject,
            reply_to=self._reply_to,
            unsubscribe=options.list_unsubscribe,
        )
        self._checked(await self._opened(to).deliver(self._from.addr_spec, address, mail), to)
        return Receipt(message_id=number)

    async def look_up(self, key: str, to: Recipient) -> Receipt | None:  # noqa: ARG002 - asked like every kind
        """Raises DrumrollError: a mail server keeps no record that one could ask."""
        raise DrumrollError(f'channel "{self.name}": a mail server cannot say whether {key} arrived')

    async def verify(self, to: Recipient | None) -> str:
        """Whether the server lets us in, or takes mail for the group's address; nothing is sent."""
        server = self._opened(to)
        if to is None:
            return self._checked(await server.greet(), None)
        return self._checked(await server.takes(self._from.addr_spec, self._address(to)), to)

    def bucket(self, to: Recipient) -> str:  # noqa: ARG002 - one login for every group
        """The login pays, or without one the sender."""
        return f"email:{fingerprint(self._options.host.lower(), self._user or self._from.addr_spec)}"

    async def close(self) -> None:
        """End the connections."""
        server, self._server = self._server, None
        if server is not None:
            await server.close()

    def _read(self, variable: str) -> str:
        return credential(self._context, variable, _one_line, where=f'channel "{self.name}"')

    def _opened(self, to: Recipient | None) -> "MailServer":
        if self._server is None:
            raise SendError(f"{self._who(to)} is not open", kind="permanent")
        return self._server

    def _address(self, to: Recipient) -> str:
        try:
            return mailbox(str(to.member or to.address or ""))
        except ValueError as error:
            whose = f"the member's id {error}" if to.member else f"its address {error}"
            raise SendError(f"{self._who(to)} cannot take it: {whose}", kind="permanent") from None

    def _checked(self, outcome: str | Failure, to: Recipient | None) -> str:
        if isinstance(outcome, Failure):
            # Servers quote the address they refuse, and a member's is nobody's business.
            private = (to.member,) if to is not None and to.member else ()
            secrets = (*self._secrets, *private)
            raise failure_error(outcome, who=self._who(to), timeout=self.capability.timeout, secrets=secrets)
        return outcome

    def _who(self, to: Recipient | None) -> str:
        """Channel, group and server, as every error begins."""
        server = f"{self._options.host}:{self._options.port}"
        return f'channel "{self.name}": ' + (f'group "{to.group_name}": ' if to else "") + server


def _one_line(value: str) -> str:
    value = value.strip("\r\n")
    if not value or not value.isprintable():
        raise ValueError("has characters that no login has")
    return value


def _forms_of(user: str, password: str) -> tuple[str, ...]:
    """All that a server might quote of a login: its words, and how AUTH writes them (RFC 4616)."""
    plain = (user, password, f"\0{user}\0{password}")
    forms = (user, password, *(base64.b64encode(each.encode()).decode() for each in plain))
    return tuple(form for form in forms if len(form) >= 4)
