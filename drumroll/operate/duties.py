"""Channels through which nothing gets without a person: who that is, and who hears when they have not acted."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from drumroll.channels.registry import capability_for, parse_options
from drumroll.plan.model import Plan

OVERDUE = timedelta(minutes=5)
"""A message or a hand-off that is not out by then; a worker that takes longer to come is not there."""


@dataclass(frozen=True, slots=True)
class Duty:
    """What one channel asks of a person.

    `who` is a name of `team.staff`, a userid, or None for any operator. With `taps`, a platform holds the message until
    they confirm it there, and nothing is to be posted. They hear of it `overdue_after` its instant; `escalates_to`,
    where somebody is named, `escalates_after` it. A platform reminds them itself `reminds_after` it has the message.
    """

    who: str | None
    taps: bool
    overdue_after: timedelta = OVERDUE
    escalates_after: timedelta = OVERDUE
    escalates_to: str | None = None
    reminds_after: timedelta | None = None


def duties_of(plan: Plan) -> Mapping[str, Duty]:
    """The duty that each channel of the plan brings with it, by its name; those that need nobody are left out."""
    found = {}
    for name, spec in plan.launch.community.channels.items():
        options = parse_options(spec.kind, spec.options)
        can = capability_for(spec.kind, options)
        if can.tracks:
            found[name] = Duty(
                getattr(options, "sender", None), taps=True, reminds_after=getattr(options, "remind_after", None)
            )
        elif not can.unattended:
            found[name] = Duty(
                getattr(options, "to", None),
                taps=False,
                overdue_after=getattr(options, "remind_after", OVERDUE),
                escalates_after=getattr(options, "escalate_after", OVERDUE),
                escalates_to=getattr(options, "escalate_to", None),
            )
    return found
