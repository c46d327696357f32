"""Which flow run is an edition's engine: this one, or another that it steps aside for."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
from prefect import State
from prefect.exceptions import Pause
from prefect.runtime import flow_run
from prefect.states import Completed, Running

from drumroll.clock import current_clock
from drumroll.errors import LedgerBusyError
from drumroll.ledger.edition_lease import FencedError
from drumroll.operate.edition import Where
from drumroll.operate.lease import current_lease, holding
from drumroll.operate.story import log
from tasks.releasing import leave
from tasks.seat import asked_to_leave, while_seated
from tasks.signing import this_run

ELSEWHERE = "elsewhere"
_PAUSE = 2.0  # seconds before what passes by itself is tried again
_SERVER_ERROR = 500


async def as_its_engine(where: Where, work: Callable[[Where], Awaitable[Any]]) -> Any:
    """`work` as the edition's one engine, with a `where` that writes behind the fence of its lease.

    Steps aside when another engine runs the edition, or takes it over meanwhile; see `step_aside`. `work` begins anew
    after what passes by itself, a database that is started anew above all: a flow run that has failed is never picked
    up again.
    """
    lease = current_lease()
    me = f"process {os.getpid()} on {socket.gethostname()}"
    owner = lease.owner if lease is not None else owner_for(str(flow_run.id), me)
    while True:
        try:
            async with holding(where, owner) as ours:
                return await work(ours)
        except FencedError as fenced:
            return step_aside(owner, fenced)
        except (LedgerBusyError, httpx.HTTPError) as error:
            if not _passes(error):
                raise
            log.warning("%s: begins anew: %s", where.edition, error, extra={"edition": where.edition})
        except asyncio.CancelledError:
            if asked_to_leave():  # its process could not wait any longer; Prefect would take it for a crash
                raise leave(Running()) from None
            raise
        await while_seated(asyncio.sleep(_PAUSE))


def _passes(error: LedgerBusyError | httpx.HTTPError) -> bool:
    """Whether it is worth trying again: nobody else waits for the answer, and the trouble may pass."""
    if current_clock().patience is None:
        return False
    if isinstance(error, LedgerBusyError):
        return True
    run = this_run()  # in the foreground a person is told that Prefect's server went away
    if run is None or run.deployment_id is None:
        return False
    return not isinstance(error, httpx.HTTPStatusError) or error.response.status_code >= _SERVER_ERROR


def owner_for(run: str, who: str) -> str:
    """What a lease is taken in the name of: `who`, at work for the flow run with the id `run`."""
    return f"{who} (flow run {run})"


def step_aside(owner: str, fenced: FencedError) -> State[str]:
    """How a flow run ends whose engine, `owner`, may not go on: without touching what belongs to the other engine.

    A run of its own ends as `Completed` with the name Elsewhere. When the other is at work for this very flow run,
    which was picked up twice, Pause leaves it in the state that the other gives it: any state set here could reopen a
    launch that is over.
    """
    theirs, ours = (each.rpartition(" (flow run ")[2] for each in (fenced.holder.owner, owner))
    if theirs == ours:
        raise Pause(state=Running()) from fenced
    return Completed(name="Elsewhere", message=str(fenced), data=ELSEWHERE)
