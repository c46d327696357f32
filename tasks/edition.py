"""Opening an edition, finding one again, and closing it."""

import asyncio
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from drumroll.errors import LedgerAwayError, LedgerBusyError
from drumroll.operate.edition import Where
from drumroll.operate.opening import close_edition, ended, find_edition, open_edition, reopen
from drumroll.operate.story import log
from tasks.credentials import blocks_stand_in
from tasks.seat import while_seated
from tasks.signing import sign, signed, this_run

_PAUSE = 2.0  # seconds before a ledger that does not answer is asked again


@task(name="open edition", task_run_name="open {file}", cache_policy=NO_CACHE)
async def open_launch(
    file: str, opens: str | None, ledger: str | None, approved: str | None, approved_by: str | None
) -> Where:
    """Store the plan, or pick up the edition where it stands; see that it is approved, and that its channels work.

    A run that has opened its edition before goes on with it, whatever became of the file and of a channel meanwhile.
    """
    if (before := await _found_again(ledger)) is not None:
        return before
    run = this_run()
    # When the run was to begin, not when a worker had time for it; it stays the same however often the run begins anew.
    called = run.expected_start_time if run is not None else None
    with blocks_stand_in():
        where = await open_edition(
            Path(file), opens=opens, called=called, ledger=ledger, approved=approved, by=approved_by
        )
    await sign(where)
    return where


async def _found_again(ledger: str | None) -> Where | None:
    """As `signed`, however long the ledger is away: a flow run that has failed is never picked up again."""
    while True:
        try:
            return signed(ledger)
        except (LedgerBusyError, LedgerAwayError) as error:
            log.warning("%s", error)
        await while_seated(asyncio.sleep(_PAUSE))


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
