"""A strict reading of YAML: nothing is guessed, and every value knows its line.

PyYAML follows YAML 1.1, where `at: 12:30` is 750, `no` is False, `0123` is 83, the last of two equal keys wins and a
few aliases unfold into gigabytes. Here each of those is an error that says what to write instead. Plain scalars follow
the YAML 1.2 core schema (null, true/false, decimal integers, decimal floats); all else is text.
"""

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from drumroll.errors import DrumrollError

Path = tuple[str | int, ...]

_MAX_BYTES = 4_000_000
_MAX_DEPTH = 40
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SEXAGESIMAL = re.compile(r"[-+]?[0-9]+(:[0-5]?[0-9])+(\.[0-9]*)?")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+")
_YAML11_BOOL = re.compile(r"y|n|yes|no|on|off", re.IGNORECASE)
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


def dotted(path: Path) -> str:
    """`("phases", "ignite", "steps", 3)` → `phases.ignite.steps[3]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else str(part))
    return text


def read(text: str) -> Document:
    """Parse one YAML document. Raises StrictYamlError with line and remedy."""
    if len(text.encode()) > _MAX_BYTES:
        raise StrictYamlError(f"the file is larger than {_MAX_BYTES:,} bytes", line=1, remedy="split the launch")
    try:
        _refuse_aliases(text)
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(part for part in (error.context, error.problem) if part)
        line = mark.line + 1 if mark else 1
        raise StrictYamlError(
            f"not valid YAML: {what}", line=line, remedy="check indentation, colons and quotes"
        ) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1 if isinstance(error.position, int) else 1
        raise StrictYamlError(
            f"not valid YAML: {error.reason}", line=line, remedy="remove the control character"
        ) from error
    if node is None:
        raise StrictYamlError("the file is empty", line=1, remedy="start from `drumroll new NAME`")
    lines: dict[Path, int] = {(): node.start_mark.line + 1}
    return Document(_value(node, (), lines), lines)


def _refuse_aliases(text: str) -> None:
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
        if tag := getattr(event, "tag", None):
            raise StrictYamlError(f"the tag {tag} is not allowed", line=line, remedy="remove it")


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
    if node.style:  # quoted or a block
        return text
    if text in {"", "~", "null", "Null", "NULL"}:
        return None
    if text in {"true", "True", "TRUE"}:
        return True
    if text in {"false", "False", "FALSE"}:
        return False
    line = node.start_mark.line + 1
    if _SEXAGESIMAL.fullmatch(text):
        raise StrictYamlError(
            f"{text} without quotes is a number in base 60 to YAML",
            line=line,
            path=dotted(path),
            remedy=f'write "{text}"',
        )
    if _LEADING_ZERO.fullmatch(text):
        raise StrictYamlError(
            f"{text} without quotes is an octal number to YAML", line=line, path=dotted(path), remedy=f'write "{text}"'
        )
    if _YAML11_BOOL.fullmatch(text):
        raise StrictYamlError(
            f"{text} without quotes means true or false to YAML",
            line=line,
            path=dotted(path),
            remedy=f'write true or false, or "{text}" for the word',
        )
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text
