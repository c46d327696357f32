"""The storm: two engines at a time on every edition, killed, frozen and misled until the kills are used up."""

import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from drumroll.ledger.ledger import open_ledger
from drumroll.operate.edition import Where
from tests.chaos.databases import Database
from tests.chaos.engine import BROKEN, OVER, REFUSED, Orders, run_engine
from tests.chaos.launches import StormLaunch
from tests.chaos.points import RARE, USUAL
from tests.chaos.processes import Forked, fork

ENGINES = 2
LEASE = 6.0  # seconds: the sinks' timeout of 1 s and the margin the outbox adds
JUMPS = (timedelta(hours=-1), timedelta(minutes=5), timedelta(hours=3), timedelta(days=3))
_TAKEOVER = 3.0  # seconds after a frozen engine's lease in which others may do their work in peace
_TAIL = 2.0  # seconds that a storm rages on after a launch's last phase
_FINISHERS, _LONGEST_FINISH = 25, 30.0  # engines, seconds each
_ENDINGS = {OVER: "over", REFUSED: "refused", BROKEN: "broken"}


@dataclass
class Engine:
    """One engine under way. `dies_at` (monotonic seconds): when it is killed from outside, unless it was before."""

    process: Forked
    dies_at: float
    freezes: bool
    thaws_at: float | None = None

    @property
    def counts(self) -> bool:
        """Whether it is one of the two that are always at work; one that was or will be frozen comes on top."""
        return not self.freezes


@dataclass
class Toll:
    """What was done to one launch's engines. `stops`: engines that could leave rows doubtful."""

    kills: int = 0
    freezes: int = 0
    stops: int = 0
    finished: bool = False
    misled: bool = False
    faults: Counter[str] = field(default_factory=Counter)
    endings: Counter[str] = field(default_factory=Counter)


