"""What a step asks for beside its words must be what its channels can do: markup, attachments, pins, @all."""

from collections.abc import Iterator

from drumroll.capability import Capability
from drumroll.plan.model import PlannedStep
from drumroll.suspense.rule import Breach, Edit, Rule, Subject


def _carried(subject: Subject) -> Iterator[Breach]:
    for step in subject.plan.steps:
        for channel in dict.fromkeys(subject.channel_of[group] for group in step.groups):
            capability = subject.capabilities.get(channel)
            for field, what, remedy in _beyond(subject, step, capability) if capability else ():
                yield Breach((*subject.places[step.id], field), f"channel {channel} {what}", remedy)


def _beyond(subject: Subject, step: PlannedStep, can: Capability) -> Iterator[tuple[str, str, str]]:
    other = "leave it out, or send the step to groups on another channel with `to:`"
    if step.format not in can.formats:
        yield "format", f"does not take {step.format}", f"write `format: {min(can.formats)}`"
    if step.pin and not can.pin:
        yield "pin", "cannot pin a message", other
    if step.pin and step.attach and can.pin and not can.pin_with_files:
        yield "pin", "cannot pin a message with attachments", "leave `pin` or `attach` out"
    if step.mention_all and not can.mention_all:
        yield "mention_all", "cannot mention everyone", other
    elif step.mention_all and step.format not in can.mention_all_formats:
        remedy = f"write `format: {min(can.mention_all_formats)}`, or leave it out"
        yield "mention_all", f"cannot mention everyone in {step.format}", remedy
    if len(step.attach) > can.attachments:
        most = f"takes {can.attachments} attachments a message" if can.attachments else "takes no attachments"
        yield "attach", most, other
        return
    for path in step.attach:
        size = subject.plan.files[path].size if path in subject.plan.files else 0
        if can.attachment_bytes is not None and size > can.attachment_bytes:
            what = f"takes files of {can.attachment_bytes:,} bytes, and {path} has {size:,}"
            yield "attach", what, "make the file smaller"
        ending = path.rpartition(".")[2].lower()
        if can.attachment_types and ending not in can.attachment_types:
            yield "attach", f"takes no .{ending} files", f"it takes {', '.join(sorted(can.attachment_types))}"


CARRIED = Rule(
    id="channel/cannot",
    title="Every channel can do what a step asks of it",
    reason=(
        "A platform that has no markup shows the stars and brackets, one that takes no picture refuses the whole "
        "message, and one that cannot pin leaves it to be forgotten. Found here, weeks before the instant."
    ),
    check=_carried,
    example=(Edit("      - id: why-now\n", "      - id: why-now\n        pin: true\n"),),
)
RULES = (CARRIED,)
