"""Waiting for a moment. The one module that decides what a process does meanwhile."""

from datetime import datetime, timedelta

from drumroll.clock import current_clock
from drumroll.operate.braking import tell_held_back
from drumroll.operate.edition import Where
from drumroll.operate.waking import wake_for
from tasks.releasing import give_back
from tasks.seat import while_seated

_SOON = timedelta(seconds=3)
_LATEST = timedelta(hours=1)  # should nobody wake it


async def wait_until(at: datetime, where: Where, what: str, *, instant: datetime | None = None) -> bool:
    """True when it is `at` (UTC), on the wall clock or a rehearsal's; `what` is to come, as in `【公告07】 at 23:00`.

    `instant` is the moment itself, when `at` is the time to make ready for it.

    A launch on a worker gives its process back when the wait is long, and never returns from here: the same flow run
    begins anew, from the ledger, shortly before `at`. Elsewhere the process waits. On the wall clock False comes after
    a while even so: a person may have released, resolved or decided something, and the ledger is to be asked again
    what is next. Where several launches share a process, Pause ends the wait of one that is to leave it.
    """
    clock = current_clock()
    if clock.patience is None:
        await clock.sleep_until(at)
    else:
        if (wake := wake_for(where, at, now=clock.now(), instant=instant)) is not None:
            await give_back(wake, what)
        await while_seated(clock.sleep_until(min(at, clock.now() + clock.patience)))
    return clock.now() >= at


async def stood_by(where: Where) -> bool:
    """False when nothing holds the edition back. Else True, after a while: it is to be looked at again.

    A launch on a worker gives its process back. Whoever lets it go on wakes it, or the watch does.
    """
    if (why := tell_held_back(where)) is None:
        return False
    clock = current_clock()
    if clock.patience is not None and (wake := wake_for(where, clock.now() + _LATEST, now=clock.now())) is not None:
        await give_back(wake, why)
    await while_seated(clock.sleep_until(clock.now() + _SOON))
    return True
