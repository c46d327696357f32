"""`drumroll gallery FILE`: every text of a launch on one page."""

from pathlib import Path

import click

from drumroll.cli.options import json_option, launch_file, opens_option, print_json


@click.command()
@launch_file
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Where to write it: in a folder that is there.",
)
@opens_option
@json_option
def gallery(file: Path, out: Path | None, opens: str | None, as_json: bool) -> None:
    """Write one HTML file with every text in order and its longest form on each channel; the last line is its path.

    Default: .drumroll/gallery/EDITION.html in the project. A launch that check refuses has none (exit 1).
    JSON: `edition, title, hash, path, texts, numbered, characters`, `longest` (null or `step, bytes`: UTF-8 bytes at
    worst), `warnings`.
    """
    from drumroll.check import check_file
    from drumroll.report.gallery import counts, write_gallery

    checked = check_file(file, opens=opens)
    plan, path = checked.accepted(), write_gallery(checked, out)
    told = counts(checked)
    warnings = sum(finding.severity == "warning" for finding in checked.findings)
    if as_json:
        head = {"edition": plan.edition, "title": plan.launch.title, "hash": plan.hash, "path": str(path)}
        print_json(head | told | {"warnings": warnings})
        return
    click.echo(
        f"{plan.edition}: {told['texts']} texts, {told['numbered']} numbered, {told['characters']:,} characters"
        + (f", {warnings} warning{'s' if warnings > 1 else ''}" if warnings else "")
    )
    click.echo(str(path))
