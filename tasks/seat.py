"""A flow run's seat among others in one process: when its set-up is over, and how it is asked to leave."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from prefect.states import Running

from tasks.releasing import leave

T = TypeVar("T")

_current: ContextVar["Seat | None"] = ContextVar("drumroll_seat", default=None)


class Seat:
    """Held by one flow run as long as it lives in this process. `settled` is called, once, when its set-up is over."""

    def __init__(self, settled: Callable[[], None]) -> None:
        self.asked_to_leave = False
        self._settled: Callable[[], None] | None = settled
        self._waiting: asyncio.Timeout | None = None

    def settle(self) -> None:
        """Its set-up is over, or it has left; safe to call again."""
        if self._settled is not None:
            self._settled()
        self._settled = None

    def ask_to_leave(self) -> None:
        """End its wait with Pause, now or when it next waits: what it is sending by then gets its answer."""
        self.asked_to_leave = True
        if self._waiting is not None:
            self._waiting.reschedule(asyncio.get_running_loop().time())

    async def unless_asked(self, waiting: Awaitable[T]) -> T:
        """The result of `waiting`; Pause, which leaves the run's state as it is, once it is asked to leave."""
        self.settle()
        try:
            async with asyncio.timeout(0 if self.asked_to_leave else None) as self._waiting:
                return await waiting
        except TimeoutError:
            if self.asked_to_leave:
                raise leave(Running()) from None
            raise
        finally:
            self._waiting = None


@contextmanager
def seated(seat: Seat) -> Iterator[None]:
    """Inside, the flow run that is run has this seat."""
    mark = _current.set(seat)
    try:
        yield
    finally:
        _current.reset(mark)
        seat.settle()


async def while_seated(waiting: Awaitable[T]) -> T:
    """The result of `waiting`, with which the set-up is over; Pause once this flow run is asked to leave.

    A run that has its process for itself just waits.
    """
    seat = _current.get()
    return await (waiting if seat is None else seat.unless_asked(waiting))


def settled() -> None:
    """The set-up of the flow run we are in is over, though it has not come to a wait: others may be set up."""
    if (seat := _current.get()) is not None:
        seat.settle()


def asked_to_leave() -> bool:
    """Whether the flow run we are in is to leave its process."""
    seat = _current.get()
    return seat is not None and seat.asked_to_leave
