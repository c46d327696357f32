"""A webhook receiver that misbehaves by the dice, in a process of its own; its log is the truth about what arrived.

    python -m tests.chaos.sink --log FILE --seed S [--honour-keys] [--calm] [--soon]

prints its port. What it takes is on disk (fsync) before any answer leaves. One request in three meets trouble, drawn
from TROUBLE; `--calm` sinks only dawdle, and `--soon` ones never ask for more than seconds.
"""

import argparse
import asyncio
import contextlib
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

from aiohttp import web

from tests.webhook_sink import WebhookSink

ABSURD = "429:10072"  # seconds
# What can happen to a request, in the language of tests/webhook_sink.py.
TROUBLE = {
    "then-drop": "taken, and the connection reset instead of an answer",
    "drop": "the connection reset before anything was read",
    "429:1": "too many, in seconds",
    "429:DATE": "too many, as an HTTP date two seconds ahead",
    ABSURD: "too many, come back in almost three hours",
    "503": "not now",
    "slow:0.7": "slow, then taken",
    "then-slow:1.5": "taken, and the answer too late",
    'body:{"errcode": 45009, "errmsg": "api freq out of limit"}': "200, but a rate limit",
    'body:{"error": "no such room"}': "200, but a refusal for good",
}
_WEIGHTS = {ABSURD: 0.15, 'body:{"error": "no such room"}': 0.3}
_TROUBLED = 0.33


class MoodySink(WebhookSink):
    """Draws a mode for every request; a known key is never refused for good."""

    def __init__(self, *, seed: str, calm: bool, soon: bool, honour_keys: bool, log: Path) -> None:
        super().__init__(honour_keys=honour_keys, log=log)
        self._dice = random.Random(seed)
        self._calm = calm
        self._modes = [mode for mode in TROUBLE if not (soon and mode == ABSURD)]

    async def _behave(self, request: web.Request, mode: str) -> web.StreamResponse:
        return await super()._behave(request, self._mood(request.headers.get("webhook-id", "")))

    def _mood(self, key: str) -> str:
        dice = self._dice
        if self._calm or dice.random() > _TROUBLED:
            return f"then-slow:{dice.uniform(0.02, 0.25):.3f}"
        (mode,) = dice.choices(self._modes, [_WEIGHTS.get(mode, 1.0) for mode in self._modes])
        if mode.startswith("body:") and self.honour_keys and key in self._known:
            return "accept"
        return mode.replace("DATE", formatdate(time.time() + 2, usegmt=True))

    def _record(self, key: str, raw: bytes, verified: bool | None) -> None:
        super()._record(key, raw, verified)
        assert self._log is not None
        os.fsync(self._log)


@contextlib.contextmanager
def sink_process(log: Path, *, seed: str, honour_keys: bool, calm: bool, soon: bool = False) -> Iterator[str]:
    """A sink in its own process; yields its URL and ends it afterwards."""
    flags = [*(["--honour-keys"] if honour_keys else []), *(["--calm"] if calm else []), *(["--soon"] if soon else [])]
    command = [sys.executable, "-m", "tests.chaos.sink", "--log", str(log), "--seed", seed, *flags]
    log.touch()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/announce"
        finally:
            process.terminate()


async def _serve(options: argparse.Namespace) -> None:
    sink = MoodySink(
        seed=options.seed, calm=options.calm, soon=options.soon, honour_keys=options.honour_keys, log=options.log
    )
    async with sink:
        print(sink.port, flush=True)
        await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--seed", required=True)
    parser.add_argument("--honour-keys", action="store_true")
    parser.add_argument("--calm", action="store_true", help="no trouble, only small delays")
    parser.add_argument("--soon", action="store_true", help="no Retry-After of hours")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
