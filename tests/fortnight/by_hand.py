"""The operator: ticks off what is to be posted by hand, a moment after it is due."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from drumroll.ledger.ledger import open_ledger

OPERATOR = "小戴"


@contextmanager
def operator(ledger: str) -> Iterator[None]:
    """At work, in a thread, as long as this lasts."""
    over = threading.Event()
    thread = threading.Thread(target=_tick, args=(ledger, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _tick(ledger: str, over: threading.Event) -> None:
    store = open_ledger(ledger)
    while not over.wait(0.5):
        for edition in store.editions():
            for row in store.deliveries(edition.id, state="awaiting"):
                if row.due_at <= (now := datetime.now(UTC)):
                    store.done(row.key, by=OPERATOR, now=now)
    store.close()
