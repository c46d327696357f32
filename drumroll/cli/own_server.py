"""A Prefect server of our own for one foreground run or for `drumroll up`, when the user has none.

Prefect would start one by itself, but in our process group and on our terminal: Ctrl-C would end it first and leave
the flow knocking at a closed door, its log would run into the story, and a killed run would leave it behind.
"""

import contextlib
import ctypes
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import click

from drumroll.errors import DrumrollError

_STARTS_WITHIN = 120.0  # seconds; a cold start on a slow machine makes a database first
_LIVES_FOR = 30.0  # seconds; one that ends sooner would do so again
_FREE_WITHIN = 5.0  # seconds; the server of one that was killed is on its way out
_PR_SET_PDEATHSIG = 1  # prctl(2)
_APPLICATION = ("--factory", "prefect.server.api.server:create_app", "--lifespan", "on", "--log-level", "error")


class OwnServer:
    """`with OwnServer(home) as server:` starts it, `server.wait()` returns its API's URL once it answers.

    Its records and `server.log` are in `home`. With a `port` it is whole, at that port: with the UI and all services;
    without, it is as little of a server as one run needs. Runs that share a home start their servers one after the
    other: the first makes the database. DrumrollError when it does not come up.
    """

    def __init__(self, home: Path, port: int | None = None) -> None:
        self._home = home
        self._log = home / "server.log"
        self._is_whole = port is not None
        self._port = _free_port() if port is None else port
        self._turn = contextlib.ExitStack()

    def __enter__(self) -> Self:
        if self._is_whole:
            _see_that_it_is_free(self._port)
        click.echo(f"starting a Prefect server{'' if self._is_whole else ' for this run'} …", err=True)
        make_home(self._home)
        with _writing(self._home):
            lock = self._turn.enter_context((self._home / "starting.lock").open("wb"))
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._log.unlink(missing_ok=True)  # another run's server may still be writing to it
        self._start()
        return self

    def _start(self) -> None:
        with _writing(self._home):
            out = self._log.open("ab")
        with out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "uvicorn", *_APPLICATION, "--host", "127.0.0.1", "--port", str(self._port)],
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - one system call, which takes no lock
            )
        self._started = time.monotonic()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._turn.close()
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        self.kill()
        self._process.wait()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def keep_alive(self) -> None:
        """Start it again when it has ended; DrumrollError when that was soon after its start.

        Launches say what is due without it: they are better left at work meanwhile.
        """
        if (code := self._process.poll()) is None:
            return
        if time.monotonic() - self._started < _LIVES_FOR:
            raise DrumrollError(f"Prefect's server ended (exit {code})", remedy=f"see {self._log}, then start it again")
        click.echo(f"Prefect's server ended (exit {code}; see {self._log}); starting it again …", err=True)
        self._start()

    def wait(self) -> str:
        """The API's URL, once it answers."""
        url, until = f"http://127.0.0.1:{self._port}/api", time.monotonic() + _STARTS_WITHIN
        while time.monotonic() < until and self._process.poll() is None:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/health", timeout=2) as answer:
                if answer.status == 200:
                    self._turn.close()
                    return url
            time.sleep(0.1)
        what = "ended at once" if self._process.poll() is not None else f"is silent after {_STARTS_WITHIN:.0f} s"
        remedy = f"see {self._log}; or start `prefect server start` yourself and set PREFECT_API_URL"
        raise DrumrollError(f"Prefect's server {what}", remedy=remedy)

    def _environment(self) -> dict[str, str]:
        if self._is_whole:
            address = {"PREFECT_SERVER_API_HOST": "127.0.0.1", "PREFECT_SERVER_API_PORT": str(self._port)}
            ours = address | {"PREFECT_UI_API_URL": f"http://127.0.0.1:{self._port}/api"}
        else:
            # As Prefect sets it for its own temporary server: no scheduler and no page, since the run is all there is.
            ours = {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1"}
        ours |= {"PREFECT__SERVER_FINAL": "1"}
        return dict(os.environ) | {"PREFECT_HOME": str(self._home), "PREFECT_SERVER_LOGGING_LEVEL": "ERROR"} | ours


def make_home(home: Path) -> None:
    """The folder of Prefect's records, private to the user. DrumrollError when it cannot be made."""
    with _writing(home):
        home.parent.mkdir(parents=True, exist_ok=True)
        home.mkdir(mode=0o700, exist_ok=True)


@contextlib.contextmanager
def _writing(home: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DrumrollError(
            f"cannot be written ({error.strerror})",
            where=str(home),
            remedy="give another folder with PREFECT_HOME, or a server of yours with PREFECT_API_URL",
        ) from error


def _end_with_parent() -> None:
    """On Linux the server ends even when the run is killed with SIGKILL."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _see_that_it_is_free(port: int) -> None:
    until = time.monotonic() + _FREE_WITHIN
    while True:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that has just ended leaves its port free
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                if time.monotonic() > until:
                    use_it = f"if Prefect's server is there, set PREFECT_API_URL=http://127.0.0.1:{port}/api to use it"
                    raise DrumrollError(
                        f"port {port} of this machine cannot be had ({error.strerror})",
                        remedy=f"{use_it}; or choose another with --port",
                    ) from error
            else:
                return
        time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
