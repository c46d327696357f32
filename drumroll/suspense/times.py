"""Times in a text come from the plan, so that a shift or a late message says them right."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime

from drumroll.launchfile.strict import Path
from drumroll.plan.model import PlannedStep
from drumroll.suspense.rule import Breach, Edit, Rule, Subject

_URL = re.compile(r"https?://\S+", re.IGNORECASE)
_CLOCK = re.compile(
    r"(?<![\d:：.,/])(?P<hour>2[0-3]|[01]?\d)(?!\d)(?:[:：](?P<minute>[0-5]\d)(?![:：]?\d))?"
    r"(?:\s?(?:(?P<half>[ap])\.?m\b\.?|(?P<point>[點点])))?",
    re.IGNORECASE,
)
_PART_OF_DAY = re.compile(r"(上午|早上|清晨|中午|下午|傍晚|晚上|今晚|明晚|晚間|晚间)\s?$")
_AFTER_NOON = ("下午", "傍晚", "晚上", "今晚", "明晚", "晚間", "晚间")


def _by_hand(subject: Subject) -> Iterator[Breach]:
    planned = _planned_clocks(subject)
    reported: set[tuple[Path, str]] = set()
    for step in subject.steps:
        text = subject.texts.get(step.id)
        if text is None:
            continue
        for words, clock in _clocks(_without_said(text, subject, step)):
            if clock not in planned:
                continue
            place = _written(subject, step, words)
            if (place, words) in reported:
                continue
            reported.add((place, words))
            meaning, name = _meaning(subject, step, clock) or planned[clock]
            where, remedy = "says", "leave it out and let the template say it, or make it a point in time {at: …}"
            if place == subject.places[step.id]:
                where, remedy = f"templates/{step.template} says", f"use {name}"
            yield Breach(place, f"{where} {words} by hand; it is {meaning}, and would not move with it", remedy)


def _clocks(text: str) -> Iterator[tuple[str, str]]:
    """Every time of day written in `text`: as it stands there, and as 24-hour "HH:MM"."""
    for found in _CLOCK.finditer(text):
        half = (found["half"] or "").lower()
        if not (found["minute"] or half or found["point"]):
            continue
        before = _PART_OF_DAY.search(text, max(0, found.start() - 3), found.start())
        part = before[1] if before else None
        if found["point"] and not part and not found["minute"]:
            continue  # 3點建議 are three points and no hour
        hour = int(found["hour"])
        if half:
            hour = hour % 12 + (12 if half == "p" else 0)
        elif hour < 12 and part in _AFTER_NOON:
            hour += 12
        yield (before[0] if before else "") + found[0], f"{hour:02d}:{found['minute'] or '00'}"


def _without_said(text: str, subject: Subject, step: PlannedStep) -> str:
    """The text without its addresses, and without the times that came from the plan, each as often as it was said."""
    text = _URL.sub(" ", text)
    said = [one.words for one in subject.said[step.id] if one.about is not None]
    for words in sorted(said, key=len, reverse=True):
        text = text.replace(words, " \N{MIDDLE DOT} ", 1)
    return text


def _planned_clocks(subject: Subject) -> Mapping[str, tuple[str, str]]:
    """Local "HH:MM" → what of the plan it is, and how a template says it; what members hear of most comes first."""
    clocks: dict[str, tuple[str, str]] = {}

    def add(at: datetime, meaning: str, name: str) -> None:
        clocks.setdefault(f"{at.astimezone(subject.zone):%H:%M}", (meaning, name))

    add(subject.plan.opens, "the opening", "{{ opens | clock }}")
    for fact, at in subject.plan.moments.items():
        add(at, f'the fact "{fact}"', f"{{{{ facts.{fact} | clock }}}}")
    for step in subject.plan.steps:
        if step.counts_to is not None:
            add(step.counts_to, f'what "{step.id}" counts to', "a var or a fact {at: …} with `| clock`")
    for step in subject.plan.steps:
        add(step.due, f'the time of "{step.id}"', "a var or a fact {at: …} with `| clock`")
    return clocks


def _meaning(subject: Subject, step: PlannedStep, clock: str) -> tuple[str, str] | None:
    """What the time is to this very step, if anything."""
    following = subject.by_id.get(step.follows_up or "")
    nearer = [
        (step.counts_to, "what this step counts to", "{{ counts_to | clock }}"),
        (following.due if following else None, "the time of the next announcement", "{{ teaser.when }}"),
        *((at, f'the var "{name}"', f"{{{{ vars.{name} | clock }}}}") for name, at in step.moments.items()),
    ]
    for at, meaning, name in nearer:
        if at is not None and f"{at.astimezone(subject.zone):%H:%M}" == clock:
            return meaning, name
    return None


def _written(subject: Subject, step: PlannedStep, words: str) -> Path:
    """Where in the file the time was written; the step itself when it stands in its template."""
    place, following = subject.places[step.id], subject.by_id.get(step.follows_up or "")
    for name, var in step.vars.items():
        if words in str(var):
            return (*place, "vars", name)
    for one in (step, following):
        for key in ("topic", "mystery"):
            if one is not None and words in (getattr(one, key) or ""):
                return (*subject.places[one.id], key)
    launch = subject.launch
    texts: dict[Path, object] = {("facts", name): value for name, value in launch.facts.items()}
    texts |= {("promises", name): value for name, value in launch.promises.items()}
    texts |= {("product", key): getattr(launch.product, key) for key in ("name", "promise", "result")}
    for at, value in texts.items():
        if isinstance(value, str) and words in value and value in subject.texts[step.id]:
            return at
    return place


LITERAL = Rule(
    id="words/literal-time",
    title="Times in a text come from the plan",
    reason=(
        "When the opening moves by a day or an hour, every time in every text moves with it, and what members were "
        "told is known; a time written by hand stays, and is wrong. Times of day that stand nowhere in the plan, "
        "office hours perhaps, are left alone."
    ),
    check=_by_hand,
    example=(Edit("{{ counts_to | clock }}", "12:00", file="en/ignite/countdown.md.j2"),),
    severity="warning",
)
RULES = (LITERAL,)
