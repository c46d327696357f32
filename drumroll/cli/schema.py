"""`drumroll schema`."""

import json

import click


@click.command()
@click.option("--reference", is_flag=True, help="Print docs/launch-file.md instead: every key, on one page.")
def schema(reference: bool) -> None:
    """Print the JSON Schema of a launch file, with which editors complete, explain and check it.

    Keep it as configs/launch.schema.json; docs/launch-file.md says how an editor finds it there.
    """
    if reference:
        from drumroll.launchfile.reference import reference as page

        click.echo(page(), nl=False)
        return
    from drumroll.launchfile.schema import launch_schema

    click.echo(json.dumps(launch_schema(), ensure_ascii=False, indent=2))
