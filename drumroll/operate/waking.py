"""A launch that waits without a process: when it gives its process back, and when it needs one again."""

import os
from datetime import datetime, timedelta

from drumroll.clock import current_clock
from drumroll.errors import UsageError
from drumroll.launchfile.models import PHASES
from drumroll.operate.beats import Beat, next_beat
from drumroll.operate.braking import held_back
from drumroll.operate.edition import Where

SETTING = "DRUMROLL_WAITING"
LEAD = timedelta(seconds=60)
"""A worker looks for work every ten seconds or so; a process then needs three seconds of a core, five in a crowd."""
READY = timedelta(seconds=3)
"""How long before its instant a message is rendered and its channels are open; then only the claim stands before it."""
EACH = timedelta(milliseconds=500)
"""What one launch of many needs to make its message ready: most of it is Prefect's server."""
APART = timedelta(seconds=3)
"""What one process needs to come up beside others; see `python -m benchmarks lateness`."""


def wake_for(where: Where, at: datetime, *, now: datetime, instant: datetime | None = None) -> datetime | None:
    """When to have a process again for what happens `at`; None when the one we have had better wait.

    `instant` is the moment that others may share, where `at` is when to make ready for it. None also when another
    engine runs the edition by now: its flow run is not ours to move. A process goes for waits longer than the lead and
    one more standard lead; below that, giving it back costs more than keeping it.
    """
    standard = standard_lead()
    if standard is None or _is_overtaken(where):
        return None
    wake = at - standard - APART * _queue_before(where, instant or at)
    return wake if wake - now > standard else None


def ready_by(where: Where, beat: Beat) -> datetime:
    """When to begin with `beat`: early enough for its words to be ready at its instant, but after a rehearsal's time.

    Only a gate, which reads what has happened by then, begins at its instant.
    """
    if beat.what != "announce" or current_clock().patience is None:
        return beat.at
    return beat.at - READY - EACH * _queue_before(where, beat.at)


def standard_lead() -> timedelta | None:
    """How long before its moment a launch gets its process; None when it keeps it (`DRUMROLL_WAITING=inline`)."""
    said = os.environ.get(SETTING, "")
    if said == "inline":
        return None
    if not said:
        return LEAD
    if said.isascii() and said.isdecimal() and int(said) > 0:
        return timedelta(seconds=int(said))
    raise UsageError(
        f'"{said}" says neither how nor how long to wait',
        where=SETTING,
        remedy=f"write inline, or how many seconds before its moment a launch gets its process ({LEAD.seconds})",
    )


def _is_overtaken(where: Where) -> bool:
    lease = where.open().lease(where.edition)
    return where.token is not None and lease is not None and lease.token != where.token


def _queue_before(where: Where, at: datetime) -> int:
    """How many launches of this ledger speak within the same minute and are woken after us."""
    minute = at.replace(second=0, microsecond=0)
    others = where.open().firing(PHASES, since=minute, until=minute + timedelta(minutes=1))
    return sum(edition < where.edition for edition in others)


def coming_beat(where: Where, *, now: datetime) -> tuple[str, Beat] | None:
    """The edition's next beat and the phase it is of; None when it waits for a person, or all has passed."""
    if held_back(where) is not None:
        return None
    for phase in where.plan().phases:
        beat = next_beat(where, phase.name, now=now)
        if beat.what != "over":
            return phase.name, beat
        if beat.verdict != "pass":
            return None
    return None
