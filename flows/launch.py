"""One whole launch: five phases, each behind the gate of the one before."""

from functools import partial
from pathlib import Path
from typing import Any

from prefect import flow, tags
from prefect.runtime import flow_run
from prefect.states import Completed

from drumroll.operate.edition import Where
from flows.aftercare import aftercare
from flows.build_up import build_up
from flows.ignite import ignite
from flows.nurture import nurture
from flows.operate import see_out
from flows.recruit import recruit
from tasks.asking import hear
from tasks.edition import close_launch, go_on, open_launch, over
from tasks.engine import ELSEWHERE, as_its_engine
from tasks.phases import passed, show_passed

PHASES = {"recruit": recruit, "build_up": build_up, "nurture": nurture, "ignite": ignite, "aftercare": aftercare}


def _run_name() -> str:
    given = flow_run.parameters
    return f"launch · {Path(given['file']).stem}" + (f" · opens {given['opens']}" if given.get("opens") else "")


@flow(name="launch", flow_run_name=_run_name)
async def launch(
    file: str,
    opens: str | None = None,
    ledger: str | None = None,
    approved: str | None = None,
    approved_by: str | None = None,
) -> Any:
    """Gather people, earn attention and trust, open the sale to people who are waiting, close the loop.

    Run it again after any stop: what was sent stays sent, what is due goes out. At a held gate a deployed run shows a
    form in the Prefect UI and goes on when somebody has decided; in the foreground the gate ends the run as `Completed`
    with the name Held: decide, then run it again. `approved` is the hash of the one plan that may
    run, or its first 8 digits or more, and `approved_by` the name of who looked at it. Beside a run that is at
    work on the same edition it ends at once, as `Completed` with the name Elsewhere.
    """
    where = await open_launch(file, opens, ledger, approved, approved_by)
    return await as_its_engine(where, partial(phase_by_phase, ledger))


async def phase_by_phase(ledger: str | None, where: Where) -> Any:
    """Every phase in its turn, as long as the gates pass; how the edition stands then."""
    await hear(where)
    if (state := over(where)) is not None:
        await show_passed(where)
        return Completed(name=state.capitalize(), message=f"{where.edition} is {state}", data=state)
    go_on(where)
    await show_passed(where)
    with tags("drumroll", where.edition):
        for phase in where.plan().phases:
            if passed(where, phase.name):
                continue
            verdict = await PHASES[phase.name](where.edition, ledger, where.project)
            if verdict == ELSEWHERE:
                return Completed(name="Elsewhere", message=f"{phase.name} goes on elsewhere", data=verdict)
            if verdict != "pass":
                state = await close_launch(where, verdict)
                if verdict == "abort":
                    await see_out(where, phase.name)
                return Completed(name=state.capitalize(), message=f"{state} in {phase.name}", data=state)
        await see_out(where, phase.name)
        return await close_launch(where, "pass")
