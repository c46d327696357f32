"""The `drumroll` command: a lazy group, one error style, documented exit codes.

Exit codes: 0 done (warnings too), 1 findings, refusals, held gates or unknown deliveries, 2 usage or a missing file,
130 Ctrl-C.
"""

import importlib
import io
import os
import sys

import click

from drumroll.errors import DrumrollError

# name → (dotted path, one line of help). The help stands here so that `--help` imports no command.
COMMANDS: dict[str, tuple[str, str]] = {
    "new": ("drumroll.cli.new:new", "Write a new, commented launch file that passes check."),
    "check": ("drumroll.cli.check:check", "Validate launch files: file:line, rule, remedy."),
    "rules": ("drumroll.cli.rules:rules", "List the rules of suspense, or explain one with an example."),
    "schema": ("drumroll.cli.schema:schema", "Print the launch file's JSON Schema, for editors, or its reference."),
    "plan": ("drumroll.cli.plan:plan", "Print the run sheet: numbers, times, phases, groups, texts, workload."),
    "gallery": ("drumroll.cli.gallery:gallery", "Write every text of a launch on one page, for its writers."),
    "rehearse": ("drumroll.cli.rehearse:rehearse", "Run a whole launch under a virtual clock."),
    "run": ("drumroll.cli.run:run", "Run a launch for real, in the foreground; resumes where it stopped."),
    "start": ("drumroll.cli.start:start", "Start a launch on your Prefect server, or let it go on there."),
    "up": ("drumroll.cli.up:up", "Keep Prefect's server, a worker and the watch running on this machine."),
    "apply": ("drumroll.cli.apply:apply", "Make the changed file the plan of the running edition."),
    "shift": ("drumroll.cli.shift:shift", "Move the opening of the running edition, with a correction."),
    "pause": ("drumroll.cli.pause:pause", "Hold a launch back, or all of them, from this moment on."),
    "resume": ("drumroll.cli.resume:resume", "Let a paused launch go on; say what becomes of what is overdue."),
    "abort": ("drumroll.cli.abort:abort", "End a launch before its time; what is due is cancelled."),
    "status": ("drumroll.cli.status:status", "Show where launches stand, what is next, what needs a person."),
    "ingest": ("drumroll.cli.ingest:ingest", "Take in engagement from an export."),
    "metrics": ("drumroll.cli.metrics:metrics", "Show a launch's metrics with their intervals."),
    "gate": ("drumroll.cli.gate:gate", "Show why a gate stands where it stands; record a person's decision."),
    "today": ("drumroll.cli.today:today", "Show what people must post by hand, with the text to copy."),
    "done": ("drumroll.cli.today:done", "Tick off what a person has posted by hand."),
    "deliveries": ("drumroll.cli.deliveries:deliveries", "List deliveries and their states."),
    "resolve": ("drumroll.cli.deliveries:resolve", "Answer what only a person can: was it sent, send again, skip."),
    "test-send": ("drumroll.cli.test_send:test_send", "Send a step's real text to a group of the team's own."),
    "report": ("drumroll.cli.report:report", "Write the self-contained HTML report."),
    "doctor": ("drumroll.cli.doctor:doctor", "Say what is missing on this machine, and how to get it."),
    "db": ("drumroll.cli.db:db", "Look after the ledger's database."),
}


class LazyGroup(click.Group):
    """Imports a command's module only when that command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="drumroll")
def cli() -> None:
    """Sequential community launches as code (序列式社群運營)."""


def main() -> None:
    """Entry point of the console script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # an ASCII terminal, or a file name that is no text, ends no command
            stream.reconfigure(errors="backslashreplace")
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Abort as error:  # click's own word for a KeyboardInterrupt
        code = _interrupted(error.__cause__)
    except KeyboardInterrupt as error:
        code = _interrupted(error)
    except click.ClickException as error:
        error.show()
        code = 2
    except DrumrollError as error:
        click.echo(f"error: {error}", err=True)
        code = error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code if isinstance(code, int) else 0)


def _interrupted(by: BaseException | None) -> int:
    click.echo("interrupted; nothing is lost, run the same command again to go on", err=True)
    return int(getattr(by, "exit_code", 130))


if __name__ == "__main__":
    main()
