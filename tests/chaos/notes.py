"""What engines write down on their way: where they died, what broke, and writes that no engine may make."""

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select

from drumroll.ledger.ledger import Ledger
from drumroll.ledger.model import Settlement
from drumroll.ledger.store import Store
from drumroll.ledger.tables import delivery, edition_lease
from drumroll.operate.lease import current_lease


def note(notes: Path, what: str, words: str) -> None:
    """One line, in one write, that survives whatever comes next."""
    line = json.dumps({"what": what, "words": words, "pid": os.getpid(), "at": round(time.time(), 3)}) + "\n"
    handle = os.open(notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(handle, line.encode())
    finally:
        os.close(handle)


def noted(notes: Path) -> list[dict[str, Any]]:
    """Everything that was noted, in order."""
    return [json.loads(line) for line in notes.read_text().splitlines()] if notes.exists() else []


def watch_settlements(notes: Path) -> None:
    """Note settlements of rows that somebody else had taken or settled before: `unfenced` if accepted, else `fenced`."""
    original = Ledger.settle

    def settle(self: Ledger, results: Sequence[Settlement], *, now: datetime, more: bool = False) -> int:
        current = _held(self, results)
        accepted = original(self, results, now=now, more=more)
        if current < len(results):
            what = "unfenced" if accepted > current else "fenced"
            note(notes, what, ", ".join(result.claim.key for result in results))
        return accepted

    Ledger.settle = settle  # type: ignore[method-assign]


def _held(ledger: Ledger, results: Sequence[Settlement]) -> int:
    """How many of these rows are still ours; tokens only ever grow, so one that is not never is again."""
    wanted = select(delivery.c.id, delivery.c.token, delivery.c.state)
    with ledger.store.read() as connection:
        rows = connection.execute(wanted.where(delivery.c.id.in_([result.claim.id for result in results]))).all()
    now = {row.id: (row.token, row.state) for row in rows}
    return sum(now.get(result.claim.id) == (result.claim.token, "sending") for result in results)


def watch_leases(notes: Path) -> None:
    """Note as `unfenced` what an engine writes for its edition when another has taken its lease: asked anew, from the
    table itself, inside the very transaction."""
    original = Store.write

    @contextmanager
    def write(self: Store, *, fenced: bool = True) -> Iterator[Any]:
        with original(self, fenced=fenced) as connection:
            yield connection
            if fenced and (lease := current_lease()) is not None:
                ours = edition_lease.c.edition == lease.where.edition
                token = connection.scalar(select(edition_lease.c.token).where(ours))
                if token != lease.where.token:
                    note(notes, "unfenced", f"{lease.owner} wrote for {lease.where.edition} after it was overtaken")

    Store.write = write  # type: ignore[method-assign]
