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
from drumroll.plan.model import Plan, shown

SUBJECT = "plan"  # of the decision, as for `apply` and `shift`
_HASH = re.compile(r"[0-9a-f]{8,64}")


@dataclass(frozen=True, slots=True)
class Call:
    """How a live launch was called: its file, another opening, the hash that was approved, by whom.

    `ledger` is the URL when it was part of the call; it is repeated to the person when it cannot hold a password.
    `command` is the one that was called.
    """

    file: Path
    opens: str | None = None
    approved: str | None = None
    by: str | None = None
    ledger: str | None = None
    command: str = "run"

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
            f"approved {shown(approved)}…, but this edition runs plan {shown(runs)}…",
            where=edition,
            remedy=f"look at `{Call(call.file).again('plan', '--diff', *call.where_it_writes())}`; "
            f"to go on by the plan that it runs, approve {shown(runs)} or drop the approval",
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
            f"approved {shown(approved)}…, but this file compiles to {shown(plan.hash)}…",
            where=plan.edition,
            remedy=f"look at `{call.again('plan')}`, then approve that",
        )
    return DecisionRow(plan.edition, SUBJECT, f"approved {shown(plan.hash)}", _name(call, plan), "", now)


def _given(call: Call) -> str | None:
    """The approved hash, in small letters. UsageError when it is none, or a name comes without one."""
    if call.approved is None:
        if call.by is not None:
            raise UsageError(f'"{call.by}" approves nothing', remedy="add the plan's hash with --approved HASH")
        return None
    return approved_hash(call.approved, look=call.again("plan"))


def approved_hash(text: str, *, look: str) -> str:
    """The hash, or its beginning, in small letters. UsageError when it is none; `look` is the call that shows it."""
    approved = text.strip().lower()
    if not _HASH.fullmatch(approved):
        remedy = f"give 8 hex digits or more of the hash that `{look}` shows"
        raise UsageError(f'"{text}" is no hash of a plan', remedy=remedy)
    return approved


def approver(by: str | None, plan: Plan) -> str:
    """Who approves: of the staff of `plan` where it says `approval: required`, else anybody with a name.

    UsageError when it is nobody, or somebody who may not.
    """
    people, required = staff_names(plan), plan.launch.approval == "required"
    name = (by or "").strip()
    if by is None or not (name or required):
        remedy = "say whose with --by NAME" + (f", of team.staff: {', '.join(people)}" if required else "")
        raise UsageError("an approval goes on record", where=plan.edition, remedy=remedy)
    if required and name not in people:
        what = f'"{by}" is nobody of team.staff who can approve it'
        raise UsageError(what, where=plan.edition, remedy=did_you_mean(name, people))
    return name


def _name(call: Call, plan: Plan) -> str:
    if call.by is None and plan.launch.approval != "required":
        return approver(login(remedy="say who approves with --by NAME"), plan)
    return approver(call.by, plan)


def _how(call: Call, plan: Plan) -> str:
    people = staff_names(plan)
    name, which = (people[0], "") if len(people) == 1 else ("NAME", f", NAME being of team.staff: {', '.join(people)}")
    words = ("--approved", shown(plan.hash), "--by", name, *call.where_it_writes())
    return f"look at `{call.again('plan')}`, then run `{call.again(call.command, *words)}`{which}"


def staff_names(plan: Plan) -> list[str]:
    """Who of the staff may answer for the launch: everybody but the bots."""
    return [person.name for person in plan.launch.team.staff if person.role != "bot"]
