"""Launches for the storm, made from a seed: half a minute each, with everything that can go wrong in one of them.

Every second a step to several groups on a keyed and on a keyless webhook, some of them by hand; a gate that asks for
help once and passes as soon as people have joined; messages to single members; countdowns that are worthless when late.
"""

import json
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

from drumroll.check import check_file
from drumroll.operate.recompile import local_moment
from drumroll.plan.model import Plan
from drumroll.words.render import Words

WIDTH = 4
"""Requests that one engine may have in flight on one channel."""

BEFORE_GATE, GATE_SLACK, AFTER_GATE = 9, 4, 12  # seconds

ZONE, FOLD = ZoneInfo("Europe/Berlin"), datetime(2026, 10, 25, 1, tzinfo=UTC)
"""When the clocks there go back from 3:00 to 2:00."""

CORRECTION = (Path(__file__).parents[2] / "templates/en/corrections/correction.md.j2").read_text(encoding="utf-8")
TEXT = "{{ step.label }} {{ step.topic or 'Welcome' }}{% if teaser %}. Next, {{ teaser.when }}: {{ teaser.topic }}{% endif %}. Yes?\n"
TEMPLATES = {
    "corrections/correction": CORRECTION,
    "recruit/welcome": TEXT,
    "recruit/announcement": TEXT,
    "recruit/prompt": "Who is missing?\n",
    "nurture/announcement": TEXT,
    "nurture/prompt": "Are you there?\n",
    "nurture/countdown": "{{ left }} left. Ready?\n",
}

FILE = """\
drumroll: 1
name: {name}
title: In the storm
locale: en
timezone: {zone}
opens: "{opens}"
quiet_hours: {{starts: "00:00", ends: "00:00"}}  # it runs whenever the harness does
product: {{name: P, promise: p, result: r}}
team: {{name: Team, staff: [{{name: Host, role: host, ids: [host]}}], hand_offs_per_hour: 100000}}
community:
  channels:
{channels}
    by_hand: {{kind: hand_off, lead: 2s}}
  groups:
{groups}
    - {{id: by-hand, name: By hand, channel: by_hand}}
  segments:
    joined: {{joined_within: 300d}}  # further than any clock jumps here
  sources:
    - {{kind: jsonl, path: {name}.jsonl, map: {{{map}}}}}
phases:
  recruit:
    goal: to survive
    starts: T
    ends: T+{gate}s
    slack: {slack}s
    steps:
{recruit}
    gate:
      thresholds: [{{metric: members, at_least: {members}}}]
      otherwise: [remedy, extend, hold]
      recheck: 2s
      remedy: [{{id: come, after: 1s}}]
  nurture:
    goal: to survive that as well
    starts: T+{again}s
    ends: T+{end}s
    steps:
{nurture}
"""


@dataclass(frozen=True)
class StormLaunch:
    """One launch file on disk with its plan; `members` are those who get the messages to single members, by group.

    It takes place `ahead` of the real time.
    """

    plan: Plan
    project: Path
    file: Path
    members: Mapping[str, tuple[str, ...]]
    ahead: timedelta

    @property
    def ends(self) -> datetime:
        """When its last phase is over, if nothing is late."""
        return self.plan.phases[-1].latest

    def now(self) -> datetime:
        """The time it is in the launch's world."""
        return datetime.now(UTC) + self.ahead


def write_launch(
    project: Path, number: int, seed: int, sinks: Mapping[str, str], *, head_start: float, fold: bool = False
) -> StormLaunch:
    """The `number`-th launch of a storm, opening `head_start` seconds from now; `sinks` are webhook addresses by name.

    It passes `check`. The same seed gives the same steps, groups and members. With `fold`, the clocks go back meanwhile.
    """
    dice = random.Random(f"{seed}/{number}")
    name = f"storm-{number}"
    opens, zone, ahead = (datetime.now(UTC) + timedelta(seconds=head_start)).replace(microsecond=0), UTC, timedelta(0)
    if fold:
        zone, ahead = ZONE, FOLD - timedelta(seconds=dice.randint(3, 20)) - opens
        opens += ahead
    groups = {f"{sink}-{i}": sink for sink in sinks for i in range(1, dice.randint(2, 4) + 1)}
    members = {group: tuple(f"{group}-m{i}" for i in range(dice.randint(1, 3))) for group in groups}
    again, end = BEFORE_GATE + GATE_SLACK, BEFORE_GATE + GATE_SLACK + AFTER_GATE
    file = project / "configs" / f"{name}.yaml"
    for where, text in (
        (file, FILE.format(
            name=name,
            opens=local_moment(opens, ZoneInfo(str(zone))),
            zone=zone,
            channels="\n".join(f"    {sink}: {_webhook(sink, url)}" for sink, url in sinks.items()),
            groups="\n".join(f"    - {{id: {group}, name: {group}, channel: {sink}}}" for group, sink in groups.items()),
            map=", ".join(f"{group}: {group}" for group in [*groups, "by-hand"]),
            gate=BEFORE_GATE,
            slack=GATE_SLACK,
            members=sum(map(len, members.values())) + 1,
            recruit=_on_the_wall(_before_gate(dice), opens, zone, dice),
            nurture=_on_the_wall(_after_gate(dice, [*groups, "by-hand"], again, end), opens, zone, dice),
            again=again,
            end=end,
        )),
        (project / f"{name}.jsonl", _joins(members, opens)),
        *((project / "templates" / "en" / f"{step}.md.j2", text) for step, text in TEMPLATES.items()),
    ):  # fmt: skip
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_text(text, encoding="utf-8")
    plan = check_file(file).accepted()
    warm_up(plan)
    return StormLaunch(plan, project, file, members, ahead)


