"""Export files as text: the encodings that spreadsheets and tools really write, and nothing guessed."""

import codecs
import re
from pathlib import Path

from drumroll.errors import SourceError

_LINE_END = re.compile(r"\r\n|\r|\n")
_NOT_TEXT = re.compile("[\x00\ud800-\udfff]")
_MARKS = (
    ("UTF-8", "utf-8", codecs.BOM_UTF8),
    ("UTF-16", "utf-16-le", codecs.BOM_UTF16_LE),
    ("UTF-16", "utf-16-be", codecs.BOM_UTF16_BE),
)
_UTF8 = "save the file as UTF-8 (in Excel: CSV UTF-8)"


def read_file(path: Path) -> bytes:
    """The whole file. SourceError when it is a folder or cannot be read."""
    try:
        return path.read_bytes()
    except IsADirectoryError as error:
        raise SourceError("is a folder", where=str(path), remedy="name the export file itself") from error
    except OSError as error:
        raise SourceError(f"cannot be read ({error.strerror})", where=str(path)) from error


def read_text(path: Path) -> str:
    """The file decoded: UTF-8 with or without a byte order mark, or UTF-16 with one; line ends untouched.

    SourceError names the line and byte offset of the first byte that does not fit. Older encodings (Big5, GBK) are
    refused and not guessed: a wrong guess would silently turn one member into two.
    """
    data = read_file(path)
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        raise SourceError("is UTF-32", where=str(path), remedy=_UTF8)
    name, codec, mark = next((known for known in _MARKS if data.startswith(known[2])), ("UTF-8", "utf-8", b""))
    try:
        text = data[len(mark) :].decode(codec)
    except UnicodeDecodeError as error:
        good = data[len(mark) : len(mark) + error.start].decode(codec)
        line = len(_LINE_END.findall(good)) + 1
        offset = len(mark) + error.start
        what = f"not {name}: byte 0x{data[offset]:02x} at offset {offset}"
        raise SourceError(what, where=f"{path}:{line}", remedy=_UTF8) from error
    if name == "UTF-8" and "\x00" in text[:4096]:
        raise SourceError("holds NUL bytes, as UTF-16 without a byte order mark does", where=str(path), remedy=_UTF8)
    return text


def is_plain(text: str) -> bool:
    """Whether every database and encoder takes it: no NUL, no half of a surrogate pair (JSON can smuggle in both)."""
    return not _NOT_TEXT.search(text)