class Storm:
    """One launch's storm. `quota`: how many kills are still wanted; `run` ends soon after they are used up."""

    def __init__(
        self,
        launch: StormLaunch,
        database: Database,
        notes: Path,
        *,
        dice: random.Random,
        faults: frozenset[str],
        quota: int,
        first: bool,
        mutant: str | None,
    ) -> None:
        self._launch, self._database, self._notes = launch, database, notes
        self._dice, self._faults, self._quota, self._mutant = dice, faults, quota, mutant
        self._where = Where(launch.plan.edition, database.url, str(launch.project))
        self._engines: list[Engine] = []
        self._others: list[Forked] = []
        self._wanted: list[str] = []  # faults that the next engines meet
        self._over, self._first = False, first
        self.toll = Toll()
        self._schedule = self._forecast()

    def run(self) -> Toll:
        """Storm, then one engine after the other that brings the edition to its end."""
        end = self._launch.ends + timedelta(seconds=_TAIL)
        try:
            self._rage(end)
            self._clear()
            self._finish()
        finally:
            self._clear()
        return self.toll

    def _rage(self, end: datetime) -> None:
        time.sleep(max(0.0, (self._launch.plan.opens - datetime.now(UTC)).total_seconds() - 1))
        while not self._is_spent(end) or self._awaits_a_freeze():
            self._look_after()
            self._strike()
            while sum(engine.counts for engine in self._engines) < ENGINES and not self._over:
                self._engines.append(self._spawn(mortal=not (self._is_spent(end) or self._is_takeover())))
            time.sleep(0.005)

    def _is_spent(self, end: datetime) -> bool:
        return self.toll.kills >= self._quota or datetime.now(UTC) > end or self._over

    def _is_takeover(self) -> bool:
        """Whether a lease of a frozen engine has run out: its rows should be somebody else's when it wakes up."""
        now = time.monotonic() + _TAKEOVER
        return any(engine.process.is_stopped and now >= (engine.thaws_at or now + 1) for engine in self._engines)

    def _awaits_a_freeze(self) -> bool:
        """Whether one is under way: others must have the time to take over, and it to wake up."""
        if any(engine.freezes for engine in self._engines):
            return True
        return self._first and not self._over and any(fault == "freeze" for _, fault in self._schedule)

    def _forecast(self) -> list[tuple[datetime, str]]:
        """Which rarer fault comes when. The first launch begins with a freeze, and its clocks are right."""
        dice, opens = self._dice, self._launch.plan.opens
        length = (self._launch.ends - opens).total_seconds()
        coming = {
            "freeze": [0.5, 2.5] if self._first else [dice.uniform(0, length), dice.uniform(0, length)],
            "lock": [dice.uniform(0, length)],
            "full": [dice.uniform(2, length), dice.uniform(2, length)] if self._database.file else [],
            "crash": [dice.uniform(2, length), dice.uniform(2, length)] if self._database.can_crash else [],
            "clock": [dice.uniform(0, length)] if not self._first and dice.random() < 0.4 else [],
        }
        return sorted(
            (opens + timedelta(seconds=at), fault)
            for fault, times in coming.items()
            if fault in self._faults
            for at in times
        )

    def _strike(self) -> None:
        while self._schedule and self._schedule[0][0] <= datetime.now(UTC):
            _, fault = self._schedule.pop(0)
            if fault == "lock":
                self._hurt(fault, partial(self._database.hold_lock, self._dice.choice([0.5, 2.0, 7.0])))
            elif fault == "crash":
                self._hurt(fault, self._database.crash)
            elif fault == "freeze":
                self._engines.append(self._spawn_to_freeze())
            else:
                self._wanted.append(fault)

    def _hurt(self, fault: str, work: Callable[[], int]) -> None:
        self._others.append(fork(work))
        self.toll.faults[fault] += 1
        self.toll.stops += ENGINES  # a lease may lapse while its engine waits for the database

    def _spawn(self, *, mortal: bool) -> Engine:
        dice, jump, limit = self._dice, timedelta(0), None
        points: dict[str, int] = {}
        fault = self._wanted.pop(0) if self._wanted else ""
        life = self._till_a_burst() if mortal else _TAKEOVER
        if fault == "clock":
            jump, life, self.toll.misled = dice.choice(JUMPS), 1.5, True
        elif fault == "full":
            limit, life = self._database.room_left(0), 3.0
        elif mortal and dice.random() < 0.65:
            points, life = self._draw_points(), life + 0.4
        if fault:
            self.toll.faults[fault] += 1
        return Engine(self._fork(points, jump=jump, file_limit=limit), time.monotonic() + life, freezes=False)

    def _spawn_to_freeze(self) -> Engine:
        """One that stops with something in its hands, sooner or later; others go on meanwhile."""
        point = self._dice.choice(["answered", "answered", "wire", "claimed"])
        return Engine(self._fork({point: 1}, fate="freeze"), time.monotonic() + 8, freezes=True)

    def _draw_points(self) -> dict[str, int]:
        """Where an engine dies: at whichever of these it passes first."""
        dice = self._dice
        rare = {point: 1 for point in RARE if dice.random() < 0.3}
        return rare | {dice.choice(USUAL): dice.choice([1, 1, 2, 3])}

    def _till_a_burst(self) -> float:
        """Seconds to live: steps go out at whole seconds, so that is when there is something to interrupt."""
        return 1 - time.time() % 1 + self._dice.uniform(-0.05, 0.5)

    def _fork(self, points: Mapping[str, int], **more: Any) -> Forked:
        orders = Orders(self._where, self._launch.plan, self._notes, self._mutant, points, **more)
        return fork(lambda: run_engine(orders))

    def _look_after(self) -> None:
        now = time.monotonic()
        self._others = [other for other in self._others if other.poll() is None]
        for engine in list(self._engines):
            if engine.process.poll() is not None:
                self._bury(engine)
            elif engine.thaws_at is None and engine.process.is_stopped:
                engine.thaws_at = now + LEASE + _TAKEOVER
                self.toll.freezes += 1
                self.toll.stops += 1
            elif engine.thaws_at is not None and engine.process.is_stopped and now >= engine.thaws_at:
                engine.process.send(signal.SIGCONT)
                engine.dies_at = now + 3  # to settle what it was about to settle
            elif not engine.process.is_stopped and now >= engine.dies_at:
                freezes = engine.freezes and engine.thaws_at is None
                engine.process.send(signal.SIGSTOP if freezes else signal.SIGKILL)
                engine.dies_at = now + 60

    def _bury(self, engine: Engine) -> None:
        self._engines.remove(engine)
        code = engine.process.code
        if code == -signal.SIGKILL:
            self.toll.kills += 1
        else:
            self.toll.endings[_ENDINGS.get(code or 0, f"exit {code}")] += 1
        self._over = self._over or code == OVER
        self.toll.stops += code != OVER

    def _clear(self) -> None:
        for engine in self._engines[:]:
            engine.process.kill()
            self._bury(engine)
        for other in self._others:
            if other.wait(15) is None:
                other.kill()

    def _finish(self) -> None:
        """Bring the edition to its end with one engine at a time in a hurry; some of them die over it as well."""
        deaths = self._dice.randint(0, 4)
        for attempt in range(_FINISHERS):
            dies = attempt < deaths and self.toll.kills < self._quota
            engine = Engine(self._fork(self._draw_points() if dies else {}, hurry=True), 0.0, freezes=False)
            self._engines = [engine]
            if engine.process.wait(_LONGEST_FINISH) is None:
                engine.process.kill()
            self._bury(engine)
            if engine.process.code == OVER:
                self.toll.finished = True
                return
            time.sleep(0.1)
        print(f"{self._where.edition} never came to its end", file=sys.stderr)


def prepare(database: Database) -> None:
    """Make the ledger's tables, in a process of its own."""

    def migrate() -> int:
        open_ledger(database.url).close()
        return 0

    if fork(migrate).wait(60) != 0:
        raise SystemExit("the ledger could not be made; see above")
