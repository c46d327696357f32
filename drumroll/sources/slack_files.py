"""The files of a Slack export, from a folder or from the zip it came in. Nothing is unpacked to disk."""

import json
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from drumroll.errors import SourceError
from drumroll.sources.text import read_file

_DAY = re.compile(r"\d{4}-\d\d-\d\d\.json")
_SHAPE = "a Slack export has one folder per channel with files like general/2026-12-11.json"
# A busy day of a large workspace is a few megabytes; what is bigger is not a chat.
MAX_FILE_BYTES = 64 * 2**20
MAX_TOTAL_BYTES = 4 * 2**30


@dataclass(frozen=True, slots=True)
class SlackFiles:
    """What an export holds: `days` are (channel folder, file name) in order; `label` is how errors call the export."""

    label: str
    root: str
    names: frozenset[str]
    days: tuple[tuple[str, str], ...]
    fetch: Callable[[str], bytes]

    def records(self, name: str) -> list[dict[str, Any]]:
        """The objects listed in that file, none when the export has no such file. SourceError when it is broken."""
        full = self.root + name
        if full not in self.names:
            return []
        where = self.where(name)
        try:
            items = json.loads(self.fetch(full))
        except (ValueError, RecursionError) as error:
            what = f"not JSON ({error})" if isinstance(error, ValueError) else "nested too deep"
            raise SourceError(what, where=where, remedy="export it again; the file seems cut off or edited") from error
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise SourceError("not a list of objects", where=where, remedy=_SHAPE)
        return items

    def where(self, name: str) -> str:
        """How errors call one file of it."""
        return f"{self.label}/{name}"


@contextmanager
def slack_files(path: Path) -> Iterator[SlackFiles]:
    """Open an export. SourceError when `path` is neither a Slack export's folder nor a zip of one, or is unsafe."""
    if path.is_dir():
        names = [f"{file.parent.name}/{file.name}" for file in path.glob("*/*.json")]
        names += [file.name for file in path.glob("*.json")]
        yield _survey(str(path), names, lambda name: read_file(path / name))
        return
    try:
        with zipfile.ZipFile(path) as archive:
            entries = _safe_entries(archive, path)
            yield _survey(str(path), list(entries), lambda name: _unzip(archive, entries[name], path))
    except zipfile.BadZipFile as error:
        raise SourceError(f"not a folder and not a whole zip ({error})", where=str(path), remedy=_SHAPE) from error
    except OSError as error:
        raise SourceError(f"cannot be read ({error.strerror or error})", where=str(path)) from error


def _survey(label: str, names: list[str], fetch: Callable[[str], bytes]) -> SlackFiles:
    """Find the export's own root: a zip may hold it inside one folder more."""
    days = [PurePosixPath(name) for name in names if _DAY.fullmatch(PurePosixPath(name).name) and "/" in name]
    roots = sorted({str(day.parent.parent) for day in days})
    if not roots:
        raise SourceError("no day files here", where=label, remedy=_SHAPE)
    if len(roots) > 1:
        raise SourceError(f"several exports in one: {', '.join(roots)}", where=label, remedy="give one of them alone")
    root = "" if roots[0] == "." else f"{roots[0]}/"
    found = tuple(sorted((day.parent.name, day.name) for day in days))
    return SlackFiles(label, root, frozenset(names), found, fetch)


def _safe_entries(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    """The JSON files of the zip by name, after every name and size has been looked at."""
    entries: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        name = PurePosixPath(info.filename or ".")
        where = f"{path}/{info.filename!r}"
        if name.is_absolute() or ".." in name.parts or "\\" in info.filename or ":" in "".join(name.parts[:1]):
            raise SourceError("a path that leaves the archive", where=where, remedy="do not trust this file")
        if name.parts[:1] == ("__MACOSX",) or name.suffix != ".json":
            continue
        if info.flag_bits & 1:
            raise SourceError("is encrypted", where=where, remedy="unpack it and give the folder")
        if info.file_size > MAX_FILE_BYTES:
            limit = MAX_FILE_BYTES // 2**20
            raise SourceError(f"unpacks to more than {limit} MiB", where=where, remedy="do not trust this file")
        entries[str(name)] = info
    if sum(info.file_size for info in entries.values()) > MAX_TOTAL_BYTES:
        limit = MAX_TOTAL_BYTES // 2**30
        raise SourceError(f"unpacks to more than {limit} GiB", where=str(path), remedy="unpack it and give the folder")
    return entries


def _unzip(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> bytes:
    # zipfile never returns more than the declared size, which has been checked, and verifies the checksum.
    try:
        return archive.read(info)
    except Exception as error:
        # zlib, lzma and bz2 each raise their own type for a damaged stream, and two of them may not be installed.
        where = f"{path}/{info.filename}"
        raise SourceError(f"damaged ({error})", where=where, remedy="download the export again") from error
