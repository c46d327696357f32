"""Settling a change of a running edition: corrected, and written however much begins meanwhile."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from drumroll.errors import DrumrollError, UsageError
from drumroll.ledger.changes import OvertakenError
from drumroll.moments import MomentError, instant
from drumroll.operate.changes import Proposal, enact, refusals
from drumroll.operate.correction import correction_at, with_correction
from drumroll.operate.edition import capabilities_of
from drumroll.plan.model import Plan, PlannedStep
from drumroll.suspense.size import too_long
from drumroll.suspense.waking import Waking, local
from drumroll.words.render import Words

_MOST_OVERTAKEN = 100  # deliveries; a launch in the middle of sending to more is no moment to change it


def see_that_it_may(proposal: Proposal) -> None:
    """DrumrollError with every reason why the change is refused."""
    if reasons := refusals(proposal):
        listed = "".join(f"\n  {reason}" for reason in reasons)
        raise DrumrollError(f"cannot be changed like this:{listed}", where=proposal.plan.edition)


class Correcting:
    """How broken promises are corrected: when, with which notice; or not at all (`none` is the reason)."""

    def __init__(self, correct_at: str | None, no_correction: str | None, notice: Path | None) -> None:
        if no_correction is not None and (correct_at or notice):
            remedy = "drop it, or --correct-at and --notice"
            raise UsageError("--no-correction leaves nothing to correct", remedy=remedy)
        if no_correction is not None and not no_correction.strip():
            raise UsageError("--no-correction goes on record", remedy="say why members need none")
        self._at, self.none, self._notice = correct_at, no_correction, _text_of(notice)

    def plan(self, proposal: Proposal, project: Path) -> tuple[Plan, PlannedStep | None]:
        """The proposal's plan with the correction it needs, if any, and that step.

        Raises UsageError for an instant at which a correction helps nobody, and for a text that a channel cannot take.
        """
        if not proposal.broken or self.none is not None:
            return proposal.plan, None
        at = correction_at(proposal.plan.launch, now=proposal.at, broken=proposal.broken)
        if self._at is not None:
            at = _asked(self._at, proposal)
        plan, step = with_correction(
            proposal.running, proposal.plan, proposal.broken, at=at, project=project, notice=self._notice
        )
        _see_that_it_fits(plan, step)
        return plan, step


def _asked(text: str, proposal: Proposal) -> datetime:
    """The instant `text`, which has not passed, wakes nobody, and comes before all that it corrects."""
    launch = proposal.plan.launch
    zone = ZoneInfo(launch.timezone)
    try:
        at = instant(text, zone=zone, opens=proposal.plan.opens)
    except MomentError as error:
        raise UsageError(str(error), where="--correct-at") from error
    asked, latest = local(at, zone), _latest(proposal)
    if at <= proposal.at:
        raise UsageError(f"{asked} has passed", where="--correct-at")
    if Waking(launch.quiet_hours, zone).is_quiet(at):
        hours = f"{launch.quiet_hours.starts}-{launch.quiet_hours.ends}"
        raise UsageError(f"{asked} is in the quiet hours ({hours})", where="--correct-at")
    if at >= latest:
        what = f"{asked} is too late: the last thing it corrects is {local(latest, zone)}"
        raise UsageError(what, where="--correct-at", remedy="correct before that")
    return at


def _latest(proposal: Proposal) -> datetime:
    """The last instant that the broken promises are about: told, kept instead, or that of the step they announced."""
    steps = {step.id: step.due for step in (*proposal.running.plan.steps, *proposal.plan.steps)}
    about = [at for promise in proposal.broken for at in (promise.was.at, promise.becomes.at, steps.get(promise.about))]
    return max((at for at in about if at is not None), default=proposal.plan.opens)


def _see_that_it_fits(plan: Plan, step: PlannedStep) -> None:
    text = Words(plan).read(step, now=step.due, worst=True).text
    capabilities = capabilities_of(plan)
    for channel in dict.fromkeys(group.channel for group in plan.launch.community.groups if group.id in step.groups):
        if (over := too_long(text, step, capabilities[channel])) is not None:
            what = f"the correction has {over[0]}, and channel {channel} takes {over[1]}"
            raise UsageError(what, where=step.id, remedy="write a shorter one, and give it with --notice FILE")


def _text_of(notice: Path | None) -> str | None:
    if notice is None:
        return None
    try:
        text = notice.read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("cannot be read as UTF-8 text", where=str(notice)) from error
    if not text:
        raise UsageError("says nothing", where=str(notice), remedy="write the correction in it")
    return text


@dataclass(frozen=True)
class Settled:
    """A change that was made: the version and the plan it led to, its correction, and what began meanwhile."""

    proposal: Proposal
    version: int
    plan: Plan
    correction: PlannedStep | None
    overtaken: tuple[str, ...]


def settle(
    proposal: Proposal,
    again: Callable[[], Proposal],
    correcting: Correcting,
    *,
    what: Literal["apply", "shift"],
    by: str,
    reason: str,
    project: Path,
) -> Settled:
    """Make the change. What begins while it is made stays as it was, and the rest is tried again.

    Raises OvertakenError when the plan itself was changed meanwhile, or more has begun than one change can wait for.
    """
    overtaken: list[str] = []
    while True:
        see_that_it_may(proposal)
        plan, correction = correcting.plan(proposal, project)
        try:
            version = enact(
                proposal, plan, what=what, by=by, reason=reason, no_correction=correcting.none, now=proposal.at
            )
        except OvertakenError as error:
            overtaken += error.what
            approved_hash, proposal = proposal.plan.hash, again()
            if not error.what or len(overtaken) > _MOST_OVERTAKEN or proposal.plan.hash != approved_hash:
                raise
            continue
        return Settled(proposal, version, plan, correction, tuple(overtaken))
