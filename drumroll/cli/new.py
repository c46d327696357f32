"""`drumroll new NAME`: a commented launch file that passes `check`."""

import re
from datetime import date, datetime, timedelta
from importlib.resources import files
from pathlib import Path

import click

from drumroll.errors import UsageError
from drumroll.words.phrases import LOCALES
from drumroll.words.templates import find_project

_NAME = re.compile(r"[a-z0-9]+(?:[-_][a-z0-9]+)*")


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
    if not _NAME.fullmatch(name):
        raise UsageError(
            f'"{name}" is no launch name', remedy="use lower-case letters, digits and dashes, e.g. spring-course"
        )
    path = find_project(Path.cwd()) / "configs" / f"{name}.yaml"
    if path.exists():
        raise UsageError("exists already", where=str(path), remedy="choose another name, or edit that file")
    text = starter(name, locale=locale, timezone=timezone, currency=currency, opens=opens or default_opening())
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    click.echo(f"{path} written; next: drumroll check {path}, drumroll plan {path}, drumroll rehearse {path}")


def default_opening(today: date | None = None) -> str:
    """Noon in four weeks: enough for a launch of two weeks and for writing it."""
    return f"{(today or datetime.now().astimezone().date()) + timedelta(weeks=4)} 12:00"


def starter(name: str, *, locale: str, timezone: str, currency: str, opens: str) -> str:
    """The text of a new launch file."""
    text = (files("drumroll") / "launchfile" / "starter.yaml").read_text(encoding="utf-8")
    values = {"NAME": name, "LOCALE": locale, "TIMEZONE": timezone, "CURRENCY": currency, "OPENS": opens}
    for key, value in values.items():
        text = text.replace(f"__{key}__", value)
    return text
