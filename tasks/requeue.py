"""Launch runs that lost their process, and those that nobody wakes: what the watch does about them.

A worker that dies leaves its runs Running or Pending for ever (PrefectHQ/prefect#16746, #22664), an engine killed under
a living worker leaves its run Crashed, and one that dies while it gives its process back leaves it Suspended.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterState,
    FlowRunFilterStateName,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort

from drumroll.ledger.ledger import Ledger
from drumroll.operate.edition import Where
from drumroll.operate.story import awaited, log
from drumroll.operate.waking import coming_beat, wake_for
from drumroll.operate.watching import OVERDUE, Alarm
from tasks.engine import owner_for
from tasks.releasing import WAITING, is_between_processes, schedule, suspend
from tasks.signing import edition_of

SECOND_LOOK = timedelta(seconds=10)
"""A run that looks dead is looked at again: one that ends in good order releases its lease just before it says so."""
GRACE = {
    StateType.RUNNING: timedelta(seconds=60),  # until it holds its edition's lease
    StateType.PENDING: timedelta(minutes=2),  # until its process is up; twenty at once take their time
    StateType.PAUSED: timedelta(seconds=60),  # until the second of the two states
    StateType.CRASHED: timedelta(0),
}
_HOLD = timedelta(seconds=30)
_MOST = 200  # Prefect's API gives no more at a time


async def tend_runs(ledger: Ledger, editions: Sequence[Where], *, look_again: timedelta = SECOND_LOOK) -> list[Alarm]:
    """Hand launch runs without a process back to the workers; what else a person should know of them."""
    async with get_client() as client:
        runs = await _launch_runs(client, ledger)
        if gone := [run for run in runs if _looks_gone(run, runs, ledger)]:
            await asyncio.sleep(look_again.total_seconds())
            for run in gone:
                await _hand_back(client, run, ledger)
        waiting = [run for run in runs if run.state_name == WAITING]
        by_edition = {where.edition: where for where in editions}
        for run in waiting:
            if (where := by_edition.get(_edition(run, ledger))) is not None:
                await _wake_earlier(client, run, where)
        return [alarm for run in waiting if (alarm := _overdue(run, _edition(run, ledger))) is not None]


async def _launch_runs(client: PrefectClient, ledger: Ledger) -> list[FlowRun]:
    """Runs of the launch flow under way, then crashed ones, of this ledger or of none yet; the newest of each first."""
    under_way = FlowRunFilterStateType(any_=[StateType.RUNNING, StateType.PENDING, StateType.PAUSED])
    states = (
        FlowRunFilterState(type=under_way),
        FlowRunFilterState(name=FlowRunFilterStateName(any_=[WAITING])),
        FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.CRASHED])),
    )
    found = [
        run
        for state in states
        for run in await client.read_flow_runs(
            flow_filter=FlowFilter(name=FlowFilterName(any_=["launch"])),
            flow_run_filter=FlowRunFilter(state=state, deployment_id=FlowRunFilterDeploymentId(is_null_=False)),
            sort=FlowRunSort.EXPECTED_START_TIME_DESC,
            limit=_MOST,
        )
    ]
    known = {row.id for row in ledger.editions()} | {""}
    return [run for run in found if edition_of(run, ledger=ledger.store.where) in known]


def _edition(run: FlowRun, ledger: Ledger) -> str:
    return edition_of(run, ledger=ledger.store.where) or ""


def _looks_gone(run: FlowRun, runs: Sequence[FlowRun], ledger: Ledger) -> bool:
    now, state, edition = datetime.now(UTC), run.state, _edition(run, ledger)
    if state is None or state.type not in GRACE or now - state.timestamp < GRACE[state.type]:
        return False
    if not edition:  # it never came as far as its edition; a process that is about to would have by now
        return not state.is_paused() and not state.is_crashed() and now - state.timestamp > OVERDUE
    lease = ledger.lease(edition)
    if lease is not None and lease.is_live(now):
        return False
    if state.is_paused():
        return is_between_processes(state)
    if state.is_crashed():
        newest = next(other for other in runs if _edition(other, ledger) == edition)
        return newest.id == run.id and ledger.edition(edition).state == "running"
    return True


async def _hand_back(client: PrefectClient, run: FlowRun, ledger: Ledger) -> None:
    """Schedule the run for now, if it stands where it stood; never twice at once.

    Whoever does it holds the edition's lease meanwhile: no engine is at work then, nor another watch.
    """
    with _leased(ledger, run) as free:
        now_is = await client.read_flow_run(run.id)
        if not free or run.state is None or now_is.state is None or now_is.state.id != run.state.id:
            return
        # Prefect takes a key once for each run: of two that saw the same state, one gets through.
        if run.state.is_running() and await suspend(client, run.id, key=run.state.id.hex) is None:
            return
        if await schedule(client, run.id, datetime.now(UTC), f"its process was gone ({run.state.name})") is not None:
            log.warning("%s: its process was gone (%s); a worker picks it up again", run.name, run.state.name)


@contextmanager
def _leased(ledger: Ledger, run: FlowRun) -> Iterator[bool]:
    if not (edition := _edition(run, ledger)):
        yield True
        return
    # In the run's own name: an engine of it that was only frozen then leaves without a word to Prefect.
    owner = owner_for(str(run.id), "the watch")
    token = ledger.take_lease(edition, owner=owner, now=datetime.now(UTC), ttl=_HOLD)
    try:
        yield token is not None
    finally:
        if token is not None:
            ledger.release_lease(edition, token)


async def _wake_earlier(client: PrefectClient, run: FlowRun, where: Where) -> None:
    """A person may have decided, released or moved something while the run waited: then its moment is nearer now."""
    now = datetime.now(UTC)
    coming = coming_beat(where, now=now)
    planned = run.state.state_details.scheduled_time if run.state is not None else None
    if coming is None or planned is None:
        return
    phase, beat = coming
    wake = wake_for(where, beat.at, now=now) or now
    if wake < planned - timedelta(minutes=1):
        await schedule(client, run.id, wake, awaited(where, beat, phase))


def _overdue(run: FlowRun, edition: str) -> Alarm | None:
    planned = run.state.state_details.scheduled_time if run.state is not None else None
    if planned is None or datetime.now(UTC) - planned < OVERDUE:
        return None
    what = f"its run was to be picked up at {planned:%Y-%m-%d %H:%M} UTC and was not"
    return Alarm(what, edition, "is a worker running? `prefect worker start --pool drumroll`")
