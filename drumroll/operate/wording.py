"""From a step to its words, once for all groups: what `announce` then sends."""

from dataclasses import dataclass
from datetime import datetime

from drumroll.ledger.ledger import Ledger
from drumroll.ledger.model import NewDelivery
from drumroll.metrics.segments import in_segment
from drumroll.operate.beats import planned_step
from drumroll.operate.edition import Where, capabilities_of, lead
from drumroll.operate.lateness import Ruling, rule
from drumroll.operate.reading import reading_of
from drumroll.plan.model import Plan, PlannedStep


@dataclass(frozen=True, slots=True)
class Ready:
    """A step whose words are kept in the ledger under `sha`, and the ruling on its lateness."""

    step: str
    occurrence: int
    label: str
    sha: str
    ruling: Ruling


def make_ready(where: Where, step_id: str, occurrence: int, *, now: datetime, released: bool = False) -> Ready:
    """Render `step_id` for `now`, keep its words, and write down whom a step to single members goes to.

    The recipients are committed before the words: a step whose words are kept has its recipients, so that nothing is
    lost when the process dies in between.
    """
    ledger, plan = where.open(), where.plan()
    step = planned_step(plan, ledger, where.edition, step_id, occurrence)
    words = where.words()
    ruling = rule(step, now=now, released=released)
    text = words.text(step, now=ruling.as_of)
    if step.segment is not None and not ledger.step_states(where.edition).get((step_id, occurrence)):
        ledger.schedule(where.edition, _to_members(plan, ledger, step, now=now))
    sha = ledger.keep_wording(where.edition, step_id, occurrence, text, now=now)
    return Ready(step_id, occurrence, words.label(step), sha, ruling)


def _to_members(plan: Plan, ledger: Ledger, step: PlannedStep, *, now: datetime) -> list[NewDelivery]:
    capabilities = capabilities_of(plan)
    channels = {group.id: group.channel for group in plan.launch.community.groups}
    segment = plan.launch.community.segments[step.segment or ""]
    chosen = in_segment(reading_of(ledger, plan, now=now), segment, at=now, groups=step.groups)
    return [
        NewDelivery(
            step=step.id,
            phase=step.phase,
            channel=channels[group],
            group=group,
            member=member,
            due_at=step.due,
            fire_at=step.due - lead(channels[group], capabilities),
        )
        for group, member in sorted(chosen)
    ]
