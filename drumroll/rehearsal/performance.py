"""One rehearsal from curtain to curtain: the real launch flow, a virtual clock, a world that moves with it."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from drumroll.clock import VirtualClock, using_clock
from drumroll.operate.beats import standing_verdict
from drumroll.operate.edition import Where
from drumroll.operate.gating import decide
from drumroll.rehearsal.world import World
from drumroll.sources.base import Export


class Performance:
    """A staged edition (`rehearsal.stage.set_stage`) and the world it plays in."""

    def __init__(self, where: Where, starts: datetime, *, seed: int, members: int, export: Export | None) -> None:
        self._where = where
        self._clock = VirtualClock(starts)
        self._world = World(where, self._clock, seed=seed, members=members, export=export)

    async def play(
        self, launch: Callable[..., Awaitable[Any]], file: str, opens: str | None, *, on_hold: str
    ) -> list[str]:
        """Run the flow to its end; the phases whose gates held. `on_hold` is what a person would decide there."""
        with using_clock(self._clock):
            return await self._play(launch, file, opens, on_hold=on_hold)

    async def _play(
        self, launch: Callable[..., Awaitable[Any]], file: str, opens: str | None, *, on_hold: str
    ) -> list[str]:
        held: list[str] = []
        while True:
            await launch(file, opens, self._where.ledger)
            if self._where.open().edition(self._where.edition).state != "held":
                return held
            phase = self._held_phase()
            held.append(phase)
            choice: Any = "pass" if on_hold == "continue" else "abort"
            decide(self._where, phase, choice, by="rehearsal", reason=f"--on-hold {on_hold}", now=self._clock.now())

    def _held_phase(self) -> str:
        ledger = self._where.open()
        return next(
            phase.name
            for phase in self._where.plan().phases
            if standing_verdict(ledger, self._where.edition, phase.name) == "hold"
        )
