"""The ledger: everything Drumroll remembers, on SQLite by default and PostgreSQL by URL."""

import os
import threading
from pathlib import Path

from drumroll.errors import LedgerError
from drumroll.ledger import schema
from drumroll.ledger.acts import Acts
from drumroll.ledger.alarms import Alarms
from drumroll.ledger.brakes import Brakes
from drumroll.ledger.changes import Changes
from drumroll.ledger.edition_lease import EditionLeases
from drumroll.ledger.editions import Editions
from drumroll.ledger.engagement import Engagement
from drumroll.ledger.home import Homes
from drumroll.ledger.leases import Leases
from drumroll.ledger.listings import Listings
from drumroll.ledger.outbox import Outbox
from drumroll.ledger.permits import Permits
from drumroll.ledger.records import Records
from drumroll.ledger.store import Store, parse_url

_open: dict[tuple[str, int], "Ledger"] = {}
_lock = threading.Lock()


class Ledger(
    Editions,
    EditionLeases,
    Changes,
    Outbox,
    Leases,
    Acts,
    Listings,
    Records,
    Engagement,
    Alarms,
    Brakes,
    Homes,
    Permits,
):
    """One open ledger; safe to use from several threads, not across a fork.

    Every method is one short transaction, takes and returns UTC-aware times only, and raises LedgerError.
    """

    @property
    def store(self) -> Store:
        """The connection below, for backups, migrations and nothing else."""
        return self._store

    def close(self) -> None:
        """Close every connection; `open_ledger` then opens anew. Safe to call twice."""
        with _lock:
            for key in [key for key, ledger in _open.items() if ledger is self]:
                del _open[key]
        self._store.close()

    def __repr__(self) -> str:
        return f"Ledger({self._store.where!r})"


def default_url(project: Path) -> str:
    """The ledger's URL when none is given: `.drumroll/ledger.db` in the project directory."""
    return f"sqlite:///{project.absolute() / '.drumroll' / 'ledger.db'}"


def open_ledger(url: str, *, create: bool = True) -> Ledger:
    """The ledger at `sqlite:///PATH` or `postgresql://…`, migrated to the current schema; one per URL and process.

    With `create`, a missing SQLite file and its folder, or the tables in an empty database, are made. LedgerError when
    it cannot be opened, belongs to another program or was written by a newer Drumroll.
    """
    target = parse_url(url)
    key = (target.render_as_string(hide_password=False), os.getpid())
    with _lock:
        known = _open.get(key)
        if known is not None and known.store.is_its_file():
            return known
        if known is not None:
            known.store.close()
        store = Store(target)
        try:
            _make_room(store, create=create)
            store.prepare_file()
            schema.ensure(store, create=create)
        except BaseException:
            store.close()
            raise
        _open[key] = Ledger(store)
        return _open[key]


def _make_room(store: Store, *, create: bool) -> None:
    if store.path is None or store.path.exists():
        return
    if not create:
        raise LedgerError("there is no ledger yet", where=store.where, remedy="start a launch first")
    try:
        store.path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LedgerError(
            f"its folder cannot be made ({error.strerror})",
            where=store.where,
            remedy="make the folder, or give another path",
        ) from error
