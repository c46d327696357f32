"""Whose word a live launch begins on: an approval names the hash of a plan, and holds for that plan alone."""

import re
import shlex
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from drumroll.errors import DrumrollError, UsageError
from drumroll.launchfile.load import did_you_mean
from drumroll.ledger.model import DecisionRow
from drumroll.login import login
from drumroll.plan.model import Plan

SUBJECT = "plan"  # of the decision, as for `apply` and `shift`
_HASH = re.compile(r"[0-9a-f]{8,64}")
_SHOWN = 12  # digits of a hash, as `drumroll plan` prints it


@dataclass(frozen=True, slots=True)
class Call:
    """How a live launch was called: its file, another opening, the hash that was approved, by whom.

    `ledger` is the URL when it was part of the call; it is repeated to the person when it cannot hold a password.
    """

    file: Path
    opens: str | None = None
    approved: str | None = None
    by: str | None = None
    ledger: str | None = None

    def again(self, command: str, *words: str) -> str:
        """`drumroll COMMAND` about the same file and opening, for a person to copy."""
        opens = ["--opens", self.opens] if self.opens else []
        return shlex.join(["drumroll", command, str(self.file), *opens, *words])

    def where_it_writes(self) -> list[str]:
        """The `--ledger` of this call, as words."""
        if self.ledger is None:
            return []
        return ["--ledger", self.ledger if self.ledger.startswith("sqlite:") else "URL"]


def see_that_it_goes_on(call: Call, edition: str, runs: str) -> None:
    """DrumrollError when the call approves another plan than `runs`, the hash of the one the edition runs."""
    if (approved := _given(call)) is not None and not runs.startswith(approved):
        raise DrumrollError(
            f"approved {approved[:_SHOWN]}…, but this edition runs plan {runs[:_SHOWN]}…",
            where=edition,
            remedy=f"look at `{Call(call.file).again('plan', '--diff', *call.where_it_writes())}`; "
            f"to go on by the plan that it runs, approve {runs[:_SHOWN]} or drop the approval",
        )


def approval_to_begin(call: Call, plan: Plan, *, now: datetime) -> DecisionRow | None:
    """The decision to record when `plan` begins live; None when nobody approved it and nobody has to.

    Raises DrumrollError when the call approves another plan, or none where the launch file says `approval: required`;
    UsageError for a hash that is none, and for a name that may not approve.
    """
    approved = _given(call)
    if approved is None:
        if plan.launch.approval == "required":
            raise DrumrollError("nobody has approved this plan", where=plan.edition, remedy=_how(call, plan))
        return None
    if not plan.hash.startswith(approved):
        raise DrumrollError(
            f"approved {approved[:_SHOWN]}…, but this file compiles to {plan.hash[:_SHOWN]}…",
            where=plan.edition,
            remedy=f"look at `{call.again('plan')}`, then approve that",
        )
    return DecisionRow(plan.edition, SUBJECT, f"approved {plan.hash[:_SHOWN]}", _name(call, plan), "", now)


def _given(call: Call) -> str | None:
    """The approved hash, in small letters. UsageError when it is none, or a name comes without one."""
    if call.approved is None:
        if call.by is not None:
            raise UsageError(f'"{call.by}" approves nothing', remedy="add the plan's hash with --approved HASH")
        return None
    approved = call.approved.strip().lower()
    if not _HASH.fullmatch(approved):
        remedy = f"give 8 hex digits or more of the hash that `{call.again('plan')}` shows"
        raise UsageError(f'"{call.approved}" is no hash of a plan', remedy=remedy)
    return approved


def _name(call: Call, plan: Plan) -> str:
    people = _people(plan)
    if plan.launch.approval == "required":
        if call.by is None:
            remedy = f"say whose with --by NAME, of team.staff: {', '.join(people)}"
            raise UsageError("an approval goes on record", where=plan.edition, remedy=remedy)
        if (name := call.by.strip()) not in people:
            what = f'"{call.by}" is nobody of team.staff who can approve it'
            raise UsageError(what, where=plan.edition, remedy=did_you_mean(name, people))
        return name
    name = (login(remedy="say who approves with --by NAME") if call.by is None else call.by).strip()
    if not name:
        raise UsageError("an approval goes on record", where=plan.edition, remedy="say whose with --by NAME")
    return name


def _how(call: Call, plan: Plan) -> str:
    people = _people(plan)
    name, which = (people[0], "") if len(people) == 1 else ("NAME", f", NAME being of team.staff: {', '.join(people)}")
    words = ("--approved", plan.hash[:_SHOWN], "--by", name, *call.where_it_writes())
    return f"look at `{call.again('plan')}`, then run `{call.again('run', *words)}`{which}"


def _people(plan: Plan) -> list[str]:
    return [person.name for person in plan.launch.team.staff if person.role != "bot"]
