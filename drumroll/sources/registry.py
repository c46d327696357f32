"""Source kinds → classes, resolved on first use so that the command starts without reading any of them."""

from difflib import get_close_matches
from importlib import import_module
from typing import cast

from drumroll.errors import SourceError
from drumroll.sources.base import Source

SOURCES: dict[str, str] = {
    "csv": "drumroll.sources.table_csv.CsvTable",
    "jsonl": "drumroll.sources.json_lines.JsonLines",
    "slack": "drumroll.sources.slack_export.SlackExport",
}


def source_for(kind: str) -> Source:
    """The source that reads exports of that kind. SourceError with the nearest known kind when there is none."""
    if kind not in SOURCES:
        near = get_close_matches(kind, SOURCES, n=1)
        hint = f'did you mean "{near[0]}"? ' if near else ""
        raise SourceError(f'unknown source kind "{kind}"', remedy=f"{hint}known kinds: {', '.join(sorted(SOURCES))}")
    module, _, name = SOURCES[kind].rpartition(".")
    return cast("Source", getattr(import_module(module), name)())
