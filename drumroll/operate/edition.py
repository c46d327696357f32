"""Beginning an edition, and finding it again: which plan it runs, where its ledger and project are."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache

from drumroll.capability import Capability
from drumroll.channels.registry import capability_for, parse_options
from drumroll.ledger.ledger import Ledger, open_ledger
from drumroll.ledger.model import DecisionRow, NewDelivery
from drumroll.plan.model import Plan, PlannedStep
from drumroll.words.render import Words


@dataclass(frozen=True, slots=True)
class Where:
    """Which edition, and where to find it: plain text, so that any process can pick it up.

    `token` is that of the engine that runs the edition, see `operate.lease`; people and the watch have none.
    """

    edition: str
    ledger: str = field(repr=False)  # it may hold a password
    project: str
    token: int | None = None

    def open(self) -> Ledger:
        """The ledger, behind the engine's fence where there is one; opening it again is cheap."""
        ledger = open_ledger(self.ledger)
        return ledger if self.token is None else ledger.fenced(self.edition, self.token)

    def plan(self) -> Plan:
        """The plan this edition runs: the stored one, never the file."""
        return _plan(self.open().plan_document(self.edition))

    def words(self) -> Words:
        """The renderer over the stored plan's templates."""
        return _words(self.open().plan_document(self.edition))


@lru_cache(maxsize=256)
def _plan(document: str) -> Plan:
    return Plan.model_validate_json(document)


@lru_cache(maxsize=64)
def _words(document: str) -> Words:
    return Words(_plan(document))


def capabilities_of(plan: Plan) -> dict[str, Capability]:
    """What each channel of the plan can do, by channel name."""
    channels = plan.launch.community.channels
    return {name: capability_for(spec.kind, parse_options(spec.kind, spec.options)) for name, spec in channels.items()}


def begin(plan: Plan, *, ledger: Ledger, rehearsal: bool, now: datetime, approval: DecisionRow | None = None) -> bool:
    """Store the plan, every delivery it promises to a group and who approved it, in one transaction.

    Returns False when the edition exists already: then it goes on with the plan that was stored when it began.
    """
    capabilities = capabilities_of(plan)
    rows = [row for step in plan.steps if step.segment is None for row in deliveries_of(plan, step, capabilities)]
    return ledger.begin(
        plan.edition,
        launch=plan.launch.name,
        title=plan.launch.title,
        opens_at=plan.opens,
        plan_hash=plan.hash,
        document=plan.model_dump_json(),
        deliveries=rows,
        rehearsal=rehearsal,
        now=now,
        approval=approval,
    )


def deliveries_of(
    plan: Plan, step: PlannedStep, capabilities: Mapping[str, Capability], *, occurrence: int = 1
) -> list[NewDelivery]:
    """One delivery for each group of `step`; a channel with a lead fires that much earlier.

    They are sent in this order. Where a platform's rate makes the last groups wait, each step begins with another.
    """
    ours = set(step.groups)
    groups = [group for group in plan.launch.community.groups if group.id in ours]
    if any(capabilities[group.channel].per_minute is not None for group in groups):
        first = zlib.crc32(step.id.encode()) % len(groups)
        groups = groups[first:] + groups[:first]
    return [
        NewDelivery(
            step=step.id,
            phase=step.phase,
            channel=group.channel,
            group=group.id,
            due_at=step.due,
            fire_at=step.due - lead(group.channel, capabilities),
            occurrence=occurrence,
        )
        for group in groups
    ]


def lead(channel: str, capabilities: Mapping[str, Capability]) -> timedelta:
    """How long before its instant a message must leave us on this channel."""
    return capabilities[channel].lead
