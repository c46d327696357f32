"""Opening an edition, finding one again, and closing it."""

from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from drumroll.operate.edition import Where
from drumroll.operate.opening import close_edition, ended, find_edition, open_edition, reopen
from tasks.signing import sign, signed, this_run


@task(name="open edition", task_run_name="open {file}", cache_policy=NO_CACHE)
async def open_launch(
    file: str, opens: str | None, ledger: str | None, approved: str | None, approved_by: str | None
) -> Where:
    """Store the plan, or pick up the edition where it stands; see that it is approved, and that its channels work.

    A run that has opened its edition before goes on with it, whatever became of the file and of a channel meanwhile.
    """
    if (before := signed(ledger)) is not None:
        return before
    run = this_run()
    # When the run was to begin, not when a worker had time for it; it stays the same however often the run begins anew.
    called = run.expected_start_time if run is not None else None
    where = await open_edition(Path(file), opens=opens, called=called, ledger=ledger, approved=approved, by=approved_by)
    await sign(where)
    return where


def over(where: Where) -> str | None:
    """How the edition ended, if it has."""
    return ended(where)


def go_on(where: Where) -> None:
    """An edition that was held runs again."""
    reopen(where)


def here(edition: str, ledger: str | None, project: str | None) -> Where:
    """An edition that exists; DrumrollError when it does not."""
    return find_edition(edition, ledger=ledger, project=project)


@task(name="close edition", task_run_name="close {where.edition}", cache_policy=NO_CACHE)
async def close_launch(where: Where, verdict: str) -> str:
    """Write down how the edition stands: done, held or aborted."""
    return close_edition(where, verdict)
