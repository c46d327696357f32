"""The log: told as people read it, or as one JSON object a line on standard error (`DRUMROLL_LOG=json`)."""

import json
import logging
import os
import sys
from datetime import UTC, datetime

SETTING = "DRUMROLL_LOG"
FIELDS = ("edition", "phase", "step", "key")
"""What a record may say of itself, as `extra`: ids, never texts, names or addresses."""


def logger(name: str) -> logging.Logger:
    """The logger `drumroll.<name>`. With the first one, all of them obey DRUMROLL_LOG, in whatever process this is."""
    ours = logging.getLogger("drumroll")
    if ours.level == logging.NOTSET:
        ours.setLevel(logging.INFO)  # a worker's default is WARNING, and the story would not be in Prefect's UI
    if wants_json() and not any(isinstance(handler.formatter, JsonLines) for handler in ours.handlers):
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(JsonLines())
        ours.addHandler(handler)
        ours.propagate = False  # else Prefect's own handler prints each line again; the one for its UI is on `ours`
    return logging.getLogger(f"drumroll.{name}")


def wants_json() -> bool:
    """Whether machines read the log of this process."""
    return os.environ.get(SETTING, "").strip().lower() == "json"


class JsonLines(logging.Formatter):
    """One JSON object a record: `time` (RFC 3339, UTC), `level`, `message`, and those of FIELDS that are known."""

    def format(self, record: logging.LogRecord) -> str:
        said = {
            "time": f"{datetime.fromtimestamp(record.created, UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z",
            "level": record.levelname.lower(),
            "message": getattr(record, "line", None) or record.getMessage(),
        }
        said |= {name: value for name in FIELDS if (value := getattr(record, name, None)) is not None}
        if record.exc_info is not None and record.exc_info[0] is not None:
            said["error"] = record.exc_info[0].__name__  # a stranger's traceback may quote an address with a secret
        return json.dumps(said, ensure_ascii=False)
