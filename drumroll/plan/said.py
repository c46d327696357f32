"""What a text said that the plan may yet change, times and topics and more: found while it was rendered."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Said:
    """One thing a text told from the plan.

    `source` is `teaser.when`, `teaser.topic`, `teaser.label`, `left`, `time` for a point in time that went through a
    filter, `money` for an amount that did, or `fact` or `promise` for the value of one, called `name`. `about` is the
    instant it names (UTC; None for whatever is no time), `words` how the text put it, and `form` how exactly a `time`
    was put: `day`, `clock` or `when`.
    """

    source: str
    about: datetime | None
    words: str
    form: str = ""
    name: str = ""


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
