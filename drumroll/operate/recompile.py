"""A new plan for a running edition: from the file as it is now, or from the stored launch with another opening."""

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from drumroll.check import Checked, check_file, check_launch
from drumroll.errors import DrumrollError, LaunchRefusedError, Severity, UsageError
from drumroll.launchfile.fields import LENGTH, parse_duration
from drumroll.launchfile.load import Findings, load_launch
from drumroll.launchfile.strict import Path as DocPath
from drumroll.launchfile.strict import dotted
from drumroll.ledger.ledger import Ledger
from drumroll.moments import MomentError, instant
from drumroll.operate.running import Running, edition_of, look
from drumroll.plan.model import Plan
from drumroll.plan.rebase import as_it_runs
from drumroll.suspense.registry import RULES

_RELATIVE = re.compile(rf"([+-])({LENGTH})")


@dataclass(frozen=True)
class FromFile:
    """A file's plan at the opening of the edition it was held against; `file_opens` is the opening that it names."""

    running: Running
    plan: Plan
    file_opens: datetime


def from_file(file: Path, ledger: Ledger) -> FromFile:
    """Compile `file` for the edition of its launch that is under way: of the file's own day, else the newest.

    Raises LaunchRefusedError with every finding, UsageError for a missing file, DrumrollError when none is under way.
    """
    launch, findings = load_launch(file)
    if launch is None:
        raise LaunchRefusedError(findings.items)
    zone = ZoneInfo(launch.timezone)
    try:
        file_opens = instant(launch.opens, zone=zone)
    except MomentError:
        check_file(file).accepted()
        raise
    preferred = f"{launch.name}@{file_opens.astimezone(zone):%Y-%m-%d}"
    running = look(ledger, edition_of(ledger, launch.name, preferred=preferred).id)
    opens = None if file_opens == running.plan.opens else local_moment(running.plan.opens, zone)
    checked = check_file(file, opens=opens, as_run=lambda plan: as_it_runs(running.plan, plan, running.begun))
    return FromFile(running, checked.accepted(), file_opens)


def with_opening(running: Running, opens: datetime) -> Plan:
    """The launch that the edition runs, compiled for another opening (UTC) through every rule.

    Raises DrumrollError with every finding that refuses it. What a rule finds at the opening it has, it may go on with:
    the rule is younger than the edition, and a stored launch cannot be edited.
    """
    checked = _stored(running, opens, Findings(running.plan.edition))
    if checked.plan is None:
        before = _Lenient(running.plan.edition)
        _stored(running, running.plan.opens, before)
        checked = _stored(running, opens, _Lenient(running.plan.edition, known=frozenset(before.met)))
    if checked.plan is None:
        raise DrumrollError("cannot open then:" + _listed(checked), where=running.plan.edition)
    return checked.plan


def _stored(running: Running, opens: datetime, findings: Findings) -> Checked:
    old = running.plan
    return check_launch(
        old.launch,
        findings,
        file=Path(old.edition),
        project=Path(),
        stored=old,
        opens=local_moment(opens, ZoneInfo(old.launch.timezone)),
        as_run=lambda plan: as_it_runs(old, plan, running.begun),
    )


@dataclass(slots=True)
class _Lenient(Findings):
    """Findings of which the method's rules refuse nothing that is in `known` (rule and place); None knows all.

    Only those rules: what keeps a plan from being compiled refuses it as ever. `met` is what was let pass.
    """

    known: frozenset[tuple[str, str]] | None = None
    met: set[tuple[str, str]] = field(default_factory=set)

    def add(self, rule: str, path: DocPath, what: str, remedy: str = "", *, severity: Severity = "error") -> None:
        """Record a finding, as a warning when it is known."""
        one, of_the_method = (rule, dotted(path)), rule in RULES or rule.startswith("fit/")
        if severity == "error" and of_the_method and (self.known is None or one in self.known):
            self.met.add(one)
            severity = "warning"
        Findings.add(self, rule, path, what, remedy, severity=severity)


def _listed(checked: Checked) -> str:
    """The findings without file and line: a stored plan has none."""
    lines = (f"{one.path}: {one.what}" + (f"; {one.remedy}" if one.remedy else "") for one in checked.errors)
    return "".join(f"\n  {line}" for line in lines)


def new_opening(text: str, plan: Plan) -> datetime:
    """The opening (UTC) that `text` asks for: an absolute local moment, or `+1d`, `-6h` from the plan's own.

    Days keep the local time of day, whatever the clocks do. UsageError when it is neither.
    """
    zone = ZoneInfo(plan.launch.timezone)
    found = _RELATIVE.fullmatch(text.strip())
    try:
        if found is None:
            return instant(text, zone=zone)
        if not found[2]:
            raise UsageError(f'"{text}" has no length', remedy='write "+1d", "-6h" or "2026-12-13 12:00"')
        length: timedelta = parse_duration(found[2])
        days, rest = timedelta(days=length.days), timedelta(seconds=length.seconds)
        if found[1] == "-":
            days, rest = -days, -rest
        on_day = (plan.opens.astimezone(zone) + days).replace(tzinfo=None)  # wall-clock arithmetic
        return (plan.opens if not days else instant(f"{on_day:%Y-%m-%d %H:%M:%S}", zone=zone)) + rest
    except MomentError as error:
        raise UsageError(str(error), remedy='or a length like "+1d" or "-6h"') from error
    except OverflowError as error:
        raise UsageError(f'"{text}" leaves the calendar', remedy='write "+1d", "-6h" or "2026-12-13 12:00"') from error


def local_moment(at: datetime, zone: ZoneInfo) -> str:
    """`at` as a launch file says it: `2026-12-13 12:00`, with `first` or `second` where clocks go back over it."""
    local = at.astimezone(zone)
    text = f"{local:%Y-%m-%d %H:%M:%S}" if local.second else f"{local:%Y-%m-%d %H:%M}"
    try:
        instant(text, zone=zone)
    except MomentError:
        return f"{text} {'second' if local.fold else 'first'}"
    return text
