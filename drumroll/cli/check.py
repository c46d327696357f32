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
@click.option("--strict", is_flag=True, help="Warnings refuse, too.")
@json_option
def check(files: tuple[Path, ...], opens: str | None, strict: bool, as_json: bool) -> int:
    """Validate launch files and read every text once. Errors refuse (exit 1); warnings print.

    A finding that the launch waives stays on record and refuses nothing (`drumroll rules` says how).

    JSON: `ok`, and `files`, each with `file, ok, edition, hash, findings, fit`; a finding has `rule, severity, file,
    line, path, what, remedy`. `fit` is null where nothing is sold, else it has `verdict` (fit, refused, unanswered),
    `override` (by, reason), `conditions` (name, ok, reason) and `economics`: estimates in `currency`, shares of 1.
    """
    from drumroll.check import check_file
    from drumroll.cli.fit import fit_as_json, fit_lines
    from drumroll.plan.model import shown

    results = [check_file(file, opens=opens, now=datetime.now(UTC)) for file in files]
    refusing = [_refusing(result.findings, strict=strict) for result in results]
    if as_json:
        documents = [
            {
                "file": str(result.file),
                "ok": not reasons,
                "edition": result.plan.edition if result.plan else None,
                "hash": result.plan.hash if result.plan else None,
                "findings": [_as_dict(finding) for finding in result.findings],
                "fit": fit_as_json(result.fit),
            }
            for result, reasons in zip(results, refusing, strict=True)
        ]
        print_json({"ok": not any(refusing), "files": documents})
        return int(any(refusing))
    for result, reasons in zip(results, refusing, strict=True):
        for finding in result.findings:
            kind = "" if finding.severity == "error" else f", {finding.severity}"
            click.echo(f"{finding} [{finding.rule}{kind}]")
        for line in fit_lines(result.fit):
            click.echo(line)
        if result.plan is not None and not reasons:
            plan = result.plan
            serial = sum(step.number is not None for step in plan.steps)
            click.echo(
                f"{result.file}: ok: {plan.edition}, {len(plan.phases)} phases, {len(plan.steps)} steps, "
                f"{serial} numbered, {len(plan.launch.community.groups)} groups, plan {shown(plan.hash)}"
            )
        else:
            click.echo(f"{result.file}: refused: {_counted(reasons)}", err=True)
    return int(any(refusing))


def _refusing(findings: list[Finding], *, strict: bool) -> list[Finding]:
    """Those that refuse a file: its errors, and its warnings where the caller is strict."""
    refusing = {"error", "warning"} if strict else {"error"}
    return [finding for finding in findings if finding.severity in refusing]


def _counted(findings: list[Finding]) -> str:
    kinds = ((kind, sum(finding.severity == kind for finding in findings)) for kind in ("error", "warning"))
    return ", ".join(f"{count} {kind}{'' if count == 1 else 's'}" for kind, count in kinds if count)


def _as_dict(finding: Finding) -> dict[str, Any]:
    return {name: getattr(finding, name) for name in ("rule", "severity", "file", "line", "path", "what", "remedy")}
