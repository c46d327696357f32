"""What the watch does for one edition."""

from collections.abc import Sequence

from prefect import task
from prefect.artifacts import acreate_markdown_artifact
from prefect.cache_policies import NO_CACHE

from drumroll.clock import current_clock
from drumroll.errors import DrumrollError
from drumroll.operate.board import edition_board
from drumroll.operate.edition import Where
from drumroll.operate.story import log
from drumroll.operate.watching import Alarm, alarms, ledger_of, recover, running, sync
from tasks.requeue import tend_runs
from tasks.show import artifact_key


def editions(ledger: str | None, project: str | None) -> list[Where]:
    """The editions under way."""
    return running(ledger, project)


def say_trouble(where: Where, error: DrumrollError) -> None:
    """Tell what the watch could not do for this edition."""
    log.warning("%s: %s", where.edition, error)


@task(name="tend runs", cache_policy=NO_CACHE)
async def tend_launch_runs(ledger: str | None, project: str | None) -> list[Alarm]:
    """Hand launch runs without a process back to the workers; what else a person should know of them."""
    try:
        return await tend_runs(ledger_of(ledger, project), running(ledger, project))
    except DrumrollError as error:  # the editions themselves are looked after all the same
        log.warning("the launches' flow runs: %s", error)
        return []


@task(name="sync sources", task_run_name="sync {where.edition}", cache_policy=NO_CACHE)
async def sync_sources(where: Where) -> int:
    """Take in new engagement; how many events."""
    return sync(where)


@task(name="recover", task_run_name="recover {where.edition}", cache_policy=NO_CACHE)
async def recover_deliveries(where: Where) -> int:
    """Settle deliveries that a dead engine left behind; how many."""
    return await recover(where, current_clock())


@task(name="refresh board", task_run_name="board {where.edition}", cache_policy=NO_CACHE)
async def refresh_board(where: Where, also: Sequence[Alarm] = ()) -> int:
    """Show where the edition stands and what needs a person, what is known `also` included; how many things do."""
    found = [*(alarm for alarm in also if alarm.key == where.edition), *alarms(where, now=current_clock().now())]
    board = edition_board(where, found)
    await acreate_markdown_artifact(board, key=artifact_key("board", where.edition))
    return len(found)
