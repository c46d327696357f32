"""A strict reading of YAML: nothing is guessed, and every value knows its line.

PyYAML follows YAML 1.1, where `at: 12:30` is 750, `no` is False, `0123` is 83, the last of two equal keys wins and a
few aliases unfold into gigabytes. Here each of those is an error that says what to write instead. Plain scalars follow
the YAML 1.2 core schema (null, true/false, decimal integers, decimal floats); all else is text.
"""

import re
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import yaml

from drumroll.errors import DrumrollError

Path = tuple[str | int, ...]

MAX_BYTES = 4_000_000
_MAX_DEPTH = 40
_MAX_SHOWN = 40
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SEXAGESIMAL = re.compile(r"[-+]?[0-9]+(:[0-5]?[0-9])+(\.[0-9]*)?")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+")
_YAML11_BOOL = re.compile(r"y|n|yes|no|on|off", re.IGNORECASE)
_MAX_DIGITS = 18  # what a 64-bit column holds; Python refuses more than 4,300 with an exception of its own
# What YAML calls printable, less the line breaks (NEL, LS, PS) and byte order marks that editors do not show.
_UNPRINTABLE = re.compile(
    "[^\\t\\n\\r -~\\xa0-\\u2027\\u202a-\\ud7ff\\ue000-\\ufefe\\uff00-\\ufffd\\U00010000-\\U0010ffff]"
)
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class StrictYamlError(DrumrollError):
    """The text is not the YAML that launch files are written in; `line` is 1-based."""

    def __init__(self, message: str, *, line: int, path: str = "", remedy: str = "") -> None:
        self.line = line
        self.path = path
        super().__init__(message, where=path, remedy=remedy)


