"""From a launch file to a running edition, and from a running edition to its end."""

import os
from datetime import datetime
from pathlib import Path

from drumroll.check import check_file
from drumroll.clock import VirtualClock, current_clock
from drumroll.errors import DrumrollError
from drumroll.ledger.ledger import Ledger, default_url, open_ledger
from drumroll.ledger.model import EditionRow
from drumroll.operate.edition import Where, begin
from drumroll.operate.open_channels import try_channels
from drumroll.operate.story import log
from drumroll.plan.model import Plan
from drumroll.words.templates import find_project

STATES = {"pass": "done", "hold": "held", "abort": "aborted"}


def ledger_at(ledger: str | None, project: Path) -> str:
    """The ledger's URL: as given, else DRUMROLL_LEDGER, else the project's own SQLite file.

    A URL with a password belongs into the environment: what is given to a Prefect flow is stored by Prefect.
    """
    return ledger or os.environ.get("DRUMROLL_LEDGER") or default_url(project)


async def open_edition(file: Path, *, opens: str | None = None, ledger: str | None = None) -> Where:
    """Begin the edition that `file` describes, or pick it up where it stands.

    Its channels are tried first, so that a launch that cannot speak does not begin. An edition that has begun goes on
    with the plan it began with, whatever the file says now. Raises LaunchRefusedError with every finding, UsageError
    for a missing file, DrumrollError when the file has become another edition while one of this launch is under way,
    when `opens` asks for another time on an edition's day, or when all of it lies in the past.
    """
    checked = check_file(file, opens=opens)
    plan = checked.accepted()
    where = Where(plan.edition, ledger_at(ledger, checked.project), str(checked.project))
    store, now = open_ledger(where.ledger), current_clock().now()
    begun = {row.id: row for row in store.editions()}
    if (row := begun.get(plan.edition)) is None:
        _see_that_it_may_begin(plan, begun, opens, now)
        await try_channels(plan, where.project)
        begin(plan, ledger=store, rehearsal=False, now=now)
        return where
    if opens is not None and row.opens_at != plan.opens:
        raise DrumrollError(
            f"has begun with another opening on that day ({row.opens_at:%H:%M} UTC)",
            where=row.id,
            remedy="an edition is named by its day: choose another day, or go on with that one",
        )
    await try_channels(where.plan(), where.project)
    if store.plan_hash(plan.edition) != plan.hash and not row.rehearsal:
        log.warning("%s has changed since %s began; the edition goes on with the plan it began with", file, row.id)
    if row.state == "held":
        store.set_edition_state(plan.edition, "running", now=now)
    return where


def _see_that_it_may_begin(plan: Plan, begun: dict[str, EditionRow], opens: str | None, now: datetime) -> None:
    if isinstance(current_clock(), VirtualClock):
        remedy = "rehearse it again"
        raise DrumrollError("the file was changed while it was being rehearsed", where=plan.edition, remedy=remedy)
    if plan.phases[-1].latest <= now:
        remedy = "give another opening with --opens, or in the file"
        raise DrumrollError("all of it lies in the past", where=plan.edition, remedy=remedy)
    for row in begun.values():
        if row.launch == plan.launch.name and row.state in {"running", "held"} and not row.rehearsal and opens is None:
            raise DrumrollError(
                f"{row.id} is {row.state}, and the file now opens on another day",
                where=plan.edition,
                remedy=f"put its opening back to go on with {row.id}, or begin a second edition with --opens",
            )


def find_edition(edition: str, *, ledger: str | None = None, project: str | None = None) -> Where:
    """An edition that has begun. Raises LedgerError naming the known ones when it has not."""
    root = Path(project) if project else find_project(Path.cwd())
    url = ledger_at(ledger, root)
    return Where(open_ledger(url, create=False).edition(edition).id, url, str(root))


def ended(where: Where) -> str | None:
    """`done` or `aborted` when the edition is over; None while it is not."""
    state = where.open().edition(where.edition).state
    return state if state in {"done", "aborted"} else None


def close_edition(where: Where, verdict: str) -> str:
    """Write down that the edition is done, held or aborted; what is still due when it is aborted is cancelled."""
    ledger, now = where.open(), current_clock().now()
    state = STATES[verdict]
    if verdict == "abort":
        ledger.set_aside(where.edition, None, None, to="cancelled", reason="the launch was aborted", now=now)
    ledger.set_edition_state(where.edition, state, now=now)  # type: ignore[arg-type]
    return state


def live_editions(ledger: Ledger) -> list[str]:
    """Ids of editions in this ledger that are no rehearsals."""
    return [row.id for row in ledger.editions() if not row.rehearsal]
