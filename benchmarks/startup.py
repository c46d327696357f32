"""How long a person waits for `drumroll --help`, `check` and `plan`, beside bare Python and `prefect --help`."""

import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FILE = "configs/learning-phone.yaml"
TARGETS = {"drumroll --help": 0.15, "drumroll check": 1.0, "drumroll plan": 1.0}
RUNS = 7


def measure() -> dict[str, Any]:
    """Seconds of wall-clock time, best and median of `RUNS`, with ratios to bare Python's start."""
    drumroll = [str(Path(sys.executable).with_name("drumroll"))]
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "prefect --help": [str(Path(sys.executable).with_name("prefect")), "--help"],
        "drumroll --help": [*drumroll, "--help"],
        "drumroll check": [*drumroll, "check", FILE],
        "drumroll plan": [*drumroll, "plan", FILE],
    }
    times = {name: [_seconds(command) for _ in range(RUNS)] for name, command in commands.items()}
    bare = min(times["python -c pass"])
    return {
        name: {
            "best_s": round(min(found), 3),
            "median_s": round(statistics.median(found), 3),
            "times_bare_python": round(min(found) / bare, 1),
            **({"target_s": TARGETS[name], "met": min(found) <= TARGETS[name]} if name in TARGETS else {}),
        }
        for name, found in times.items()
    }


def _seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return time.perf_counter() - began
