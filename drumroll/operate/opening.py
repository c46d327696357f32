"""From a launch file to a running edition, and from a running edition to its end."""

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from drumroll.check import check_file
from drumroll.clock import VirtualClock, current_clock
from drumroll.errors import DrumrollError
from drumroll.fit import judge_fit
from drumroll.ledger.ledger import Ledger, default_url, open_ledger
from drumroll.ledger.model import DecisionRow, EditionRow
from drumroll.operate.approval import Call, approval_to_begin, see_that_it_goes_on
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


@dataclass(frozen=True, slots=True)
class Opening:
    """What a call leads to: an edition that goes on, `row`, or one that begins, with its `approval` if there is one."""

    plan: Plan
    row: EditionRow | None
    approval: DecisionRow | None


def look_up(plan: Plan, store: Ledger, call: Call, *, now: datetime) -> Opening:
    """Whether `plan`, just compiled, begins or goes on; writes nothing.

    Raises DrumrollError when the file has become another edition while one of this launch is under way, when
    `call.opens` asks for another time on an edition's day, when all of it lies in the past, and when the approval is
    missing or is for another plan.
    """
    plan = as_begun(plan, store)
    begun = {row.id: row for row in store.editions()}
    if (row := begun.get(plan.edition)) is None:
        _see_that_it_may_begin(plan, begun, call.opens, now)
        return Opening(plan, None, approval_to_begin(call, plan, now=now))
    if call.opens is not None and row.opens_at != plan.opens:
        raise DrumrollError(
            f"has begun with another opening on that day ({row.opens_at:%H:%M} UTC)",
            where=row.id,
            remedy="an edition is named by its day: choose another day, or go on with that one",
        )
    see_that_it_goes_on(call, row.id, store.plan_hash(row.id))
    return Opening(plan, row, None)


async def open_edition(
    file: Path,
    *,
    opens: str | None = None,
    called: datetime | None = None,
    ledger: str | None = None,
    approved: str | None = None,
    by: str | None = None,
) -> Where:
    """Begin the edition that `file` describes, or pick it up where it stands.

    Its channels are tried first, so that a launch that cannot speak does not begin. An edition that has begun goes on
    with the plan it began with, whatever the file says now. An `opens` like `+14d 12:00` counts from `called`, as in
    `check_file`. `approved`, 8 digits or more of the hash of that plan, is
    what `by` approved. Raises LaunchRefusedError with every finding, UsageError for a missing file, and what `look_up`
    raises.
    """
    checked = check_file(file, opens=opens, called=called)
    opens = checked.opens
    url, now = ledger_at(ledger, checked.project), current_clock().now()
    store = open_ledger(url)
    found = look_up(checked.accepted(), store, Call(file, opens, approved, by), now=now)
    plan, row = found.plan, found.row
    where = Where(plan.edition, url, str(checked.project))
    if row is None:
        await try_channels(plan, where.project)
        if not begin(plan, ledger=store, rehearsal=False, now=now, approval=found.approval):
            # Another engine was faster, perhaps with another plan.
            return await open_edition(file, opens=opens, ledger=ledger, approved=approved, by=by)
        _record_override(where, store, now)
        return where
    await try_channels(where.plan(), where.project)
    if store.plan_hash(plan.edition) != plan.hash and not row.rehearsal:
        line = "%s has changed since %s began; the edition goes on with the plan it began with"
        log.warning(line, file, row.id, extra={"edition": row.id})
    if not row.rehearsal:
        _record_override(where, store, now)  # a process may have died between the beginning and this
    return where


def reopen(where: Where) -> None:
    """Write down that a held edition runs again, and where: for its engine, once it has the lease."""
    ledger, now = where.open(), current_clock().now()
    edition = ledger.edition(where.edition)
    if not edition.rehearsal:
        ledger.see_home(now=now)
    if edition.state == "held":
        ledger.set_edition_state(where.edition, "running", now=now)


def as_begun(plan: Plan, ledger: Ledger) -> Plan:
    """`plan` by the name of the edition it belongs to: one that was shifted to this opening keeps its first day's."""
    rows = ledger.editions()
    if any(row.id == plan.edition for row in rows):
        return plan
    ours = (row for row in rows if row.launch == plan.launch.name and row.state in {"running", "held"})
    shifted = next((row.id for row in ours if row.opens_at == plan.opens), plan.edition)
    return plan.model_copy(update={"edition": shifted})


def _record_override(where: Where, store: Ledger, now: datetime) -> None:
    """Write down, once, who lets an edition run that the fit check refuses."""
    fit = judge_fit(where.plan().launch)
    if fit is None or fit.overridden is None or store.decisions(where.edition, "fit"):
        return
    store.decide(where.edition, "fit", "override", by=fit.overridden.by, reason=fit.overridden.reason, now=now)


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
    """Write down that the edition is done, held or aborted; what is still due when it is aborted is cancelled.

    How it stands then: one that a person aborted meanwhile stays so.
    """
    ledger, now = where.open(), current_clock().now()
    if verdict == "abort":
        ledger.set_aside(where.edition, None, None, to="cancelled", reason="the launch was aborted", now=now)
    if (state := ended(where)) is None:
        state = STATES[verdict]
        ledger.set_edition_state(where.edition, state, now=now)  # type: ignore[arg-type]
    return state


def live_editions(ledger: Ledger) -> list[str]:
    """Ids of editions in this ledger that are no rehearsals."""
    return [row.id for row in ledger.editions() if not row.rehearsal]
