"""Where an engine dies or freezes: the program's own functions, wrapped from outside in the engine's process alone."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from drumroll.channels.http_post import Poster
from drumroll.ledger.ledger import Ledger
from drumroll.ledger.store import Store

Act = Callable[[], None]

# Those that an engine passes all the time first, then those that need something to have gone wrong or that come once.
POINTS = {
    "worded": "words kept, nothing claimed",
    "claimed": "the claim committed, nothing sent",
    "wire": "the request on the wire",
    "answered": "the answer in hand, nothing settled",
    "settling": "inside the settlement's transaction",
    "settled": "the settlement committed",
    "taken": "the edition's lease taken, nothing else done",
    "renewing": "inside the transaction that renews the edition's lease",
    "beginning": "inside the transaction that begins the edition",
    "recipients": "the deliveries to single members written, their words not kept yet",
    "lapsed": "lapsed rows found, nothing recovered",
    "reclaimed": "a lapsed row taken over, not sent again yet",
    "recovering": "inside the transaction that writes a lapsed row down as unknown",
    "verdict": "inside the transaction that keeps a gate's verdict and its remedy",
}
# Of the flow run itself: only with --through prefect.
OF_PREFECT = {
    "signing": "the edition begun, its flow run not signed yet",
    "between": "the run Suspended, not Scheduled yet",
    "released": "the run Scheduled, its process not gone yet",
}
STRIKES = {
    "armed": "an engine dies at a point that it passes next",
    "engine": "one engine is killed under a living worker",
    "machine": "the worker and all its engines die at once; another takes their place",
    "server": "the Prefect server is killed and started again",
    "crash": "the ledger's server is stopped with -m immediate and started again (--ledger postgres)",
}
RARE = ("taken", "renewing", "beginning", "recipients", "lapsed", "reclaimed", "recovering", "verdict")
USUAL = tuple(point for point in POINTS if point not in RARE)


def kill_me() -> None:
    """SIGKILL: nothing of this process runs after it, no `finally`, no flush."""
    os.kill(os.getpid(), signal.SIGKILL)


def freeze_me() -> None:
    """SIGSTOP: this process stands still until somebody sends SIGCONT, and then knows nothing of it."""
    os.kill(os.getpid(), signal.SIGSTOP)


def arm(point: str, act: Act, *, passage: int) -> None:
    """Let `act` happen when this process passes `point` for the `passage`-th time, and never again."""
    passed = 0

    def pass_by() -> None:
        nonlocal passed
        passed += 1
        if passed == passage:
            act()

    PLACES[point](pass_by)


def _before(name: str) -> Callable[[Act], None]:
    def place(pass_by: Act) -> None:
        original = getattr(Ledger, name)

        def wrapped(self: Ledger, *args: Any, **kwargs: Any) -> Any:
            pass_by()
            return original(self, *args, **kwargs)

        setattr(Ledger, name, wrapped)

    return place


def after(name: str) -> Callable[[Act], None]:
    """A place after that call of the ledger, when it found or did anything."""

    def place(pass_by: Act) -> None:
        original = getattr(Ledger, name)

        def wrapped(self: Ledger, *args: Any, **kwargs: Any) -> Any:
            result = original(self, *args, **kwargs)
            if result:
                pass_by()
            return result

        setattr(Ledger, name, wrapped)

    return place


def _inside(name: str) -> Callable[[Act], None]:
    """When everything of its transaction is written, and nothing committed."""

    def place(pass_by: Act) -> None:
        original, write, inside = getattr(Ledger, name), Store.write, False

        def wrapped(self: Ledger, *args: Any, **kwargs: Any) -> Any:
            nonlocal inside
            inside = True
            try:
                return original(self, *args, **kwargs)
            finally:
                inside = False

        @contextmanager
        def written(self: Store, *, fenced: bool = True) -> Iterator[Any]:
            with write(self, fenced=fenced) as connection:
                yield connection
                if inside:
                    pass_by()

        setattr(Ledger, name, wrapped)
        Store.write = written  # type: ignore[method-assign]

    return place


def _on_the_wire(pass_by: Act) -> None:
    original = Poster.post

    async def post(self: Poster, *args: Any) -> Any:
        request = asyncio.ensure_future(original(self, *args))
        await asyncio.sleep(0.01)  # long enough for a request to leave, too short for most answers
        pass_by()
        return await request

    Poster.post = post  # type: ignore[method-assign]


PLACES: dict[str, Callable[[Act], None]] = {
    "taken": after("take_lease"),
    "renewing": _inside("keep_lease"),
    "beginning": _inside("begin"),
    "recipients": after("schedule"),
    "worded": after("keep_wording"),
    "claimed": after("claim"),
    "wire": _on_the_wire,
    "answered": _before("settle"),
    "settling": _inside("settle"),
    "settled": after("settle"),
    "lapsed": after("expired"),
    "reclaimed": after("reclaim"),
    "recovering": _inside("recover"),
    "verdict": _inside("keep_check"),
}
