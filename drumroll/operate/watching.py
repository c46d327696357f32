"""What `watch` does for editions between their own moments: find them, take in engagement, recover."""

from datetime import datetime, timedelta
from pathlib import Path

from drumroll.clock import Clock
from drumroll.ledger.ledger import Ledger, open_ledger
from drumroll.operate.beats import Beat
from drumroll.operate.edition import Where
from drumroll.operate.opening import ledger_at
from drumroll.operate.reading import sync_sources
from drumroll.operate.sending import recover_step
from drumroll.operate.wording import make_ready
from drumroll.words.templates import find_project


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


_LATELY = timedelta(days=1)
"""A watch that was away for longer leaves the boards of what ended meanwhile as they are."""


def lately_ended(ledger: str | None = None, project: str | None = None, *, now: datetime) -> list[Where]:
    """The editions that ended within a day before `now`, by themselves or by a person; rehearsals excepted."""
    root = project or str(find_project(Path.cwd()))
    url = ledger_at(ledger, Path(root))
    rows = [row for row in open_ledger(url).editions() if not row.rehearsal and row.ended_at is not None]
    return [Where(row.id, url, root) for row in rows if row.ended_at is not None and now - row.ended_at < _LATELY]


_taken_in: dict[tuple[str, str], list[tuple[int, int]]] = {}


def sync(where: Where) -> int:
    """Read the launch's sources again; how many events were new. Raises SourceError.

    Files that have not changed since this process took them in are not read again: in a process that stays, that would
    be every half minute, and weeks of engagement take their time.
    """
    plan, project = where.plan(), Path(where.project)
    stamps = [stamp for source in plan.launch.community.sources if (stamp := _stamp(project / source.path)) is not None]
    known = (where.ledger, f"{where.edition} {plan.hash}")
    if len(stamps) == len(plan.launch.community.sources) and _taken_in.get(known) == stamps:
        return 0
    new = sync_sources(where.open(), plan, project)
    _taken_in[known] = stamps
    return new


def _stamp(path: Path) -> tuple[int, int] | None:
    """What changes when a file does; None for a folder, and for what is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size) if path.is_file() else None


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
