import os
import shutil
import socket
import sqlite3
import tempfile
import traceback
from contextlib import contextmanager
from pathlib import Path

import pytest
from ledger_rows import EDITION, NOW, begin, new
from sqlalchemy import text

from drumroll.errors import LedgerBusyError, LedgerError
from drumroll.ledger import store as store_module
from drumroll.ledger.ledger import open_ledger
from drumroll.ledger.store import Store, parse_url


@pytest.fixture
def path(tmp_path):
    """A closed SQLite ledger with one edition."""
    path = tmp_path / "ledger.db"
    ledger = open_ledger(f"sqlite:///{path}")
    begin(ledger, new())
    ledger.close()
    return path


@contextmanager
def as_nobody(folder):
    """Without root's right to write everywhere; `folder` stays readable."""
    if os.geteuid() != 0:
        yield
        return
    for file in (folder, *folder.iterdir()):
        os.chown(file, 65534, 65534)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def said(error):
    """Everything a log could show of an error, its causes too."""
    return "".join(traceback.format_exception(error)) + repr(error)


def test_a_locked_ledger_says_who_is_to_wait(path, monkeypatch):
    monkeypatch.setattr(store_module, "BUSY_SECONDS", 0.05)
    ledger = open_ledger(f"sqlite:///{path}")
    other = sqlite3.connect(path)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerBusyError, match=f"^{path}: is locked by another process; close it or wait"):
        ledger.set_edition_state(EDITION, "held", NOW)
    assert ledger.edition(EDITION).state == "running", "readers need not wait"
    other.close()
    ledger.set_edition_state(EDITION, "held", NOW)
    ledger.close()


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "ledger.db"
    path.write_bytes(b"this is no database, this is a letter to a friend" * 100)
    before = path.read_bytes()
    with pytest.raises(LedgerError, match=f"^{path}: is not a SQLite database; give another path"):
        open_ledger(f"sqlite:///{path}")
    assert path.read_bytes() == before


def test_a_folder_is_no_ledger(tmp_path):
    with pytest.raises(LedgerError, match="cannot be opened; check the path"):
        open_ledger(f"sqlite:///{tmp_path}")


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match=r"its folder cannot be made \(Not a directory\); make the folder"):
        open_ledger(f"sqlite:///{tmp_path / 'file' / 'below' / 'ledger.db'}")


