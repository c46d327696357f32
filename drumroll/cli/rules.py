"""`drumroll rules [RULE]`."""

from typing import Any

import click

from drumroll.cli.options import json_option, print_json
from drumroll.errors import UsageError
from drumroll.launchfile.load import did_you_mean
from drumroll.suspense.rule import Rule


@click.command()
@click.argument("rule_id", metavar="[RULE]", required=False)
@click.option("--markdown", "as_markdown", is_flag=True, help="Print docs/rules.md: all of them with their examples.")
@json_option
def rules(rule_id: str | None, as_markdown: bool, as_json: bool) -> None:
    """List the rules of suspense, or explain one: why it is there, an example, how to waive it.

    JSON: a list of rules, each with `id, severity, title, reason, example`; an example is a list of changes to what
    `drumroll new` writes, each with `file` ("": the launch file, else below templates/), `sound, broken`.
    """
    from drumroll.suspense.book import markdown
    from drumroll.suspense.registry import RULES

    if rule_id is not None and rule_id not in RULES:
        raise UsageError(f'"{rule_id}" is no rule of suspense', remedy=did_you_mean(rule_id, RULES))
    if as_markdown and (rule_id is not None or as_json):
        raise UsageError("--markdown prints all rules, and nothing else", remedy="leave the rest of the call out")
    if as_json:
        print_json([_as_dict(rule) for rule in (RULES.values() if rule_id is None else [RULES[rule_id]])])
    elif as_markdown:
        click.echo(markdown(), nl=False)
    elif rule_id is None:
        _list()
    else:
        _explain(RULES[rule_id])


def _list() -> None:
    from drumroll.suspense.book import families

    for name, sentence, members in families():
        click.echo(f"{name}: {sentence}")
        for rule in members:
            click.echo(f"  {rule.id:<19} {rule.severity:<8} {rule.title}")
        click.echo()
    click.echo("`drumroll rules ID` explains one of them.")


def _explain(rule: Rule) -> None:
    import textwrap

    from drumroll.suspense.book import difference, waiver, where

    click.echo(f"{rule.id} ({rule.severity})\n{rule.title}\n")
    click.echo(textwrap.fill(rule.reason, 100) + "\n")
    for edit in rule.example:
        click.echo(f"Example, in {where(edit)} (- keeps the rule, + breaks it):")
        click.echo(textwrap.indent("\n".join(difference(edit)), "  ") + "\n")
    click.echo("To break it on purpose, say why in the launch file:")
    click.echo(textwrap.indent(waiver(rule), "  "), nl=False)


def _as_dict(rule: Rule) -> dict[str, Any]:
    example = [{"file": edit.file, "sound": edit.sound, "broken": edit.broken} for edit in rule.example]
    return {name: getattr(rule, name) for name in ("id", "severity", "title", "reason")} | {"example": example}
