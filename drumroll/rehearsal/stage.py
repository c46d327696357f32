"""Setting the stage of a rehearsal: the same plan, but nothing leaves the house."""

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from drumroll.errors import DrumrollError, UsageError
from drumroll.launchfile.community import ChannelSpec
from drumroll.ledger.ledger import open_ledger
from drumroll.moments import MomentError, instant
from drumroll.operate.edition import Where, begin, capabilities_of, deliveries_of
from drumroll.operate.opening import live_editions
from drumroll.plan.model import Plan
from drumroll.report.display import moment

_OWN_FILES = ("ledger.db", "ledger.db-wal", "ledger.db-shm", "outbox.jsonl", "report.html")


def offline(plan: Plan, outbox: Path) -> Plan:
    """The plan with every channel that would send replaced by a file; hand-offs stay, an operator is simulated.

    Its hash stays that of the real plan, because the words and the schedule do.
    """
    channels = {
        name: spec if spec.kind == "hand_off" else ChannelSpec.model_validate({"kind": "file", "path": str(outbox)})
        for name, spec in plan.launch.community.channels.items()
    }
    community = plan.launch.community.model_copy(update={"channels": channels, "sources": ()})
    return plan.model_copy(update={"launch": plan.launch.model_copy(update={"community": community})})


def set_stage(plan: Plan, *, project: Path, out: Path) -> tuple[Where, datetime]:
    """A fresh ledger in `out` with the edition begun; returns where it is and the instant the rehearsal starts.

    What an earlier rehearsal left in `out` under its own file names is removed; nothing else is touched.
    """
    url = f"sqlite:///{out.absolute() / 'ledger.db'}"
    _see_that_nothing_is_lost(out, url)
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name in _OWN_FILES:
            (out / name).unlink(missing_ok=True)
    except OSError as error:
        why = f"cannot be written ({error.strerror})"
        raise DrumrollError(why, where=str(out), remedy="give another folder with --out") from error
    staged = offline(plan, out.absolute() / "outbox.jsonl")
    starts = curtain(staged)
    begin(staged, ledger=open_ledger(url), rehearsal=True, now=starts)
    return Where(plan.edition, url, str(project)), starts


def last_call(text: str, plan: Plan) -> datetime:
    """The instant (UTC) at which `--until` stops a rehearsal of `plan`: a moment as in its launch file.

    UsageError for what is no moment, and for one before anything happens or after the last gate can be read.
    """
    zone = ZoneInfo(plan.launch.timezone)
    try:
        at = instant(text, zone=zone, opens=plan.opens)
    except MomentError as error:
        raise UsageError(str(error), where="--until") from error
    starts, ends = curtain(offline(plan, Path())), plan.phases[-1].latest
    if not starts <= at <= ends:
        side = "before" if at < starts else "after"
        remedy = f"it goes from {moment(starts, zone)} to {moment(ends, zone)}"
        raise UsageError(f"{moment(at, zone)} is {side} the launch", where="--until", remedy=remedy)
    return at


def _see_that_nothing_is_lost(out: Path, url: str) -> None:
    """A rehearsal clears its folder: never one that holds a live launch's memory."""
    if not (out / "ledger.db").exists():
        return
    ledger = open_ledger(url, create=False)
    live = live_editions(ledger)
    ledger.close()
    if live:
        what = f"its ledger.db holds a live edition ({', '.join(live)})"
        raise DrumrollError(what, where=str(out), remedy="give another folder with --out")


def curtain(plan: Plan) -> datetime:
    """The first instant at which anything happens: a phase begins or a hand-off goes out."""
    capabilities = capabilities_of(plan)
    fires = [row.fire_at for step in plan.steps for row in deliveries_of(plan, step, capabilities)]
    return min([*fires, *(phase.starts for phase in plan.phases)])
