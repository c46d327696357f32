"""A few connections to one mail server, each used for many mails. Imports aiosmtplib: load it when a channel opens."""

import asyncio
import contextlib
import re
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aiosmtplib

from drumroll.channels.reach import Reach
from drumroll.channels.smtp_answer import Failure, Security, Stage

_PARTING = 1.0  # seconds for a polite end


@dataclass(slots=True)
class _Progress:
    stage: Stage = "queue"


class _FailureError(Exception):
    def __init__(self, failure: Failure) -> None:
        super().__init__()
        self.failure = failure


_Work = Callable[[aiosmtplib.SMTP, _Progress], Awaitable[str]]


class MailServer:
    """Sends with at most `concurrency` connections, each mail within `timeout` seconds, waiting for one included.

    `login` is user name and password; `greeting` is the name we greet with. `reach` says which addresses may be called.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        security: Security,
        login: tuple[str, str] | None,
        greeting: str,
        concurrency: int,
        timeout: float,
        reach: Reach,
    ) -> None:
        self._host, self._port, self._security = host, port, security
        self._login, self._greeting = login, greeting
        self._timeout, self._reach = timeout, reach
        self._places = asyncio.Semaphore(concurrency)
        self._idle: list[aiosmtplib.SMTP] = []
        self._tls = None if security == "none" else ssl.create_default_context()

    async def deliver(self, sender: str, to: str, letter: bytes) -> str | Failure:
        """Hand one mail over; the server's word that it took it, or how it did not."""

        async def work(client: aiosmtplib.SMTP, at: _Progress) -> str:
            await self._address(client, at, sender, to, size=len(letter))
            at.stage = "data"
            start = await client.execute_command(b"DATA")
            if start.code != 354 or client.protocol is None:
                raise aiosmtplib.SMTPDataError(start.code, start.message)
            client.protocol.write(re.sub(rb"(?m)^\.", b"..", letter) + b".\r\n")
            at.stage = "end"
            answer = await client.protocol.read_response(timeout=self._timeout)
            if answer.code == 421:
                client.close()
            if answer.code != 250:
                raise aiosmtplib.SMTPDataError(answer.code, answer.message)
            return answer.message

        return await self._with_connection(work)

    async def greet(self) -> str | Failure:
        """Connect, encrypt, log in, and nothing more: in a few words what was found."""

        async def work(client: aiosmtplib.SMTP, _: _Progress) -> str:
            await client.noop()
            most = _most(client)
            return "it lets us in" + (f", and takes mails of up to {most / 2**20:.0f} MB" if most else "")

        return await self._with_connection(work)

    async def takes(self, sender: str, to: str) -> str | Failure:
        """Ask for an address without sending anything."""

        async def work(client: aiosmtplib.SMTP, at: _Progress) -> str:
            await self._address(client, at, sender, to, size=0)
            return "the server takes mail for it"

        return await self._with_connection(work)

    async def close(self) -> None:
        """End the connections."""
        idle, self._idle = self._idle, []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PARTING):
                await asyncio.gather(*(client.quit() for client in idle), return_exceptions=True)
        for client in idle:
            client.close()

    async def _with_connection(self, work: _Work) -> str | Failure:
        """What `work` returns, or how it failed: as a value, for the library's own errors quote what was said."""
        at = _Progress()
        try:
            async with asyncio.timeout(self._timeout), self._places:
                client = await self._connected(at)
                try:
                    return await work(client, at)
                except aiosmtplib.SMTPResponseException as error:
                    if error.code < 0:
                        client.close()
                    raise
                except BaseException:
                    client.close()
                    raise
                finally:
                    if client.is_connected:
                        self._idle.append(client)
        except _FailureError as error:
            return error.failure
        except aiosmtplib.SMTPResponseException as error:
            return Failure(at.stage, code=error.code, words=error.message)
        except TimeoutError:
            return Failure(at.stage, late=True)
        except (aiosmtplib.SMTPException, OSError) as error:
            return _broken(at.stage, error)

    async def _connected(self, at: _Progress) -> aiosmtplib.SMTP:
        while self._idle:
            client = self._idle.pop()
            try:
                # Servers close idle connections; what is asked here is asked before there is anything to lose.
                await client.rset()
            except (aiosmtplib.SMTPException, OSError):
                client.close()
            except BaseException:
                client.close()
                raise
            else:
                return client
        at.stage = "connect"
        client = aiosmtplib.SMTP(
            hostname=self._host,
            sock=await self._socket(),
            local_hostname=self._greeting,
            use_tls=self._security == "tls",
            start_tls=False,
            tls_context=self._tls,
            timeout=self._timeout,
        )
        try:
            await client.connect()
            if self._security == "starttls":
                at.stage = "tls"
                await self._encrypt(client)
            if self._login is not None:
                at.stage = "login"
                await self._log_in(client, *self._login)
        except BaseException:
            client.close()
            raise
        return client

    async def _socket(self) -> socket.socket:
        """Connected to one of the host's addresses: what was checked is what is connected to."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        allowed = [each for each in found if self._reach.allows(self._host, str(each[4][0]))]
        if not allowed:
            raise _FailureError(Failure("connect", refused=True))
        for family, kind, protocol, _, address in allowed:
            connection = socket.socket(family, kind, protocol)
            connection.settimeout(0)
            try:
                await loop.sock_connect(connection, address)
            except OSError:
                connection.close()
            except BaseException:
                connection.close()
                raise
            else:
                return connection
        raise ConnectionError

    async def _encrypt(self, client: aiosmtplib.SMTP) -> None:
        await client.ehlo()
        if not client.supports_extension("starttls"):
            remedy = "write the `port` it has for that, or `security: tls` (often port 465)"
            raise _FailureError(Failure("tls", lacking=f"does not encrypt on this port; {remedy}"))
        await client.starttls()

    async def _log_in(self, client: aiosmtplib.SMTP, user: str, password: str) -> None:
        if client.is_ehlo_or_helo_needed:
            await client.ehlo()
        if not client.supported_auth_methods:
            remedy = "leave `user_env` and `password_env` out, or correct `port` and `security`"
            raise _FailureError(Failure("login", lacking=f"knows no way to log in that we know; {remedy}"))
        await client.login(user, password)

    async def _address(self, client: aiosmtplib.SMTP, at: _Progress, sender: str, to: str, *, size: int) -> None:
        if client.is_ehlo_or_helo_needed:
            await client.ehlo()
        most, options = _most(client), []
        if most and size > most:
            remedy = "shorten the text or make the attachments smaller"
            what = f"takes mails of up to {most:,} bytes, and this one has {size:,}; {remedy}"
            raise _FailureError(Failure("sender", lacking=what))
        if not to.isascii():
            if not client.supports_extension("smtputf8"):
                remedy = "write its domain as xn--…, or give an address in ASCII"
                what = f"takes no addresses beyond ASCII (SMTPUTF8); {remedy}"
                raise _FailureError(Failure("recipient", lacking=what))
            options.append("SMTPUTF8")
        if client.supports_extension("size"):
            options.append(f"SIZE={size}")
        at.stage = "sender"
        await client.mail(sender, options=options)
        at.stage = "recipient"
        await client.rcpt(to, encoding="utf-8")


def _most(client: aiosmtplib.SMTP) -> int:
    """Most bytes of a mail (RFC 1870); 0 where the server does not say."""
    size = client.esmtp_extensions.get("size", "").strip()
    return int(size) if size.isdecimal() and len(size) < 20 else 0


def _broken(stage: Stage, error: Exception) -> Failure:
    cause = error if isinstance(error, ssl.SSLError) else error.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return Failure(stage, mistrusted=True)
    if isinstance(cause, ssl.SSLError):
        remedy = "try `security: starttls` where it is `tls`, or the other way round"
        return Failure(stage, lacking=f"does not encrypt as expected; {remedy}")
    return Failure(stage)
