"""Every text fits every channel it goes to, in bytes, with its longest words (a late or a moved message included)."""

from collections.abc import Iterator

from drumroll.suspense.rule import Breach, Edit, Rule, Subject


def _fits(subject: Subject) -> Iterator[Breach]:
    channels: dict[tuple[str, ...], list[str]] = {}  # most steps go to the same groups
    for step in subject.steps:
        worst = subject.worst.get(step.id)
        if worst is None:
            continue
        if step.groups not in channels:
            channels[step.groups] = list(dict.fromkeys(subject.channel_of[group] for group in step.groups))
        size = len(worst.encode())
        for channel in channels[step.groups]:
            capability = subject.capabilities.get(channel)
            if capability is None or capability.max_bytes is None or size <= capability.max_bytes:
                continue
            what = f"{size:,} bytes at worst are more than channel {channel} takes ({capability.max_bytes:,})"
            yield Breach(subject.places[step.id], what, f"shorten templates/{step.template}")


FITS = Rule(
    id="words/too-long",
    title="Every text fits every channel it goes to",
    reason=(
        "Platforms count bytes, refuse or cut what is longer, and a Chinese character is three of them. Measured with "
        "the longest form of every time and span in the text, so that a late message still fits. Nothing is ever cut."
    ),
    check=_fits,
    example=(Edit("      kind: hand_off  ", "      max_bytes: 60\n      kind: hand_off  "),),
)
RULES = (FITS,)
