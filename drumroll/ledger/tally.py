"""How many claims a ledger's file has seen, counted beside it: who copies an older file over it is found out.

`cp backup.db ledger.db` leaves the file its number and its path. The count is a file whose length is the number of
claims, written after each of them; a ledger that knows of fewer is not the one that made them. After a power cut
that took the last claims from SQLite that is so, too, and what they sent is as doubtful.
"""

import os
from pathlib import Path

from drumroll.ledger.store import Store


def count(store: Store, claims: int) -> None:
    """Count claims that have been committed; nothing where none are counted."""
    if store.path is None or not claims:
        return
    try:
        tally = os.open(_beside(store.path), os.O_WRONLY | os.O_APPEND)
    except OSError:
        return  # a rehearsal's ledger has none; and no message fails for want of a count
    try:
        os.write(tally, b"." * claims)
    except OSError:
        return
    finally:
        os.close(tally)


def counted(store: Store) -> int:
    """How many claims the ledger must know of at least. To be read before the ledger itself."""
    try:
        return _beside(store.path).stat().st_size if store.path is not None else 0
    except OSError:
        return 0


def start(store: Store) -> None:
    """Count from now on; goes on with a count that is there."""
    if store.path is not None:
        _beside(store.path).touch()


def set_to(store: Store, claims: int) -> None:
    """Go on from the number of claims that the ledger knows of."""
    start(store)
    if store.path is not None:
        os.truncate(_beside(store.path), claims)


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}-claims")
