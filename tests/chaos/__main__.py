"""The fault harness: launches of half a minute each on real HTTP sinks, their engines killed again and again.

Two engines at a time drive each edition through the program's own beats, ledger and webhook channel, without Prefect.
They die by SIGKILL at random and at named points, are frozen past their leases and thawed, find wrong clocks, full
disks, locked and crashed databases. Afterwards the plans, the ledger and the sinks' own logs must agree.

Prints one account: planned, sent, lost, duplicate, phantom, unknown, kills and more (one JSON object with --json).
Exit code 1 when anything is lost, doubled, phantom, stale or unfenced, when an engine breaks or an edition never ends,
or when more rows are doubtful than requests were in flight at the stops; 2 for a wrong call.
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
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg  # noqa: F401 - loaded before any fork, so that no engine has to

import drumroll.channels.http_post  # noqa: F401 - likewise; channels import it late
from drumroll.ledger.ledger import Ledger, open_ledger
from tests.chaos.account import WRONG, Account, Taken, account, promised
from tests.chaos.databases import Database, database
from tests.chaos.launches import WIDTH, StormLaunch, write_launch
from tests.chaos.mutants import MUTANTS
from tests.chaos.points import POINTS
from tests.chaos.sink import TROUBLE, sink_process
from tests.chaos.storm import Storm, Toll, prepare

FAULTS = {
    "sink": "sinks answer with trouble: " + "; ".join(TROUBLE.values()),
    "freeze": "SIGSTOP past the lease while others take over, then SIGCONT",
    "lock": "somebody else holds the database's write lock for up to 7 s",
    "full": "an engine's disk is full (a limit on the size of its files; SQLite only)",
    "crash": "the server is stopped with -m immediate and started again (--ledger postgres only)",
    "clock": "an engine's clock is wrong: 1 h behind, 5 min, 3 h or 3 d ahead",
}
HEAD_START = 2.0  # seconds before a launch's opening

Story = tuple[StormLaunch, Toll]


def main() -> int:
    options = _options()
    logging.disable()  # the account is the story
    with ExitStack() as stack:
        folder = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="drumroll-chaos-")))
        folder.mkdir(parents=True, exist_ok=True)
        store = stack.enter_context(database(options.ledger, folder))
        logs = {name: folder / f"{name}.sink.jsonl" for name in options.sinks}
        calm = "sink" not in options.faults
        urls = {
            name: stack.enter_context(
                sink_process(log, seed=f"{options.seed}/{name}", honour_keys=name == "keyed", calm=calm)
            )
            for name, log in logs.items()
        }
        began = time.monotonic()
        stories = _storms(options, folder, store, urls)
        seconds = time.monotonic() - began
        result = _result(stories, open_ledger(store.url), logs, folder / "notes.jsonl")
    result |= {"seed": options.seed, "mutant": options.mutant, "ledger": options.ledger or "sqlite"}
    result |= {"sinks": options.sinks, "seconds": round(seconds, 1)}
    result["kills_per_minute"] = round(result["kills"] / seconds * 60, 1)
    _tell(result, as_json=options.json)
    return 1 if result["wrong"] else 0


def _storms(options: argparse.Namespace, folder: Path, store: Database, urls: Mapping[str, str]) -> list[Story]:
    prepare(store)
    stories: list[Story] = []
    while (left := options.kills - sum(toll.kills for _, toll in stories)) > 0:
        number = len(stories)
        launch = write_launch(folder, number, options.seed, urls, head_start=HEAD_START)
        storm = Storm(
            launch,
            store,
            folder / "notes.jsonl",
            dice=random.Random(f"{options.seed}/{number}/storm"),
            faults=options.faults,
            quota=left,
            first=number == 0,
            mutant=options.mutant,
        )
        toll = storm.run()
        stories.append((launch, toll))
        done = options.kills - left + toll.kills
        print(f"{launch.plan.edition}: {toll.kills} kills, {toll.freezes} freezes; {done} so far", file=sys.stderr)
    return stories


def _result(stories: list[Story], ledger: Ledger, logs: Mapping[str, Path], notes: Path) -> dict[str, Any]:
    """The figures of all editions; `wrong` names what must not be, `details` the deliveries behind it."""
    taken = [Taken.of(json.loads(line)) for log in logs.values() for line in log.read_text().splitlines()]
    whole, excess = Account(), 0
    for launch, toll in stories:
        edition = launch.plan.edition
        checks = Counter(check.phase for check in ledger.checks(edition) if check.verdict == "remedy")
        ours = [each for each in taken if each.delivery.startswith(f"{edition}/")]
        promise = promised(launch.plan, launch.members, checks)
        each = account(launch.plan, promise, ledger.deliveries(edition), ours)
        whole.add(each)
        if not toll.misled:  # a clock that is ahead sees leases end early, as often as it likes
            excess += max(0, len(each.unknown_by_stop) - WIDTH * toll.stops)
    strangers = {
        each.delivery for each in taken if each.delivery.split("/")[0] not in {s.plan.edition for s, _ in stories}
    }
    whole.phantom.extend(sorted(strangers))
    noted = [json.loads(line) for line in notes.read_text().splitlines()] if notes.exists() else []
    tolls = [toll for _, toll in stories]
    what = Counter(note["what"] for note in noted)
    figures = {
        "planned": whole.planned,
        "sent": whole.sent,
        **{name: len(getattr(whole, name)) for name in (*WRONG, "unknown")},
        "kills": sum(toll.kills for toll in tolls),
        "unknown_after_stops": len(whole.unknown_by_stop),
        "unknown_in_excess": excess,
        "unfenced": what["unfenced"],
        "fenced": what["fenced"],
        "broken": what["broken"],
        "unfinished": sum(not toll.finished for toll in tolls),
        "launches": len(stories),
        "freezes": sum(toll.freezes for toll in tolls),
        "states": dict(whole.states),
        **{name: dict(sum((getattr(toll, name) for toll in tolls), Counter())) for name in ("faults", "endings")},
        "killed_at": dict(Counter(note["words"] for note in noted if note["what"] == "kill")),
    }
    checked = (*WRONG, "unknown_in_excess", "unfenced", "broken", "unfinished")
    words = {
        name: [note["words"] for note in noted if note["what"] == name] for name in ("unfenced", "broken", "refused")
    }
    details = {name: getattr(whole, name) for name in (*WRONG, "unknown")} | words
    return figures | {"wrong": [name for name in checked if figures[name]], "details": details}


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
        + _listed("points at which engines die", POINTS)
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
    if options.kills < 1:
        parser.error("--kills is at least 1")
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
