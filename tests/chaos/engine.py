"""One engine process: it drives an edition as the flows do, and dies, freezes or dreams of another time as ordered."""

import asyncio
import json
import os
import resource
import signal
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Literal

from sqlalchemy import select

from drumroll.clock import Clock, using_clock
from drumroll.errors import DrumrollError, LedgerBusyError
from drumroll.ledger.ledger import Ledger
from drumroll.ledger.model import Settlement
from drumroll.ledger.tables import delivery
from drumroll.operate.beats import Beat, next_beat, next_leftover
from drumroll.operate.edition import Where, begin
from drumroll.operate.gating import decide, read_gate
from drumroll.operate.opening import close_edition, ended
from drumroll.operate.sending import send_step
from drumroll.operate.wording import make_ready
from drumroll.plan.model import Plan
from tests.chaos.mutants import MUTANTS
from tests.chaos.points import arm, freeze_me, kill_me

OVER, REFUSED, BROKEN = 0, 3, 4
"""How an engine ends by itself: the edition is over; the ledger or the launch refused (it says why); a bug."""

_LOOK_AGAIN = 0.5  # seconds that an engine sleeps at most: a second engine may have done what it waits for
_SHORT = 0.05  # seconds not worth a leap


@dataclass(frozen=True)
class Orders:
    """What one engine is to do. `points`: at which passage of which points it kills or freezes itself (`fate`).

    `jump` puts its clock wrong. With `hurry` it leaps over long waits and lets held gates pass: only ever the last
    engine of an edition, when every other is dead. `file_limit`: no file of it may grow beyond that many bytes.
    """

    where: Where
    plan: Plan
    notes: Path
    mutant: str | None = None
    points: Mapping[str, int] = field(default_factory=dict)
    fate: Literal["kill", "freeze"] = "kill"
    jump: timedelta = timedelta(0)
    hurry: bool = False
    file_limit: int | None = None


class ChaosClock:
    """The wall clock with a jump in it; in a hurry, it leaps over every wait."""

    patience: timedelta | None = timedelta(seconds=_LOOK_AGAIN)

    def __init__(self, jump: timedelta, *, hurry: bool) -> None:
        self._ahead, self._hurry = jump, hurry

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    async def sleep_until(self, at: datetime) -> None:
        left = (at - self.now()).total_seconds()
        if self._hurry and left > _SHORT:
            self._ahead += timedelta(seconds=left)
        elif left > 0:
            await asyncio.sleep(min(left, _LOOK_AGAIN))


def run_engine(orders: Orders) -> int:
    """The whole life of an engine, in a process of its own; returns its exit code."""
    if orders.file_limit is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (orders.file_limit, orders.file_limit))
    if orders.mutant:
        MUTANTS[orders.mutant]()
    _watch_fencing(orders.notes)
    for point, passage in orders.points.items():
        arm(point, partial(_meet, orders, point), passage=passage)
    clock = ChaosClock(orders.jump, hurry=orders.hurry)
    try:
        with using_clock(clock):
            return asyncio.run(_run(orders, clock))
    except DrumrollError as error:
        _note(orders.notes, "refused", str(error))
        return REFUSED
    except Exception:  # noqa: BLE001 - whatever it is, it goes into the account
        _note(orders.notes, "broken", traceback.format_exc(limit=-4))
        return BROKEN


def _meet(orders: Orders, point: str) -> None:
    _note(orders.notes, orders.fate, point)
    (kill_me if orders.fate == "kill" else freeze_me)()


async def _run(orders: Orders, clock: Clock) -> int:
    where = orders.where
    while True:
        try:
            if all(row.id != where.edition for row in where.open().editions()):
                begin(orders.plan, ledger=where.open(), rehearsal=False, now=clock.now())
            if ended(where) is None:
                await _drive(where, clock, insist=orders.hurry)
        except LedgerBusyError:  # a task of the flows would be retried as well
            await asyncio.sleep(0.2)
        else:
            return OVER


async def _drive(where: Where, clock: Clock, *, insist: bool) -> None:
    """All phases in order, as `flows/launch.py` and `flows/operate.py` go through them."""
    for phase in where.plan().phases:
        verdict = await _operate(where, phase.name, clock)
        if verdict == "hold" and insist:
            decide(where, phase.name, "pass", by="the harness", reason="the storm is over", now=clock.now())
        elif verdict != "pass":
            close_edition(where, verdict)
            return
    while (beat := next_leftover(where, phase.name, now=clock.now())) is not None:
        await clock.sleep_until(beat.at)
        if beat.at <= clock.now():
            await _say(where, beat, clock)
    close_edition(where, "pass")


async def _operate(where: Where, phase: str, clock: Clock) -> str:
    while (beat := next_beat(where, phase, now=clock.now())).what != "over":
        await clock.sleep_until(beat.at)
        if beat.at > clock.now() or next_beat(where, phase, now=clock.now()) != beat:
            continue
        if beat.what == "gate":
            read_gate(where, phase, now=clock.now())
        else:
            await _say(where, beat, clock)
    return beat.verdict


async def _say(where: Where, beat: Beat, clock: Clock) -> None:
    await send_step(where, make_ready(where, beat, now=clock.now()), clock)


def _watch_fencing(notes: Path) -> None:
    """Note settlements of rows that somebody else had taken or settled before: `unfenced` if accepted, else `fenced`."""
    original = Ledger.settle

    def settle(self: Ledger, results: Sequence[Settlement], *, now: datetime) -> int:
        current = _held(self, results)
        accepted = original(self, results, now=now)
        if current < len(results):
            what = "unfenced" if accepted > current else "fenced"
            _note(notes, what, ", ".join(result.claim.key for result in results))
        return accepted

    Ledger.settle = settle  # type: ignore[method-assign]


def _held(ledger: Ledger, results: Sequence[Settlement]) -> int:
    """How many of these rows are still ours; tokens only ever grow, so one that is not never is again."""
    wanted = select(delivery.c.id, delivery.c.token, delivery.c.state)
    with ledger.store.read() as connection:
        rows = connection.execute(wanted.where(delivery.c.id.in_([result.claim.id for result in results]))).all()
    now = {row.id: (row.token, row.state) for row in rows}
    return sum(now.get(result.claim.id) == (result.claim.token, "sending") for result in results)


def _note(notes: Path, what: str, words: str) -> None:
    """One line, in one write, that survives whatever comes next."""
    line = json.dumps({"what": what, "words": words, "pid": os.getpid()}) + "\n"
    handle = os.open(notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(handle, line.encode())
    finally:
        os.close(handle)
