"""The fault harness: launches on real HTTP sinks that misbehave, their engines killed again and again.

Three drivers, one account:

  (default)          A few launches of half a minute at a time, without Prefect: two engines each, of which one holds the
                     lease, through the loop of flows/operate.py, the ledger and the webhook channel. They die by
                     SIGKILL at random and at named points, are frozen past their leases and thawed, find wrong clocks,
                     full disks, locked, read-only and crashed databases, and plans that were edited and applied.
  --through prefect  Deployed launches on a real Prefect server, worker (--worker process or resident) and watch. Engines
                     die at named points and at random, whole machines at once, and the server itself.
  --launches N       N launches at once in two engine processes, on a database that is stopped with -m immediate and
                     restarted every few seconds (--ledger postgres --restart-every 5).

Afterwards the plans, the ledger and the sinks' own logs must agree.

Prints one account: planned, sent, lost, duplicate, phantom, unknown, kills and more (one JSON object with --json).
Exit code 1 when anything is lost, doubled, phantom, stale, rewritten or unfenced, when an engine breaks or an edition
never ends, when a launch is not one Completed flow run, or when more rows are doubtful than requests were in flight at
the stops; 2 for a wrong call.
"""

import argparse
import json
import logging
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg  # noqa: F401 - loaded before any fork, so that no engine has to

import drumroll.channels.http_post  # noqa: F401 - likewise; channels import it late
from drumroll.ledger.ledger import Ledger, open_ledger
from tests.chaos.databases import Database, database
from tests.chaos.launches import WIDTH, StormLaunch, write_launch
from tests.chaos.mutants import MUTANTS
from tests.chaos.points import OF_PREFECT, POINTS, STRIKES
from tests.chaos.result import Story, verdict
from tests.chaos.sink import TROUBLE, sink_process
from tests.chaos.storm import Storm, prepare
from tests.chaos.toll import Toll

FAULTS = {
    "sink": "sinks answer with trouble: " + "; ".join(TROUBLE.values()),
    "freeze": "SIGSTOP past the lease while others take over, then SIGCONT",
    "lock": "somebody else holds the database's write lock for up to 7 s",
    "full": "an engine's disk is full (a limit on the size of its files; SQLite only)",
    "readonly": "the ledger refuses to write for up to 3 s",
    "crash": "the server is stopped with -m immediate, started, and stopped again while it recovers (--ledger postgres)",
    "clock": "an engine's clock is wrong: 1 h behind, 5 min, 3 h or 3 d ahead",
    "fold": "every third launch runs where the clocks go back meanwhile, its steps written by them",
    "apply": "the file is edited and applied: the next step has another topic, one is gone, one is new",
}
HEAD_START = 2.0  # seconds before a launch's opening
AT_ONCE, KILLS_EACH = 6, 6  # launches, and how many kills each of them is good for at the least
_ENDED = object()


def main() -> int:
    options = _options()
    logging.disable()  # the account is the story
    with ExitStack() as stack:
        folder = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="drumroll-chaos-")))
        folder.mkdir(parents=True, exist_ok=True)
        store = stack.enter_context(database(options.ledger, folder))
        prepare(store)
        calm, soon = "sink" not in options.faults, _driver(options) != "storm"  # the others' clocks do not leap
        urls = {
            name: stack.enter_context(
                sink_process(log, seed=f"{options.seed}/{name}", honour_keys=name == "keyed", calm=calm, soon=soon)
            )
            for name, log in zip(options.sinks, _logs(options, folder), strict=True)
        }
        began = time.monotonic()
        result = DRIVERS[_driver(options)](options, folder, store, urls)
        seconds = time.monotonic() - began
    result |= {"seed": options.seed, "mutant": options.mutant, "ledger": options.ledger or "sqlite"}
    result |= {"sinks": options.sinks, "seconds": round(seconds, 1)}
    result["kills_per_minute"] = round(result["kills"] / seconds * 60, 1)
    _tell(result, as_json=options.json)
    return 1 if result["wrong"] else 0


