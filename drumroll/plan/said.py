"""What a text said of times and topics that come from the plan: the promises in it, found while it was rendered."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Said:
    """One thing a text told from the plan.

    `source` is `teaser.when`, `teaser.topic`, `teaser.label`, `left`, or `time` for a point in time that went through
    a filter. `about` is the instant it names (UTC; None for a topic or label), `words` how the text put it.
    """

    source: str
    about: datetime | None
    words: str


@dataclass(frozen=True, slots=True)
class Use:
    """A name that a template's source uses, `facts.link` or `teaser.when`, and where.

    `template` is the name below `templates/` of the file it stands in (an included one, perhaps), `line` 1-based.
    `guarded`: the same file asks `is defined` of it, so it is not told where it is unknown.
    """

    name: str
    template: str
    line: int
    guarded: bool = False
