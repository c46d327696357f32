"""Prefect servers of our own: several runs may share one home."""

import fcntl

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
