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
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort

from drumroll.launchfile.models import PHASES
from drumroll.ledger.ledger import Ledger
from drumroll.ledger.model import Alarm, EditionRow
from drumroll.operate.alarms import OVERDUE, stopped
from drumroll.operate.braking import held_back
from drumroll.operate.edition import Where
from drumroll.operate.opening import ended
from drumroll.operate.questions import awaits_answer
from drumroll.operate.story import awaited, log
from drumroll.operate.waking import coming_beat, ready_by, wake_for
from tasks.engine import owner_for
from tasks.releasing import WAITING, is_asking, is_between_processes, schedule, suspend
from tasks.signing import PROJECT, edition_of

SECOND_LOOK = timedelta(seconds=10)
"""A run that looks dead is looked at again: one that ends in good order releases its lease just before it says so."""
GRACE = {
    StateType.RUNNING: timedelta(seconds=60),  # until it holds its edition's lease
    StateType.PENDING: timedelta(minutes=2),  # until its process is up; twenty at once take their time
    StateType.PAUSED: timedelta(seconds=60),  # until the second of the two states
    StateType.CRASHED: timedelta(0),
}
MANY = 4
"""So many processes of one run that were killed are no accident any more: a person is told."""
_FRESH = timedelta(hours=1)  # an older crash before its edition is nothing that anybody still waits for
_HOLD = timedelta(seconds=30)
_AS_GOOD_AS = timedelta(minutes=1)
_MOST = 200  # Prefect's API gives no more at a time


async def tend_runs(ledger: Ledger, editions: Sequence[Where], *, look_again: timedelta = SECOND_LOOK) -> list[Alarm]:
    """Hand launch runs without a process back to the workers; what else a person should know of them."""
    async with get_client() as client:
        runs = await _launch_runs(client, ledger)
        gone = [run for run in runs if _looks_gone(run, runs, ledger)]
        idle = _without_a_run(editions, runs, ledger)
        known = {row.edition for row in ledger.open_alarms() if row.kind == "stopped"}
        if gone or any(where.edition not in known for where in idle):
            await asyncio.sleep(look_again.total_seconds())
            for run in gone:
                why = f"its process was gone ({run.state_name})"
                if await _hand_back(client, run, ledger, why):
                    log.warning("%s: %s; a worker picks it up again", run.name, why)
            idle = _without_a_run(idle, await _launch_runs(client, ledger), ledger)
        for run in runs:
            await move_on(client, run, ledger)
        waiting = [run for run in runs if run.state_name == WAITING]
        by_edition = {where.edition: where for where in editions}
        for run in waiting:
            if (where := by_edition.get(_edition(run, ledger))) is not None:
                await move_wake(client, run, where)
            elif _edition(run, ledger):
                await _wake_to_end(client, run, ledger.edition(_edition(run, ledger)))
        late = [alarm for run in waiting if (alarm := _overdue(run, _edition(run, ledger))) is not None]
        lost = [alarm for where in idle if (alarm := stopped(where, now=datetime.now(UTC))) is not None]
        dying = [alarm for run in runs if (alarm := _dies(run, _edition(run, ledger))) is not None]
        return [*late, *lost, *dying]


async def _launch_runs(client: PrefectClient, ledger: Ledger) -> list[FlowRun]:
    """Runs of the launch flow under way, then crashed ones, of this ledger or of none yet; the newest of each first.

    Those of a phase that was deployed by itself are among them.
    """
    under_way = [StateType.RUNNING, StateType.PENDING, StateType.PAUSED], [StateType.SCHEDULED]
    found = [run for states in (*under_way, [StateType.CRASHED]) for run in await _runs_in(client, states)]
    known = {row.id for row in ledger.editions()} | {""}
    return [run for run in found if edition_of(run, ledger=ledger.store.where) in known]


async def _runs_in(client: PrefectClient, states: list[StateType]) -> list[FlowRun]:
    found: list[FlowRun] = []
    only = FlowRunFilterState(type=FlowRunFilterStateType(any_=states))
    while True:
        page = await client.read_flow_runs(
            flow_filter=FlowFilter(name=FlowFilterName(any_=["launch", *PHASES])),
            flow_run_filter=FlowRunFilter(state=only, deployment_id=FlowRunFilterDeploymentId(is_null_=False)),
            sort=FlowRunSort.EXPECTED_START_TIME_DESC,
            limit=_MOST,
            offset=len(found),
        )
        found += page
        if len(page) < _MOST:
            return found


def _without_a_run(editions: Sequence[Where], runs: Sequence[FlowRun], ledger: Ledger) -> list[Where]:
    """The editions that have neither an engine nor a flow run under way that will bring them one."""
    have = {_edition(run, ledger) for run in runs if run.state is not None and not run.state.is_crashed()}
    have |= {_edition(run, ledger) for run in runs if _looks_gone(run, runs, ledger)}  # about to be handed back
    return [where for where in editions if where.edition not in have and not _has_an_engine(ledger, where.edition)]


