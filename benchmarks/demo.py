"""How long a whole rehearsed launch takes through the real flows: the second run of `make demo`."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def measure() -> dict[str, Any]:
    """Wall-clock seconds of one rehearsal of the 14-day example, Prefect's start included."""
    drumroll = str(Path(sys.executable).with_name("drumroll"))
    with tempfile.TemporaryDirectory() as out:
        began = time.perf_counter()
        told = subprocess.run(
            [drumroll, "rehearse", "configs/learning-phone.yaml", "--seed", "1", "--out", out, "--json"],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        )
        seconds = time.perf_counter() - began
    result = json.loads(told.stdout)
    deliveries = sum(result["deliveries"].values())
    return {"seconds": round(seconds, 1), "target_s": 60, "met": seconds <= 60, "deliveries": deliveries}
