"""One engine process: it drives an edition through the flows' own loop, and dies, freezes or dreams of another time.

The loop over a phase's beats is `flows/operate.py` itself, with Prefect's tasks replaced by the functions they call.
"""

import asyncio
import os
import resource
import signal
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from mmap import mmap
from pathlib import Path
from typing import Any, Literal

from prefect import Task
from sqlalchemy import Connection, Engine, event

from drumroll.clock import current_clock, using_clock
from drumroll.errors import DrumrollError, LedgerBusyError, LedgerError
from drumroll.ledger.edition_lease import FencedError
from drumroll.operate.beats import standing_verdict
from drumroll.operate.edition import Where, begin
from drumroll.operate.gating import decide, read_gate
from drumroll.operate.lease import holding
from drumroll.operate.opening import close_edition, ended, reopen
from drumroll.plan.model import Plan
from flows import operate
from tests.chaos.mutants import MUTANTS
from tests.chaos.notes import note, watch_leases, watch_settlements
from tests.chaos.points import after, arm, freeze_me, kill_me

OVER, REFUSED, BROKEN = 0, 3, 4
"""How an engine ends by itself: the edition is over; the ledger or the launch refused (it says why); a bug."""

TTL, BEAT = timedelta(seconds=1), 0.25
"""An engine's lease on its edition: short, so that a launch of half a minute sees a dozen of them."""

_LOOK_AGAIN = 0.5  # seconds that an engine sleeps at most: a second engine may have done what it waits for
_BUSY = 0.5  # seconds before what found the ledger busy begins anew
_SHORT = 0.05  # seconds not worth a leap


@dataclass(frozen=True)
class Orders:
    """What one engine is to do. `points`: at which passage of which points it kills or freezes itself (`fate`).

    `ahead` is what its clock shows beside the real time. With `hurry` it leaps over long waits and lets held gates
    pass: only ever the last engine of an edition, when every other is dead. `file_limit`: no file of it may grow beyond
    that many bytes. `read_only`: from when to when in its life, in seconds, its SQLite refuses to write. `at_work` is 1
    from when it holds the edition's lease; `recoveries` counts (modulo 256) the lapsed rows that its engines dealt with.
    """

    where: Where
    plan: Plan
    notes: Path
    mutant: str | None = None
    points: Mapping[str, int] = field(default_factory=dict)
    fate: Literal["kill", "freeze"] = "kill"
    ahead: timedelta = timedelta(0)
    hurry: bool = False
    file_limit: int | None = None
    read_only: tuple[float, float] | None = None
    at_work: mmap = field(default_factory=lambda: mmap(-1, 1))
    recoveries: mmap = field(default_factory=lambda: mmap(-1, 1))
    ttl: timedelta = TTL
    beat: float = BEAT


class ChaosClock:
    """The wall clock with a jump in it; in a hurry, it leaps over every wait."""

    def __init__(self, ahead: timedelta, *, hurry: bool) -> None:
        self._ahead, self._hurry = ahead, hurry
        self.patience: timedelta | None = timedelta(days=1) if hurry else timedelta(seconds=_LOOK_AGAIN)

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    async def sleep_until(self, at: datetime) -> None:
        left = (at - self.now()).total_seconds()
        if self._hurry and left > _SHORT:
            self._ahead += timedelta(seconds=left)
        elif left > 0:
            await asyncio.sleep(left)


def run_engine(orders: Orders) -> int:
    """The whole life of an engine, in a process of its own; returns its exit code."""
    if orders.file_limit is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (orders.file_limit, orders.file_limit))
    if orders.read_only is not None:
        _refuse_writes(*orders.read_only)
    if orders.mutant:
        MUTANTS[orders.mutant]()
    without_prefect()
    watch_settlements(orders.notes)
    watch_leases(orders.notes)
    for name in ("reclaim", "recover"):
        after(name)(partial(_count, orders))
    for point, passage in orders.points.items():
        arm(point, partial(_meet, orders, point), passage=passage)
    try:
        with using_clock(ChaosClock(orders.ahead, hurry=orders.hurry)):
            return asyncio.run(_live(orders))
    except DrumrollError as error:
        note(orders.notes, "refused", str(error))
        return REFUSED
    except Exception:  # noqa: BLE001 - whatever it is, it goes into the account
        note(orders.notes, "broken", traceback.format_exc(limit=-4))
        return BROKEN


