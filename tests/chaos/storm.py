"""The storm: two engines at a time on every edition, killed, frozen and misled until the kills are used up."""

import random
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial
from mmap import mmap
from pathlib import Path
from typing import Any

from drumroll.ledger.ledger import open_ledger
from drumroll.operate.edition import Where
from tests.chaos.databases import Database
from tests.chaos.editing import edit_and_apply
from tests.chaos.engine import BROKEN, OVER, REFUSED, TTL, Orders, run_engine
from tests.chaos.launches import AFTER_GATE, BEFORE_GATE, GATE_SLACK, StormLaunch
from tests.chaos.points import RARE, USUAL
from tests.chaos.processes import Forked, fork
from tests.chaos.toll import Engine, Toll

ENGINES = 2
LEASE = 6.0  # seconds that a row is leased: the sinks' timeout of 1 s and the margin the outbox adds
JUMPS = (timedelta(hours=-1), timedelta(minutes=5), timedelta(hours=3), timedelta(days=3))
_TAKEOVER = 5.0  # seconds that an engine lives while a frozen one's rows are to be taken over
_RECOVERING = 2.0  # seconds from when the first of them is, until it wakes
_LONGEST_TAKEOVER = 25.0  # seconds that it stays frozen beyond its leases, until somebody has taken over
_TAIL = 2.0  # seconds that a storm rages on after a launch's last phase
_AGAIN = 0.3  # seconds before the next engine when one was refused by the ledger: it would be refused as well
_FINISHERS, _LONGEST_FINISH = 25, 40.0  # engines, seconds each
_ENDINGS = {OVER: "over", REFUSED: "refused", BROKEN: "broken"}


