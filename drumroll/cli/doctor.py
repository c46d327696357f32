"""`drumroll doctor [FILE]`: what is missing on this machine, and how to get it."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click

from drumroll.cli.options import json_option, ledger_option, ledger_url, print_json
from drumroll.doctor.sign import Sign, problem, warning
from drumroll.errors import DrumrollError, UsageError

_MARKS = {"ok": ("ok", "green"), "warning": ("warning", "yellow"), "problem": ("problem", "red")}


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@ledger_option
@json_option
def doctor(file: Path | None, ledger: str | None, as_json: bool) -> int:
    """Look at this machine, the project, the ledger and Prefect's server: what is missing, and how to get it.

    With FILE, also at what that launch needs here, such as the environment variables of its channels (their names, not
    their values). Changes nothing. Exit code 1 when there is a problem; warnings leave it at 0.

    JSON: `ok` (no problem), and `signs`, each with `subject` (like `ledger.disk`), `state` (ok, warning, problem),
    `what` and `remedy` ("" where all is well).
    """
    if file is not None and not file.is_file():
        raise UsageError("no such file", where=str(file))
    signs = []
    for sign in _signs(file, ledger):
        signs.append(sign)
        if not as_json:
            _say(sign)
    healthy = all(sign.state != "problem" for sign in signs)
    if as_json:
        found = [{name: getattr(sign, name) for name in ("subject", "state", "what", "remedy")} for sign in signs]
        print_json({"ok": healthy, "signs": found})
    return int(not healthy)


def _say(sign: Sign) -> None:
    word, colour = _MARKS[sign.state]
    remedy = f"\n           {sign.remedy}" if sign.remedy else ""
    click.echo(f"{click.style(f'{word:>8}', fg=colour)}   {sign.subject}: {sign.what}{remedy}")


def _signs(file: Path | None, ledger: str | None) -> Iterator[Sign]:
    from drumroll.doctor.machine import machine_signs, package_signs
    from drumroll.words.templates import find_project

    yield from machine_signs()
    try:
        project = find_project(file.parent if file is not None else Path.cwd())
    except UsageError as error:
        yield problem("project.folders", f"{error.where}: {error.message}", error.remedy)
        return
    from drumroll.cli.foreground import settle_prefect

    settle_prefect()
    from drumroll.doctor.project import file_signs, needed_packages, project_signs, up_at
    from drumroll.doctor.stored import busiest, ledger_signs

    yield from package_signs(needed_packages(project))
    if file is not None:
        yield from file_signs(file)
    url = ledger_url(ledger, project=project)
    yield from ledger_signs(url)
    yield from project_signs(project)
    yield from _server_signs(project, busiest(url, now=datetime.now(UTC)), up_at(project))


def _server_signs(project: Path, crowd: int, up: str | None) -> Iterator[Sign]:
    from drumroll.cli.foreground import project_module
    from drumroll.cli.remote import remote

    try:
        if remote(project) is None:
            what = "no Prefect server is configured here: launches run in the foreground only (`drumroll run`)"
            remedy = f"export PREFECT_API_URL={up}" if up else "`drumroll up`, or set PREFECT_API_URL"
            yield warning("server", what, remedy)
            return
        health = project_module("tasks.health", project)
    except (ImportError, DrumrollError) as error:
        yield problem("server", f"Prefect cannot be loaded here ({type(error).__name__})", "`make setup`")
        return

    async def ask() -> list[Sign]:
        return [sign async for sign in health.server_signs(project, crowd=crowd, is_up=up is not None)]

    yield from asyncio.run(ask())
