"""Which flow run is an edition's engine: this one, or another that it steps aside for."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from prefect import State
from prefect.exceptions import Pause
from prefect.runtime import flow_run
from prefect.states import Completed, Running

from drumroll.ledger.edition_lease import FencedError
from drumroll.operate.edition import Where
from drumroll.operate.lease import current_lease, holding
from tasks.releasing import leave
from tasks.seat import asked_to_leave

ELSEWHERE = "elsewhere"


async def as_its_engine(where: Where, work: Callable[[Where], Awaitable[Any]]) -> Any:
    """`work` as the edition's one engine, with a `where` that writes behind the fence of its lease.

    Steps aside when another engine runs the edition, or takes it over meanwhile; see `step_aside`.
    """
    lease = current_lease()
    me = f"process {os.getpid()} on {socket.gethostname()}"
    owner = lease.owner if lease is not None else owner_for(str(flow_run.id), me)
    try:
        async with holding(where, owner) as ours:
            return await work(ours)
    except FencedError as fenced:
        return step_aside(owner, fenced)
    except asyncio.CancelledError:
        if asked_to_leave():  # its process could not wait any longer; Prefect would take it for a crash
            raise leave(Running()) from None
        raise


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