class Storm:
    """One launch's storm; it ends soon after there are `enough` kills, or with its launch. `run` shares its process
    with other storms: it yields whenever there is nothing to do just now."""

    def __init__(
        self,
        launch: StormLaunch,
        database: Database,
        notes: Path,
        *,
        dice: random.Random,
        faults: frozenset[str],
        enough: Callable[[], bool],
        first: bool,
        mutant: str | None,
    ) -> None:
        self._launch, self._database, self._notes = launch, database, notes
        self._dice, self._faults, self._enough, self._mutant = dice, faults, enough, mutant
        self._where = Where(launch.plan.edition, database.url, str(launch.project))
        self._engines: list[Engine] = []
        self._others: list[Forked] = []
        self._wanted: list[str] = []  # faults that the next engines meet
        self._over, self._first = False, first
        self._not_before, self._recoveries = 0.0, mmap(-1, 1)
        self.toll = Toll()
        if launch.ahead:
            self.toll.faults["fold"] += 1
        self._schedule = self._forecast()

    def run(self) -> Iterator[None]:
        """Storm, then one engine after the other that brings the edition to its end."""
        end = self._launch.ends + timedelta(seconds=_TAIL)
        try:
            yield from self._rage(end)
            yield from self._clear()
            yield from self._finish()
        finally:
            for process in [engine.process for engine in self._engines] + self._others:
                process.kill()

    def _rage(self, end: datetime) -> Iterator[None]:
        while (self._launch.plan.opens - self._launch.now()).total_seconds() > 1:
            yield
        while not self._is_spent(end) or self._awaits_a_freeze():
            self._look_after()
            self._strike()
            spent = self._is_spent(end)
            at_once = sum(not engine.freezes for engine in self._engines)
            if spent and any(engine.freezes and not engine.is_at_work for engine in self._engines):
                at_once = ENGINES  # it is to have its turn
            if at_once < ENGINES and not self._over and time.monotonic() >= self._not_before:
                self._engines.append(self._spawn(mortal=not (spent or self._is_takeover())))
            yield

    def _is_spent(self, end: datetime) -> bool:
        return self._enough() or self._launch.now() > end or self._over

    def _is_takeover(self) -> bool:
        """Whether the leases of a frozen engine's rows have run out: they should be somebody else's when it wakes."""
        now = time.monotonic() + 1
        return any(engine.process.is_stopped and now >= (engine.thaws_at or now + 1) for engine in self._engines)

    def _may_thaw(self, engine: Engine, now: float) -> bool:
        if engine.thaws_at is None or now < engine.thaws_at:
            return False
        if engine.recoveries is not None and self._recoveries[0] != engine.recoveries:
            engine.thaws_at, engine.recoveries = now + _RECOVERING, None
            return False
        return engine.recoveries is None or now > engine.thaws_at + _LONGEST_TAKEOVER

    def _awaits_a_freeze(self) -> bool:
        """Whether one is frozen or just thawed: others must have the time to take over, and it to wake up."""
        if any(engine.freezes and (self._first or engine.is_at_work) for engine in self._engines):
            return True
        return self._first and not self._over and any(fault == "freeze" for _, fault in self._schedule)

    def _forecast(self) -> list[tuple[datetime, str]]:
        """Which rarer fault comes when. The first launch begins with a freeze, and its clocks are right."""
        dice, opens = self._dice, self._launch.plan.opens
        length = (self._launch.ends - opens).total_seconds()
        between = BEFORE_GATE + dice.uniform(0, GATE_SLACK)  # announced by the phase before, and not begun
        coming = {
            "freeze": [-1.0, 2.5] if self._first else [dice.uniform(0, length), dice.uniform(0, length)],
            "lock": [dice.uniform(0, length)],
            "full": [dice.uniform(2, length), dice.uniform(2, length)] if self._database.file else [],
            "crash": [dice.uniform(2, length)] if self._database.can_crash else [],
            "readonly": [dice.uniform(1, length)],
            "clock": [dice.uniform(0, length)] if not self._first and dice.random() < 0.4 else [],
            "apply": [between, dice.uniform(between, between + AFTER_GATE)],
        }
        return sorted(
            (opens + timedelta(seconds=at), fault)
            for fault, times in coming.items()
            if fault in self._faults
            for at in times
        )

    def _strike(self) -> None:
        while self._schedule and self._schedule[0][0] <= self._launch.now():
            _, fault = self._schedule.pop(0)
            if fault == "lock":
                # The ledger is that of all launches under way: once longer than it waits by itself is enough.
                self._hurt(fault, partial(self._database.hold_lock, 7.0 if self._first else self._dice.uniform(0.3, 2)))
            elif fault == "crash":
                self._hurt(fault, self._database.crash)
            elif fault == "readonly" and self._database.file is None:
                self._hurt(fault, partial(self._database.read_only, self._dice.uniform(0.3, 1.5)))
            elif fault == "apply":
                dice = random.Random(self._dice.random())
                self.toll.faults[fault] += 1
                self._others.append(fork(partial(edit_and_apply, self._launch, self._database.url, self._notes, dice)))
            elif fault == "freeze":
                self._engines.append(self._spawn_to_freeze())
            else:
                self._wanted.append(fault)

    def _hurt(self, fault: str, work: Callable[[], int]) -> None:
        self._others.append(fork(work))
        self.toll.faults[fault] += 1
        self.toll.stops += ENGINES  # a lease may lapse while its engine waits for the database

    def _spawn(self, *, mortal: bool) -> Engine:
        dice, more, points = self._dice, dict[str, Any](), dict[str, int]()
        fault = self._wanted.pop(0) if self._wanted else ""
        life = self._till_a_burst() if mortal else _TAKEOVER
        if fault == "clock":
            more["ahead"], life, self.toll.misled = self._launch.ahead + dice.choice(JUMPS), 1.5, True
        elif fault == "full":
            more["file_limit"], life = self._database.room_left(0), 3.0
        elif fault == "readonly":
            since = dice.uniform(0, 2)
            more["read_only"], life = (since, since + dice.uniform(0.5, 3)), 4.0
        elif mortal and dice.random() < 0.65:
            points, life = self._draw_points(), life + 0.4
        if fault:
            self.toll.faults[fault] += 1
        dies_at = time.monotonic() + life if mortal and dice.random() < 0.1 else None  # while it waits, perhaps
        return self._fork(points, life=life, dies_at=dies_at, **more)

    def _spawn_to_freeze(self) -> Engine:
        """One that stops with something in its hands, sooner or later; others go on meanwhile."""
        point = self._dice.choice(["answered", "answered", "wire", "claimed"])
        engine = self._fork({point: 2}, life=8.0, fate="freeze")  # the first is done by hand
        engine.freezes = True
        # Past the lease on its edition only, or past that on its rows as well.
        short = not self._first and self._dice.random() < 0.5
        engine.frozen_for = TTL.total_seconds() + 1 if short else LEASE + 1
        return engine

    def _draw_points(self) -> dict[str, int]:
        """Where an engine dies: at whichever of these it passes first."""
        dice = self._dice
        rare = {point: 1 for point in RARE if dice.random() < 0.2}
        return rare | {dice.choice(USUAL): dice.choice([1, 1, 2, 3])}

    def _till_a_burst(self) -> float:
        """Seconds to live: steps go out at whole seconds, so that is when there is something to interrupt."""
        return 1 - time.time() % 1 + self._dice.uniform(-0.05, 0.5)

    def _fork(self, points: Mapping[str, int], *, life: float, dies_at: float | None = None, **more: Any) -> Engine:
        more.setdefault("ahead", self._launch.ahead)
        orders = Orders(
            self._where, self._launch.plan, self._notes, self._mutant, points, recoveries=self._recoveries, **more
        )
        return Engine(fork(lambda: run_engine(orders)), orders, life, dies_at)

    def _look_after(self) -> None:
        now = time.monotonic()
        self._others = [other for other in self._others if other.poll() is None]
        for engine in list(self._engines):
            if engine.dies_at is None and engine.is_at_work:
                engine.dies_at = now + engine.life
            if engine.process.poll() is not None:
                self._bury(engine)
            elif engine.thaws_at is None and engine.process.is_stopped:
                engine.thaws_at = now + engine.frozen_for
                engine.recoveries = self._recoveries[0] if engine.frozen_for > LEASE else None
                self.toll.freezes += 1
                self.toll.stops += 1
            elif engine.process.is_stopped and self._may_thaw(engine, now):
                engine.process.send(signal.SIGCONT)
                engine.dies_at = now + _TAKEOVER  # to settle what it was about to settle
            elif not engine.process.is_stopped and now >= (engine.dies_at or now + 1):
                freezes = engine.freezes and engine.thaws_at is None
                engine.process.send(signal.SIGSTOP if freezes else signal.SIGKILL)
                engine.dies_at = now + 60

    def _bury(self, engine: Engine) -> None:
        self._engines.remove(engine)
        code = engine.process.code
        if code == -signal.SIGKILL:
            self.toll.kills += engine.is_at_work
            self.toll.idle_kills += not engine.is_at_work
        else:
            self.toll.endings[_ENDINGS.get(code or 0, f"exit {code}")] += 1
        if code == REFUSED:
            self._not_before = time.monotonic() + _AGAIN
        self._over = self._over or code == OVER
        self.toll.stops += code != OVER and engine.is_at_work

    def _clear(self) -> Iterator[None]:
        for engine in self._engines[:]:
            engine.process.kill()
            self._bury(engine)
        until = time.monotonic() + 30
        while any(other.poll() is None for other in self._others) and time.monotonic() < until:
            yield

    def _finish(self) -> Iterator[None]:
        """Bring the edition to its end with one engine at a time in a hurry; some of them die over it as well.

        What the storm left lapsed is recovered now: a server crashes in the middle of that.
        """
        deaths = self._dice.randint(0, 4)
        for attempt in range(_FINISHERS):
            dies = attempt < deaths and not self._enough()
            engine = self._fork(self._draw_points() if dies else {}, life=0.0, hurry=True)
            self._engines = [engine]
            if attempt == 0 and "crash" in self._faults and self._database.can_crash:
                self._hurt("crash", self._database.crash)
            until = time.monotonic() + _LONGEST_FINISH
            while engine.process.poll() is None:
                if time.monotonic() > until:
                    engine.process.kill()
                yield
            self._bury(engine)
            if engine.process.code == OVER:
                self.toll.finished = True
                return
            self._not_before = time.monotonic() + _AGAIN
            while time.monotonic() < self._not_before:
                yield
        print(f"{self._where.edition} never came to its end", file=sys.stderr)


def prepare(database: Database) -> None:
    """Make the ledger's tables, in a process of its own."""

    def migrate() -> int:
        open_ledger(database.url).close()
        return 0

    if fork(migrate).wait(60) != 0:
        raise SystemExit("the ledger could not be made; see above")