def _has_an_engine(ledger: Ledger, edition: str) -> bool:
    lease = ledger.lease(edition)
    return lease is not None and lease.is_live(datetime.now(UTC))


def _edition(run: FlowRun, ledger: Ledger) -> str:
    return edition_of(run, ledger=ledger.store.where) or ""


def _looks_gone(run: FlowRun, runs: Sequence[FlowRun], ledger: Ledger) -> bool:
    now, state, edition = datetime.now(UTC), run.state, _edition(run, ledger)
    if state is None or state.type not in GRACE or now - state.timestamp < GRACE[state.type]:
        return False
    if not edition:  # it never came as far as its edition; a process that is about to would have by now
        if state.is_crashed():
            return now - state.timestamp < _FRESH and run.run_count < MANY
        return not state.is_paused() and now - state.timestamp > OVERDUE
    if _has_an_engine(ledger, edition):
        return False
    if state.is_paused():
        return is_between_processes(state)
    if state.is_crashed():
        newest = next(other for other in runs if _edition(other, ledger) == edition)
        return newest.id == run.id and ledger.edition(edition).state == "running"
    return True


async def move_on(client: PrefectClient, run: FlowRun, ledger: Ledger) -> bool:
    """Hand back a run whose form asks what has been decided elsewhere, or that has to send something; whether it was.

    It shows its form again when there is still something to ask.
    """
    if not is_asking(run.state) or not _edition(run, ledger):
        return False
    edition, project = _edition(run, ledger), str(run.labels[PROJECT])
    where = Where(edition, ledger.store.url.render_as_string(hide_password=False), project)
    if ended(where) is None and awaits_answer(where, now=datetime.now(UTC)):
        return False
    return await _hand_back(client, run, ledger, "it goes on without an answer to its form")


async def _hand_back(client: PrefectClient, run: FlowRun, ledger: Ledger, why: str) -> bool:
    """Schedule the run for now, if it stands where it stood; whether that was done, never twice at once.

    Whoever does it holds the edition's lease meanwhile: no engine is at work then, nor another watch.
    """
    with _leased(ledger, run) as free:
        now_is = await client.read_flow_run(run.id)
        if not free or run.state is None or now_is.state is None or now_is.state.id != run.state.id:
            return False
        # Prefect takes a key once for each run: of two that saw the same state, one gets through.
        if run.state.is_running() and await suspend(client, run.id, key=run.state.id.hex) is None:
            return False
        return await schedule(client, run.id, datetime.now(UTC), why) is not None


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


async def move_wake(client: PrefectClient, run: FlowRun, where: Where) -> bool:
    """Have a waiting run picked up when the ledger says; whether that is another time than it was.

    A person may have decided, released, moved or ended something while it waited. A run that is about to be picked up
    finds that out by itself.
    """
    now, planned = datetime.now(UTC), _planned(run)
    if planned is None or planned - now < _AS_GOOD_AS:
        return False
    if await _wake_to_end(client, run, where.open().edition(where.edition)):
        return True
    if (why := held_back(where)) is not None and run.state is not None and run.state.message != why:
        return await schedule(client, run.id, planned, why) is not None  # so that whoever looks sees it
    if (coming := coming_beat(where, now=now)) is None:
        return False
    phase, beat = coming
    wake = wake_for(where, ready_by(where, beat), now=now, instant=beat.at) or now
    what = awaited(where, beat, phase)
    if abs(wake - planned) <= _AS_GOOD_AS and run.state is not None and run.state.message == what:
        return False  # else it may still say that it is paused
    return await schedule(client, run.id, wake, what) is not None


async def _wake_to_end(client: PrefectClient, run: FlowRun, edition: EditionRow) -> bool:
    """A run of an edition that is over has nothing to wait for; whether it was woken."""
    now, planned = datetime.now(UTC), _planned(run)
    if edition.ended_at is None or planned is None or planned - now < _AS_GOOD_AS:
        return False
    return await schedule(client, run.id, now, f"{edition.id} is {edition.state}") is not None


def _planned(run: FlowRun) -> datetime | None:
    return run.state.state_details.scheduled_time if run.state is not None else None


def _dies(run: FlowRun, edition: str) -> Alarm | None:
    """Prefect counts a run's processes only where one was killed under a living worker."""
    if not edition or run.run_count < MANY:
        return None
    what = f"its process was killed {run.run_count - 1} times under a living worker"
    return Alarm(edition, "run", "killed", what, "see its logs in the Prefect UI, and the machine's memory")


def _overdue(run: FlowRun, edition: str) -> Alarm | None:
    planned = _planned(run)
    if planned is None or datetime.now(UTC) - planned < OVERDUE:
        return None
    what = f"its run was to be picked up at {planned:%Y-%m-%d %H:%M} UTC and was not"
    return Alarm(edition, "run", "run", what, "is a worker running? `prefect worker start --pool drumroll`")
