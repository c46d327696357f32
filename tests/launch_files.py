"""A small valid launch in a project of its own, and ways to make it wrong."""

import io
import subprocess
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from drumroll.capability import Capability
from drumroll.channels.console import ConsoleChannel
from drumroll.check import Checked, check_file
from drumroll.cli.main import main
from drumroll.errors import Finding
from drumroll.launchfile.fields import Part
from drumroll.plan.model import Plan
from drumroll.words.render import Words

LAUNCH = """\
drumroll: 1
name: kettle
title: The quiet kettle
locale: en
timezone: Asia/Taipei
opens: "2027-01-16 12:00"

product:
  name: the quiet kettle
  promise: it boils without a sound
  result: nobody wakes up
  price: 3980
  currency: TWD

team:
  name: the kettle people
  staff:
    - {name: Ann, role: host, ids: [ann]}

community:
  channels:
    screen:
      kind: console
    by_hand:
      kind: hand_off
      lead: 30m
  groups:
    - {id: east, name: East, channel: screen}
    - {id: west, name: West, channel: by_hand}
  segments:
    silent:
      silent_for: 3d

facts:
  host: Ann Boil
  link: https://kettle.example/order

phases:
  recruit:
    goal: Enough people
    starts: "D-6 09:00"
    ends: "D-4 20:00"
    slack: 12h
    steps:
      - id: welcome
        at: "D-6 10:00"
        kind: welcome
        serial: true
      - id: roll-call
        at: "D-5 19:00"
        kind: prompt
      - id: the-noise
        at: "D-4 19:00"
        topic: what the noise does
    gate:
      thresholds:
        - metric: members
          at_least: 30
      otherwise: [remedy, extend, hold]
      remedy:
        - id: invite
          after: 30m

  nurture:
    goal: Trust
    starts: "D-3 09:00"
    ends: "D-2 20:00"
    steps:
      - id: the-host
        at: "D-3 20:00"
        topic: who made it
        mystery: somebody you have met
        reveals: [host]
      - id: nudge
        at: "D-2 12:00"
        kind: prompt
        segment: silent
        to: [east]
    gate:
      thresholds:
        - metric: active_rate
          at_least: 10%
          segment: silent

  ignite:
    goal: Everyone knows how
    starts: "D-1 10:00"
    ends: "D 21:00"
    steps:
      - id: terms
        at: "D-1 23:00"
        topic: price and terms
      - id: two-hours
        at: "T-2h"
        kind: countdown
      - id: order
        at: "T"
        kind: link
        topic: the way to order
        reveals: [link]

fit:
  needs_selling: nobody believes that a kettle can be silent
  buyers: [parents of babies, people who work at night]
  impulse: the baby wakes up with the kettle; this one lets it sleep
  decision: days
  economics: {conversion: 3%, margin: 40%, team_cost: 100}

persona:
  voice: somebody who likes it quiet
  outer: [noise, made, order]
  leads: {recruit: outer, nurture: outer, ignite: outer}
"""

SERIAL = "{{ step.label }} {{ step.topic or 'Welcome' }}{% if teaser %}. Next, {{ teaser.when }}: {{ teaser.topic }}{% endif %}\n"
TEMPLATES = {
    "en/recruit/welcome.md.j2": SERIAL,
    "en/recruit/announcement.md.j2": SERIAL,
    "en/recruit/prompt.md.j2": "Who is here?\n",
    "en/nurture/the-host.md.j2": "{{ facts.host }} here. " + SERIAL,
    "en/nurture/prompt.md.j2": "And you?\n",
    "en/ignite/announcement.md.j2": "{{ product.price | money }}. " + SERIAL,
    "en/ignite/countdown.md.j2": "{{ left }} left\n",
    "en/ignite/link.md.j2": "Ready? {{ facts.link }} " + SERIAL,
}


@dataclass(frozen=True)
class Project:
    """A project directory with one launch file; every change gives the same project back."""

    root: Path

    @property
    def file(self) -> Path:
        return self.root / "configs" / "kettle.yaml"

    @property
    def text(self) -> str:
        return self.file.read_text(encoding="utf-8")

    def write(self, text: str | bytes) -> "Project":
        self.file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return self

    def change(self, old: str, new: str) -> "Project":
        """Replace the first `old` in the launch file, which must be there."""
        text = self.text
        assert old in text, old
        return self.write(text.replace(old, new, 1))

    def at_any_hour(self) -> "Project":
        """The same without quiet hours."""
        return self.change("phases:", 'quiet_hours: {starts: "00:00", ends: "00:00"}\n\nphases:')

    def template(self, name: str, source: str | bytes) -> "Project":
        path = self.root / "templates" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source if isinstance(source, bytes) else source.encode())
        return self

    def line(self, words: str) -> int:
        """The 1-based number of the first line with `words` in it."""
        return next(number for number, line in enumerate(self.text.splitlines(), 1) if words in line)

    def check(self, opens: str | None = None) -> Checked:
        return check_file(self.file, opens=opens)

    def plan(self, opens: str | None = None) -> Plan:
        return self.check(opens).accepted()

    def words(self) -> Words:
        return Words(self.plan())

    def finding(self, rule: str) -> Finding:
        """The one finding of that rule."""
        (found,) = [finding for finding in self.check().findings if finding.rule == rule]
        return found


def new_project(root: Path, text: str | bytes = LAUNCH, templates: Mapping[str, str] = TEMPLATES) -> Project:
    project = Project(root)
    for name, source in templates.items():
        project.template(name, source)
    project.file.parent.mkdir(parents=True, exist_ok=True)
    return project.write(text)


@dataclass(frozen=True)
class Ran:
    """What a command left behind: exit code, standard output, standard error."""

    code: int
    out: str
    err: str


def drumroll(*arguments: object) -> Ran:
    """The whole command in this process, exit code included."""
    out, err = io.StringIO(), io.StringIO()
    with patch.object(sys, "argv", ["drumroll", *map(str, arguments)]), redirect_stdout(out), redirect_stderr(err):
        try:
            main()
        except SystemExit as left:
            code = left.code
    return Ran(int(code or 0), out.getvalue(), err.getvalue())


MAIN = "from drumroll.cli.main import main; main()"


def drumroll_process(*arguments: object, code: str = MAIN, **options: object) -> Ran:
    """The command in a process of its own."""
    call = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(call, capture_output=True, check=False, timeout=60, **options)
    return Ran(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))


class Loudspeaker(ConsoleChannel):
    """A channel that reaches whole groups and nobody alone; tests enter it in the registry as `LOUDSPEAKER`."""

    @staticmethod
    def capability_for(options: Part) -> Capability:
        return Capability(max_bytes=64)


LOUDSPEAKER = "tests.launch_files:Loudspeaker"
