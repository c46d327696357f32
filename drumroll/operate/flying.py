"""The requests of this process that are under way, or answered and not written down yet."""

import asyncio
from collections.abc import Iterable

from drumroll.ledger.model import Settlement
from drumroll.operate.chorus import Voice

Landed = asyncio.Task[Settlement]
_SOON = 0.02  # seconds that an answer waits for others, to be written down with them
_in_flight: "set[asyncio.Task[Settlement]]" = set()


def on_the_wire() -> bool:
    """Whether any request of this process still waits for its answer or its settlement."""
    return bool(_in_flight)


def settled(tasks: Iterable[Landed]) -> None:
    """These have been written down, or given up."""
    _in_flight.difference_update(tasks)


class Flying:
    """Requests under way. A wait for the next of them costs the same however many there are, as asyncio's does not."""

    def __init__(self, voice: Voice) -> None:
        self._voice = voice
        self.tasks: set[Landed] = set()
        self._landed: list[Landed] = []
        self._some, self._enough = asyncio.Event(), 1

    def __len__(self) -> int:
        return len(self.tasks) + len(self._landed)

    def add(self, task: Landed) -> None:
        """One more."""
        self.tasks.add(task)
        self._voice.count(1)
        _in_flight.add(task)
        task.add_done_callback(self._land)

    async def landed(self) -> list[Landed]:
        """Those that have ended since the last time, one at least; of a crowd half, unless that takes long.

        Transactions for many rows cost little more than for one.
        """
        self._enough = max(1, len(self) // 2)
        if len(self._landed) < self._enough:
            if self._landed:
                self._look_soon()
            await self._some.wait()
        self._some.clear()
        landed, self._landed = self._landed, []
        return landed

    def _land(self, task: Landed) -> None:
        self.tasks.discard(task)
        self._voice.count(-1)
        self._landed.append(task)
        if len(self._landed) >= self._enough or not self.tasks:
            self._some.set()
        elif len(self._landed) == 1:
            self._look_soon()

    def _look_soon(self) -> None:
        asyncio.get_running_loop().call_later(_SOON, self._look)

    def _look(self) -> None:
        if self._landed:
            self._some.set()
