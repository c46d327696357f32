"""`drumroll new NAME`: a commented launch file that passes `check`."""

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


@click.command()
@click.argument("name")
@click.option(
    "--locale", type=click.Choice(sorted(LOCALES)), default="en", show_default=True, help="Language of the words."
)
@click.option("--timezone", default="UTC", show_default=True, help="IANA zone of all local times.")
@click.option("--currency", default="USD", show_default=True, help="ISO 4217 code of the price.")
@click.option("--opens", metavar="AT", help='Local opening, e.g. "2027-01-16 12:00" (default: noon in four weeks).')
def new(name: str, locale: str, timezone: str, currency: str, opens: str | None) -> None:
    """Write configs/NAME.yaml, ready to be filled in."""
    if len(name) > _MAX_NAME or not re.fullmatch(SLUG, name):
        remedy = f"use at most {_MAX_NAME} lower-case letters, digits and dashes, e.g. spring-course"
        raise UsageError(f'"{name}" is no launch name', remedy=remedy)
    _check_options(timezone, currency, opens)
    path = find_project(Path.cwd()) / "configs" / f"{name}.yaml"
    if path.exists():
        raise UsageError("exists already", where=str(path), remedy="choose another name, or edit that file")
    text = starter(name, locale=locale, timezone=timezone, currency=currency, opens=opens or default_opening())
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


def _check_options(timezone: str, currency: str, opens: str | None) -> None:
    try:
        known_zone(timezone)
    except ValueError as error:
        raise UsageError(str(error), where="--timezone") from error
    remedy = currency_remedy(currency) if re.fullmatch(CURRENCY, currency) else FORM
    if remedy:
        raise UsageError(f'"{currency}" is no currency', where="--currency", remedy=remedy)
    try:
        instant(opens or default_opening(), zone=ZoneInfo(timezone))
    except MomentError as error:
        raise UsageError(str(error), where="--opens") from error


def default_opening(today: date | None = None) -> str:
    """Noon in four weeks: enough for a launch of two weeks and for writing it."""
    return f"{(today or datetime.now().astimezone().date()) + timedelta(weeks=4)} 12:00"


def starter(name: str, *, locale: str, timezone: str, currency: str, opens: str) -> str:
    """The text of a new launch file."""
    text = (files("drumroll") / "launchfile" / "sequences" / "en" / "launch.yaml").read_text(encoding="utf-8")
    text = text.replace(": __NAME__", f": {_as_text(name)}")
    values = {"NAME": name, "LOCALE": locale, "TIMEZONE": timezone, "CURRENCY": currency, "OPENS": opens}
    for key, value in values.items():
        text = text.replace(f"__{key}__", value)
    return text


def _as_text(name: str) -> str:
    """A name as a YAML scalar: 2027, 0123 and no are names too, in quotes."""
    try:
        plain = read(name).value == name
    except StrictYamlError:
        plain = False
    return name if plain else f'"{name}"'
