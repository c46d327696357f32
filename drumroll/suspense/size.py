"""Every text fits every channel it goes to, in its bytes and characters, with its longest words (a late or a moved
message included).
"""

from collections.abc import Iterator

from drumroll.capability import Capability
from drumroll.plan.model import PlannedStep
from drumroll.suspense.rule import Breach, Edit, Rule, Subject


def _fits(subject: Subject) -> Iterator[Breach]:
    channels: dict[tuple[str, ...], list[str]] = {}  # most steps go to the same groups
    for step in subject.steps:
        worst = subject.worst.get(step.id)
        if worst is None:
            continue
        if step.groups not in channels:
            channels[step.groups] = list(dict.fromkeys(subject.channel_of[group] for group in step.groups))
        for channel in channels[step.groups]:
            can = subject.capabilities.get(channel)
            if can is not None and (over := too_long(worst, step, can)) is not None:
                size, most = over
                what = f"{size} at worst are more than channel {channel} takes ({most})"
                yield Breach(subject.places[step.id], what, f"shorten templates/{step.template}")


def too_long(text: str, step: PlannedStep, can: Capability) -> tuple[str, str] | None:
    """How long `text` is, and may be as `step` goes out: ("2,100 bytes", "2,048"); None when it fits."""
    over = can.too_long(text, step.format, attached=bool(step.attach), everyone=step.mention_all)
    if over is None:
        return None
    below = " below an attachment" if step.attach and over.unit == "characters" else ""
    return f"{over.size:,} {over.unit}{over.of}", f"{over.most:,}{below}"


FITS = Rule(
    id="words/too-long",
    title="Every text fits every channel it goes to",
    reason=(
        "Platforms count bytes (a Chinese character is three) or characters, and refuse or cut what is longer. "
        "Measured with the longest form of every time and span in the text, so that a late message still fits. Nothing "
        "is ever cut."
    ),
    check=_fits,
    example=(Edit("      kind: hand_off  ", "      max_bytes: 60\n      kind: hand_off  "),),
)
RULES = (FITS,)
