"""Prefect servers of our own: several runs may share one home."""

import fcntl
import socket

import pytest

from drumroll.cli.own_server import OwnServer, make_home
from drumroll.errors import DrumrollError


def is_free(lock):
    with lock.open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def test_a_server_keeps_others_in_its_home_from_starting_until_it_answers_or_ends(tmp_path):
    home = tmp_path / "new" / "home"
    with OwnServer(home):
        assert not is_free(home / "starting.lock")
    assert is_free(home / "starting.lock")


def test_a_home_is_made_with_the_folders_above_it_and_is_private(tmp_path):
    home = tmp_path / ".drumroll" / "prefect"
    make_home(home)
    make_home(home)
    assert home.stat().st_mode & 0o777 == 0o700


def test_a_home_that_cannot_be_made_is_told_with_a_remedy(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DrumrollError, match=r"cannot be written .* PREFECT_HOME"):
        make_home(tmp_path / "file" / "prefect")


def test_a_whole_server_is_not_started_at_a_port_that_is_taken(tmp_path, monkeypatch):
    monkeypatch.setattr("drumroll.cli.own_server._FREE_WITHIN", 0)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(DrumrollError, match=rf"port {port} .* PREFECT_API_URL=http://127.0.0.1:{port}/api"):
            OwnServer(tmp_path, port).__enter__()


def test_a_server_that_ends_soon_after_its_start_is_not_started_again_and_one_that_lived_is(tmp_path, monkeypatch):
    with OwnServer(tmp_path / "home") as server:
        server.keep_alive()
        first = server._process
        server.kill()
        first.wait()
        with pytest.raises(DrumrollError, match=r"Prefect's server ended \(exit -9\); see .*server\.log"):
            server.keep_alive()
        monkeypatch.setattr("drumroll.cli.own_server._LIVES_FOR", 0)
        server.keep_alive()
        assert server._process is not first
        assert server._process.poll() is None
