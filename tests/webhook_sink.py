"""A webhook receiver that behaves, or misbehaves on request: in a test's own loop or as a process of its own.

    python tests/webhook_sink.py --port 0 --log FILE [--script MODE …] [--then MODE] [--honour-keys] [--secret-env VAR]

prints its port and appends each accepted message to FILE as one JSON line: {"seq", "id", "at", "verified", "payload"}.
The n-th request meets the n-th mode of the script; afterwards every request meets `--then` (default: accept).

    accept                  take it, answer 200 {"id": "rcv-<seq>"}
    drop                    reset the connection without taking it
    slow:SECONDS            wait, then go on as accept
    body:JSON               answer 200 with that body, not taken
    redirect:URL            answer 302
    endless                 answer 200 with a body that never ends, not taken
    STATUS or STATUS:RETRY  answer that status, with that Retry-After (e.g. 429:7)
    then-MODE               take it first, then do MODE: then-drop, then-504, then-slow:3, then-body:{…}

It deliberately shares no code with Drumroll: signatures are checked by an implementation of their own.
"""

import argparse
import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from aiohttp import web


class WebhookSink:
    """`async with WebhookSink() as sink:` listens on `sink.url`; `sink.accepted` holds what it took."""

    def __init__(
        self,
        *,
        script: Sequence[str] = (),
        then: str = "accept",
        honour_keys: bool = False,
        secret: str | None = None,
        log: Path | None = None,
        port: int = 0,
    ) -> None:
        self.script = list(script)
        self.then = then
        self.honour_keys = honour_keys
        self.secret = secret
        self.accepted: list[dict[str, Any]] = []
        self.requests = 0
        self.most_at_once = 0
        self._under_way = 0
        self._known: dict[str, str] = {}
        self._closing = asyncio.Event()
        self._port = port
        self._log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644) if log else None

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=16 * 1024 * 1024)
        app.router.add_post("/{path:.*}", self._receive)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        self.port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self.port}/announce"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing.set()
        await self._runner.cleanup()
        if self._log is not None:
            os.close(self._log)

    @property
    def data(self) -> list[dict[str, Any]]:
        """The `data` of every accepted message, in order of arrival."""
        return [entry["payload"]["data"] for entry in self.accepted]

    async def _receive(self, request: web.Request) -> web.StreamResponse:
        mode = self.script[self.requests] if self.requests < len(self.script) else self.then
        self.requests += 1
        self._under_way += 1
        self.most_at_once = max(self.most_at_once, self._under_way)
        try:
            return await self._behave(request, mode)
        except ConnectionResetError:  # the sender died first: nothing was taken
            return web.Response(status=499)
        finally:
            self._under_way -= 1

    async def _behave(self, request: web.Request, mode: str) -> web.StreamResponse:
        if mode == "drop":
            return _reset(request)
        taken: web.Response | None = None
        if mode.startswith("then-"):
            taken = await self._take(request)
            mode = mode.removeprefix("then-")
        name, _, value = mode.partition(":")
        if name == "slow":
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), float(value))
                return web.Response(status=503)
            name = "accept"
        if name == "accept":
            return await self._take(request) if taken is None else taken
        if name == "drop":
            return _reset(request)
        if name == "body":
            return web.Response(text=value, content_type="application/json")
        if name == "redirect":
            return web.Response(status=302, headers={"Location": value})
        if name == "endless":
            return await _endless(request)
        return web.Response(status=int(name), headers={"Retry-After": value} if value else {})

    async def _take(self, request: web.Request) -> web.Response:
        raw = await request.read()
        key = request.headers.get("webhook-id", "")
        verified = None if self.secret is None else _is_signed(self.secret, request.headers, raw)
        if verified is False:
            return web.json_response({"error": "bad signature"}, status=401)
        if not (self.honour_keys and key in self._known):
            self._record(key, raw, verified)
        return web.json_response({"id": self._known[key]})

    def _record(self, key: str, raw: bytes, verified: bool | None) -> None:
        seq = len(self.accepted) + 1
        entry = {"seq": seq, "id": key, "at": time.time(), "verified": verified, "payload": json.loads(raw)}
        if self._log is not None:
            # One write, before the answer: what was answered is in the log, whoever is killed next.
            os.write(self._log, json.dumps(entry).encode() + b"\n")
        self.accepted.append(entry)
        self._known[key] = f"rcv-{seq}"


def _is_signed(secret: str, headers: Any, raw: bytes) -> bool:
    key, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not stamp.isdigit() or abs(time.time() - int(stamp)) > 300:
        return False
    mac = hmac.new(
        base64.b64decode(secret.split("_", 1)[1]), b".".join([key.encode(), stamp.encode(), raw]), hashlib.sha256
    )
    expected = "v1," + base64.b64encode(mac.digest()).decode()
    return any(hmac.compare_digest(expected, given) for given in headers.get("webhook-signature", "").split())


def _reset(request: web.Request) -> web.Response:
    """Cut the connection with a TCP reset instead of an answer."""
    assert request.transport is not None
    connection = request.transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.transport.abort()
    return web.Response()


async def _endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):
        while True:
            await response.write(b"x" * 16384)
    return response


@contextlib.contextmanager
def sink_process(log: Path, *arguments: str, secret: str | None = None) -> Iterator[str]:
    """A sink in its own process; yields its URL and ends it afterwards."""
    environ = dict(os.environ)
    extra = list(arguments)
    if secret is not None:
        environ["SINK_SECRET"] = secret
        extra += ["--secret-env", "SINK_SECRET"]
    command = [sys.executable, __file__, "--port", "0", "--log", str(log), *extra]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/announce"
        finally:
            process.terminate()


async def _serve(options: argparse.Namespace) -> None:
    sink = WebhookSink(
        script=options.script,
        then=options.then,
        honour_keys=options.honour_keys,
        secret=os.environ[options.secret_env] if options.secret_env else None,
        log=options.log,
        port=options.port,
    )
    async with sink:
        print(sink.port, flush=True)
        await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--script", nargs="*", default=[], metavar="MODE")
    parser.add_argument("--then", default="accept", metavar="MODE")
    parser.add_argument("--honour-keys", action="store_true")
    parser.add_argument("--secret-env", metavar="VAR")
    asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
