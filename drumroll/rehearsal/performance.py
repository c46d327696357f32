"""One rehearsal from curtain to curtain: the real launch flow, a virtual clock, a world that moves with it."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from drumroll.clock import TimeIsUpError, VirtualClock, using_clock
from drumroll.operate.beats import standing_verdict
from drumroll.operate.edition import Where
from drumroll.operate.gating import decide
from drumroll.operate.story import tell
from drumroll.rehearsal.world import World
from drumroll.sources.base import Export


class Performance:
    """A staged edition (`rehearsal.stage.set_stage`) and the world it plays in.

    With `until` it stops there: what is due by then is done, nothing after it. `stopped_at` is that instant once it
    has; it stays None when the launch was over before.
    """

    def __init__(
        self,
        where: Where,
        starts: datetime,
        *,
        seed: int,
        members: int,
        export: Export | None,
        until: datetime | None = None,
    ) -> None:
        self.stopped_at: datetime | None = None
        self._where = where
        self._clock = VirtualClock(starts, stops_at=until)
        self._world = World(where, self._clock, seed=seed, members=members, export=export)

    async def play(
        self, launch: Callable[..., Awaitable[Any]], file: str, opens: str | None, *, on_hold: str
    ) -> list[str]:
        """Run the flow to its end or stop; the phases whose gates held. `on_hold`: what a person would decide there."""
        with using_clock(self._clock):
            return await self._play(launch, file, opens, on_hold=on_hold)

    async def _play(
        self, launch: Callable[..., Awaitable[Any]], file: str, opens: str | None, *, on_hold: str
    ) -> list[str]:
        held: list[str] = []
        while True:
            try:
                await launch(file, opens, self._where.ledger)
            except TimeIsUpError:
                self._stop()
                return held
            if self._where.open().edition(self._where.edition).state != "held":
                return held
            phase = self._held_phase()
            held.append(phase)
            choice: Any = "pass" if on_hold == "continue" else "abort"
            decide(self._where, phase, choice, by="rehearsal", reason=f"--on-hold {on_hold}", now=self._clock.now())

    def _stop(self) -> None:
        """Write down when: whoever looks at this edition later looks at it from here."""
        at, zone = self._clock.now(), self._where.plan().launch.timezone
        self.stopped_at = at
        self._where.open().decide(self._where.edition, "rehearsal", "stop", by="rehearsal", reason="--until", now=at)
        tell("stopped here; nothing later was done", at=at, timezone=zone, edition=self._where.edition)

    def _held_phase(self) -> str:
        ledger = self._where.open()
        return next(
            phase.name
            for phase in self._where.plan().phases
            if standing_verdict(ledger, self._where.edition, phase.name) == "hold"
        )
