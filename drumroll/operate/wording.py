"""From a step to its words, once for all groups: what `announce` then sends."""

from dataclasses import dataclass
from datetime import datetime

from drumroll.ledger.ledger import Ledger
from drumroll.ledger.model import NewDelivery
from drumroll.metrics.segments import in_segment
from drumroll.operate.beats import Beat, planned_step
from drumroll.operate.edition import Where, capabilities_of, lead
from drumroll.operate.lateness import Ruling, rule, rule_released
from drumroll.operate.reading import reading_of
from drumroll.plan.model import Plan, PlannedStep
from drumroll.words.render import Words, WordsError


@dataclass(frozen=True, slots=True)
class Ready:
    """A step whose words are kept in the ledger under `sha`, when it is to go out, and the ruling on its lateness.

    `released`: it is about the deliveries that a person asked to send again, and no others of the step. It holds while
    the edition runs `plan_version`.
    """

    step: str
    occurrence: int
    at: datetime
    label: str
    sha: str
    ruling: Ruling
    released: bool = False
    plan_version: int | None = None


def make_ready(where: Where, beat: Beat, *, now: datetime) -> Ready:
    """Rule on the beat's step, render it for `now`, keep its words, and write down whom a step to members goes to.

    The recipients are committed before the words: a step whose words are kept has its recipients, so that nothing is
    lost when the process dies in between. Words that cannot be rendered are held for a person, like any late message.
    """
    ledger = where.open()
    version = ledger.edition(where.edition).plan_version  # before the plan itself: of two versions the older
    plan = where.plan()
    step = planned_step(plan, ledger, where.edition, beat.step, beat.occurrence)
    words = where.words()
    ruling, text = _spoken(words, step, ruling_on(ledger, plan, step, beat, now), now)
    address(ledger, plan, step, beat.occurrence, now=now)
    sha = ledger.keep_wording(where.edition, step.id, beat.occurrence, text, now=now)
    released = beat.released_at is not None
    return Ready(step.id, beat.occurrence, beat.at, words.label(step), sha, ruling, released, version)


def address(ledger: Ledger, plan: Plan, step: PlannedStep, occurrence: int, *, now: datetime) -> None:
    """Write down, once, whom a step to single members goes to; nothing for other steps."""
    if step.segment is not None and not ledger.step_states(plan.edition).get((step.id, occurrence)):
        ledger.schedule(plan.edition, _to_members(plan, ledger, step, now=now))


def ruling_on(ledger: Ledger, plan: Plan, step: PlannedStep, beat: Beat, now: datetime) -> Ruling:
    """What the rules for late messages say of `step` at `now`."""
    if ledger.edition(plan.edition).state == "aborted":
        return Ruling("held", now, "the launch was aborted")
    if beat.released_at is not None:
        return rule_released(step, now=now, released_at=beat.released_at)
    return rule(step, now=now, overtaken=_is_overtaken(plan, step, now))


def _is_overtaken(plan: Plan, step: PlannedStep, now: datetime) -> bool:
    """Whether what it teases is due as well; for what teases nothing, something newer to all of its groups.

    A link is what people wait for, whatever came after it.
    """
    if step.follows_up is not None:
        return plan.step(step.follows_up).due <= now
    if step.segment is not None or step.kind == "link":
        return False
    later = (each for each in plan.steps if each.segment is None and step.due < each.due <= now)
    return any(set(step.groups) <= set(each.groups) for each in later)


def _spoken(words: Words, step: PlannedStep, ruling: Ruling, now: datetime) -> tuple[Ruling, str]:
    if ruling.act != "send":
        return ruling, ""
    try:
        return ruling, words.text(step, now=ruling.as_of)
    except WordsError as error:
        return Ruling("held", now, f"its words cannot be rendered: {error}"), ""


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