def warm_up(plan: Plan) -> None:
    """Compile every template once, so that a forked engine finds them compiled."""
    words = Words(plan)
    for step in plan.steps:
        words.text(step, now=step.due)


def _webhook(sink: str, url: str, timeout: int = 1) -> str:
    return f'{{kind: webhook, url: "{url}", idempotent: {str(sink == "keyed").lower()}, timeout: {timeout}s, concurrency: {WIDTH}}}'


def _on_the_wall(steps: str, opens: datetime, zone: tzinfo, dice: random.Random) -> str:
    """Where the clocks go back, every other step by the local time that the clocks show, the first or the second."""
    if zone is UTC:
        return steps

    def said(found: re.Match[str]) -> str:
        at = opens + timedelta(seconds=int(found[1]))
        return f'at: "{local_moment(at, ZONE)}"' if dice.random() < 0.5 else found[0]

    return re.sub(r"\bat: T\+(\d+)s", said, steps)


def _before_gate(dice: random.Random) -> str:
    steps = ["{id: welcome, at: T+1s, kind: welcome, serial: true}"]
    for second in range(2, BEFORE_GATE):
        steps.append(f"{{id: r{second}, at: T+{second}s, topic: item {second}{_late(dice)}}}")
    return _listed(steps)


def _after_gate(dice: random.Random, groups: list[str], start: int, end: int) -> str:
    steps = []
    for second in range(start + 1, end):
        if dice.random() < 0.6:
            steps.append(f"{{id: n{second}, at: T+{second}s, topic: item {second}{_late(dice)}}}")
        if dice.random() < 0.3:
            some = ", ".join(sorted(dice.sample(groups, 3)))
            steps.append(f"{{id: c{second}, at: T+{second}s, kind: countdown, counts_to: T+{end}s, to: [{some}]}}")
    steps.append(f"{{id: each, at: T+{dice.randint(start + 1, end - 3)}s, kind: prompt, segment: joined}}")
    return _listed(steps)


def _late(dice: random.Random) -> str:
    return dice.choice(["", "", ", on_late: send", ", on_late: hold", ", on_late: skip", ", max_late: 1m"])


def _listed(steps: list[str]) -> str:
    return "\n".join(f"      - {step}" for step in steps)


def _joins(members: Mapping[str, tuple[str, ...]], opens: datetime) -> str:
    """Members of old, and one whom only the gate's second reading finds (in a group without single messages)."""
    old = (opens - timedelta(days=30)).isoformat()
    joins = [(old, group, member) for group, several in members.items() for member in several]
    joins.append(((opens + timedelta(seconds=BEFORE_GATE + 1)).isoformat(), "by-hand", "late-comer"))
    return "".join(
        json.dumps({"at": at, "id": f"j-{member}", "kind": "join", "group": group, "member": member}) + "\n"
        for at, group, member in joins
    )


SMALL = """\
drumroll: 1
name: {name}
title: One of many
locale: en
timezone: UTC
opens: "{opens:%Y-%m-%d %H:%M:%S}"
quiet_hours: {{starts: "00:00", ends: "00:00"}}  # it runs whenever the harness does
product: {{name: P, promise: p, result: r}}
team: {{name: Team, staff: [{{name: Host, role: host, ids: [host]}}]}}
community:
  channels:
{channels}
  groups:
{groups}
phases:
  recruit:
    goal: to survive
    starts: T
    ends: T+{end}s
    steps:
{steps}
"""
SMALL_STEPS = 5


def small_launch(project: Path, name: str, opens: datetime, sinks: Mapping[str, str], dice: random.Random) -> Plan:
    """A launch of a few announcements to one group on each of `sinks`, compiled."""
    file = project / "configs" / f"{name}.yaml"
    at = sorted(dice.sample(range(1, 30), SMALL_STEPS))
    for where, text in (
        (project / "templates" / "en" / "recruit" / "announcement.md.j2", TEXT),
        (file, SMALL.format(
            name=name,
            opens=opens,
            end=32,
            channels="\n".join(f"    {sink}: {_webhook(sink, url, timeout=5)}" for sink, url in sinks.items()),
            groups="\n".join(f"    - {{id: {sink}-1, name: {sink}, channel: {sink}}}" for sink in sinks),
            steps=_listed([f"{{id: s{second}, at: T+{second}s, topic: item {second}}}" for second in at]),
        )),
    ):  # fmt: skip
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_text(text, encoding="utf-8")
    plan = check_file(file).accepted()
    warm_up(plan)
    return plan
