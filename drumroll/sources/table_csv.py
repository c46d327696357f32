"""CSV tables: a header row, then one event per row."""

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

from drumroll.errors import SourceError
from drumroll.sources.base import Export
from drumroll.sources.rows import FIELDS, Rows, check_names
from drumroll.sources.text import read_text

_CUT_OFF = "export it again; the file seems cut off"


class CsvTable:
    """Reads a CSV file with the columns that `drumroll.sources.rows.Rows` describes; others are ignored.

    The delimiter is `,`, `;` or tab: whichever splits the header into the most known columns. UTF-8 (with or without
    byte order mark) and UTF-16 with one; any line ends, also mixed. The whole file is checked before anything is
    returned.
    """

    def read(self, path: Path, *, zone: ZoneInfo) -> Export:
        """One event per row. SourceError with file and line for a missing column, a bad value or a cut-off file."""
        text = read_text(path)
        records = _records(text, _delimiter(text), path)
        line, header = next(records, (1, []))
        names = [name.strip().lower() for name in header]
        where = f"{path}:{line}"
        if not any(names):
            raise SourceError("the file is empty", where=where, remedy="the first row must name the columns")
        check_names(names, where, noun="column")
        if twice := [name for name in FIELDS if names.count(name) > 1]:
            raise SourceError(f'two columns are called "{twice[0]}"', where=where, remedy="remove or rename one")
        rows = Rows("csv", path, zone)
        for line, cells in records:
            if len(cells) != len(names):
                last = next(records, None) is None
                raise _wrong_width(len(cells), len(names), f"{path}:{line}", last=last)
            rows.add(dict(zip(names, cells, strict=True)), line)
        return rows.export()


def _records(text: str, delimiter: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Every record that is not blank, with the line it starts on."""
    # newline="" keeps the line ends inside quoted fields and still splits at CR, LF and CRLF alike.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise _unreadable(error, f"{path}:{line}") from error
        if any(cell.strip() for cell in cells):
            yield line, cells


def _delimiter(text: str) -> str:
    first = re.search(r"[^\r\n]*\S[^\r\n]*", text)
    header = first[0] if first else ""

    def known(delimiter: str) -> int:
        names = {name.strip().strip('"').strip().lower() for name in header.split(delimiter)}
        # Where no name is known, the one that splits at all gives the better error message.
        return len(names & set(FIELDS)) * 1000 + len(names)

    return max((",", ";", "\t"), key=known)


def _unreadable(error: csv.Error, where: str) -> SourceError:
    if "unexpected end of data" in str(error):
        return SourceError("a quote opens here and never closes", where=where, remedy=_CUT_OFF)
    if "field larger than field limit" in str(error):
        limit = f"{csv.field_size_limit():,}"
        return SourceError(f"a field here is longer than {limit} characters", where=where, remedy="close its quote")
    return SourceError(f"not a CSV record ({error})", where=where, remedy='double every quote inside quotes: ""')


def _wrong_width(found: int, expected: int, where: str, *, last: bool) -> SourceError:
    if found > expected:
        remedy = "put quotes around a field that holds the delimiter"
    else:
        remedy = _CUT_OFF if last else "write the empty fields too"
    return SourceError(f"{found} fields where the header has {expected}", where=where, remedy=remedy)
