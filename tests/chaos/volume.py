"""Hundreds of launches in a few engine processes, on a PostgreSQL that is stopped and restarted every few seconds.

Their openings are spread, and a launch has its engine from shortly before its own, as a flow run has its process. Each
process runs its launches in one event loop, through the flows' own loop, under leases as long as the program's.
"""

import asyncio
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from drumroll.errors import DrumrollError, LedgerBusyError
from drumroll.ledger.edition_lease import FencedError
from drumroll.operate.edition import Where
from drumroll.operate.lease import BEAT, TTL
from drumroll.plan.model import Plan
from tests.chaos.databases import CrashingServer, Database
from tests.chaos.engine import BROKEN, OVER, run_edition, without_prefect
from tests.chaos.launches import WIDTH, small_launch
from tests.chaos.mutants import MUTANTS
from tests.chaos.notes import note, watch_settlements
from tests.chaos.processes import Forked, fork

PROCESSES = 2
OPENINGS = 20  # different ones; launches of one opening speak at the same instants
HEAD_START, LEAD = 10.0, timedelta(seconds=5)  # before the first opening; before its opening a launch has its engine
SPREAD = 0.4  # seconds of openings for each launch: a fifth of them is under way at a time, as two cores can carry
_LONGEST = 900.0  # seconds


@dataclass
class Volume:
    """What became of it. `restarts`: of the database; `doubtful`: how many rows they may leave in doubt, all editions
    together: one transaction of each process may be committed without its knowing."""

    plans: Sequence[Plan]
    restarts: int = 0
    finished: bool = False

    @property
    def doubtful(self) -> int:
        return WIDTH * PROCESSES * self.restarts


def run_volume(
    folder: Path,
    store: Database,
    urls: Mapping[str, str],
    *,
    launches: int,
    restart_every: float,
    seed: int,
    mutant: str | None,
) -> Volume:
    """All launches to their ends."""
    plans = _plans(folder, urls, launches, seed)
    volume, notes = Volume(plans), folder / "notes.jsonl"
    engines = [
        fork(lambda mine=plans[number::PROCESSES]: _run_engines(mine, store.url, folder, notes, mutant))
        for number in range(PROCESSES)
    ]
    try:
        _until_over(engines, store, restart_every, volume)
    finally:
        for engine in engines:
            engine.kill()
    volume.finished = all(engine.code == OVER for engine in engines)
    return volume


def _until_over(engines: list[Forked], store: Database, restart_every: float, volume: Volume) -> None:
    began = time.monotonic()
    next_restart = began + HEAD_START + restart_every
    while any(engine.poll() is None for engine in engines) and time.monotonic() < began + _LONGEST:
        if restart_every and isinstance(store, CrashingServer) and time.monotonic() >= next_restart:
            store.restart()
            volume.restarts += 1
            next_restart = time.monotonic() + restart_every
            print(f"restart {volume.restarts} after {time.monotonic() - began:.0f} s", file=sys.stderr)
        time.sleep(0.05)


def _plans(folder: Path, urls: Mapping[str, str], launches: int, seed: int) -> list[Plan]:
    """A few compiled launches, and copies of them under other names."""
    now, plans = datetime.now(UTC), list[Plan]()
    openings = min(OPENINGS, launches)
    head_start = HEAD_START + 0.02 * launches
    for number in range(openings):
        opens = now + timedelta(seconds=head_start + number * SPREAD * launches / openings)
        plan = small_launch(
            folder, f"volume-{number}", opens.replace(microsecond=0), urls, random.Random(f"{seed}/{number}")
        )
        for copy in range(number, launches, openings):
            name = f"volume-{copy}"
            launch = plan.launch.model_copy(update={"name": name})
            edition = f"{name}@{plan.edition.partition('@')[2]}"
            plans.append(plan.model_copy(update={"launch": launch, "edition": edition}))
    return plans


def _run_engines(plans: Sequence[Plan], url: str, folder: Path, notes: Path, mutant: str | None) -> int:
    signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
    if mutant:
        MUTANTS[mutant]()
    without_prefect()
    watch_settlements(notes)
    return asyncio.run(_all_of_them(plans, url, folder, notes))


async def _all_of_them(plans: Sequence[Plan], url: str, folder: Path, notes: Path) -> int:
    codes = await asyncio.gather(*(_one(plan, Where(plan.edition, url, str(folder)), notes) for plan in plans))
    return max(codes, default=OVER)


async def _one(plan: Plan, where: Where, notes: Path) -> int:
    await asyncio.sleep(max(0.0, (plan.opens - LEAD - datetime.now(UTC)).total_seconds()))
    while True:
        try:
            await run_edition(where, plan, ttl=TTL, beat=BEAT, insist=True, at_work=lambda _: None)
        except FencedError:
            note(notes, "stepped aside", where.edition)
        except LedgerBusyError:
            note(notes, "busy", where.edition)
        except DrumrollError as error:
            note(notes, "refused", str(error))
        except Exception:  # noqa: BLE001 - whatever it is, it goes into the account
            note(notes, "broken", traceback.format_exc(limit=-4))
            return BROKEN
        else:
            return OVER
        await asyncio.sleep(random.uniform(0.2, 1))
