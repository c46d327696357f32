"""A real Matrix server (Synapse) on loopback, and accounts on it that act as people do. Shares no code with Drumroll."""

import contextlib
import hashlib
import hmac
import json
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.prefect_server import free_port

REQUIREMENT = "matrix-synapse>=1.163,<2"
HOME = Path(__file__).parents[1] / "build" / "synapse-venv"
_NO_LIMIT = {"per_second": 100_000, "burst_count": 100_000}
_READY = 60  # seconds


@dataclass
class Account:
    """Somebody who is logged in."""

    url: str
    user: str
    token: str

    def ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """One call of the client API. Raises urllib.error.HTTPError."""
        return ask(self.url, method, f"/_matrix/client/v3{path}", body, self.token)

    def make_room(self, name: str, **more: Any) -> str:
        """A public room with that name as its alias; its id."""
        asked = {"preset": "public_chat", "name": name, "room_alias_name": name} | more
        return str(self.ask("POST", "/createRoom", asked)["room_id"])

    def join(self, room: str) -> None:
        self.ask("POST", f"/join/{quote(room)}", {})

    def say(self, room: str, text: str) -> str:
        """Write a message; its event."""
        path = f"/rooms/{quote(room)}/send/m.room.message/{next(_numbers)}"
        return str(self.ask("PUT", path, {"msgtype": "m.text", "body": text})["event_id"])

    def react(self, room: str, event: str, key: str) -> None:
        about = {"m.relates_to": {"rel_type": "m.annotation", "event_id": event, "key": key}}
        self.ask("PUT", f"/rooms/{quote(room)}/send/m.reaction/{next(_numbers)}", about)

    def read(self, room: str) -> list[dict[str, Any]]:
        """Every event of the room that this account may see, the oldest first."""
        events, start = [], ""
        while True:
            page = self.ask("GET", f"/rooms/{quote(room)}/messages?dir=f&limit=500{start}")
            events += page["chunk"]
            if not page["chunk"] or "end" not in page:
                return events
            start = f"&from={quote(page['end'])}"


_numbers = count(1)


def ask(url: str, method: str, path: str, body: Any = None, token: str = "") -> dict[str, Any]:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(url + path, data, headers, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


class MatrixServer:
    """A running server without federation; `url` is its client API. It can hang, as a machine in trouble does."""

    def __init__(self, process: "subprocess.Popen[bytes]", url: str, secret: str) -> None:
        self._process, self.url, self._secret = process, url, secret

    def register(self, name: str, *, admin: bool = False) -> Account:
        """A new account, logged in on a device of its own."""
        if not admin:
            asked = {"auth": {"type": "m.login.dummy"}, "username": name, "password": name}
            made = ask(self.url, "POST", "/_matrix/client/v3/register", asked)
        else:
            path = "/_synapse/admin/v1/register"
            nonce = ask(self.url, "GET", path)["nonce"]
            told = f"{nonce}\0{name}\0{name}\0admin".encode()
            mac = hmac.new(self._secret.encode(), told, hashlib.sha1).hexdigest()
            asked = {"nonce": nonce, "username": name, "password": name, "admin": True, "mac": mac}
            made = ask(self.url, "POST", path, asked)
        return Account(self.url, made["user_id"], made["access_token"])

    def limit(self, admin: Account, user: str, *, per_second: int, burst: int) -> None:
        """Limit how much `user` may send."""
        path = f"/_synapse/admin/v1/users/{quote(user)}/override_ratelimit"
        ask(self.url, "POST", path, {"messages_per_second": per_second, "burst_count": burst}, admin.token)

    @contextlib.contextmanager
    def hanging(self) -> Iterator[None]:
        """Inside, connections are accepted and nothing is answered; what was asked is done afterwards."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def matrix_server(folder: Path) -> Iterator[MatrixServer]:
    """A server that keeps everything in `folder`. RuntimeError when it cannot be installed or does not start."""
    python, port = installed(), free_port()
    url = f"http://127.0.0.1:{port}"
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "homeserver.yaml"
    config.write_text(json.dumps(_config(folder, port)))
    command = [python, "-m", "synapse.app.homeserver", "-c", str(config)]
    log = folder / "synapse.log"
    with log.open("ab") as output:
        made = subprocess.run([*command, "--generate-keys"], cwd=folder, stdout=output, stderr=output, check=False)
        if made.returncode:
            raise RuntimeError(f"Synapse does not take its configuration:\n{_end_of(log.read_text())}")
        with subprocess.Popen(command, cwd=folder, stdout=output, stderr=output) as process:
            try:
                _wait_for(f"{url}/_matrix/client/versions", process, log)
                yield MatrixServer(process, url, _secret(folder))
            finally:
                process.kill()


def installed() -> str:
    """The interpreter of an environment with Synapse in it, made once. RuntimeError says why it cannot be made."""
    python = HOME / "bin" / "python"
    ready = HOME / ".ready"
    if ready.exists() and ready.read_text() == REQUIREMENT and _runs(python):
        return str(python)
    shutil.rmtree(HOME, ignore_errors=True)
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", REQUIREMENT]
    for command in ([sys.executable, "-m", "venv", str(HOME)], pip):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(
                f"{REQUIREMENT} could not be installed into {HOME}, and the end-to-end tests need a real Matrix server;"
                f" see whether pip reaches an index that has it. It said:\n{_end_of(done.stdout + done.stderr)}"
            )
    ready.write_text(REQUIREMENT)
    return str(python)


def _runs(python: Path) -> bool:
    with contextlib.suppress(OSError):
        return not subprocess.run([python, "-c", "import synapse"], capture_output=True, check=False).returncode
    return False


def _config(folder: Path, port: int) -> dict[str, Any]:
    """Nothing leaves this machine, and nobody but who a test says is limited. Synapse reads YAML; JSON is YAML."""
    return {
        "server_name": "example.org",
        "listeners": [
            {
                "port": port,
                "type": "http",
                "bind_addresses": ["127.0.0.1"],
                "resources": [{"names": ["client", "media"]}],
            }
        ],
        "database": {"name": "sqlite3", "args": {"database": str(folder / "homeserver.db")}},
        "media_store_path": str(folder / "media"),
        "signing_key_path": str(folder / "signing.key"),
        "pid_file": str(folder / "homeserver.pid"),
        "report_stats": False,
        "federation_domain_whitelist": [],
        "trusted_key_servers": [],
        "suppress_key_server_warning": True,
        "presence": {"enabled": False},
        "enable_registration": True,
        "enable_registration_without_verification": True,
        "registration_shared_secret": _secret(folder),
        "bcrypt_rounds": 4,
        "rc_message": _NO_LIMIT,
        "rc_registration": _NO_LIMIT,
        "rc_joins": {"local": _NO_LIMIT, "remote": _NO_LIMIT},
        "rc_joins_per_room": _NO_LIMIT,
        "rc_login": {"address": _NO_LIMIT, "account": _NO_LIMIT, "failed_attempts": _NO_LIMIT},
        "rc_invites": {"per_room": _NO_LIMIT, "per_user": _NO_LIMIT, "per_issuer": _NO_LIMIT},
        "rc_room_creation": _NO_LIMIT,
        "rc_media_create": _NO_LIMIT,
    }


def _secret(folder: Path) -> str:
    return hashlib.sha256(str(folder).encode()).hexdigest()


def _wait_for(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _READY
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"Synapse ended:\n{_end_of(log.read_text())}")
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.1)
    raise RuntimeError(f"Synapse is not ready after {_READY} s:\n{_end_of(log.read_text())}")


def _end_of(text: str) -> str:
    return "\n".join(text.splitlines()[-30:])
