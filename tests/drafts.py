"""The examples as drafts: their lines to be edited as text, so that every finding's line can be told beforehand.

Lines are found by indentation alone, not by the reader under test: the examples are written in block style, with at
most one line for what stands in brackets.
"""

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from zoneinfo import ZoneInfo

from drumroll.check import Checked, check_file
from drumroll.launchfile.models import Step
from drumroll.plan.model import PlannedStep

ROOT = Path(__file__).parents[1]
EXAMPLES = ("learning-phone", "cohort-course")
_ENTRY = re.compile(r"""(?P<key>[\w/-]+|"[^"]*"):(?=\s|$)""")


def is_content(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def indent(line: str) -> int:
    return len(line) - len(line.lstrip())


@dataclass(frozen=True)
class Spot:
    """A step of an example: its place in the file, as written, as planned."""

    path: tuple
    step: Step
    planned: PlannedStep


class Example:
    """One of the project's launches with the templates of its locale, copied into a project of its own."""

    def __init__(self, name: str, root: Path) -> None:
        self.name, self.root = name, root
        self.file = root / "configs" / f"{name}.yaml"
        self.file.parent.mkdir(parents=True)
        self.text = (ROOT / "configs" / f"{name}.yaml").read_text(encoding="utf-8")
        self.locale = re.search(r"^locale: (\S+)", self.text, re.MULTILINE)[1]
        shutil.copytree(ROOT / "templates" / self.locale, root / "templates" / self.locale)
        self.templates = {
            path.relative_to(root / "templates").as_posix(): path.read_text(encoding="utf-8")
            for path in sorted((root / "templates").rglob("*.md.j2"))
        }
        self.checked = self.check(Draft(self))
        self.found = {(one.rule, one.path, one.what) for one in self.checked.findings}

    def check(self, draft: "Draft") -> Checked:
        """What check says of a draft."""
        return self.check_files(draft.text.encode(), draft.templates)

    def check_files(self, launch: bytes, templates: Mapping[str, str | bytes]) -> Checked:
        """What check says of these files; the templates on disk are the example's again afterwards."""
        self.file.write_bytes(launch)
        changed = {name for name, _ in templates.items() ^ self.templates.items()}
        try:
            for name in changed:
                self._put(name, templates.get(name))
            return check_file(self.file)
        finally:
            for name in changed:
                self._put(name, self.templates.get(name))

    def _put(self, name: str, source: str | bytes | None) -> None:
        path = self.root / "templates" / name
        if source is None:
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source.encode() if isinstance(source, str) else source)

    @property
    def plan(self):
        return self.checked.accepted()

    @property
    def launch(self):
        return self.plan.launch

    @cached_property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.launch.timezone)

    @cached_property
    def spots(self) -> list[Spot]:
        """All steps, in the order of the file."""
        planned = {step.id: step for step in self.plan.steps}
        return [
            Spot(("phases", name, "steps", index), step, planned[step.id])
            for name, phase in self.launch.phases.items()
            for index, step in enumerate(phase.steps)
        ]

    @cached_property
    def in_time(self) -> list[Spot]:
        """All steps, in the order of their instants."""
        return sorted(self.spots, key=lambda spot: spot.planned.due)

    @cached_property
    def serial(self) -> list[Spot]:
        return [spot for spot in self.in_time if spot.planned.number is not None]

    @cached_property
    def remedies(self) -> list[tuple]:
        return [
            ("phases", name, "gate", "remedy", index)
            for name, phase in self.launch.phases.items()
            for index in range(len(phase.gate.remedy) if phase.gate else 0)
        ]

    def source(self, spot: Spot) -> str:
        return self.templates[spot.planned.template]

    def text_of(self, spot: Spot) -> str:
        return self.checked.texts[spot.step.id]

    def first_use(self, template: str) -> tuple:
        """The place of the first step or remedy in the file that goes by a template."""
        for name, phase in self.launch.phases.items():
            for spot in self.spots:
                if spot.path[1] == name and spot.planned.template == template:
                    return spot.path
            for index, remedy in enumerate(phase.gate.remedy if phase.gate else ()):
                if self.plan.remedy_templates[f"{name}.remedy.{remedy.id}"] == template:
                    return ("phases", name, "gate", "remedy", index)
        raise KeyError(template)


def _in_brackets(line: str) -> bool:
    """Whether what begins on a line stands in brackets."""
    value = line.strip().removeprefix("- ")
    entry = _ENTRY.match(value)
    return (value[entry.end() :] if entry else value).strip().startswith(("{", "["))


