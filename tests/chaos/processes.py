"""Forked processes: engines start in milliseconds from a parent that has everything loaded and nothing open.

The parent never opens the ledger while it forks: neither SQLite's locks nor a server's connections survive a fork.
"""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field


@dataclass
class Forked:
    """One forked process. `poll` gives its exit code, minus the signal that ended it; None while it lives."""

    pid: int
    born: float = field(default_factory=time.monotonic)
    is_stopped: bool = False
    code: int | None = None

    def poll(self) -> int | None:
        """Look once, without waiting."""
        if self.code is None:
            found, status = os.waitpid(self.pid, os.WNOHANG | os.WUNTRACED)
            if found and os.WIFSTOPPED(status):
                self.is_stopped = True
            elif found:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code

    def send(self, sign: signal.Signals) -> None:
        """Send a signal; a process that has just ended does not mind."""
        if self.code is None:
            os.kill(self.pid, sign)
            self.is_stopped = self.is_stopped and sign != signal.SIGCONT

    def wait(self, seconds: float) -> int | None:
        """Its exit code, or None when it still lives after that long."""
        until = time.monotonic() + seconds
        while self.poll() is None and time.monotonic() < until:
            time.sleep(0.005)
        return self.code

    def kill(self) -> int | None:
        """End it for good."""
        with suppress(ProcessLookupError):
            self.send(signal.SIGKILL)
        return self.wait(10)


def fork(work: Callable[[], int]) -> Forked:
    """Run `work` in a process of its own; what it returns is its exit code."""
    sys.stdout.flush()
    sys.stderr.flush()
    if pid := os.fork():
        return Forked(pid)
    code = 70
    try:
        code = work()
    except BaseException:  # noqa: BLE001 - nothing may climb up into the parent's own code
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)
