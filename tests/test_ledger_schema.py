import subprocess
import sys

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from ledger_rows import EDITION, begin, new
from sqlalchemy import text

from drumroll.errors import LedgerError
from drumroll.ledger import schema
from drumroll.ledger.ledger import default_url, open_ledger
from drumroll.ledger.store import Store, parse_url
from drumroll.ledger.tables import Base

DEFINITIONS = {
    "sqlite": "SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL",
    "postgresql": "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version' "
    "UNION SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint "
    "WHERE connamespace = 'public'::regnamespace AND conrelid <> 'alembic_version'::regclass",
}


@pytest.fixture
def fresh(blank_url):
    ledger = open_ledger(blank_url)
    yield ledger
    ledger.close()


def test_the_migrations_arrive_at_the_models(fresh):
    with fresh.store.write() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_the_migrations_make_the_same_indexes_and_checks_as_the_models(fresh):
    """Alembic compares neither conditions of indexes nor CHECK constraints."""
    with fresh.store.write() as connection:
        definitions = text(DEFINITIONS[connection.dialect.name])
        migrated = set(connection.scalars(definitions))
        Base.metadata.drop_all(connection)
        Base.metadata.create_all(connection)
        assert set(connection.scalars(definitions)) == migrated


def test_the_head_constant_is_the_newest_migration(fresh):
    with fresh.store.read() as connection:
        scripts = ScriptDirectory.from_config(schema.alembic_config(connection))
        assert scripts.get_heads() == [schema.HEAD]
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == schema.HEAD


def test_the_revision_is_told_before_there_is_a_ledger_and_after(blank_url):
    store = Store(parse_url(blank_url))
    assert schema.revision(store) is None
    if store.path:
        assert not store.path.parent.exists()
    open_ledger(blank_url).close()
    assert schema.revision(store) == schema.HEAD
    store.close()


def test_the_database_itself_refuses_a_state_that_does_not_exist(ledger):
    begin(ledger, new())
    with pytest.raises(LedgerError, match="refused a row that breaks its rules"), ledger.store.write() as connection:
        connection.execute(text("UPDATE delivery SET state = 'maybe'"))


def test_opening_a_current_ledger_does_not_import_alembic(ledger_url):
    code = "import sys; from drumroll.ledger.ledger import open_ledger; open_ledger(sys.argv[1]); print('alembic' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code, ledger_url], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"


def test_two_processes_may_make_the_same_ledger_at_once(blank_url):
    code = "import sys; from drumroll.ledger.ledger import open_ledger; open_ledger(sys.argv[1])"
    makers = [subprocess.Popen([sys.executable, "-c", code, blank_url], stderr=subprocess.PIPE) for _ in range(2)]
    assert [maker.communicate()[1] for maker in makers] == [b"", b""]


def test_without_create_a_database_without_a_ledger_stays_as_it_is(blank_url):
    with pytest.raises(LedgerError, match=r"there is no ledger yet|holds no ledger yet"):
        open_ledger(blank_url, create=False)
    store = Store(parse_url(blank_url))
    if store.path:
        assert not store.path.parent.exists()
    store.close()


def test_a_ledger_is_opened_once_per_process(ledger_url, ledger):
    assert open_ledger(ledger_url) is ledger
    ledger.close()
    again = open_ledger(ledger_url)
    assert again is not ledger
    again.close()


def test_a_ledger_whose_file_was_removed_is_made_anew(tmp_path):
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    begin(open_ledger(url))
    for file in tmp_path.iterdir():
        file.unlink()
    again = open_ledger(url)
    assert again.editions() == []
    again.close()


def test_a_sqlite_ledger_writes_ahead_checks_foreign_keys_and_waits(tmp_path):
    ledger = open_ledger(default_url(tmp_path))
    asked = ("journal_mode", "foreign_keys", "synchronous", "busy_timeout")
    with ledger.store.read() as connection:
        values = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in asked]
    ledger.close()
    assert values == ["wal", 1, 1, 5000]
    assert (tmp_path / ".drumroll" / "ledger.db").exists()


def test_a_newer_schema_is_refused_with_its_revision(ledger, ledger_url):
    with ledger.store.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    ledger.close()
    with pytest.raises(LedgerError, match=r"newer Drumroll \(revision 9999\); upgrade Drumroll or restore a backup"):
        open_ledger(ledger_url)


def test_another_programs_database_is_refused_and_left_alone(blank_url):
    store = Store(parse_url(blank_url))
    if store.path:
        store.path.parent.mkdir(parents=True)
    with store.write() as connection:
        connection.execute(text("CREATE TABLE flow_run (id INTEGER)"))
        connection.execute(text("CREATE TABLE alembic_version (version_num TEXT)"))
        connection.execute(text("INSERT INTO alembic_version VALUES ('abcdef')"))
    with pytest.raises(LedgerError, match="holds another program's tables; give the ledger a database of its own"):
        open_ledger(blank_url)
    with store.write() as connection:
        connection.execute(text("DROP TABLE flow_run"))
    store.close()


def test_a_postgresql_ledger_may_live_in_a_schema_of_its_own(postgres):
    url = postgres()
    store = Store(parse_url(url))
    with store.write() as connection:
        connection.execute(text("CREATE SCHEMA drum"))
    store.close()
    ledger = open_ledger(f"{url}&options=-c%20search_path%3Ddrum")
    with ledger.store.read() as connection:
        tables = connection.scalars(
            text("SELECT DISTINCT schemaname FROM pg_tables WHERE tablename = 'delivery'")
        ).all()
    ledger.close()
    assert tables == ["drum"]


def test_an_edition_is_there_after_closing_and_opening(ledger, ledger_url):
    begin(ledger, new())
    ledger.close()
    again = open_ledger(ledger_url, create=False)
    assert again.edition(EDITION).id == EDITION
    again.close()
