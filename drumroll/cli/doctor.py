"""`drumroll doctor [FILE]`: what is missing on this machine, and how to get it."""

import asyncio
import contextlib
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from drumroll.cli.options import json_option, ledger_option, ledger_url, print_json
from drumroll.doctor.sign import Sign, problem, warning
from drumroll.errors import DrumrollError, UsageError

_MARKS = {"ok": ("ok", "green"), "warning": ("warning", "yellow"), "problem": ("problem", "red")}


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--channels", is_flag=True, help="Try FILE's channels: each credential, and the way into each group.")
@click.option("--all-groups", is_flag=True, help="With --channels, also more than 20 groups of one channel.")
@ledger_option
@json_option
def doctor(file: Path | None, channels: bool, all_groups: bool, ledger: str | None, as_json: bool) -> int:
    """Look at this machine, the project, the ledger and Prefect's server: what is missing, and how to get it.

    With FILE, also at what that launch needs here, such as the environment variables of its channels (their names, not
    their values). Changes nothing. With --channels, platforms are asked whether the credentials are good and the
    groups can be reached; nothing is sent to anybody. Exit code 1 when there is a problem; warnings leave it at 0.

    JSON: `ok` (no problem), and `signs`, each with `subject` (like `ledger.disk`, `channel.NAME`, or
    `channel.NAME.GROUP`), `state` (ok, warning, problem), `what` and `remedy` ("" where all is well).
    """
    if channels and file is None:
        raise UsageError("whose channels?", where="--channels", remedy="name a launch file before it")
    if all_groups and not channels:
        raise UsageError("goes with --channels", where="--all-groups", remedy="write both")
    if file is not None and not file.is_file():
        raise UsageError("no such file", where=str(file))
    signs = []
    for sign in _signs(file, ledger, channels=channels, all_groups=all_groups):
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


def _signs(file: Path | None, ledger: str | None, *, channels: bool, all_groups: bool) -> Iterator[Sign]:
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
        yield from file_signs(file, in_blocks=lambda variables: _in_blocks(variables, project))
    url = ledger_url(ledger, project=project)
    yield from ledger_signs(url)
    yield from project_signs(project)
    yield from _server_signs(project, busiest(url, now=datetime.now(UTC)), up_at(project))
    if file is not None and channels:
        yield from _channel_signs(file, project, all_groups=all_groups)


def _in_blocks(variables: Sequence[str], project: Path) -> Collection[str]:
    """Those that a Secret Block stands in for; none where the server cannot be asked, which its own signs tell."""
    from drumroll.cli.remote import blocks_of
    from drumroll.operate.open_channels import SOON, StandIn

    async def read(values: StandIn) -> Collection[str]:
        return (await values(variables, SOON)).keys()

    with contextlib.suppress(ImportError, DrumrollError):
        return asyncio.run(read(blocks_of(project)))
    return ()


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


def _channel_signs(file: Path, project: Path, *, all_groups: bool) -> Iterator[Sign]:
    from drumroll.cli.remote import blocks_of
    from drumroll.doctor.channels import channel_signs
    from drumroll.launchfile.load import load_launch
    from drumroll.operate.open_channels import standing_in

    launch, _ = load_launch(file)
    if launch is None:
        return  # said already
    with standing_in(blocks_of(project)):
        signs = asyncio.run(channel_signs(launch, str(project), every_group=all_groups, tell=_progress))
    yield from signs


def _progress(line: str) -> None:
    click.echo(line, err=True)
