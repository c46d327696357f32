"""From a launch file to a running edition, and from a running edition to its end."""

from pathlib import Path

from drumroll.check import check_file
from drumroll.clock import current_clock
from drumroll.ledger.ledger import default_url, open_ledger
from drumroll.operate.edition import Where, begin
from drumroll.operate.story import log
from drumroll.words.templates import find_project

STATES = {"pass": "done", "hold": "held", "abort": "aborted"}


def open_edition(file: Path, *, opens: str | None = None, ledger: str | None = None) -> Where:
    """Begin the edition that `file` describes, or pick it up where it stands.

    An edition that has begun goes on with the plan it began with, whatever the file says now. Raises
    LaunchRefusedError with every finding, UsageError for a missing file.
    """
    checked = check_file(file, opens=opens)
    plan = checked.accepted()
    where = Where(plan.edition, ledger or default_url(checked.project), str(checked.project))
    store = open_ledger(where.ledger)
    if not begin(plan, ledger=store, rehearsal=False, now=current_clock().now()):
        if store.plan_hash(plan.edition) != plan.hash and not store.edition(plan.edition).rehearsal:
            log.warning(
                "%s has changed since %s began; the edition goes on with the plan it began with", file, plan.edition
            )
        store.set_edition_state(plan.edition, "running", now=current_clock().now())
    return where


def find_edition(edition: str, *, ledger: str | None = None, project: str | None = None) -> Where:
    """An edition that has begun. Raises LedgerError naming the known ones when it has not."""
    root = project or str(find_project(Path.cwd()))
    url = ledger or default_url(Path(root))
    return Where(open_ledger(url, create=False).edition(edition).id, url, root)


def close_edition(where: Where, verdict: str) -> str:
    """Write down that the edition is done, held or aborted; what is still due when it is aborted is cancelled."""
    ledger, now = where.open(), current_clock().now()
    state = STATES[verdict]
    if verdict == "abort":
        for (step, occurrence), states in ledger.step_states(where.edition).items():
            if {"due", "retry", "held"} & set(states):
                ledger.set_aside(
                    where.edition, step, occurrence, to="cancelled", reason="the launch was aborted", now=now
                )
    ledger.set_edition_state(where.edition, state, now=now)  # type: ignore[arg-type]
    return state
