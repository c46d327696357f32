"""A mail server on loopback (aiosmtpd), with the replies that RFC 5321 and large providers document.

The session of RFC 5321, D.1:  C: EHLO bar.com  S: 250…  C: MAIL FROM:<Smith@bar.com>  S: 250 OK
C: RCPT TO:<Green@foo.com>  S: 550 No such user here  C: DATA  S: 354 …  C: .  S: 250 OK  C: QUIT  S: 221 …
Gmail (support.google.com/a/answer/3726730): "450 4.2.1 The user you are trying to contact is receiving mail too
quickly", "550 5.4.5 Daily user sending limit exceeded", "535 5.7.8 Username and Password not accepted". Amazon SES
(docs.aws.amazon.com/ses/latest/dg/smtp-response-codes.html): "421 Too many concurrent SMTP connections",
"454 Throttling failure: Maximum sending rate exceeded".
"""

import asyncio
import contextlib
import ipaddress
import logging
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Self

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from tests.doubles.double import Double

logging.getLogger("mail.log").setLevel(logging.CRITICAL)  # aiosmtpd's, which tests are not to take for ours


class SmtpDouble(Double):
    """`seen` has text, member, to, subject, html, files, mail (all of it, parsed) of each mail that was taken.

    Addresses in `unknown` are refused. `lists` are groups; every other address is a member, named by its local part.
    Words of the script are those of `Double` that make sense here, met when a mail is complete, and

        mail:REPLY, rcpt:REPLY, data:REPLY, end:REPLY   answer that command so; `end` is the mail's final dot
        data:drop                                       break the connection off instead of the 354
    """

    def __init__(
        self,
        *,
        login: tuple[str, str] | None = None,
        lists: Sequence[str] = ("list@example.org",),
        unknown: Sequence[str] = ("gone@example.org",),
        size: int = 33554432,
        smtputf8: bool = False,
        greeting: str | None = None,
        starttls: ssl.SSLContext | None = None,
        tls: ssl.SSLContext | None = None,
        **more: Any,
    ) -> None:
        super().__init__(**more)
        self.login, self.lists, self.unknown, self.greeting = login, set(lists), set(unknown), greeting
        self.size, self.smtputf8, self.starttls, self.tls = size, smtputf8, starttls, tls
        self.connections = 0
        self.most_at_once = 0
        self.options: list[str] = []
        self.lines: set[_Line] = set()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Line(self, loop), "127.0.0.1", 0, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing.set()
        self._server.close()
        self.hang_up()
        await self._server.wait_closed()

    def hang_up(self) -> None:
        """Break every connection off."""
        for line in list(self.lines):
            if line.transport is not None:
                line.transport.abort()

    def word(self) -> str:
        return self.script[self.requests] if self.requests < len(self.script) else self.then

    def reply_at(self, stage: str) -> str | None:
        name, _, reply = self.word().partition(":")
        return reply if name == stage else None

    # What aiosmtpd asks: a reply, or None for its own.

    async def handle_MAIL(self, server: Any, session: Session, envelope: Envelope, address: str, options: list[str]):
        self.options = options
        if self.login is not None and not session.authenticated:
            return "530 5.7.0 Authentication Required"
        if (reply := self.reply_at("mail")) is not None:
            return reply
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server: Any, session: Session, envelope: Envelope, address: str, options: list[str]):
        if (reply := self.reply_at("rcpt")) is not None:
            return reply
        if address in self.unknown:
            return "550 5.1.1 No such user here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: "_Line", session: Session, envelope: Envelope) -> str:
        word = self.word()
        self.requests += 1
        if word.startswith("then-"):
            self._take(envelope)
            word = word.removeprefix("then-")
        elif word == "accept":
            self._take(envelope)
        name, _, value = word.partition(":")
        if name == "slow":
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), float(value))
        if name == "drop" and server.transport is not None:
            server.transport.abort()
        return value if name == "end" else "250 2.0.0 OK"

    def _take(self, envelope: Envelope) -> None:
        mail = message_from_bytes(envelope.content or b"", policy=policy.default)
        assert isinstance(mail, EmailMessage)
        to = envelope.rcpt_tos[0]
        self.show(
            _part(mail, "plain") or "",
            member=None if to in self.lists else to.partition("@")[0],
            to=to,
            sender=envelope.mail_from,
            subject=mail["Subject"],
            html=_part(mail, "html"),
            files={part.get_filename(): part.get_content() for part in mail.iter_attachments()},
            mail=mail,
            raw=envelope.content,
        )


class _Line(SMTP):
    """One connection."""

    def __init__(self, double: SmtpDouble, loop: asyncio.AbstractEventLoop) -> None:
        self._double = double
        super().__init__(
            double,
            loop=loop,
            hostname="mx.example.org",
            ident="ESMTP",
            data_size_limit=double.size,
            enable_SMTPUTF8=double.smtputf8,
            tls_context=double.starttls,
            auth_require_tls=double.login is None,  # where that is not met, AUTH is not even offered
            authenticator=self._is_known,
        )

    def connection_made(self, transport: Any) -> None:
        self._double.lines.add(self)
        self._double.connections += 1
        self._double.most_at_once = max(self._double.most_at_once, len(self._double.lines))
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._double.lines.discard(self)
        super().connection_lost(error)

    async def _handle_client(self) -> None:
        if self._double.greeting is None:
            await super()._handle_client()
            return
        if self._double.greeting == "silence":
            await self._double._closing.wait()
        else:
            await self.push(self._double.greeting)
        if self.transport is not None:
            self.transport.close()

    async def smtp_DATA(self, arg: str) -> None:
        reply = self._double.reply_at("data")
        if reply is None:
            await super().smtp_DATA(arg)
        elif reply == "drop" and self.transport is not None:
            self.transport.abort()
        else:
            await self.push(reply)

    def _is_known(self, server: Any, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        given = (data.login.decode(), data.password.decode())
        if given == self._double.login:
            return AuthResult(success=True)
        # Some servers quote what they were given.
        refusal = f"535 5.7.8 Username and Password not accepted: {given[1]}"
        return AuthResult(success=False, handled=False, message=refusal)


def _part(mail: EmailMessage, subtype: str) -> str | None:
    body = mail.get_body((subtype,))
    # A mail's text always ends in a line break, which readers do not show.
    return None if body is None else body.get_content().replace("\r\n", "\n").removesuffix("\n")


def certificate(folder: Path, *names: str) -> tuple[ssl.SSLContext, Path]:
    """A server's context with a certificate for `names`, and the file that makes clients trust it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    now = datetime.now(UTC)
    alternatives = [x509.IPAddress(ipaddress.ip_address(each)) for each in names]
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    chain, private = folder / "cert.pem", folder / "key.pem"
    chain.write_bytes(signed.public_bytes(pem))
    private.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, private)
    return context, chain
