"""Options that several commands share, and where the ledger and the project are."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from drumroll.words.templates import find_project

F = TypeVar("F", bound=Callable[..., Any])

launch_file = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))


def json_option(function: F) -> F:
    """`--json`: one JSON document on standard output and nothing else there."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")(function)


def ledger_option(function: F) -> F:
    """`--ledger URL`, or DRUMROLL_LEDGER, or the project's own SQLite file."""
    return click.option(
        "--ledger",
        envvar="DRUMROLL_LEDGER",
        metavar="URL",
        help="Ledger database (default: .drumroll/ledger.db in the project; also DRUMROLL_LEDGER).",
    )(function)


def opens_option(function: F) -> F:
    """`--opens AT`: another opening than the file's, and so another edition."""
    text = 'Open at this local time instead: "2027-01-16 12:00", or "+14d 12:00", counted from today.'
    return click.option("--opens", metavar="AT", help=text)(function)


def correction_options(function: F) -> F:
    """`--correct-at`, `--no-correction` and `--notice`: what a change says to members who were told otherwise."""
    at_help = "When the correction goes out (default: in 15 minutes, not at night)."
    none_help = "Correct nothing; the reason is kept in the ledger."
    text = click.Path(path_type=Path, dir_okay=False)
    function = click.option("--notice", type=text, help="A text of your own that corrects.")(function)
    function = click.option("--no-correction", metavar="REASON", help=none_help)(function)
    return click.option("--correct-at", metavar="AT", help=at_help)(function)


def ledger_url(value: str | None, *, project: Path | None = None) -> str:
    """The ledger to use: what was asked for, else the project's default."""
    from drumroll.operate.opening import ledger_at

    return value or ledger_at(None, project or find_project(Path.cwd()))


def iso(at: datetime | None) -> str | None:
    """RFC 3339 in UTC with `Z`, to the second; None stays None."""
    return None if at is None else f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def print_json(document: Any) -> None:
    """Print one JSON document, keys in the order given, non-ASCII as it is."""
    import json

    click.echo(json.dumps(document, ensure_ascii=False, indent=2))
