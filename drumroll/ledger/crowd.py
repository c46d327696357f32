"""How many launches of one SQLite ledger speak at the same minute. Standard library only: `check` asks it."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

CEILING = 10
"""Launches of one instant that Prefect's server on SQLite carries with room to spare: of twenty, one was lost when all
had their processes a minute before; fifty collapsed (two cores, Prefect 3.8)."""

_MINUTES = """
SELECT substr(delivery.fire_at, 1, 16), group_concat(DISTINCT delivery.edition)
FROM delivery JOIN edition ON edition.id = delivery.edition
WHERE delivery.state = 'due' AND delivery.fire_at >= ? AND edition.state = 'running' AND NOT edition.rehearsal
GROUP BY 1
"""


def crowded_minutes(file: Path, *, now: datetime) -> dict[datetime, set[str]]:
    """Minutes (UTC) to come → live editions that have something due in them. Empty when the ledger cannot be read."""
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=0.5)) as connection:
            found = connection.execute(_MINUTES, (f"{now:%Y-%m-%d %H:%M}",)).fetchall()
    except sqlite3.Error:
        return {}
    return {datetime.fromisoformat(minute).replace(tzinfo=UTC): set(names.split(",")) for minute, names in found}
