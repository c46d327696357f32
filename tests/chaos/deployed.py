"""The launch flow as the harness deploys it: the project's own, in a process that may be told to die at a named point.

`DRUMROLL_CHAOS` names a folder. Whichever engine first passes a point of which there is a file `<point>.armed` takes
the file, and kills itself. The flow, its tasks and the ledger are untouched.
"""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import tasks.edition
import tasks.releasing
from flows.launch import launch
from tests.chaos.notes import note, watch_leases, watch_settlements
from tests.chaos.points import OF_PREFECT, PLACES, POINTS, after, kill_me

__all__ = ["launch"]

ARMED = {**{point: text for point, text in POINTS.items() if point not in ("lapsed", "recipients")}, **OF_PREFECT}
BEFORE_SIGNED = ("beginning", "signing")
"""A run that its worker reports as crashed here is not known as the edition's: only the death of a worker counts."""
AT_WORK = "at work"
"""What an engine notes when it has taken an edition's lease."""


def _arm(folder: Path) -> None:
    notes = folder / "notes.jsonl"
    watch_settlements(notes)
    watch_leases(notes)
    after("take_lease")(partial(note, notes, AT_WORK, ""))
    for point in ARMED:
        if point in PLACES:
            PLACES[point](_bomb(folder, point))
    between = _bomb(folder, "between")
    released = _bomb(folder, "released")
    schedule, sign, signing = tasks.releasing.schedule, tasks.edition.sign, _bomb(folder, "signing")

    async def watched_schedule(*args: Any) -> Any:
        between()
        state = await schedule(*args)
        released()
        return state

    async def watched_sign(*args: Any) -> None:
        signing()
        await sign(*args)

    tasks.releasing.schedule, tasks.edition.sign = watched_schedule, watched_sign


def _bomb(folder: Path, point: str) -> Callable[[], None]:
    armed = folder / f"{point}.armed"

    def pass_by() -> None:
        try:
            armed.unlink()
        except FileNotFoundError:
            return
        note(folder / "notes.jsonl", "kill", point)
        kill_me()

    return pass_by


if "DRUMROLL_CHAOS" in os.environ:
    _arm(Path(os.environ["DRUMROLL_CHAOS"]))
