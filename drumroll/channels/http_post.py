"""One pool of connections that posts bytes and says what came back. Imports aiohttp: load it when a channel opens."""

from dataclasses import dataclass
from typing import Any

import aiohttp

from drumroll.channels.webhook_answer import Answer

_MOST_READ = 64 * 1024
# A receiver that closes an idle connection just as we write turns that send doubtful. Five seconds is a common
# patience of receivers (Node, uvicorn), so we let go sooner.
_KEEP_IDLE = 2.0


@dataclass(frozen=True, slots=True)
class Broken:
    """No answer. `connected`: bytes may have left us. `late`: time ran out. `mistrusted`: a bad certificate."""

    connected: bool
    late: bool = False
    mistrusted: bool = False


@dataclass(slots=True)
class _Progress:
    connected: bool = False


class Poster:
    """Posts with at most `concurrency` requests under way, each for at most `timeout` seconds. Follows no redirects."""

    def __init__(self, *, concurrency: int, timeout: float) -> None:
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_end.append(_note_connection)
        trace.on_connection_reuseconn.append(_note_connection)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=concurrency, keepalive_timeout=_KEEP_IDLE),
            timeout=aiohttp.ClientTimeout(total=timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            # Nothing to unpack: a small answer cannot grow into a large one.
            headers={"User-Agent": "drumroll", "Accept-Encoding": "identity"},
            auto_decompress=False,
            trace_configs=[trace],
        )

    async def post(self, url: str, body: bytes, headers: dict[str, str]) -> Answer | Broken:
        """The answer, or how it failed: as a value, for aiohttp's own errors quote the address."""
        progress = _Progress()
        try:
            async with self._session.post(
                url, data=body, headers=headers, allow_redirects=False, trace_request_ctx=progress
            ) as response:
                return Answer(response.status, await _read_some(response), response.headers.get("Retry-After"))
        except aiohttp.ClientConnectorCertificateError:
            return Broken(connected=False, mistrusted=True)
        except (aiohttp.ClientError, OSError) as error:
            return Broken(connected=progress.connected, late=isinstance(error, TimeoutError))

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()


async def _note_connection(_session: Any, context: Any, _params: Any) -> None:
    context.trace_request_ctx.connected = True


async def _read_some(response: aiohttp.ClientResponse) -> bytes:
    """At most 64 KiB of the body. A refusal stands even when its body breaks off."""
    body = bytearray()
    try:
        while len(body) < _MOST_READ and (chunk := await response.content.read(_MOST_READ - len(body))):
            body += chunk
    except (aiohttp.ClientError, OSError):
        if response.status < 300:
            raise
    return bytes(body)