def without_prefect() -> None:
    """The loop over beats as it is, with nobody to show it to: its tasks are the functions they are made of."""
    os.environ["DRUMROLL_WAITING"] = "inline"
    for name, value in list(vars(operate).items()):
        if isinstance(value, Task):
            setattr(operate, name, value.fn)

    async def gate(where: Where, phase: str) -> str:
        judgement = read_gate(where, phase, now=current_clock().now())
        return judgement.verdict if judgement is not None else ""

    async def show_phase(*_: Any) -> None:
        pass

    operate.gate, operate.show_phase = gate, show_phase  # both end in artifacts


async def run_edition(
    where: Where, plan: Plan, *, ttl: timedelta, beat: float, insist: bool = False, at_work: Callable[[bool], None]
) -> None:
    """One edition from wherever it stands to its end, as `flows/launch.py` goes through it.

    Raises FencedError when another engine runs it, or takes it over meanwhile.
    """
    if not _has_begun(where):
        begin(plan, ledger=where.open(), rehearsal=False, now=current_clock().now())
    if ended(where) is not None:
        return
    async with holding(where, f"engine {os.getpid()}", ttl=ttl, beat=beat) as ours:
        at_work(True)
        try:
            await _phase_by_phase(ours, insist=insist)
        finally:
            at_work(False)


def _has_begun(where: Where) -> bool:
    try:
        return bool(where.open().plan_hash(where.edition))
    except LedgerBusyError:
        raise
    except LedgerError:
        return False


async def _phase_by_phase(where: Where, *, insist: bool) -> None:
    if ended(where) is not None:
        return
    reopen(where)
    for phase in where.plan().phases:
        if standing_verdict(where.open(), where.edition, phase.name) == "pass":
            continue
        verdict = await _phase(where, phase.name)
        if verdict == "hold" and insist:
            now = current_clock().now()
            decide(where, phase.name, "pass", by="the harness", reason="the storm is over", now=now)
        elif verdict != "pass":
            close_edition(where, verdict)
            return
    await operate.see_out(where, phase.name)
    close_edition(where, "pass")


async def _phase(where: Where, phase: str) -> str:
    """As `tasks/engine.py` has a phase begin anew, under the lease that the launch goes on holding."""
    while True:
        try:
            return await operate.beat_by_beat(phase, where)
        except LedgerBusyError:
            await asyncio.sleep(_BUSY)


async def _live(orders: Orders) -> int:
    """A worker that is there again whenever its edition needs an engine."""

    def at_work(yes: bool) -> None:
        orders.at_work[0] = yes

    while True:
        try:
            await run_edition(
                orders.where, orders.plan, ttl=orders.ttl, beat=orders.beat, insist=orders.hurry, at_work=at_work
            )
        except FencedError:
            note(orders.notes, "stepped aside", orders.where.edition)
            await asyncio.sleep(BEAT)
        except LedgerBusyError:
            await asyncio.sleep(_BUSY)
        else:
            return OVER


def _meet(orders: Orders, point: str) -> None:
    note(orders.notes, orders.fate, point)
    orders.at_work[0] = 1
    (kill_me if orders.fate == "kill" else freeze_me)()


def _count(orders: Orders) -> None:
    orders.recoveries[0] = (orders.recoveries[0] + 1) % 256


def _refuse_writes(since: float, until: float) -> None:
    began = time.monotonic()

    def refuse(connection: Connection) -> None:
        now = since <= time.monotonic() - began < until
        connection.exec_driver_sql(f"PRAGMA query_only = {int(now)}")

    event.listen(Engine, "begin", refuse)
