"""`drumroll metrics LAUNCH`: every metric with its interval."""

from dataclasses import asdict
from zoneinfo import ZoneInfo

import click

from drumroll.cli.options import iso, json_option, ledger_option, ledger_url, print_json
from drumroll.cli.tables import plain, say, show, table
from drumroll.errors import UsageError
from drumroll.launchfile.load import did_you_mean
from drumroll.metrics.registry import METRICS, Value
from drumroll.plan.model import Plan
from drumroll.report.account import Account, account
from drumroll.report.display import amount, interval, local
from drumroll.report.figures import CONFIDENCE


@click.command()
@click.argument("launch")
@click.option("--group", metavar="G", help="One group alone.")
@ledger_option
@json_option
def metrics(launch: str, group: str | None, ledger: str | None, as_json: bool) -> None:
    """Show every metric over the whole edition, for the whole and each group, with 95% intervals.

    LAUNCH is an edition, or a launch (its newest edition). JSON: `edition, as_of, confidence, integrity`
    (`staff_excluded, bots_excluded, events_excluded`) and `values`, each with `group` (null: the whole), `metric,
    value, lower, upper, n, numerator, unit, method`; value or bounds are null where there is nothing to measure.
    """
    from drumroll.clock import current_clock
    from drumroll.ledger.ledger import open_ledger

    store = open_ledger(ledger_url(ledger), create=False)
    edition = store.edition(launch)
    plan = Plan.model_validate_json(store.plan_document(edition.id))
    if group is not None and group not in plan.launch.group_ids():
        raise UsageError(f'{edition.id} has no group "{group}"', remedy=did_you_mean(group, plan.launch.group_ids()))
    told = account(store, edition, plan, now=current_clock().now())
    columns: list[str | None] = [group] if group else [None, *plan.launch.group_ids()]
    values = {column: list(told.metrics(column)) for column in columns}
    if as_json:
        print_json(
            {
                "edition": edition.id,
                "as_of": iso(told.at),
                "confidence": CONFIDENCE,
                "integrity": asdict(told.integrity),
                "values": [{"group": column} | value.as_dict() for column in columns for value in values[column]],
            }
        )
        return
    _print(told, values)


def _print(told: Account, values: dict[str | None, list[Value]]) -> None:
    launch = told.plan.launch
    say(f"{told.edition.id} · whole edition as of {local(told.at, ZoneInfo(launch.timezone))} {launch.timezone}")
    say(told.integrity.sentence())
    names = {group.id: group.name for group in launch.community.groups}
    for column, measured in values.items():
        name = names[column] if column else "Whole"
        if not any(value.n for value in measured):
            say(f"\n{name}: nothing to measure")
            continue
        say(f"\n{name}")
        made = table("metric", "value", "95% interval", "n", "method", "what it is")
        for value in measured:
            between = interval(value.lower, value.upper, value.unit) if value.lower != value.upper else ""
            about = METRICS[value.metric].description
            made.add_row(
                value.metric, amount(value.value, value.unit), between, f"{value.n:,}", value.method, plain(about)
            )
        show(made)
