"""The watch, in a process of its own, and in as great a hurry as the launch: two weeks are minutes, and so are minutes.

python -m tests.fortnight.watch LEDGER PROJECT SECONDS
"""

import asyncio
import logging
import sys

from drumroll.errors import DrumrollError
from tasks import requeue
from tasks.watch import watch_once
from tests.chaos.watchman import GRACE, LOOK_AGAIN, UNSIGNED


async def watch(ledger: str, project: str, every: float) -> None:
    """A round every so many seconds, until it is killed."""
    requeue.GRACE, requeue.OVERDUE = GRACE, UNSIGNED  # type: ignore[attr-defined]
    while True:
        try:
            await watch_once(ledger, project, look_again=LOOK_AGAIN)
        except DrumrollError as error:
            logging.getLogger("drumroll.watch").warning("%s", error)
        await asyncio.sleep(every)


if __name__ == "__main__":
    logging.basicConfig(format="%(asctime)s %(name)s %(message)s", level=logging.INFO)
    asyncio.run(watch(sys.argv[1], sys.argv[2], float(sys.argv[3])))
