"""A held gate asks a person in the Prefect UI: the launch's own flow run shows a form, and goes on with the answer."""

import logging
from datetime import UTC, datetime
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import Abort, PrefectException

from drumroll.clock import current_clock
from drumroll.errors import DrumrollError
from drumroll.ledger.edition_lease import FencedError
from drumroll.operate.edition import Where
from drumroll.operate.lease import current_lease
from drumroll.operate.opening import close_edition
from drumroll.operate.questions import Answer, gate_key, gate_of, gate_question, refusal, stands, take_gate_answer
from drumroll.operate.story import log, tell
from tasks.forms import forms, pose, tear_up
from tasks.releasing import leave, root_of, show_waiting
from tasks.signing import this_run

ASKING = "Waiting for a decision"
_TROUBLE = (httpx.HTTPError, PrefectException, Abort)


async def hear(where: Where) -> None:
    """Act on what a person answered to this run's form about a gate, if anybody did; an answer too late is told."""
    if (me := _live_run()) is None:
        return
    try:
        async with get_client() as client:
            root = await root_of(client, me)
            if root.deployment_id is not None:
                await _hear(client, root.id, where)
    except _TROUBLE as error:
        _say(where, f"cannot see whether somebody has decided about a gate: {error}", logging.WARNING)


async def ask(where: Where, phase: str) -> bool:
    """The gate of `phase` holds: leave this process, and have the same flow run go on when a person has decided.

    Raises Pause then. Returns True when it has been decided meanwhile; False where nobody can be asked: in the
    foreground, and when Prefect's server does not take the form now.
    """
    if (me := _live_run()) is None:
        return False
    try:
        async with get_client() as client:
            root = await root_of(client, me)
            if root.deployment_id is None:
                return False
            refused = await _hear(client, root.id, where)
            if (question := gate_question(where, phase, now=datetime.now(UTC))) is None:
                return True
            if (lease := current_lease()) is not None:
                lease.confirm()
            if (state := await pose(client, root.id, question, refused)) is None:
                return False
            await _show(client, root, me, question.title)
    except _TROUBLE as error:
        _say(where, f"the gate of {phase} holds, and nobody can be asked now: {error}", logging.WARNING)
        return False
    _say(where, f"{question.title}; whoever decides finds a form in the Prefect UI")
    if me.id != root.id:  # a phase that runs by itself says nothing of its edition
        close_edition(where, "hold")
    raise leave(state)


def _live_run() -> FlowRun | None:
    return None if current_clock().patience is None else this_run()


async def _hear(client: PrefectClient, run: UUID, where: Where) -> str | None:
    """Act on answers; why the one about the gate that holds was refused, if it was."""
    refused = None
    for form in await forms(client, run, "gate-"):
        if form.answer is None:
            continue
        phase, attempt = gate_of(form.question)
        question = gate_question(where, phase, now=datetime.now(UTC))
        if question is not None and question.key == form.question:
            if (refused := refusal(question, form.answer)) is not None:
                continue  # the next form says so
            _take(where, phase, attempt, form.answer)
        if not stands(where, phase, attempt, form.answer):
            late = f"an answer about the gate of {phase} came when it had been decided; it changes nothing"
            _say(where, late, logging.WARNING)
        await tear_up(client, run, form)
    return refused


def _take(where: Where, phase: str, attempt: int, answer: Answer) -> None:
    try:
        take_gate_answer(where, phase, attempt, answer, now=datetime.now(UTC))
    except FencedError:
        raise
    except DrumrollError:
        question = gate_question(where, phase, now=datetime.now(UTC))
        if question is not None and question.key == gate_key(phase, attempt):
            raise
        return
    _say(where, f"gate of {phase}: {answer.choice}, by a form in the Prefect UI")


async def _show(client: PrefectClient, root: FlowRun, me: FlowRun, what: str) -> None:
    try:
        await show_waiting(client, root, me, ASKING, what)
    except _TROUBLE as error:  # the launch's run asks; how its phase is shown is not worth more
        log.warning("the phase is not shown as waiting: %s", error)


def _say(where: Where, line: str, level: int = logging.INFO) -> None:
    tell(line, at=datetime.now(UTC), timezone=where.plan().launch.timezone, edition=where.edition, level=level)
