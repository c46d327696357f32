"""A launch of two weeks in minutes, through a real Prefect server and a real worker, seen by a real browser.

    python -m tests.fortnight [--minutes 20] [--pictures DIR] [--worker process|resident] [--json]

`configs/learning-phone.yaml` is compressed (compress.py) onto an HTTP sink and an operator who ticks hand-offs off; its
community is that of a rehearsal (community.py). Meanwhile the worker and its engines die by SIGKILL three times, the
server once; one gate holds, and its form is answered in Chromium (pages.py). Afterwards flow run, ledger and sink must
agree (judge.py).

Prints one account (one JSON object with --json). Exit code 1 when anything is wrong, 2 for a wrong call. Needs Chromium.
"""

import argparse
import asyncio
import json
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.fortnight.browser import chromium, page_of
from tests.fortnight.drive import Fortnight
from tests.fortnight.judge import judge
from tests.fortnight.pages import Desk


def main() -> int:
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    with ExitStack() as stack:
        folder = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="drumroll-fortnight-")))
        folder.mkdir(parents=True, exist_ok=True)
        if options.pictures is not None:
            options.pictures.mkdir(parents=True, exist_ok=True)
        fortnight = Fortnight(folder, options.minutes, options.worker)
        try:
            address = stack.enter_context(chromium(folder / "browser"))  # first: it may be missing
            fortnight.begin(stack, options.rehearsal or folder / "rehearsal", options.seed)
            result = asyncio.run(_play(fortnight, address, options.pictures))
        except KeyboardInterrupt:
            print("stopped", file=sys.stderr)
            return 130
    print(json.dumps(result, ensure_ascii=False, indent=2) if options.json else _told(result))
    return 1 if result["wrong"] else 0


async def _play(fortnight: Fortnight, address: str, pictures: Path | None) -> dict[str, Any]:
    async with page_of(address) as page:
        desk = Desk(page, fortnight.server.api.removesuffix("/api"), fortnight.run, pictures)
        run = await fortnight.see_through(desk)
        await desk.look_at_end()
    return judge(fortnight, run)


def _told(result: dict[str, Any]) -> str:
    late = result["lateness_ms"]
    runs = f"{result['flow_runs']}, {result['state']}, run count {result['run_count']}"
    near = f"near a kill {late['worst_near_a_kill']} ms of {late['near_a_kill']}"
    lines = [
        f"{result['edition']}: two weeks in {result['minutes']:g} minutes, {result['worker']} worker",
        f"  flow run    {runs}, {result['waits_without_a_process']} waits without a process",
        f"  phases      {_pairs(result['phases'])}",
        f"  gates       {_pairs({name: ', '.join(found) for name, found in result['gates'].items()})}",
        f"  messages    {result['steps']} steps, {result['numbered']} numbered; {_pairs(result['deliveries'])}",
        *(f"              skipped: {line}" for line in result["skipped"]),
        f"  the sink    {result['lost']} lost, {result['duplicate']} doubled, {result['phantom']} phantom",
        f"  strokes     {'; '.join(result['strokes'])}",
        f"  lateness    p50 {late['p50']} ms, worst {late['worst']} ms ({late['worst_step']}) of {late['measured']}; {near}",
    ]
    return "\n".join([*lines, *(f"  WRONG       {line}" for line in result["wrong"])])


def _pairs(found: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in found.items())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fortnight", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=_minutes, default=20.0, help="for the two weeks, from 6 (default: 20)")
    parser.add_argument(
        "--pictures", type=Path, metavar="DIR", help="take the pictures of docs/ into it; needs 20 minutes"
    )
    parser.add_argument("--worker", choices=["process", "resident"], default="process")
    parser.add_argument("--seed", type=int, default=1, help="of the rehearsal that gives the community (default: 1)")
    parser.add_argument("--rehearsal", type=Path, metavar="DIR", help="keep it here, or use the one that is here")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave logs and databases in a new folder")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.keep is not None and options.keep.exists():
        parser.error(f"{options.keep} exists already")
    return options


def _minutes(text: str) -> float:
    minutes = float(text)
    if not 6 <= minutes <= 24 * 60:
        raise argparse.ArgumentTypeError("from 6 to 1440: in less, a recovery takes longer than a day of the launch")
    return minutes


if __name__ == "__main__":
    sys.exit(main())
