"""`drumroll check FILE…`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from drumroll.cli.options import json_option, opens_option, print_json
from drumroll.errors import Finding


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@opens_option
@json_option
def check(files: tuple[Path, ...], opens: str | None, as_json: bool) -> int:
    """Validate launch files and read every text once. Errors refuse (exit 1); warnings print.

    JSON: `ok`, and `files`, each with `file, ok, edition, hash, findings`; a finding has `rule, severity, file, line,
    path, what, remedy`.
    """
    from drumroll.check import check_file

    results = [check_file(file, opens=opens, now=datetime.now(UTC)) for file in files]
    refused = any(result.errors for result in results)
    if as_json:
        documents = [
            {
                "file": str(result.file),
                "ok": not result.errors,
                "edition": result.plan.edition if result.plan else None,
                "hash": result.plan.hash if result.plan else None,
                "findings": [_as_dict(finding) for finding in result.findings],
            }
            for result in results
        ]
        print_json({"ok": not refused, "files": documents})
        return int(refused)
    for result in results:
        for finding in result.findings:
            kind = "" if finding.severity == "error" else f", {finding.severity}"
            click.echo(f"{finding} [{finding.rule}{kind}]")
        if result.plan is not None:
            plan = result.plan
            serial = sum(step.number is not None for step in plan.steps)
            click.echo(
                f"{result.file}: ok: {plan.edition}, {len(plan.phases)} phases, {len(plan.steps)} steps, "
                f"{serial} numbered, {len(plan.launch.community.groups)} groups, plan {plan.hash[:12]}"
            )
        else:
            click.echo(
                f"{result.file}: refused: {len(result.errors)} error{'s' if len(result.errors) > 1 else ''}", err=True
            )
    return int(refused)


def _as_dict(finding: Finding) -> dict[str, Any]:
    return {name: getattr(finding, name) for name in ("rule", "severity", "file", "line", "path", "what", "remedy")}
