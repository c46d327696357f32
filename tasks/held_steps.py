"""A held step asks a person in the Prefect UI: one flow run of `question` each, which needs no process to wait.

The launch goes on meanwhile, so it cannot be its own run that asks.
"""

import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from prefect import State
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
from prefect.client.schemas.sorting import DeploymentSort, FlowRunSort
from prefect.states import Completed, Scheduled

from drumroll.errors import DrumrollError
from drumroll.ledger.ledger import Ledger
from drumroll.operate.edition import Where
from drumroll.operate.questions import Question, held, held_steps, refusal, step_question, take_step_answer
from drumroll.operate.story import log
from tasks.forms import forms, pose, save_form, tear_up
from tasks.releasing import is_asking, leave, schedule, suspend, suspended
from tasks.remote import nudge
from tasks.signing import EDITION, LEDGER, this_run

FLOW = "question"
STEP, OCCURRENCE = "drumroll.step", "drumroll.occurrence"
PREPARING = "Preparing"
LOST = timedelta(minutes=2)
"""An answer takes seconds: a run that is at it for longer has lost its process."""
_NEVER = timedelta(days=3650)
_OPEN = [StateType.PAUSED, StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING, StateType.CRASHED]
_AT_WORK = {StateType.PENDING, StateType.RUNNING, StateType.CRASHED}
_MOST = 200  # Prefect's API gives no more at a time

Subject = tuple[str, str, int]
"""Edition, step, occurrence."""


async def tend_questions(ledger: Ledger, editions: Sequence[Where], given: Mapping[str, Any]) -> None:
    """Ask about every held step once, and close the questions that somebody has settled without their form.

    `given` are the parameters by which a deployed run finds the ledger and the project.
    """
    wanted = {(where.edition, *step): where for where in editions for step in held_steps(where)}
    async with get_client() as client:
        runs = await _open_runs(client, ledger)
        for subject, run in runs.items():
            if subject not in wanted:
                await _close(client, run)
            elif run.state is not None and run.state.type in _AT_WORK:
                await _hand_back(client, run)
        for subject, where in wanted.items():
            if subject not in runs or runs[subject].state_name == PREPARING:
                await _ask(client, where, subject, given)


async def settle_held(where: Where, step: str, occurrence: int) -> State[Any]:
    """Act on what a person answered about a held step; ask (again) when there is no answer, or none that counts.

    Raises Pause when it asks.
    """
    run = this_run()
    if run is None or run.deployment_id is None:
        remedy = f"answer with `drumroll deliveries {where.edition} --state held`, then `drumroll resolve`"
        raise DrumrollError("only a deployed run can show a form", where=f"{where.edition}/{step}", remedy=remedy)
    async with get_client() as client:
        question, refused = step_question(where, step, occurrence), None
        form = next(iter(await forms(client, run.id, "held-")), None)
        answer = form.answer if form is not None else None
        if question is None:
            late = "; the answer came later, and changes nothing" if answer is not None else ""
            return Completed(name="Settled", message=f"nothing of {step} is held any more{late}")
        if form is not None and answer is not None and (refused := refusal(question, answer)) is None:
            settled = take_step_answer(where, step, occurrence, answer, now=datetime.now(UTC))
            await tear_up(client, run.id, form)
            log.info("%s: %s, by a form in the Prefect UI", step, answer.choice, extra={"edition": where.edition})
            with contextlib.suppress(DrumrollError):  # then the watch wakes the launch
                await nudge(where)
            return Completed(name="Answered", message=f"{answer.choice}: {settled} settled")
        state = await pose(client, run.id, question, refused)
    if state is None:
        return Completed(name="Held", message=f"{step} is held, and nobody can be asked here now")
    raise leave(state)


async def _open_runs(client: PrefectClient, ledger: Ledger) -> dict[Subject, FlowRun]:
    """The questions of this ledger that are not answered yet."""
    found: dict[Subject, FlowRun] = {}
    offset = 0
    wanted = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_OPEN)),
        deployment_id=FlowRunFilterDeploymentId(is_null_=False),
    )
    while True:
        page = await client.read_flow_runs(
            flow_filter=FlowFilter(name=FlowFilterName(any_=[FLOW])),
            flow_run_filter=wanted,
            sort=FlowRunSort.ID_DESC,
            limit=_MOST,
            offset=offset,
        )
        ours = [run for run in page if run.labels.get(LEDGER) == ledger.store.where]
        for run in ours:
            found.setdefault((str(run.labels[EDITION]), str(run.labels[STEP]), int(str(run.labels[OCCURRENCE]))), run)
        if len(page) < _MOST:
            return found
        offset += len(page)


async def _ask(client: PrefectClient, where: Where, subject: Subject, given: Mapping[str, Any]) -> None:
    edition, step, occurrence = subject
    question, rows = step_question(where, step, occurrence), held(where, step, occurrence)
    if question is None or not rows:
        return
    # Answered and held again, it is a new question: the instant it was first held at tells one from the other.
    since = min(str(row.updated_at) for row in rows)
    place = where.open().store.where
    deployments = await client.read_deployments(
        flow_filter=FlowFilter(name=FlowFilterName(any_=[FLOW])), sort=DeploymentSort.UPDATED_DESC, limit=1
    )
    if not deployments:
        line = "%s: %s; no deployment of the flow %s is there to ask about it"
        log.warning(line, edition, question.title, FLOW, extra={"edition": edition})
        return
    run = await client.create_flow_run_from_deployment(
        deployments[0].id,
        name=question.title,
        parameters={"edition": edition, "step": step, "occurrence": occurrence, **given},
        labels={EDITION: edition, STEP: step, OCCURRENCE: occurrence, LEDGER: place},
        tags=[edition],
        state=Scheduled(name=PREPARING, scheduled_time=datetime.now(UTC) + _NEVER),
        idempotency_key=hashlib.sha256("\n".join([place, *map(str, subject), since]).encode()).hexdigest(),
    )
    if run.state_name == PREPARING:
        await _show_form(client, run, question)
        line = "%s: %s; whoever decides finds a form in the Prefect UI"
        log.warning(line, edition, question.title, extra={"edition": edition})


async def _show_form(client: PrefectClient, run: FlowRun, question: Question) -> None:
    form = await save_form(client, run.id, question)
    # By force: Prefect suspends running flows only, and this one needs no process before it is answered.
    await client.set_flow_run_state(run.id, suspended(what=question.title, form=form.keys), force=True)


async def _close(client: PrefectClient, run: FlowRun) -> None:
    if is_asking(run.state) or run.state_name == PREPARING:
        message = "nothing of it is held any more"
        await client.set_flow_run_state(run.id, Completed(name="Settled", message=message))


async def _hand_back(client: PrefectClient, run: FlowRun) -> None:
    """Whoever takes it up finds in the ledger what is left to do, so that two at once do no harm."""
    if run.state is None or datetime.now(UTC) - run.state.timestamp < LOST:
        return
    if run.state.is_running() and await suspend(client, run.id, key=run.state.id.hex) is None:
        return
    await schedule(client, run.id, datetime.now(UTC), f"its process was gone ({run.state.name})")
