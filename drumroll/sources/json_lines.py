"""JSON Lines: one object per line, one event per object."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from drumroll.errors import SourceError
from drumroll.sources.base import Export
from drumroll.sources.rows import FIELDS, Rows, check_names
from drumroll.sources.text import read_text


class JsonLines:
    """Reads a file with one JSON object per line and the fields that `drumroll.sources.rows.Rows` describes.

    Unknown fields are ignored, `null` is the same as absent, ids and members may be whole numbers, `at` may be a
    number of seconds. Encodings and line ends as for CSV. The whole file is checked before anything is returned.
    """

    def read(self, path: Path, *, zone: ZoneInfo) -> Export:
        """One event per line. SourceError with file and line for anything that is not such an object."""
        rows = Rows("jsonl", path, zone)
        checked: set[frozenset[str]] = set()
        for line, item in _objects(read_text(path), path):
            where = f"{path}:{line}"
            if (names := frozenset(item)) not in checked:
                check_names(item, where, noun="field")
                checked.add(names)
            rows.add({field: _text(field, item[field], where) for field in FIELDS if item.get(field) is not None}, line)
        return rows.export()


def _objects(text: str, path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    # Split as files are, not with splitlines(): that would also cut at U+2028, which JSON allows inside a string.
    lines = list(io.StringIO(text, newline=""))
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            item = json.loads(line)
        except (ValueError, RecursionError) as error:
            if number == len(lines) and not line.endswith(("\n", "\r")):
                raise SourceError("the last line breaks off", where=where, remedy="export it again") from error
            reason = error.msg if isinstance(error, json.JSONDecodeError) else "too deep or too long"
            raise SourceError(f"not JSON ({reason})", where=where, remedy="write one object per line") from error
        if not isinstance(item, dict):
            raise SourceError(f"not an object but {_what(item)}", where=where, remedy="write one object per line")
        yield number, item


def _text(field: str, value: Any, where: str) -> str:
    """The value as a table cell would hold it."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        if field in ("staff", "bot"):
            return str(value).lower()
    elif isinstance(value, int) or (isinstance(value, float) and field == "at"):
        return str(value)
    raise SourceError(f'"{field}" is {_what(value)}', where=where, remedy="write a text")


def _what(value: Any) -> str:
    names = {bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return names.get(type(value), "a text" if isinstance(value, str) else "null")
