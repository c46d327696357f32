"""What `watch` does between a launch's own moments: take in, recover, and say what needs a person."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from drumroll.clock import Clock
from drumroll.ledger.ledger import Ledger, open_ledger
from drumroll.ledger.model import DeliveryRow
from drumroll.operate.beats import Beat
from drumroll.operate.edition import Where
from drumroll.operate.opening import ledger_at
from drumroll.operate.reading import sync_sources
from drumroll.operate.sending import recover_step
from drumroll.operate.wording import make_ready
from drumroll.words.templates import find_project

OVERDUE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Alarm:
    """One thing a person should look at: `what` happened to `key`, and the command that deals with it."""

    what: str
    key: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.key}: {self.what}; {self.remedy}"


def ledger_of(ledger: str | None = None, project: str | None = None) -> Ledger:
    """The ledger that the watch looks after."""
    return open_ledger(ledger_at(ledger, Path(project or find_project(Path.cwd()))))


def running(ledger: str | None = None, project: str | None = None) -> list[Where]:
    """Every edition under way, and any with a send left open by a dead engine; rehearsals excepted."""
    root = project or str(find_project(Path.cwd()))
    url = ledger_at(ledger, Path(root))
    store = open_ledger(url)
    live = [row for row in store.editions() if not row.rehearsal]
    wanted = [row for row in live if row.state in {"running", "held"} or store.counts(row.id).get("sending")]
    return [Where(row.id, url, root) for row in wanted]


def sync(where: Where) -> int:
    """Read the launch's sources again; how many events were new. Raises SourceError."""
    return sync_sources(where.open(), where.plan(), Path(where.project))


async def recover(where: Where, clock: Clock) -> int:
    """Settle what a dead engine left in `sending`; how many deliveries that were."""
    expired = where.open().expired(where.edition, now=clock.now())
    left = {(claim.step, claim.occurrence): claim.fire_at for claim in expired if claim.released}
    beats = [Beat("announce", clock.now(), step, occurrence, at) for (step, occurrence), at in sorted(left.items())]
    others = {(claim.step, claim.occurrence) for claim in expired if not claim.released}
    beats += [Beat("announce", clock.now(), step, occurrence) for step, occurrence in sorted(others)]
    for beat in beats:
        await recover_step(where, make_ready(where, beat, now=clock.now()), clock)
    return len(expired)


def alarms(where: Where, *, now: datetime) -> list[Alarm]:
    """Deliveries past due, overdue hand-offs, and those only a person can settle."""
    found = (_alarm(row, now) for row in where.open().deliveries(where.edition))
    return [alarm for alarm in found if alarm is not None]


def _alarm(row: DeliveryRow, now: datetime) -> Alarm | None:
    late = now - row.due_at
    if row.state in {"due", "retry"} and late > OVERDUE:
        return Alarm(f"{int(late.total_seconds() // 60)} min past due and not sent", row.key, "is the launch running?")
    if row.state == "awaiting" and late > OVERDUE:
        minutes = int(late.total_seconds() // 60)
        return Alarm(f"{minutes} min past due, waiting to be posted by hand", row.key, f"drumroll done {row.key}")
    if row.state in {"unknown", "held", "failed"}:
        why = f" ({row.error})" if row.error else ""
        return Alarm(f"{row.state}{why}", row.key, f"drumroll status {row.edition} has the answers that fit")
    return None