@dataclass(frozen=True, slots=True)
class Document:
    """Plain Python values, and the 1-based line of every key and item by its path."""

    value: Any
    lines: dict[Path, int] = field(repr=False)

    def line(self, path: Path) -> int:
        """The line of `path`, or of the nearest part of the document around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def at(self, path: Path) -> Any:
        """What stands at `path`; KeyError, IndexError or TypeError when nothing does."""
        value = self.value
        for part in path:
            value = value[part]
        return value


def dotted(path: Path) -> str:
    """`("phases", "ignite", "steps", 3)` → `phases.ignite.steps[3]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else str(part))
    return text


def may_be_secret(path: Path) -> bool:
    """Whether somebody may have pasted a secret there: errors name such a place, but do not quote what stands in it."""
    return path[:2] == ("community", "channels")


def read(text: str) -> Document:
    """Parse one YAML document. Raises StrictYamlError with line and remedy."""
    if found := _UNPRINTABLE.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise StrictYamlError(f"control character {_code(found)}", line=line, remedy="remove it")
    if len(text.encode()) > MAX_BYTES:
        raise StrictYamlError(f"the file is larger than {MAX_BYTES:,} bytes", line=1, remedy="split the launch")
    try:
        _check_events(text)
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        what = " ".join(part for part in (error.context, error.problem) if part)
        line = _line_of(error, text)
        raise StrictYamlError(
            f"not valid YAML: {what}", line=line, remedy="check indentation, colons and quotes"
        ) from error
    if node is None:
        raise StrictYamlError("the file is empty", line=1, remedy="start from `drumroll new NAME`")
    lines: dict[Path, int] = {(): node.start_mark.line + 1}
    return Document(_value(node, (), lines), lines)


def _line_of(error: yaml.MarkedYAMLError, text: str) -> int:
    last = text.count("\n")
    mark = error.problem_mark
    if mark is None or mark.line > last:  # behind the end: what was never closed began before
        mark = error.context_mark or mark
    return min(mark.line if mark else 0, last) + 1


def _check_events(text: str) -> None:
    """Refuse aliases, tags and deep nesting while nothing is built yet."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise StrictYamlError(
                "anchors (&) and aliases (*) are not allowed", line=line, remedy="write the value out"
            )
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _MAX_DEPTH:
                raise StrictYamlError("nested too deeply", line=line, remedy="a launch file needs fewer than 10 levels")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if getattr(event, "tag", None):
            raise StrictYamlError("tags (!) are not allowed", line=line, remedy="remove it, or put the text in quotes")


def _value(node: yaml.Node, path: Path, lines: dict[Path, int]) -> Any:
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, lines)
    if isinstance(node, yaml.SequenceNode):
        items = []
        for index, item in enumerate(node.value):
            lines[(*path, index)] = item.start_mark.line + 1
            items.append(_value(item, (*path, index), lines))
        return items
    assert isinstance(node, yaml.ScalarNode)
    return _scalar(node, path)


def _mapping(node: yaml.MappingNode, path: Path, lines: dict[Path, int]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        key = key_node.value
        if not isinstance(key, str):
            raise StrictYamlError("a key must be plain text", line=line, path=dotted(path))
        if key_node.tag.endswith(":merge"):
            raise StrictYamlError(
                "merge keys (<<) are not allowed", line=line, path=dotted(path), remedy="write the keys out"
            )
        _refuse_unprintable(key, line, path)
        if key in result:
            first = lines[(*path, key)]
            raise StrictYamlError(
                f'duplicate key "{key}"',
                line=line,
                path=dotted(path),
                remedy=f"the first one is on line {first}; keep one",
            )
        lines[(*path, key)] = line
        result[key] = _value(value_node, (*path, key), lines)
    return result


def _scalar(node: yaml.ScalarNode, path: Path) -> Any:
    text: str = node.value
    line = node.start_mark.line + 1
    if node.style:  # quoted or a block
        _refuse_unprintable(text, line, path)
        return text
    if text in {"", "~", "null", "Null", "NULL"}:
        return None
    if text in {"true", "True", "TRUE"}:
        return True
    if text in {"false", "False", "FALSE"}:
        return False
    _refuse_guesses(text, line, path)
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def _refuse_guesses(text: str, line: int, path: Path) -> None:
    """Plain scalars that YAML 1.1 readers, this one's parser among them, take for something else than they look."""
    shows = len(text) <= _MAX_SHOWN and not may_be_secret(path)
    quoted = f'write "{text}"' if shows else "put it in quotes"
    if _SEXAGESIMAL.fullmatch(text):
        what, remedy = "without quotes is a number in base 60 to YAML", quoted
    elif _LEADING_ZERO.fullmatch(text):
        what, remedy = "without quotes is an octal number to YAML", _without_zeros(text) if shows else quoted
    elif _YAML11_BOOL.fullmatch(text):
        what = "without quotes means true or false to YAML"
        remedy = f"write true or false, or {quoted.removeprefix('write ')} for the word"
    elif sum(map(str.isdigit, text)) > _MAX_DIGITS and _INT.fullmatch(text):
        what, remedy = f"has more than {_MAX_DIGITS} digits", "put it in quotes if it is a name"
    elif _FLOAT.fullmatch(text) and not isfinite(float(text)):
        what, remedy = "is too large a number", "write a smaller one, or put it in quotes"
    else:
        return
    raise StrictYamlError(f"{text if shows else 'this value'} {what}", line=line, path=dotted(path), remedy=remedy)


def _without_zeros(text: str) -> str:
    return f'write {int(text.replace("_", ""))}, or "{text}" in quotes where text is meant'


def _refuse_unprintable(text: str, line: int, path: Path) -> None:
    r"""Escapes such as "\0" and "\e" would reach databases and terminals."""
    if found := _UNPRINTABLE.search(text):
        raise StrictYamlError(
            f"control character {_code(found)} in quoted text", line=line, path=dotted(path), remedy="remove it"
        )


def _code(found: re.Match[str]) -> str:
    return f"U+{ord(found[0]):04X}"
