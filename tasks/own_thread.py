"""Work that has a thread and an event loop of its own, beside ours."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


async def in_own_thread(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """The result of `work()`, which runs on the event loop of a thread of its own.

    Cancelled here, it is cancelled there, once, and waited for.
    """
    begun: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any] | None]] = Future()

    async def beginning() -> T:
        begun.set_result((asyncio.get_running_loop(), asyncio.current_task()))
        return await work()

    working = asyncio.ensure_future(asyncio.to_thread(lambda: asyncio.run(beginning())))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        loop, task = await asyncio.wrap_future(begun)
        if task is not None and not working.done():
            loop.call_soon_threadsafe(task.cancel)
        await asyncio.wait([working])
        raise
