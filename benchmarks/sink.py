"""A receiver that costs next to nothing, as a process of its own: `python -m benchmarks.sink` prints its port.

Answers every POST with 200 {"id":"<n>"} and counts; GET answers with how many there were and resets the count. Bare
asyncio, HTTP/1.1 with keep-alive: what is measured is the sender.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator

from benchmarks.servers import ROOT


class _Sink(asyncio.Protocol):
    count = 0
    keys: set[bytes] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            length = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0]) if b"content-length:" in head else 0
            if len(self._buffer) < end + 4 + length:
                return
            self._buffer = self._buffer[end + 4 + length :]
            if head.startswith(b"get"):
                body = json.dumps({"count": _Sink.count, "keys": len(_Sink.keys)}).encode()
                _Sink.count = 0
                _Sink.keys.clear()
            else:
                _Sink.count += 1
                if b"webhook-id:" in head:
                    _Sink.keys.add(head.split(b"webhook-id:", 1)[1].split(b"\r\n", 1)[0].strip())
                body = b'{"id":"%d"}' % _Sink.count
            self._transport.write(  # type: ignore[attr-defined]
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
            )


@contextlib.contextmanager
def sink() -> Iterator[str]:
    """Its address while it runs."""
    command = [sys.executable, "-m", "benchmarks.sink"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/in"
        finally:
            process.terminate()


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Sink, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve())
