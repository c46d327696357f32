"""What holds an edition back, what resuming it would send, and what becomes of a copy that is confirmed."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Literal

from drumroll.clock import current_clock
from drumroll.errors import DrumrollError
from drumroll.launchfile.models import PHASES
from drumroll.ledger.home import Confirmed
from drumroll.ledger.ledger import Ledger
from drumroll.ledger.model import DeliveryRow, EditionRow
from drumroll.operate.beats import Beat, planned_step, standing_verdict, unaddressed
from drumroll.operate.edition import Where
from drumroll.operate.lateness import Ruling
from drumroll.operate.story import tell
from drumroll.operate.wording import address, ruling_on
from drumroll.plan.model import Plan, PlannedStep

DOUBTFUL = "it fell due before this copy of the ledger was confirmed, and may have been sent"
_LOOK = 0.1  # seconds between two looks at what is still on its way
_ENDED = frozenset({"done", "aborted"})
_told: dict[str, str] = {}


def held_back(where: Where) -> str | None:
    """Why the edition sends nothing now, in words; None when nothing holds it back, and for a rehearsal."""
    ledger = where.open()
    edition = ledger.edition(where.edition)
    if edition.rehearsal or edition.state in _ENDED:
        return None
    if (brake := ledger.brake(edition.id)) is not None:
        return f"Paused by {brake.by}: {brake.reason}"
    if ledger.is_copy():
        return "This ledger is a copy, and nobody has confirmed it: drumroll db confirm"
    return None


def tell_held_back(where: Where) -> str | None:
    """The same, said once in the run's story; so is that it goes on."""
    why = held_back(where)
    if why == _told.get(where.edition):
        return why
    now, zone = current_clock().now(), where.plan().launch.timezone
    if why is None:
        del _told[where.edition]
        tell("it goes on", at=now, timezone=zone, edition=where.edition)
    else:
        _told[where.edition] = why
        tell(why, at=now, timezone=zone, edition=where.edition)
    return why


def to_pause(ledger: Ledger, launch: str) -> EditionRow:
    """The edition of that id, or the one of that launch that is under way. DrumrollError when it cannot be paused."""
    named = ledger.edition(launch)
    if named.id != launch:
        under_way = [row for row in ledger.editions() if row.launch == launch and _may_send(row)]
        if len(under_way) > 1:
            names = ", ".join(row.id for row in under_way)
            what = f"{len(under_way)} editions of it are under way"
            raise DrumrollError(what, where=launch, remedy=f"name one of {names}, or say --all")
        named = under_way[0] if under_way else named
    if named.rehearsal:
        raise DrumrollError("is a rehearsal, which sends nothing", where=named.id)
    if named.state in _ENDED:
        raise DrumrollError(f"is {named.state}, and sends nothing any more", where=named.id)
    return named


def under_way(ledger: Ledger) -> list[str]:
    """Ids of the live editions that have not ended."""
    return [row.id for row in ledger.editions() if _may_send(row)]


def _may_send(row: EditionRow) -> bool:
    return not row.rehearsal and row.state not in _ENDED


def land(ledger: Ledger, editions: Sequence[str], *, seconds: float) -> int:
    """Wait until what is on its way has its answer, for `seconds` at most; how many deliveries have none by then."""
    until = time.monotonic() + seconds
    while (left := ledger.in_flight(editions, now=current_clock().now())) and time.monotonic() < until:
        time.sleep(_LOOK)
    return left


@dataclass(frozen=True, slots=True)
class Late:
    """A step that is overdue, and what the rules for late messages will do with its `deliveries`.

    `send`: as it was planned; `rerender`: with its words as of now; `skip`, `hold`: not at all, and why. `deliveries`
    is None for a step to single members whose recipients are worked out when it is sent.
    """

    step: str
    number: int | None
    due: datetime
    act: Literal["send", "rerender", "skip", "hold"]
    deliveries: int | None
    reason: str


def overdue(ledger: Ledger, edition: str, *, now: datetime) -> list[Late]:
    """What would happen, if the edition went on at `now`, to all that is overdue in the phases it has come to."""
    plan = Plan.model_validate_json(ledger.plan_document(edition))
    phases = _come_to(ledger, plan)
    rows = [row for state in ("due", "retry") for row in ledger.deliveries(edition, state=state)]
    late = [row for row in rows if row.phase in phases and (row.retry_at or row.fire_at) <= now]
    found = []
    for (step_id, occurrence, released_at), group in groupby(sorted(late, key=_in_order), key=_together):
        step = planned_step(plan, ledger, edition, step_id, occurrence)
        ruling = ruling_on(ledger, plan, step, Beat("announce", now, step_id, occurrence, released_at), now)
        found.append(_late(step, ruling, len(list(group))))
    for at, step in unaddressed(plan, ledger, edition, phases):
        if at <= now:
            found.append(_late(step, ruling_on(ledger, plan, step, Beat("announce", now, step.id), now), None))
    return sorted(found, key=lambda each: each.due)


def _late(step: PlannedStep, ruling: Ruling, deliveries: int | None) -> Late:
    acts: dict[str, Literal["skip", "hold"]] = {"skipped": "skip", "held": "hold"}
    act = acts.get(ruling.act) or ("send" if ruling.as_of == step.due else "rerender")
    return Late(step.id, step.number, step.due, act, deliveries, ruling.reason)


def _together(row: DeliveryRow) -> tuple[str, int, datetime | None]:
    return row.step, row.occurrence, row.fire_at if row.fire_at > row.due_at else None


def _in_order(row: DeliveryRow) -> tuple[datetime, str, int, datetime]:
    return row.due_at, row.step, row.occurrence, row.fire_at


def _come_to(ledger: Ledger, plan: Plan) -> list[str]:
    phases: list[str] = []
    for phase in plan.phases:
        phases.append(phase.name)
        if standing_verdict(ledger, plan.edition, phase.name) != "pass":
            break
    return phases


def confirm(ledger: Ledger, *, by: str, reason: str, hold: bool, now: datetime) -> Confirmed | None:
    """Let the copy be a ledger of its own from now on; None when it is none.

    With `hold`, whatever fell due until `now` waits for a person, steps to members included: their recipients are
    worked out first, so that there is something to hold.
    """
    if not ledger.is_copy():
        return None
    for edition in under_way(ledger) if hold else ():
        plan = Plan.model_validate_json(ledger.plan_document(edition))
        for at, step in unaddressed(plan, ledger, edition, PHASES):
            if at <= now:
                address(ledger, plan, step, 1, now=now)
                ledger.keep_wording(edition, step.id, 1, "", now=now)
    return ledger.confirm_home(by=by, reason=reason, hold=DOUBTFUL if hold else None, now=now)
