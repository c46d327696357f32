"""`drumroll new NAME`: a commented launch file of an occasion, which passes `check`."""

import os
import re
import shlex
from datetime import date, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from drumroll.errors import DrumrollError, UsageError
from drumroll.launchfile.community import CURRENCY
from drumroll.launchfile.currency import FORM, currency_remedy
from drumroll.launchfile.fields import SLUG, known_zone
from drumroll.launchfile.strict import StrictYamlError, read
from drumroll.moments import MomentError, instant
from drumroll.words.phrases import LOCALES
from drumroll.words.templates import find_project

_MAX_NAME = 64
_FOR_EDITORS = "# yaml-language-server: $schema=launch.schema.json"

# kind → what it is for, and the clock time at which its opening is when nobody says so.
SEQUENCES: dict[str, tuple[str, str]] = {
    "launch": ("A whole launch of ten days, in five phases (the default).", "12:00"),
    "link-opening": ("A link opens for people who know you: heads-up, 23:00, countdown, noon.", "12:00"),
    "notice": ("An important notice to a group; nothing is sold.", "12:00"),
    "new-product": ("A new product, from the welcome to the thanks in less than a week.", "12:00"),
    "guest": ("A well-known guest, hinted at, named and asked; nothing is sold.", "12:00"),
    "sale-evening": ("More than twenty numbered announcements on one day, from the welcome to the sale.", "20:00"),
}
_LISTED = "\b\nSequences:\n" + "\n".join(f"  {kind:<13} {what}" for kind, (what, _) in SEQUENCES.items())


@click.command(epilog=_LISTED)
@click.argument("name")
@click.option(
    "--sequence",
    type=click.Choice(list(SEQUENCES)),
    metavar="KIND",
    default="launch",
    show_default=True,
    help="The occasion, see below.",
)
@click.option(
    "--locale", type=click.Choice(sorted(LOCALES)), default="en", show_default=True, help="Language of the words."
)
@click.option("--timezone", default="UTC", show_default=True, help="IANA zone of all local times.")
@click.option("--currency", default="USD", show_default=True, help="ISO 4217 code of the price.")
@click.option("--opens", metavar="AT", help='Local opening, e.g. "2027-01-16 12:00" (default: in four weeks).')
def new(name: str, sequence: str, locale: str, timezone: str, currency: str, opens: str | None) -> None:
    """Write configs/NAME.yaml, ready to be filled in."""
    if len(name) > _MAX_NAME or not re.fullmatch(SLUG, name):
        remedy = f"use at most {_MAX_NAME} lower-case letters, digits and dashes, e.g. spring-course"
        raise UsageError(f'"{name}" is no launch name', remedy=remedy)
    opens = opens or default_opening(sequence=sequence)
    _check_options(timezone, currency, opens)
    path = find_project(Path.cwd()) / "configs" / f"{name}.yaml"
    if path.exists():
        raise UsageError("exists already", where=str(path), remedy="choose another name, or edit that file")
    text = starter(name, sequence=sequence, locale=locale, timezone=timezone, currency=currency, opens=opens)
    if (path.parent / "launch.schema.json").exists():  # where it is missing, an editor would complain on the first line
        text = f"{_FOR_EDITORS}\n{text}"
    try:
        path.parent.mkdir(exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise DrumrollError(f"cannot be written: {error.strerror}", where=str(path)) from error
    shown = os.path.relpath(path)
    click.echo(f"{shown} written; next:")
    for command in ("check", "plan", "rehearse"):
        click.echo(f"  drumroll {command} {shlex.quote(shown)}")


def _check_options(timezone: str, currency: str, opens: str) -> None:
    try:
        known_zone(timezone)
    except ValueError as error:
        raise UsageError(str(error), where="--timezone") from error
    remedy = currency_remedy(currency) if re.fullmatch(CURRENCY, currency) else FORM
    if remedy:
        raise UsageError(f'"{currency}" is no currency', where="--currency", remedy=remedy)
    try:
        instant(opens, zone=ZoneInfo(timezone))
    except MomentError as error:
        raise UsageError(str(error), where="--opens") from error


def default_opening(today: date | None = None, *, sequence: str = "launch") -> str:
    """Four weeks from today, at noon or whenever the sequence opens: enough for its days and for writing it."""
    return f"{(today or datetime.now().astimezone().date()) + timedelta(weeks=4)} {SEQUENCES[sequence][1]}"


def starter(name: str, *, locale: str, timezone: str, currency: str, opens: str, sequence: str = "launch") -> str:
    """The text of a new launch file: `sequence` in `locale`, with the launch's own values filled in."""
    text = _sequence(sequence, locale).replace(": __NAME__", f": {_as_text(name)}")
    values = {"NAME": name, "LOCALE": locale, "TIMEZONE": timezone, "CURRENCY": currency, "OPENS": opens}
    for key, value in values.items():
        text = text.replace(f"__{key}__", value)
    return text


def _sequence(kind: str, locale: str) -> str:
    """The launch file of a sequence, values still left out; in simplified characters it is the traditional one's."""
    written = "zh-Hant" if locale == "zh-Hans" else locale
    text = (files("drumroll") / "launchfile" / "sequences" / written / f"{kind}.yaml").read_text(encoding="utf-8")
    if locale != "zh-Hans":
        return text
    from drumroll.words.simplified import simplified

    return simplified(text)


def _as_text(name: str) -> str:
    """A name as a YAML scalar: 2027, 0123 and no are names too, in quotes."""
    try:
        plain = read(name).value == name
    except StrictYamlError:
        plain = False
    return name if plain else f'"{name}"'
