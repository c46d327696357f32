"""One pool of connections that sends bytes and says what came back. Imports aiohttp: load it when a channel opens."""

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from drumroll.channels.answer import Answer, Broken
from drumroll.channels.reach import Reach

_MOST_READ = 256 * 1024
# A receiver that closes an idle connection just as we write turns that send doubtful. Five seconds is a common
# patience of receivers (Node, uvicorn), so we let go sooner.
_KEEP_IDLE = 2.0
_MOST_KEPT = 1000  # addresses, parsed and allowed


@dataclass(slots=True)
class _Progress:
    connected: bool = False


_under_way: ContextVar[_Progress] = ContextVar("_under_way")


class _Connector(aiohttp.TCPConnector):
    """Notes when a request has its connection: aiohttp's own traces say so too, at a tenth of its speed."""

    async def connect(self, *args: Any, **kwargs: Any) -> Any:
        connection = await super().connect(*args, **kwargs)
        _under_way.get().connected = True
        return connection


class _RefusedError(OSError):
    """A name that leads where we do not go."""


class _Resolver(AbstractResolver):
    """Looks names up and hands out only addresses that may be called: what was checked is what is connected to."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._names = ThreadedResolver()

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
        found = await self._names.resolve(host, port, family)
        allowed = [each for each in found if self._reach.allows(host, each["host"])]
        if found and not allowed:
            raise _RefusedError(f"{host} leads to a private address")
        return allowed

    async def close(self) -> None:
        await self._names.close()


class Poster:
    """Sends with at most `concurrency` requests under way, each for at most `timeout` seconds. Follows no redirects.

    `reach` says which addresses may be called.
    """

    def __init__(self, *, concurrency: int, timeout: float, reach: Reach) -> None:
        self._reach = reach
        self._addresses: dict[str, URL] = {}
        self._session = aiohttp.ClientSession(
            connector=_Connector(
                limit=concurrency, keepalive_timeout=_KEEP_IDLE, resolver=_Resolver(reach), use_dns_cache=True
            ),
            timeout=aiohttp.ClientTimeout(total=timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            # Nothing to unpack: a small answer cannot grow into a large one.
            headers={"User-Agent": "drumroll", "Accept-Encoding": "identity"},
            auto_decompress=False,
        )

    async def post(self, url: str, body: Any, headers: Mapping[str, str]) -> Answer | Broken:
        """`request` with POST."""
        return await self.request("POST", url, body, headers)

    async def request(
        self, method: str, url: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer | Broken:
        """The answer, or how it failed: as a value, for aiohttp's own errors quote the address.

        `body` is bytes, or an `aiohttp.FormData` with files in it.
        """
        address = self._addresses.get(url)
        if address is None:
            try:
                address = URL(url)
            except ValueError:
                return Broken(connected=False)
            # As it is connected to: there 127。0。0。1 has its dots, and what is before the @ is gone.
            host = address.raw_host or ""
            if address.scheme not in {"http", "https"} or not self._reach.allows(host, host):
                return Broken(connected=False, refused=True)
            if len(self._addresses) >= _MOST_KEPT:
                self._addresses.clear()
            self._addresses[url] = address
        progress = _Progress()
        _under_way.set(progress)
        try:
            async with self._session.request(
                method, address, data=body, headers=headers, allow_redirects=False
            ) as response:
                # aiohttp's headers know no capitals.
                waits = response.headers.get("Retry-After")
                short = response.status < 300 and (response.content_length or _MOST_READ + 1) <= _MOST_READ
                body = await (response.read() if short else _read_some(response))
                return Answer(response.status, body, waits, response.headers)
        except aiohttp.ClientConnectorCertificateError:
            return Broken(connected=False, mistrusted=True)
        except (aiohttp.ClientError, OSError) as error:
            refused = isinstance(getattr(error, "os_error", error), _RefusedError)
            return Broken(connected=progress.connected, late=isinstance(error, TimeoutError), refused=refused)

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()


async def _read_some(response: aiohttp.ClientResponse) -> bytes:
    """At most `_MOST_READ` bytes of the body. A refusal stands even when its body breaks off."""
    body = bytearray()
    try:
        while len(body) < _MOST_READ and (chunk := await response.content.read(_MOST_READ - len(body))):
            body += chunk
    except (aiohttp.ClientError, OSError):
        if response.status < 300:
            raise
    return bytes(body)