def _storms(options: argparse.Namespace, folder: Path, store: Database, urls: Mapping[str, str]) -> dict[str, Any]:
    """Without Prefect: a few launches at a time, two engines each."""
    storms: list[tuple[StormLaunch, Toll]] = []
    at_work: dict[int, Iterator[None]] = {}

    def enough() -> bool:
        return sum(toll.kills for _, toll in storms) >= options.kills

    while at_work or not enough():
        while len(at_work) < min(AT_ONCE, -(-options.kills // KILLS_EACH)) and not enough():
            number = len(storms)
            fold = "fold" in options.faults and number % 3 == 1
            launch = write_launch(folder, number, options.seed, urls, head_start=HEAD_START, fold=fold)
            storm = Storm(
                launch,
                store,
                folder / "notes.jsonl",
                dice=random.Random(f"{options.seed}/{number}/storm"),
                faults=options.faults,
                enough=enough,
                first=number == 0,
                mutant=options.mutant,
            )
            storms.append((launch, storm.toll))
            at_work[number] = storm.run()
        for number, storm in list(at_work.items()):
            if next(storm, _ENDED) is _ENDED:
                del at_work[number]
                launch, toll = storms[number]
                so_far = sum(each.kills for _, each in storms)
                print(
                    f"{launch.plan.edition}: {toll.kills} kills, {toll.freezes} freezes; {so_far} so far",
                    file=sys.stderr,
                )
        time.sleep(0.005)
    return _result(storms, open_ledger(store.url), _logs(options, folder), folder / "notes.jsonl")


def _result(storms: list[tuple[StormLaunch, Toll]], ledger: Ledger, logs: list[Path], notes: Path) -> dict[str, Any]:
    stories = [
        Story(launch.plan.edition, launch.members, None if toll.misled else WIDTH * toll.stops, finished=toll.finished)
        for launch, toll in storms
    ]
    tolls = [toll for _, toll in storms]
    result = verdict(stories, ledger, logs, notes, kills=sum(toll.kills for toll in tolls))
    for name in ("idle_kills", "freezes"):
        result[name] = sum(getattr(toll, name) for toll in tolls)
    for name in ("faults", "endings"):
        result[name] = dict(sum((getattr(toll, name) for toll in tolls), Counter()))
    return result


def _through_prefect(
    options: argparse.Namespace, folder: Path, store: Database, urls: Mapping[str, str]
) -> dict[str, Any]:
    """Through a real server and worker, with a watch; see `through.py`."""
    from tests.chaos.through import PrefectStorm

    dice = random.Random(f"{options.seed}/prefect")
    storm = PrefectStorm(folder, store, urls, worker=options.worker, kills=options.kills, dice=dice)
    wrong = storm.run()
    engines = storm.engines_stopped
    stories = [Story(each.edition, {}, WIDTH * engines, finished=each.finished) for each in storm.launches]
    result = verdict(
        stories,
        open_ledger(store.url),
        _logs(options, folder),
        folder / "notes.jsonl",
        kills=storm.toll.kills,
        more={"flow_runs_wrong": len(wrong)},
    )
    result["details"]["flow_runs_wrong"] = wrong
    return result | {"faults": dict(storm.toll.faults), "worker": options.worker}


def _volume(options: argparse.Namespace, folder: Path, store: Database, urls: Mapping[str, str]) -> dict[str, Any]:
    """Many launches at once, the database restarted again and again; see `volume.py`."""
    from tests.chaos.volume import run_volume

    volume = run_volume(
        folder,
        store,
        urls,
        launches=options.launches,
        restart_every=options.restart_every,
        seed=options.seed,
        mutant=options.mutant,
    )
    ledger = open_ledger(store.url)
    over = {row.id for row in ledger.editions() if row.state == "done"}
    stories = [Story(plan.edition, {}, None, finished=plan.edition in over) for plan in volume.plans]
    result = verdict(stories, ledger, _logs(options, folder), folder / "notes.jsonl", kills=0)
    result["unknown_in_excess"] = max(0, result["unknown_after_stops"] - volume.doubtful)
    if result["unknown_in_excess"]:
        result["wrong"].append("unknown_in_excess")
    return result | {"restarts": volume.restarts}


def _logs(options: argparse.Namespace, folder: Path) -> list[Path]:
    return [folder / f"{name}.sink.jsonl" for name in options.sinks]


DRIVERS = {"storm": _storms, "prefect": _through_prefect, "volume": _volume}


def _driver(options: argparse.Namespace) -> str:
    return "volume" if options.launches else "prefect" if options.through else "storm"


def _tell(result: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(result))
        return
    for name, value in result.items():
        if name != "details":
            print(f"{name:20} {value}")
    for name in result["wrong"]:
        for line, times in Counter(result["details"].get(name, ())).most_common(20):
            print(f"{name}: {line}" + (f" ({times} times)" if times > 1 else ""))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_listed("faults", FAULTS)
        + _listed("strikes with --through", STRIKES)
        + _listed("points at which engines die", POINTS | OF_PREFECT)
        + _listed("mutants", {name: str(mutant.__doc__) for name, mutant in MUTANTS.items()}),
    )
    parser.add_argument("--kills", type=int, default=100, metavar="N", help="kills at least (default: 100)")
    parser.add_argument(
        "--seed", type=int, default=1, metavar="S", help="of launches, sinks and the storm (default: 1)"
    )
    parser.add_argument("--mutant", choices=MUTANTS, help="break the engine on purpose: the harness must fail")
    parser.add_argument(
        "--sink", choices=["keyed", "keyless", "both"], default="both", help="which sinks (default: both)"
    )
    parser.add_argument(
        "--faults", default=",".join(FAULTS), metavar="LIST", help="beside kills (default: all; '' for none)"
    )
    parser.add_argument(
        "--ledger", metavar="URL", help="an empty database of your own, or `postgres` for a server of the harness's own"
    )
    parser.add_argument(
        "--launches", type=int, metavar="N", help="so many at once in a few processes, and no kills but the database's"
    )
    parser.add_argument(
        "--restart-every",
        type=float,
        default=5.0,
        metavar="S",
        help="with --launches, in seconds; 0: never (default: 5)",
    )
    parser.add_argument("--through", choices=["prefect"], help="a real Prefect server, worker and watch")
    parser.add_argument(
        "--worker", choices=["process", "resident"], default="process", help="with --through (default: process)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="work in this new folder and leave it: launches, ledger, logs"
    )
    options = parser.parse_args()
    options.faults = frozenset(filter(None, options.faults.split(",")))
    if strange := options.faults - set(FAULTS):
        parser.error(f"no such fault: {', '.join(sorted(strange))}; known: {', '.join(FAULTS)}")
    if options.keep and options.keep.exists() and any(options.keep.iterdir()):
        parser.error(f"{options.keep} is not empty; an old log would be taken for this storm's")
    if options.kills < 1 or (options.launches is not None and options.launches < 1):
        parser.error("--kills and --launches are at least 1")
    if options.through and options.launches:
        parser.error("--through and --launches are drivers of their own; choose one")
    if options.through and options.mutant:
        parser.error("mutants live in the harness's own engines; leave --through out")
    if options.restart_every < 0:
        parser.error("--restart-every is 0 or more seconds")
    options.sinks = ["keyed", "keyless"] if options.sink == "both" else [options.sink]
    return options


def _listed(title: str, words: Mapping[str, str]) -> str:
    return f"{title}:\n" + "".join(f"  {name:14}{text}\n" for name, text in words.items()) + "\n"


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that sinks and engines end with us
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
