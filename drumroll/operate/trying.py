"""A step's real text through its real channel to a group of the team's own: no delivery, so nothing counts as sent."""

from datetime import datetime
from uuid import uuid4

from drumroll.attachments import attachments_of
from drumroll.channels.base import Message, Receipt, Recipient
from drumroll.errors import UsageError
from drumroll.launchfile.community import StaffGroup
from drumroll.launchfile.load import did_you_mean
from drumroll.launchfile.references import reached_by
from drumroll.operate.edition import capabilities_of
from drumroll.operate.open_channels import PATIENTLY, OpenChannels
from drumroll.plan.compile import planned_remedy
from drumroll.plan.model import Plan, PlannedStep, remedy_step_id
from drumroll.words.render import Words

A_TEST = 0
"""The occurrence that receivers see; those of deliveries count from 1."""
_NONE = "name one under community.staff_groups of the launch file"


def staff_group(plan: Plan, group: str) -> StaffGroup:
    """The staff group of that id. UsageError for a group of members, one that reaches members, and an unknown one."""
    known = {each.id: each for each in plan.launch.community.staff_groups}
    if (found := known.get(group)) is not None:
        if (members := reached_by(found, plan.launch.community)) is not None:
            raise UsageError(f"leads where the group {members} is", where=group, remedy="give it an address of its own")
        return found
    if group in plan.launch.group_ids():
        remedy = f"choose one of the team's own: {', '.join(known)}" if known else _NONE
        raise UsageError("is a group of members: nothing is tried out on them", where=group, remedy=remedy)
    remedy = did_you_mean(group, known, otherwise="" if known else _NONE)
    raise UsageError(f'{plan.launch.name} has no staff group "{group}"', remedy=remedy)


def step_to_try(plan: Plan, step_id: str) -> PlannedStep:
    """The step of that id, or the remedy (`<phase>.remedy.<id>`) as if its gate had asked for it at its first reading.

    UsageError when there is none.
    """
    steps = {step.id: step for step in plan.steps}
    for phase in plan.phases:
        gate = plan.launch.phases[phase.name].gate
        for remedy in gate.remedy if gate else ():
            planned = planned_remedy(plan, phase.name, remedy, verdict_at=phase.gate_at)
            steps[remedy_step_id(phase.name, remedy)] = planned
    if step_id not in steps:
        raise UsageError(f'{plan.edition} has no step "{step_id}"', remedy=did_you_mean(step_id, steps))
    return steps[step_id]


def is_by_hand(plan: Plan, group: StaffGroup) -> bool:
    """Whether a person posts what goes to that group."""
    can = capabilities_of(plan)[group.channel]
    return not can.unattended and not can.tracks


async def send_test(plan: Plan, step: PlannedStep, group: StaffGroup, *, project: str, now: datetime) -> Receipt:
    """Send the step's words as of its planned instant to `group`, under a key that no delivery can have.

    Raises SendError when the platform does not take it, WordsError when the words cannot be rendered.
    """
    message = Message(
        key=f"drt_{uuid4().hex}",  # those of deliveries begin with drm_
        edition=plan.edition,
        step=step.id,
        occurrence=A_TEST,
        number=step.number,
        due=f"{step.due:%Y-%m-%dT%H:%M:%SZ}",
        sent_at=f"{now:%Y-%m-%dT%H:%M:%SZ}",
        recipient=Recipient(group.id, group.name, group.address),
        text=text_to_try(plan, step),
        format=step.format,
        attachments=attachments_of(plan, step, project),
        pin=step.pin,
        mention_all=step.mention_all,
    )
    channels = OpenChannels(plan, project, within=PATIENTLY)
    try:
        return await (await channels.get(group.channel)).send(message)
    finally:
        await channels.close()


def text_to_try(plan: Plan, step: PlannedStep) -> str:
    """What the step says at its planned instant."""
    return Words(plan).text(step, now=step.due)