@pytest.fixture
def public_folder():
    """Pytest's own folders are closed to everyone but their owner."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_a_read_only_file_says_so_when_something_is_written(path, public_folder):
    copy = Path(shutil.copy(path, public_folder / "ledger.db"))
    with as_nobody(public_folder):
        copy.chmod(0o444)
        ledger = open_ledger(f"sqlite:///{copy}")
        with pytest.raises(LedgerError, match="is read-only; make the file and its folder writable"):
            ledger.set_edition_state(EDITION, "held", NOW)
        ledger.close()


def test_a_read_only_folder_says_so(public_folder):
    public_folder.chmod(0o555)
    with as_nobody(public_folder):
        with pytest.raises(LedgerError, match="cannot be opened; check the path and that its folder is there and writ"):
            open_ledger(f"sqlite:///{public_folder / 'ledger.db'}")
        with pytest.raises(LedgerError, match=r"its folder cannot be made \(Permission denied\)"):
            open_ledger(f"sqlite:///{public_folder / 'below' / 'ledger.db'}")


def test_a_full_disk_says_that_nothing_was_written(path):
    ledger = open_ledger(f"sqlite:///{path}")
    with ledger.store.read() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")  # SQLite then allows not one page more than there are
    with pytest.raises(LedgerError, match="the disk is full, nothing was written; free some space"):
        ledger.keep_wording(EDITION, "welcome", 1, "long " * 100_000, now=NOW)
    assert ledger.wordings(EDITION) == []
    ledger.close()


def test_a_damaged_ledger_asks_for_a_backup(path):
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(LedgerError, match="is damaged; restore a backup"):
        open_ledger(f"sqlite:///{path}").editions()


@pytest.mark.parametrize("url", ["mysql://h/db", "sqlite+aiosqlite:///x.db", "postgresql+asyncpg://h/db"])
def test_a_scheme_that_is_not_supported_is_named(url):
    with pytest.raises(
        LedgerError, match=rf'scheme "{url.partition(":")[0].replace("+", ".")}" is not supported; write sqlite'
    ):
        open_ledger(url)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:///x.db?mode=ro"])
def test_a_ledger_lives_in_a_file(url):
    with pytest.raises(LedgerError, match="a ledger lives in a file"):
        open_ledger(url)


@pytest.mark.parametrize("text", ["s3cret@host/db", "mysql://u:s3cret@h/db", "postgresql://u:s3cret@h:port/db"])
def test_a_url_that_cannot_be_read_is_not_repeated(text):
    with pytest.raises(LedgerError) as caught:
        parse_url(text)
    assert "s3cret" not in said(caught.value)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_spelling_of_postgresql_means_the_same(scheme):
    assert parse_url(f"{scheme}://u@h/db").drivername == "postgresql+psycopg"


def test_a_server_that_is_not_there_is_named_without_its_password():
    url = "postgresql://drum:s3cret@127.0.0.1:1/ledger"
    with pytest.raises(LedgerError) as caught:
        open_ledger(url)
    assert str(caught.value).startswith("postgresql://127.0.0.1:1/ledger: cannot be reached")
    assert "check that the server runs and the URL is right" in str(caught.value)
    assert "s3cret" not in said(caught.value)
    assert not isinstance(caught.value, LedgerBusyError), "waiting would not help"


HOLD = "UPDATE edition SET state = 'held'"


@pytest.fixture
def server(postgres):
    """Two stores on one PostgreSQL ledger with an edition."""
    url = postgres()
    ledger = open_ledger(url)
    begin(ledger)
    other = Store(parse_url(url))
    yield ledger.store, other
    other.close()
    ledger.close()


def write(store, *steps):
    """One transaction of these steps: SQL, or calls that are given its connection."""
    with store.write() as connection:
        for step in steps:
            step(connection) if callable(step) else connection.execute(text(step))


def test_a_row_locked_on_postgresql_is_worth_another_try(server):
    one, other = server
    with other.write() as first:
        first.execute(text(HOLD))
        with pytest.raises(LedgerBusyError, match="is locked by another process; close it or wait"):
            write(one, "SET LOCAL lock_timeout = '20ms'", HOLD)
    write(one, HOLD)


def test_a_lost_serialization_is_worth_another_try(server):
    one, other = server
    snapshot = ("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "SELECT * FROM edition")
    with pytest.raises(LedgerBusyError, match="another process wrote the same rows; try again"):
        write(one, *snapshot, lambda _: write(other, HOLD), HOLD)


def test_a_session_that_the_server_ended_is_worth_another_try(server):
    one, other = server

    def end(connection):
        number = connection.scalar(text("SELECT pg_backend_pid()"))
        write(other, f"SELECT pg_terminate_backend({number}, 5000)")

    with pytest.raises(LedgerBusyError, match="the server is shutting down or starting; wait"):
        write(one, end, HOLD)
    write(one, HOLD)


def test_a_connection_that_broke_is_worth_another_try(server):
    one, _ = server

    def cut(connection):
        with socket.socket(fileno=os.dup(connection.connection.dbapi_connection.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)

    with pytest.raises(LedgerBusyError, match="lost the connection to the server; wait"):
        write(one, cut, HOLD)
    write(one, HOLD)


def test_too_many_connections_are_worth_another_try(server):
    one, _ = server
    write(one, "DROP ROLE IF EXISTS crowded", "CREATE ROLE crowded LOGIN CONNECTION LIMIT 0")
    with pytest.raises(LedgerBusyError, match="has too many connections; wait, or raise"):
        open_ledger(one.url.set(username="crowded").render_as_string(hide_password=False))


def test_a_server_that_answered_before_is_expected_back(server):
    one, other = server
    admin = Store(one.url.set(database="postgres"))
    write(other, HOLD)
    other.engine.dispose()
    write(admin, f"ALTER DATABASE {one.url.database} ALLOW_CONNECTIONS false")
    with pytest.raises(LedgerBusyError, match="cannot be reached"):
        write(other, HOLD)
    write(admin, f"ALTER DATABASE {one.url.database} ALLOW_CONNECTIONS true")
    write(other, HOLD)
    admin.close()


def test_a_database_that_is_not_there_is_named(postgres):
    url = parse_url(postgres()).set(database="nowhere", password="s3cret").render_as_string(hide_password=False)
    with pytest.raises(LedgerError, match='database "nowhere" does not exist') as caught:
        open_ledger(url)
    assert "s3cret" not in said(caught.value)


def test_the_password_shows_in_no_repr(postgres):
    url = parse_url(postgres()).set(password="s3cret").render_as_string(hide_password=False)
    ledger = open_ledger(url)
    assert "s3cret" not in repr(ledger) + repr(ledger.store) + ledger.store.where
    ledger.close()


def test_what_members_are_called_shows_in_no_error(ledger):
    from drumroll.activity import Person

    people = [Person("u-4711", "王小明")]
    with pytest.raises(LedgerError) as caught:
        ledger.take_in("never@begun", people, [])
    assert "begin it first" in str(caught.value)
    assert "王小明" not in said(caught.value)
    assert "u-4711" not in said(caught.value)
