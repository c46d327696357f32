"""How long `drumroll check` takes on a launch of 2,000 steps × 500 groups, what memory, and how both grow."""

import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
STEPS, GROUPS = 2_000, 500
MORE_STEPS, MORE_GROUPS = (250, 500, 1_000, 4_000), (50, 5_000)
TARGET_S, TARGET_MB, RUNS = 3.0, 300, 3

_A_DAY = 40  # steps, one every twenty minutes from 09:00 on
_SHARES = {"recruit": 0.1, "build_up": 0.2, "nurture": 0.4, "ignite": 0.3}
_LIMITED, _BY_HAND = 30, 5  # groups on the channel with a rate, and on the one that people post into
_HEAD = """\
drumroll: 1
name: scale
title: A launch of many steps
locale: en
timezone: UTC
opens: "2027-06-01 12:00"
product: {name: the kettle, promise: it boils without a sound, result: nobody wakes up, price: 80, currency: USD}
team: {name: the kettle people, staff: [{name: Ann, role: host}, {name: Ben, role: operator}]}
fit:
  needs_selling: nobody believes that a kettle can be silent
  buyers: [parents of babies, people who work at night]
  impulse: the baby wakes up with the kettle
  decision: weeks
  economics: {conversion: 3%, margin: 40%, team_cost: 100}
persona:
  voice: somebody who likes it quiet
  outer: [part]
  leads: {recruit: outer, build_up: outer, nurture: outer, ignite: outer}
promises: {useful: something you can use today}
facts: {link: https://kettle.example/order, closes: {at: "T+9h"}}
community:
  channels:
    rooms: {kind: file, path: out/scale.jsonl}
    limited: {kind: webhook, url: https://bridge.example/in, per_minute: 20}
    by_hand: {kind: hand_off, lead: 30m}
  segments: {silent: {silent_for: 3d}}
  groups:
"""
_GATE = "    gate: {thresholds: [{metric: active_rate, at_least: 10%}], otherwise: [extend, hold]}\n"


def measure() -> dict[str, Any]:
    """Best and median wall seconds and peak resident megabytes (10⁶ bytes) of `RUNS` fresh processes; the growth.

    Each growth is the seconds and the ratio to the next smaller launch: 2 for twice the steps is linear.
    """
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        shutil.copytree(ROOT / "templates" / "en", project / "templates" / "en")
        runs = [_check(project, STEPS, GROUPS) for _ in range(RUNS)]
        seconds, peak = min(each for each, _ in runs), max(each for _, each in runs)
        steps = {count: min(_check(project, count, GROUPS)[0] for _ in range(RUNS)) for count in MORE_STEPS}
        groups = {count: min(_check(project, STEPS, count)[0] for _ in range(RUNS)) for count in MORE_GROUPS}
    return {
        "check": {
            "steps": STEPS,
            "groups": GROUPS,
            "best_s": round(seconds, 2),
            "median_s": round(statistics.median(each for each, _ in runs), 2),
            "target_s": TARGET_S,
            "peak_mb": round(peak),
            "target_mb": TARGET_MB,
            "met": seconds <= TARGET_S and peak < TARGET_MB,
        },
        f"by steps, {GROUPS} groups": _growth({**steps, STEPS: seconds}),
        f"by groups, {STEPS} steps": _growth({**groups, GROUPS: seconds}),
    }


def launch(steps: int, groups: int) -> str:
    """A launch file that passes `check`: steps through four phases, to all groups or to ten, on three channels."""
    lines = [_HEAD]
    for group in range(groups):
        channel = "by_hand" if group < _BY_HAND else "limited" if group < _BY_HAND + _LIMITED else "rooms"
        lines.append(f"    - {{id: g{group}, name: Group {group}, channel: {channel}}}\n")
    lines.append("phases:\n")
    days = -(-steps // _A_DAY)
    first = 0
    for phase, share in _SHARES.items():
        last = days if phase == "ignite" else first + max(1, round(days * share))
        until = min(last * _A_DAY, steps)
        lines.append(f"  {phase}:\n    goal: The next part\n")
        lines.append(f'    starts: "{_day(first, days)} 08:30"\n    ends: "{_day(last - 1, days)} 23:00"\n')
        lines.append("    slack: 8h\n    steps:\n" if phase != "ignite" else "    steps:\n")
        lines += [_step(number, days, groups, phase) for number in range(first * _A_DAY, until)]
        lines.append(_GATE if phase == "nurture" else "")
        first = last
    return "".join(lines)


def _day(day: int, days: int) -> str:
    return f"D-{days - 1 - day}" if day < days - 1 else "D"  # the last day is the opening's


def _step(number: int, days: int, groups: int, phase: str) -> str:
    day, place = divmod(number, _A_DAY)
    at = f"{_day(day, days)} {9 + place // 3:02d}:{place % 3 * 20:02d}"
    more, to = f"topic: part {number} of the story", ""
    if number % 10 == 5:  # some of the groups, others each time
        to = f", to: [{', '.join(f'g{(number + 7 * other) % groups}' for other in range(min(10, groups // 10)))}]"
    if number == 0:
        more = "kind: welcome, serial: true"
    elif day == days - 1 and at.endswith("12:00"):
        more, to = "kind: link, topic: the way to order, reveals: [link]", ""
    elif number % 20 == 12:
        more = "kind: prompt, segment: silent"
    elif number % 4 == 1:
        more = f'kind: prompt, vars: {{question: "What of part {number} did you see coming?"}}'
    elif number % 50 == 26 and phase != "ignite":
        more = f"kind: value, keeps: useful, topic: the use of part {number}"
    return f'      - {{id: s{number}, at: "{at}", {more}{to}}}\n'


def _check(project: Path, steps: int, groups: int) -> tuple[float, float]:
    """Seconds and peak megabytes of one `drumroll check` in a process of its own."""
    (project / "scale.yaml").write_text(launch(steps, groups), encoding="utf-8")
    drumroll = str(Path(sys.executable).with_name("drumroll"))
    output = [(os.POSIX_SPAWN_OPEN, 1, str(project / "told"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)]
    began = time.perf_counter()
    child = os.posix_spawn(
        drumroll, [drumroll, "check", str(project / "scale.yaml")], dict(os.environ), file_actions=output
    )
    _, status, used = os.wait4(child, 0)
    seconds = time.perf_counter() - began
    if status:
        sys.exit((project / "told").read_text(encoding="utf-8")[-2_000:])
    return seconds, used.ru_maxrss * (1 if sys.platform == "darwin" else 1_024) / 1e6


def _growth(seconds: dict[int, float]) -> dict[str, dict[str, float]]:
    sizes, growth = sorted(seconds), {}
    for before, size in zip([None, *sizes], sizes, strict=False):
        growth[f"{size:,}"] = {"seconds": round(seconds[size], 2)}
        if before is not None:
            growth[f"{size:,}"]["ratio"] = round(seconds[size] / seconds[before], 2)
    return growth