def _child(lines: list[str], where: range, part: str | int) -> range:
    """The lines of one key or item among those of `where`; a list item's dash becomes a blank in `lines`."""
    inner = [n for n in where if is_content(lines[n])]
    margin = indent(lines[inner[0]]) if inner else 0
    starts = [n for n in inner if indent(lines[n]) == margin]
    for position, start in enumerate(starts):
        entry, is_item = _ENTRY.match(lines[start].strip()), lines[start].strip().startswith("- ")
        if (position == part) if is_item else (entry is not None and entry["key"].strip('"') == part):
            until = starts[position + 1] if position + 1 < len(starts) else inner[-1] + 1
            if is_item:
                lines[start] = lines[start].replace("- ", "  ", 1)
            return range(start, max(n for n in inner if start <= n < until) + 1)
    raise LookupError(part)


class Draft:
    """One launch file as lines, and templates by name; edits keep track of nothing, lines are looked up afterwards."""

    def __init__(self, example: Example) -> None:
        self.example = example
        self.lines = example.text.splitlines()
        self.templates = dict(example.templates)
        self.ending = "\n"

    @property
    def text(self) -> str:
        return "".join(line + self.ending for line in self.lines)

    # Places

    def block(self, *path: str | int) -> range:
        """The lines (from 0) of a key or item with all that belongs to it; of what is in brackets, its line."""
        lines, where, own = list(self.lines), range(len(self.lines)), 0
        for depth, part in enumerate(path):
            if depth and _in_brackets(lines[where.start]):
                return range(where.start, where.start + 1)
            where = _child(lines, range(where.start + own, where.stop), part)
            own = 1 if isinstance(part, str) else 0  # a key has a line of its own, an item begins with its first key
        return where

    def line(self, *path: str | int) -> int:
        """The line (from 1) on which a key or an item begins."""
        return self.block(*path).start + 1

    def has(self, *path: str | int) -> bool:
        try:
            self.block(*path)
        except LookupError:
            return False
        return True

    # Edits

    def set(self, path: tuple, value: str) -> None:
        """Give a key another value, written as YAML on its line; what stood below it is gone."""
        where = self.block(*path)
        line, key = self.lines[where.start], str(path[-1])
        if self._in_brackets_of(path):
            changed = re.sub(rf"\b{key}: (\"[^\"]*\"|[^,}}]*)", lambda _: f"{key}: {value}", line, count=1)
        else:
            head = re.match(r'(\s*(?:- )?(?:[\w/-]+|"[^"]*"):)', line)[1]
            changed = f"{head} {value}"
        self.lines[where.start : where.stop] = [changed]

    def _in_brackets_of(self, path: tuple) -> bool:
        """Whether a key stands in the brackets of the one above it."""
        return not self.lines[self.block(*path).start].strip().removeprefix("- ").startswith(f"{path[-1]}:")

    def add(self, path: tuple, key: str, value: str) -> None:
        """Add a key at the end of a mapping; in brackets, at their beginning. An earlier one of that name goes."""
        if self.has(*path, key):
            return self.set((*path, key), value)
        where = self.block(*path)
        first = self.lines[where.start]
        if path and _in_brackets(self.lines[where.start]):
            self.lines[where.start] = first.replace("{", f"{{{key}: {value}, ", 1)
            return None
        margin = 0
        if path:
            margin = indent(first) + 2 if isinstance(path[-1], int) else self._margin_below(where)
        self.lines.insert(where.stop if path else len(self.lines), f"{' ' * margin}{key}: {value}")
        return None

    def _margin_below(self, where: range) -> int:
        return next(indent(self.lines[n]) for n in where[1:] if is_content(self.lines[n]))

    def remove(self, *path: str | int) -> None:
        where = self.block(*path)
        if self._in_brackets_of(path):
            line = self.lines[where.start]
            self.lines[where.start] = re.sub(rf"{path[-1]}: (\"[^\"]*\"|[^,}}]*)(, )?", "", line, count=1)
        else:
            del self.lines[where.start : where.stop]

    def rename(self, path: tuple, key: str) -> None:
        where = self.block(*path)
        self.lines[where.start] = re.sub(rf"\b{re.escape(str(path[-1]))}:", f"{key}:", self.lines[where.start], count=1)

    def insert_items(self, path: tuple, items: list[str]) -> None:
        """Put list items, each on one line in brackets, before the item at `path`, or after the last of the list."""
        where = self.block(*path[:-1])
        margin = self._margin_below(where)
        at = self.block(*path).start if self.has(*path) else where.stop
        self.lines[at:at] = [f"{' ' * margin}- {item}" for item in items]

    def value(self, *path: str | int) -> str:
        """What stands behind a key on its line, without a comment."""
        return re.sub(r"\s+#.*$", "", self.lines[self.block(*path).start].split(":", 1)[1]).strip()


def quoted(text: str) -> str:
    """A text as YAML."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def without(words: str, source: str) -> str:
    """A template's source whose text has `words` replaced, wherever they come from."""
    return f"{{% filter replace({quoted(words)}, '…') %}}{source}{{% endfilter %}}"
