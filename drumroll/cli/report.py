"""`drumroll report LAUNCH`: the self-contained HTML file."""

from pathlib import Path

import click

from drumroll.cli.options import iso, json_option, ledger_option, print_json
from drumroll.report.page import account_of, summary, write_report

__all__ = ["report", "write_report"]


@click.command()
@click.argument("launch")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Where to write it: in a folder that is there.",
)
@ledger_option
@json_option
def report(launch: str, out: Path | None, ledger: str | None, as_json: bool) -> None:
    """Write one HTML file that tells what happened and why; the last line is its path.

    LAUNCH is an edition, or a launch (its newest edition). Default: .drumroll/reports/EDITION.html in the project.
    JSON: `edition, launch, title, state, rehearsal, plan, outcome`, `integrity` (`staff_excluded, bots_excluded,
    events_excluded`), `deliveries` (`planned` and how many are `sent, awaiting, held, skipped, unknown, failed,
    cancelled, to_come`), `lateness` (`automatic` and `by_hand`, each null or `n, median_ms, max_ms`), `as_of, path`.
    """
    from drumroll.clock import current_clock
    from drumroll.operate.opening import find_edition

    where = find_edition(launch, ledger=ledger)
    now = current_clock().now()
    path = write_report(where, out, now=now)
    told = account_of(where, now=now)
    if as_json:
        print_json(summary(told) | {"as_of": iso(told.at), "path": str(path)})
        return
    click.echo(told.outcome())
    click.echo(str(path))
