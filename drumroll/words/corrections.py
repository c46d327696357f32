"""A correction's words: drafted once from the project's template, then kept as they are."""

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from drumroll.errors import UsageError
from drumroll.launchfile.models import Launch
from drumroll.plan.model import Plan, PlannedStep
from drumroll.plan.promises import Form
from drumroll.words import phrases as say
from drumroll.words.render import Words
from drumroll.words.sandbox import Named
from drumroll.words.templates import SUFFIX, locales, source_for

_TEMPLATE = f"corrections/correction{SUFFIX}"


class _Draft(Words):
    """Words that also know `changes`: what was told, and what is so now."""

    def __init__(self, plan: Plan, changes: Sequence[dict[str, str | None]]) -> None:
        super().__init__(plan)
        self._changes = [Named("change", change) for change in changes]

    def _context(self, step: PlannedStep, now: datetime) -> dict[str, Any]:
        return super()._context(step, now) | {"changes": self._changes}


def draft(
    plan: Plan, step: PlannedStep, changes: Sequence[dict[str, str | None]], *, project: Path, now: datetime
) -> str:
    """The text of a correction: `templates/<locale>/corrections/correction.md.j2` over `changes`.

    Each change has `said`, `now` (None: it is off) and what it is about, each "" where there is none: `about`, which
    is `opening`, `price` or `promise`; `topic`, what members know of the announcement that moves; `name`, of the fact
    or var that is the point in time, in the launch file's words. `label` is the number of the announcement that said
    it as members saw it, and `groups` names the groups it was said in, where others are corrected that never read it.
    UsageError when the project has no such template, WordsError when it is broken.
    """
    name, source = _source(project, plan.launch)
    drafted = plan.model_copy(update={"templates": {**plan.templates, name: source}})
    return _Draft(drafted, changes).text(step.model_copy(update={"template": name}), now=now)


def time_in_words(plan: Plan, at: datetime, *, form: Form = "when", since: datetime | None = None) -> str:
    """A point in time as its `day`, its `clock`, or both (`when`): nobody misreads that on another day.

    The year is named as well where it is another one than at `since`.
    """
    zone, phrases = ZoneInfo(plan.launch.timezone), say.LOCALES[plan.launch.locale]
    local = at.astimezone(zone)
    if form == "clock":
        return say.clock(local)
    day = say.day(phrases, local, with_year=since is not None and since.astimezone(zone).year != local.year)
    if form == "day":
        return day
    return f"{day}{'' if day.endswith('）') else ', '}{say.clock(local)}"  # a full-width bracket brings its own room


def literal(text: str) -> str:
    """A template source that says exactly `text`."""
    return re.sub(r"\{(?=[{%#])", "{{ '{' }}", text)


def _source(project: Path, launch: Launch) -> tuple[str, str]:
    for locale in locales(launch):
        source = source_for(project, launch, name := f"{locale}/{_TEMPLATE}")
        if source is not None:
            return name, source
    raise UsageError(
        "no words for a correction",
        where=str(project / "templates" / launch.locale / _TEMPLATE),
        remedy="copy templates/*/corrections from a fresh project, or give the text with --notice FILE",
    )
