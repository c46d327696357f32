"""A community for the shorter launch: what its members did in a rehearsal of the long one, on the shorter line of time."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from drumroll.activity import Event, Person
from drumroll.ledger.ledger import open_ledger
from tests.prefect_server import prefect_environment


def rehearse(file: Path, out: Path, seed: int) -> Path:
    """Rehearse the launch file into `out`, unless somebody has done so before; the ledger that it leaves."""
    ledger = out.absolute() / "ledger.db"
    if not ledger.exists():
        command = [sys.executable, "-m", "drumroll.cli.main", "rehearse", str(file), "--seed", str(seed)]
        out.mkdir(parents=True, exist_ok=True)
        with (out / "rehearse.log").open("wb") as log:
            home = prefect_environment(out / "prefect")
            subprocess.run([*command, "--out", str(out)], env=home, stdout=log, stderr=log, check=True, timeout=600)
    return ledger


def export(ledger: Path, when: Callable[[datetime], datetime]) -> Iterator[str]:
    """What the one edition of `ledger` knows of its members, as lines of JSON; `when` says what time is made of a time."""
    store = open_ledger(f"sqlite:///{ledger}", create=False)
    [edition] = store.editions()
    events, people = store.activity(edition.id, until=_ever(edition.ended_at))
    store.close()
    for event in events:
        yield json.dumps(_row(event, people[event.member], when(event.at)), ensure_ascii=False) + "\n"


def _ever(ended: datetime | None) -> datetime:
    if ended is None:
        raise RuntimeError("the rehearsal did not come to its end; see rehearse.log")
    return ended


def _row(event: Event, who: Person, at: datetime) -> dict[str, Any]:
    told = {"id": event.id, "at": at.isoformat(), "kind": event.kind, "group": event.group, "member": who.id}
    told |= {"reply_to": event.reply_to} if event.reply_to else {}
    return told | {"name": who.name, "staff": who.is_staff, "bot": who.is_bot}
