"""One engine in the storm, and what the storm did to all of them."""

from collections import Counter
from dataclasses import dataclass, field

from tests.chaos.engine import Orders
from tests.chaos.processes import Forked


@dataclass
class Engine:
    """One engine under way. `life`: how many seconds it lives once it has the lease, if nothing else ends it before.

    `dies_at` (monotonic seconds) is when it is killed or frozen from outside. `freezes`: it comes on top of the two
    that are at work, and stays frozen for `frozen_for` seconds.
    """

    process: Forked
    orders: Orders
    life: float
    dies_at: float | None = None
    freezes: bool = False
    frozen_for: float = 0.0
    thaws_at: float | None = None
    recoveries: int | None = None  # as many as there were when it froze, until there are more

    @property
    def is_at_work(self) -> bool:
        """Whether it has ever held the lease."""
        return bool(self.orders.at_work[0])


@dataclass
class Toll:
    """What was done to one launch's engines. `stops`: engines that could leave rows doubtful. `idle_kills` are those
    of engines that waited for the lease."""

    kills: int = 0
    idle_kills: int = 0
    freezes: int = 0
    stops: int = 0
    finished: bool = False
    misled: bool = False
    faults: Counter[str] = field(default_factory=Counter)
    endings: Counter[str] = field(default_factory=Counter)
