"""What the doubles share: a server on loopback, a script of troubles that any server may have, and what members see.

It deliberately shares no code with Drumroll.
"""

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import Sequence
from typing import Any, Self

from aiohttp import web


class Double:
    """`async with` it: listens on `url`; `seen` holds what members see, in order of arrival: text, member, to, at, …

    The n-th request that sends something meets the n-th trouble of `script`, afterwards each meets `then`:

        accept           take it
        drop             reset the connection, nothing taken
        then-drop        take it, then reset the connection
        slow:SECONDS     wait, then accept;   then-slow:SECONDS   take it, then wait with the answer
        html             answer 200 with a page that is not JSON, nothing taken (a gateway, a captive portal)
        STATUS           answer that HTTP status with a page, nothing taken (413, 502, 503 …)

    and every other word is for the double itself (`trouble`).
    """

    def __init__(self, *, script: Sequence[str] = (), then: str = "accept") -> None:
        self.script, self.then = list(script), then
        self.seen: list[dict[str, Any]] = []
        self.requests = 0
        self._closing = asyncio.Event()

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        self.routes(app)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing.set()
        await self._runner.cleanup()

    def routes(self, app: web.Application) -> None:
        """Add the platform's paths; those that send go through `self.sending(take)`."""
        raise NotImplementedError

    async def take(self, request: web.Request) -> web.StreamResponse:
        """Do what the platform does with a request that sends: checks, limits, `self.show(…)`, its answer."""
        raise NotImplementedError

    async def trouble(self, word: str, request: web.Request) -> web.StreamResponse:
        """A trouble of the platform's own."""
        raise NotImplementedError(word)

    def show(self, text: str, **more: Any) -> int:
        """Members now see this; its number from 1."""
        self.seen.append({"text": text, "member": None, "at": time.time()} | more)
        return len(self.seen)

    async def send(self, request: web.Request) -> web.StreamResponse:
        """The handler of every path that sends."""
        word = self.script[self.requests] if self.requests < len(self.script) else self.then
        self.requests += 1
        answer: web.StreamResponse | None = None
        if word.startswith("then-"):
            answer, word = await self.take(request), word.removeprefix("then-")
        name, _, value = word.partition(":")
        if name == "drop":
            return reset(request)
        if name == "slow":
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), float(value))
            name = "accept"
        if name == "accept":
            return answer or await self.take(request)
        if name == "html":
            return web.Response(text="<html><h1>Welcome to the hotel's network</h1></html>", content_type="text/html")
        if name.isdecimal() and not value:
            return web.Response(status=int(name), text="<html><h1>Error</h1></html>", content_type="text/html")
        return await self.trouble(word, request)


def reset(request: web.Request) -> web.Response:
    """Break the connection off with a TCP reset."""
    transport = request.transport
    assert transport is not None
    raw = transport.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    return web.Response(status=499)
