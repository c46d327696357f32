"""`drumroll rehearse FILE`: the whole launch through the real flows, under a virtual clock."""

from datetime import datetime
from pathlib import Path
from typing import Any

import click

from drumroll.cli.foreground import launch_on_prefect, play, tell_on
from drumroll.cli.options import iso, json_option, launch_file, opens_option, print_json
from drumroll.errors import UsageError


@click.command()
@launch_file
@opens_option
@click.option("--members", type=click.IntRange(1, 100_000), default=300, show_default=True, help="Synthetic members.")
@click.option("--seed", type=int, default=1, show_default=True, help="Same seed, same rehearsal, to the byte.")
@click.option("--replay", metavar="SOURCE:PATH", help="Replay a real export instead, e.g. slack:export/.")
@click.option(
    "--on-hold",
    type=click.Choice(["continue", "abort"]),
    default="continue",
    show_default=True,
    help="What a person would decide at a held gate.",
)
@click.option("--until", metavar="MOMENT", help='Stop there, e.g. "D-2 12:00", "T-2h" or a local time.')
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder for outbox, ledger and report.")
@json_option
def rehearse(
    file: Path,
    opens: str | None,
    members: int,
    seed: int,
    replay: str | None,
    on_hold: str,
    until: str | None,
    out: Path | None,
    as_json: bool,
) -> int:
    """Rehearse a launch: the real flows, a ledger of its own, members who are synthetic or replayed. Nothing is sent.

    Writes outbox.jsonl (every message), ledger.db and report.html, and prints the report's path last. Exit 1 when a
    gate would have needed a person and --on-hold is abort.

    With --until, all that is due by that moment is done and nothing later; the ledger stays as it is then, for
    `status`, `report`, `plan --diff`, `apply` and `shift`. Rehearsing again in the same folder starts anew.

    JSON: `edition, seed, members, replay, stopped_at` (null: played to its end), `state, gates` (`phase, verdicts`),
    `deliveries` (count by state), `held`, `outbox, ledger, report`.
    """
    import sys

    from drumroll.check import check_file
    from drumroll.rehearsal.stage import last_call, set_stage

    checked = check_file(file, opens=opens)
    plan, opens = checked.accepted(), checked.opens
    folder = out or checked.project / ".drumroll" / "rehearsals" / f"{plan.edition}-{_cast_name(replay, seed)}"
    export = _read_replay(replay)
    stop = last_call(until, plan) if until is not None else None
    where, starts = set_stage(plan, project=checked.project, out=folder)
    tell_on(sys.stderr if as_json else sys.stdout)
    cast = f"replaying {replay}" if replay else f"{members} synthetic members, seed {seed}"
    click.echo(f"Rehearsing {plan.launch.title} · {plan.edition} · {cast}", err=as_json)
    from drumroll.rehearsal.performance import Performance

    performance = Performance(where, starts, seed=seed, members=members, export=export, until=stop)
    with launch_on_prefect(checked.project, home=checked.project / ".drumroll" / "prefect") as launch:
        held = play(performance.play(launch, str(file.absolute()), opens, on_hold=on_hold))
    at = performance.stopped_at
    played = {"seed": seed, "members": members, "replay": replay, "stopped_at": iso(at)}
    if at is not None and not as_json:
        _tell_stop(where, plan, at)
    return _finish(where, folder, held, on_hold, as_json=as_json, played=played)


def _tell_stop(where: Any, plan: Any, at: datetime) -> None:
    import shlex
    from zoneinfo import ZoneInfo

    from drumroll.report.display import moment

    shown = moment(at, ZoneInfo(plan.launch.timezone))
    look = shlex.join(["drumroll", "status", where.edition, "--ledger", where.ledger])
    click.echo(f"stopped {shown} {plan.launch.timezone}, before the end; this ledger is as it was then:\n  {look}")
    click.echo("`report`, `plan FILE --diff`, `apply` and `shift` take the same --ledger")


def _cast_name(replay: str | None, seed: int) -> str:
    return "replay" if replay else f"seed{seed}"


def _read_replay(replay: str | None) -> Any:
    if replay is None:
        return None
    from zoneinfo import ZoneInfo

    from drumroll.sources.registry import source_for

    kind, colon, path = replay.partition(":")
    if not colon or not path:
        raise UsageError(f'"{replay}" names no source', remedy="write SOURCE:PATH, e.g. slack:export/")
    source = source_for(kind)
    if not Path(path).exists():
        raise UsageError("no such file or folder", where=path)
    return source.read(Path(path), zone=ZoneInfo("UTC"))


def _finish(where: Any, folder: Path, held: list[str], on_hold: str, *, as_json: bool, played: dict[str, Any]) -> int:
    from drumroll.report.page import write_report

    ledger = where.open()
    report = write_report(where, folder / "report.html")
    counts, state = ledger.counts(where.edition), ledger.edition(where.edition).state
    if as_json:
        verdicts: dict[str, list[str]] = {}
        for check in ledger.checks(where.edition):
            verdicts.setdefault(check.phase, []).append(check.verdict)
        print_json(
            {
                "edition": where.edition,
                **played,
                "state": state,
                "gates": [{"phase": phase, "verdicts": found} for phase, found in verdicts.items()],
                "deliveries": counts,
                "held": held,
                "outbox": str(folder / "outbox.jsonl"),
                "ledger": str(folder / "ledger.db"),
                "report": str(report),
            }
        )
    else:
        click.echo(f"{where.edition}: {state}; " + ", ".join(f"{n} {s}" for s, n in counts.items() if n))
        for phase in held:
            click.echo(
                f"the gate of {phase} would have needed a person"
                + ("; the rehearsal went on" if on_hold == "continue" else "")
            )
        click.echo(str(report))
    return int(bool(held) and on_hold == "abort")
