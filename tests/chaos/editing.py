"""A person edits the launch file and applies it while engines die: `drumroll apply`, in a process of its own."""

import random
import re
import time
from pathlib import Path

from drumroll.clock import current_clock, using_clock
from drumroll.errors import DrumrollError, LedgerBusyError
from drumroll.ledger.changes import OvertakenError
from drumroll.ledger.ledger import Ledger, open_ledger
from drumroll.ledger.model import DeliveryRow
from drumroll.operate.changes import Proposal, propose
from drumroll.operate.recompile import from_file
from drumroll.operate.running import look
from drumroll.operate.settling import Correcting, settle
from drumroll.plan.model import Plan, PlannedStep
from tests.chaos.engine import BROKEN, ChaosClock
from tests.chaos.launches import StormLaunch
from tests.chaos.notes import note

_TRIES = 40
_WENT_OUT = frozenset({"sent", "awaiting"})


def edit_and_apply(launch: StormLaunch, url: str, notes: Path, dice: random.Random) -> int:
    """Give the next step that has not begun another topic, drop one and add one; its own exit code.

    The next step was announced by the one before: that promise breaks, and a correction is due.
    """
    with using_clock(ChaosClock(launch.ahead, hurry=False)):
        for _ in range(_TRIES):
            try:
                ledger = open_ledger(url)
                _edit(launch, ledger, dice)
                note(notes, "applied", _apply(launch, ledger))
            except (LedgerBusyError, OvertakenError):
                time.sleep(0.2)
            except DrumrollError as error:
                note(notes, "not applied", str(error))
                return 0
            else:
                return 0
    note(notes, "broken", f"{launch.plan.edition}: the ledger was busy whenever its plan was to be changed")
    return BROKEN


def _edit(launch: StormLaunch, ledger: Ledger, dice: random.Random) -> None:
    running = look(ledger, launch.plan.edition)
    text = launch.file.read_text(encoding="utf-8")
    coming = [step.id for step in running.plan.steps if step.id not in running.begun and step.id[0] in "nr"]
    if coming:
        text = re.sub(rf"(id: {coming[0]}, .*?topic: item \d+)", rf"\1 anew {dice.randint(0, 999)}", text, count=1)
    if len(coming) > 2:
        text = re.sub(rf"\n      - {{id: {coming[-1]}, .*", "", text, count=1)
    if "id: extra" not in text:
        text = re.sub(r"(\n      - {id: each, at: [^,]*,)", r"\n      - {id: extra, at: T+23s, kind: prompt}\1", text)
    launch.file.write_text(text, encoding="utf-8")


def _apply(launch: StormLaunch, ledger: Ledger) -> str:
    """As `drumroll/cli/apply.py` does it once the plan is approved."""

    def proposal() -> Proposal:
        found = from_file(launch.file, ledger)
        return propose(found.running, found.plan, now=current_clock().now())

    correcting = Correcting(None, None, None)
    done = settle(proposal(), proposal, correcting, what="apply", by="the harness", reason="", project=launch.project)
    correction = done.correction.id if done.correction is not None else "no correction"
    return f"{launch.plan.edition}: version {done.version}, {correction}, {len(done.overtaken)} overtaken"


def rewritten(versions: list[Plan], since: list[float], rows: list[DeliveryRow]) -> list[str]:
    """Keys of deliveries that went out before a change of the plan, and whose step the change has altered.

    `since` are the instants (UTC seconds) from which each of `versions` ran.
    """
    found = []
    for before, after, at in zip(versions, versions[1:], since[1:], strict=False):
        for row in rows:
            went_out = row.state in _WENT_OUT and row.sent_at is not None and row.sent_at.timestamp() < at
            if went_out and (was := _step(before, row.step)) is not None and _step(after, row.step) != was:
                found.append(row.key)
    return found


def _step(plan: Plan, step_id: str) -> PlannedStep | None:
    """The step without what it says of the next one, which may change: that is what corrections are for."""
    step = next((step for step in plan.steps if step.id == step_id), None)
    return step.model_copy(update={"follows_up": None}) if step is not None else None
