"""`drumroll ingest KIND PATH`: engagement from an export into the ledger, or only counted."""

import sys
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from drumroll.cli.options import iso, json_option, ledger_option, ledger_url, print_json
from drumroll.errors import UsageError
from drumroll.sources.base import Export

PATIENCE_SECONDS = 2.0
AHEAD = timedelta(days=1)  # no time zone and no wrong clock explains more


def _read_zone(_context: click.Context, _parameter: click.Parameter, value: str) -> ZoneInfo:
    try:
        return ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise click.BadParameter(f'unknown time zone "{value}"; use an IANA name such as Asia/Taipei') from error


def _read_map(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    mapping: dict[str, str] = {}
    for value in values:
        # A channel's name may hold "=", a group's id never does.
        channel, sign, group = value.rpartition("=")
        if not (sign and channel and group):
            raise click.BadParameter(f'"{value}" is not channel=group')
        if mapping.setdefault(channel, group) != group:
            raise click.BadParameter(f'channel "{channel}" is mapped to "{mapping[channel]}" and to "{group}"')
    return mapping


@click.command()
@click.argument("kind")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--launch", metavar="L", help="The launch, or one edition of it, that the export belongs to.")
@click.option("--group", metavar="G", help="The group for every channel of the export that --map does not name.")
@click.option("--map", "mapping", multiple=True, metavar="CHANNEL=GROUP", callback=_read_map, help="Repeatable.")
@click.option("--timezone", "zone", default="UTC", show_default=True, callback=_read_zone, help="Of times without one.")
@ledger_option
@click.option("--dry-run", is_flag=True, help="Read and count the export; write nothing, need no launch.")
@json_option
def ingest(
    *,
    kind: str,
    path: Path,
    launch: str | None,
    group: str | None,
    mapping: dict[str, str],
    zone: ZoneInfo,
    ledger: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Take in engagement from an export: KIND is csv, jsonl or slack, PATH the file, folder or zip.

    The same export may be given again, also after it has grown: only what is new is taken in. Without --group, channels
    that --map does not name are left out. JSON: `launch, taken, new, known`, and `groups` with the events taken for
    each. With --dry-run: `messages, authors, joins, leaves, reactions, first, last, active_days, daily`; days are UTC
    days, and daily is [messages, distinct authors] by date.
    """
    _check_kind(kind)
    if not path.exists():
        raise UsageError("no such file or folder", where=str(path), remedy="give the path of the export")
    if dry_run:
        export = _read(kind, path, zone, group, mapping, whole=not (group or mapping))
        _print_summary(export, as_json=as_json)
        return
    if not launch:
        raise click.UsageError("--launch is missing; name the launch that the export belongs to, or use --dry-run")
    if not (group or mapping):
        raise click.UsageError("--group is missing; name the group that the export belongs to, or --map its channels")
    wanted = {group, *mapping.values()} if group else set(mapping.values())
    report = _take_in(ledger_url(ledger), launch, wanted, partial(_read, kind, path, zone, group, mapping))
    if as_json:
        print_json(report)
        return
    shares = ", ".join(f"{name} {count}" for name, count in report["groups"].items())
    click.echo(
        f"{report['launch']}: {report['taken']} events read, {report['new']} new, {report['known']} already known"
    )
    if shares:
        click.echo(f"by group: {shares}")


def _read(
    kind: str, path: Path, zone: ZoneInfo, group: str | None, mapping: dict[str, str], *, whole: bool = False
) -> Export:
    """The export, its channels named as groups unless `whole`; says on stderr what was left out."""
    from drumroll.sources.registry import source_for
    from drumroll.sources.summary import left_out, relabel

    source = source_for(kind)
    with _patience(f"Reading {path.name}"):
        export = source.read(path, zone=zone)
        labelled = export if whole else relabel(export, group=group, mapping=mapping)
    _warn_of_future(labelled)
    if whole:
        return export
    if missing := left_out(export, group=group, mapping=mapping):
        click.echo(f"left out, because --map does not name them: {', '.join(missing)}", err=True)
    return labelled


def _check_kind(kind: str) -> None:
    from drumroll.launchfile.load import did_you_mean
    from drumroll.sources.registry import SOURCES

    if kind not in SOURCES:
        raise UsageError(f'unknown source kind "{kind}"', remedy=did_you_mean(kind, sorted(SOURCES)))


def _warn_of_future(export: Export) -> None:
    """They are taken in all the same: gates read what happened up to their own instant."""
    from drumroll.clock import current_clock

    limit = current_clock().now() + AHEAD
    ahead = [event.at for event in export.events if event.at > limit]
    if ahead:
        lie = "1 event lies" if len(ahead) == 1 else f"{len(ahead)} events lie"
        click.echo(f"{lie} in the future, the last at {iso(max(ahead))}; is the time zone right?", err=True)


def _take_in(url: str, launch: str, groups: Collection[str], read: Callable[[], Export]) -> dict[str, Any]:
    """Check the launch and its groups first, since reading may take long; nothing is taken in before all is read."""
    from drumroll.ledger.ledger import open_ledger
    from drumroll.plan.model import Plan

    ledger = open_ledger(url, create=False)
    edition = ledger.edition(launch).id
    known = Plan.model_validate_json(ledger.plan_document(edition)).launch
    for name in sorted(groups):
        if name not in known.group_ids():
            near = get_close_matches(name, known.group_ids(), n=1)
            remedy = f'did you mean "{near[0]}"?' if near else f"groups: {', '.join(known.group_ids())}"
            raise UsageError(f'{edition} has no group "{name}"', remedy=remedy)
    export = read()
    staff = known.staff_ids()
    people = [replace(person, is_staff=person.is_staff or person.id in staff) for person in export.people]
    with _patience(f"Taking in {len(export.events)} events"):
        new = ledger.take_in(edition, people, export.events)
    counts = Counter(event.group for event in export.events)
    return {
        "launch": edition,
        "taken": len(export.events),
        "new": new,
        "known": len(export.events) - new,
        "groups": {name: counts[name] for name in known.group_ids() if name in groups},
    }


def _print_summary(export: Export, *, as_json: bool) -> None:
    from drumroll.sources.summary import channels, summary

    numbers = summary(export)
    if as_json:
        print_json(numbers)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    bots = {person.id for person in export.people if person.is_bot}
    by_bots = sum(event.kind == "message" and event.member in bots for event in export.events)
    table = Table(box=None, show_header=False, pad_edge=False)
    for name in ("messages", "authors", "joins", "leaves", "reactions", "active_days"):
        table.add_row(name.replace("_", " "), f"{numbers[name]:,}")
    if by_bots:
        table.add_row("messages by bots", f"{by_bots:,} (in no metric)")
    table.add_row("first message", numbers["first"] or "none")
    table.add_row("last message", numbers["last"] or "none")
    # Channel names are members' data: Text, so that nothing in them is markup.
    table.add_row("channels", Text(", ".join(channels(export)) or "none"))
    Console(highlight=False).print(table)


@contextmanager
def _patience(doing: str) -> Iterator[None]:
    """A sign of life on a terminal for what takes more than two seconds; silent for everything else."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.text import Text

    status = Console(stderr=True).status(Text(f"{doing} …"))
    timer = threading.Timer(PATIENCE_SECONDS, status.start)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        status.stop()
