"""Files as platforms take them, in a form of several parts (RFC 7578)."""

import io
from collections.abc import Mapping
from typing import Any

from drumroll.channels.base import Attachment

# Servers disagree on how a quotation mark stands in a header, and some take what follows it for a field.
_QUOTES = str.maketrans({'"': "'", "\\": "_"})


def file_form(
    files: Mapping[str, Attachment], fields: Mapping[str, str] | None = None, *, content_type: str | None = None
) -> Any:
    """A form with `fields`, then `files` by the names of their parts. Members see the files' names."""
    import aiohttp  # noqa: PLC0415 - slow to load

    # Names as they are: percent signs would show.
    form = aiohttp.FormData(quote_fields=False)
    for name, value in (fields or {}).items():
        form.add_field(name, value, content_type="application/json" if name == "payload_json" else None)
    for name, file in files.items():
        # A stream, for aiohttp holds everything else up while it writes many bytes at once.
        form.add_field(name, io.BytesIO(file.content), filename=sent_name(file.name), content_type=content_type)
    return form


def sent_name(name: str) -> str:
    """A file's name as it stands in the form."""
    return "".join(char for char in name.translate(_QUOTES) if char.isprintable()) or "file"
