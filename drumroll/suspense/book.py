"""The rule book: the rules of suspense by family, as people read them."""

import difflib
from collections.abc import Iterator

from drumroll.suspense.registry import RULES
from drumroll.suspense.rule import Edit, Rule

# The part of a rule's id before the slash → what its rules have in common.
FAMILIES: dict[str, str] = {
    "serial": "A series is numbered, and a number that can be trusted makes people read back.",
    "teaser": "Every announcement sets up the next one, with a time and a topic or a declared mystery.",
    "reveal": "A fact has one message that tells it first, and that message is worth waiting for.",
    "link": "The way to pay comes after trust, never before it.",
    "welcome": "The first message is the one that nearly everyone reads.",
    "promise": "What the welcome promises is kept, post by post.",
    "persona": "One voice; what the product does and what becomes of the member take turns in the lead.",
    "voice": "A room is a conversation: the team asks, and does not sound like a machine.",
    "rhythm": "Messages draw closer together towards the opening, and no stretch sags.",
    "quiet": "Nothing is sent while people sleep.",
    "words": "Texts are right whenever they are sent, and arrive whole.",
    "channel": "A channel is asked for nothing that it cannot do.",
    "rates": "What platforms allow in a minute, a day and a month carries the schedule.",
    "work": "What people post by hand fits into their hours.",
}
_INTRODUCTION = """\
# The rules of suspense

What `drumroll check` holds every launch against, beside names, moments and templates. An error refuses the launch; a
warning prints, and refuses it with `--strict`. `drumroll rules ID` prints one of them. The examples are changes to what
`drumroll new` writes: lines marked `-` keep the rule, lines marked `+` break it.

A launch may break a rule on purpose. It says which and why, and the finding stays on record:

```yaml
waive:
  voice/broadcasts: the last evening is a show, and the questions come after it
```
"""


def family_of(rule: Rule) -> str:
    """The part of its id before the slash."""
    return rule.id.partition("/")[0]


def families() -> Iterator[tuple[str, str, list[Rule]]]:
    """Each family that has rules: its name, its sentence, its rules."""
    for name, sentence in FAMILIES.items():
        if rules := [rule for rule in RULES.values() if family_of(rule) == name]:
            yield name, sentence, rules


def where(edit: Edit) -> str:
    """The file that an example changes, for a reader."""
    return f"templates/{edit.file}" if edit.file else "the launch file"


def difference(edit: Edit) -> list[str]:
    """What an example changes, line by line: "-" sound, "+" broken, " " as it stays."""
    sound, broken = (_lines(text, margin=_margin(edit)) for text in (edit.sound, edit.broken))
    return [line.rstrip() for line in difflib.ndiff(sound, broken) if not line.startswith("?")]


def waiver(rule: Rule) -> str:
    """How a launch file breaks the rule on purpose."""
    return f"waive:\n  {rule.id}: why this launch does it all the same\n"


def markdown() -> str:
    """docs/rules.md."""
    parts = [_INTRODUCTION]
    for name, sentence, rules in families():
        parts.append(f"\n## {name}\n\n{sentence}\n")
        parts.extend(_entry(rule) for rule in rules)
    return "".join(parts)


def _entry(rule: Rule) -> str:
    shown = "".join(
        f"\nIn {where(edit) if not edit.file else f'`{where(edit)}`'}:\n\n```diff\n"
        + "\n".join(difference(edit))
        + "\n```\n"
        for edit in rule.example
    )
    return f"\n### {rule.id}\n\n**{rule.title}** ({rule.severity})\n\n{rule.reason}\n{shown}"


def _margin(edit: Edit) -> int:
    texts = [line for text in (edit.sound, edit.broken) for line in text.splitlines() if line.strip()]
    return min(len(line) - len(line.lstrip()) for line in texts)


def _lines(text: str, *, margin: int) -> list[str]:
    return [line[margin:].rstrip() for line in text.splitlines() if line.strip()]
