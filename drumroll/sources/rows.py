"""Rows of a table, however it is written, → people and events. CSV and JSON Lines share these fields."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from hashlib import sha256
from pathlib import Path
from typing import cast, get_args
from zoneinfo import ZoneInfo

from drumroll.activity import Event, EventKind, Person
from drumroll.errors import SourceError
from drumroll.sources.base import Export
from drumroll.sources.text import is_plain
from drumroll.sources.times import instant

REQUIRED = ("at", "member")
OPTIONAL = ("kind", "group", "id", "name", "reply_to", "staff", "bot")
FIELDS = REQUIRED + OPTIONAL
KINDS: tuple[str, ...] = get_args(EventKind)
_YES = frozenset({"true", "yes", "y", "1"})
_NO = frozenset({"", "false", "no", "n", "0"})


def check_names(names: Iterable[str], where: str, *, noun: str) -> None:
    """SourceError when a required field is missing, or when an unknown name can only be a slip of an optional one."""
    given = list(names)
    for field in FIELDS:
        if field in given:
            continue
        others = [name for name in given if name not in FIELDS]
        near = get_close_matches(field, others, n=1, cutoff=0.6 if field in REQUIRED else 0.85)
        if field in REQUIRED:
            found = ", ".join(given) or "nothing"
            remedy = f'did you mean "{near[0]}"? Rename it to "{field}"' if near else f"found only: {found}"
            raise SourceError(f'no {noun} "{field}"', where=where, remedy=remedy)
        if near and len(field) > 3:
            raise SourceError(f'unknown {noun} "{near[0]}"', where=where, remedy=f'did you mean "{field}"?')


class Rows:
    """Collects the rows of one file.

    `at` (ISO 8601 or epoch seconds) and `member` are required; `kind` is `message` unless told; `group` is the file's
    stem unless told; `name`, `staff` and `bot` describe the member; `reply_to` is the `id` of the message answered or
    reacted to. A row without `id` gets one from its own content (time, member, kind, group and reply_to as written)
    and its ordinal among identical rows, so that the same file, or a longer export of the same chat, names every row
    as before. Ids must be unique among all files of the kind that go into one launch.
    """

    def __init__(self, source: str, path: Path, zone: ZoneInfo) -> None:
        self._source = source
        self._file = str(path)
        self._stem = path.stem
        self._zone = zone
        if not is_plain(path.stem):
            raise SourceError("the file's name is not text", where=repr(str(path)), remedy="rename it")
        self._events: dict[str, tuple[Event, int]] = {}
        self._people: dict[str, Person] = {}
        self._alike: Counter[str] = Counter()

    def add(self, cells: Mapping[str, str], line: int) -> None:
        """Take one row in. SourceError naming the line when a field is missing or wrong."""
        cell = {field: cells[field].strip() if field in cells else "" for field in FIELDS}
        where = f"{self._file}:{line}"
        if not (cell["at"] and cell["member"]):
            empty = "member" if cell["at"] else "at"
            raise SourceError(f'"{empty}" is empty', where=where, remedy="every row needs a time and a member")
        if not is_plain("".join(cell.values())):
            bad = next(field for field, value in cell.items() if not is_plain(value))
            raise SourceError(f'"{bad}" holds a character that is not text', where=where, remedy="remove it")
        kind = self._kind(cell["kind"].lower() or "message", where)
        try:
            at = instant(cell["at"], self._zone)
        except ValueError as error:
            remedy = 'write "2026-12-11T23:00:00+08:00" or epoch seconds'
            raise SourceError(f"at: {error}", where=where, remedy=remedy) from error
        event = Event(
            source=self._source,
            id=cell["id"] or self._own_id(cell, kind),
            kind=kind,
            at=at,
            group=cell["group"] or self._stem,
            member=cell["member"],
            reply_to=cell["reply_to"] or None,
        )
        self._keep(event, line)
        self._introduce(cell, where)

    def export(self) -> Export:
        """Everything taken in, events in order of time."""
        events = sorted((event for event, _ in self._events.values()), key=lambda event: (event.at, event.id))
        return Export(people=tuple(self._people[key] for key in sorted(self._people)), events=tuple(events))

    def _keep(self, event: Event, line: int) -> None:
        first, first_line = self._events.setdefault(event.id, (event, line))
        if first is not event and first != event:
            raise SourceError(
                f'id "{event.id}" is already that of another event in line {first_line}',
                where=f"{self._file}:{line}",
                remedy="ids must be unique; put the group in front where a platform counts per group",
            )

    def _introduce(self, cell: Mapping[str, str], where: str) -> None:
        known = self._people.get(cell["member"])
        if known and not (cell["name"] or cell["staff"] or cell["bot"]):
            return
        known = known or Person(cell["member"])
        self._people[known.id] = replace(
            known,
            name=cell["name"] or known.name,
            is_staff=_flag(cell, "staff", where) or known.is_staff,
            is_bot=_flag(cell, "bot", where) or known.is_bot,
        )

    def _own_id(self, cell: Mapping[str, str], kind: str) -> str:
        # The time as written: reading the file again under another zone must not take every row in twice.
        content = "\x1f".join((cell["at"], cell["member"], kind, cell["group"], cell["reply_to"]))
        digest = sha256(content.encode()).hexdigest()[:32]
        self._alike[digest] += 1
        return f"row:{digest}/{self._alike[digest]}"

    @staticmethod
    def _kind(text: str, where: str) -> EventKind:
        if text not in KINDS:
            near = get_close_matches(text, KINDS, n=1)
            remedy = f'did you mean "{near[0]}"?' if near else f"known kinds: {', '.join(KINDS)}"
            raise SourceError(f'unknown kind "{text}"', where=where, remedy=remedy)
        return cast("EventKind", text)


def _flag(cell: Mapping[str, str], field: str, where: str) -> bool:
    text = cell[field].lower()
    if text not in _YES | _NO:
        raise SourceError(f'{field}: "{text}" is neither true nor false', where=where, remedy='write "true" or "false"')
    return text in _YES
