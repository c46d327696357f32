"""Promises that a changed plan breaks. Pure.

A text that went out is read again under the changed schedule, at the instant it was read then: whatever it said of a
time, a topic, a number, the price, a fact or a promise, and would now say of another, no longer holds. Instants are
compared, not words: "12:00" is the same clock on another day. Only what named no more than a day holds all that day.
"""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

from drumroll.plan.model import Plan, PlannedStep
from drumroll.plan.reread import Read, on_schedule, successor
from drumroll.plan.said import Said


@dataclass(frozen=True, slots=True)
class Value:
    """What members know of one thing: an instant (UTC) or words; neither when it is off."""

    at: datetime | None = None
    words: str | None = None


GONE = Value()
Form = Literal["day", "clock", "when"]
_ABOUT = {"money": "price", "fact": "fact", "promise": "promise"}


@dataclass(frozen=True, slots=True)
class Spoken:
    """A text that went out: the step behind it and the plan it was read from, for which instant, to whom and when.

    `key` names it among all of the edition; `label` is how members saw its number. `said` is what it said then.
    `read_by` is when all `groups` have it, where that is still to come: something may be on its way ahead of time.
    """

    key: str
    plan: Plan
    step: PlannedStep
    as_of: datetime
    label: str
    groups: tuple[str, ...]
    sent_at: datetime
    said: tuple[Said, ...]
    read_by: datetime | None = None


@dataclass(frozen=True, slots=True)
class BrokenPromise:
    """Something that a text told and that is not so any more.

    `said` is how it put it, `was` and `becomes` what it told and what is so now. `about` is what it concerns:
    "opening", the id of the step it announced, "price", "fact", "promise", or "time". `keys` name the single sayings,
    for a correction to note. `form` is how exactly a time was told. `source` is where the saying came from, as in
    `Said`, and `name` what that is called: a fact, a promise, or a fact or var that is the point in time.
    """

    spoken: Spoken
    about: str
    said: str
    was: Value
    becomes: Value
    keys: tuple[str, ...]
    form: Form = "when"
    source: str = "time"
    name: str = ""


def broken_promises(
    texts: Iterable[Spoken],
    old: Plan,
    new: Plan,
    begun: AbstractSet[str],
    read: Read,
    *,
    now: datetime,
    told: Mapping[str, Value],
    reopened: AbstractSet[str] = frozenset(),
) -> list[BrokenPromise]:
    """What the texts that went out told and `new`, rebased on `old`, makes untrue; in the order they were sent.

    `told` is what corrections have said since, by key. What was untrue under `old` already is left out, except the
    keys in `reopened`, whose correction never went out. Instants that had come and been kept are nobody's concern.
    """
    if old.hash == new.hash and not reopened:
        return []
    zone = ZoneInfo(old.launch.timezone)
    waiting = {step.due for step in old.steps if step.id not in begun} | {old.opens}
    found: dict[tuple[str, str, Value, Value], BrokenPromise] = {}
    for text in texts:
        before, after = values_of(text, old, read), values_of(text, new, read)
        for index, said in enumerate(text.said):
            key = f"{text.key}/{index}"
            known, value = told.get(key, _value(said)), after[index]
            if _holds(said, known, value, zone) or (_holds(said, before[index], value, zone) and key not in reopened):
                continue
            if known.at is not None and known.at <= now and known.at not in waiting:
                continue
            about = _about(text, said, old)
            kind = "time" if said.about is not None else f"{said.source} {said.name}"
            same = found.get((text.key, kind, known, value))
            words = said.words if same is None else _joined(same.said, said.words)
            keys = (key,) if same is None else (*same.keys, key)
            about = about if same is None or same.about == "time" else same.about
            form = _form(said) if same is None or same.form == _form(said) else "when"
            name = said.name or _name_of(text, said)
            found[text.key, kind, known, value] = BrokenPromise(
                text, about, words, known, value, keys, form, said.source, name
            )
    return sorted(found.values(), key=lambda promise: promise.spoken.sent_at)


def values_of(text: Spoken, by: Plan, read: Read) -> list[Value]:
    """What each thing that the text said is under the schedule of `by`."""
    hybrid, step = on_schedule(text.plan, text.step, by, topics=True)
    again = read(hybrid, step, text.as_of)
    rest = list(again[1]) if again is not None else []
    teased = _is_to_come(text, by)
    values = []
    for said in text.said:
        match = next((each for each in rest if (each.source, each.name) == (said.source, said.name)), None)
        if match is not None:
            rest.remove(match)
        dropped = said.source == "promise" and said.name not in by.launch.promises
        if match is None or dropped or (said.source.startswith("teaser.") and not teased):
            values.append(GONE)
        else:
            values.append(_led(text, _value(match), said, by))
    return values


def _is_to_come(text: Spoken, by: Plan) -> bool:
    """Whether what the text teased, if anything, is in `by`, perhaps under another id."""
    if text.step.follows_up is None or any(each.id == text.step.follows_up for each in by.steps):
        return True
    teased = next((each for each in text.plan.steps if each.id == text.step.follows_up), None)
    return teased is not None and successor(text.plan, teased, by) is not None


def _holds(said: Said, one: Value, other: Value, zone: ZoneInfo) -> bool:
    if said.form == "day" and one.at is not None and other.at is not None:
        return one.at.astimezone(zone).date() == other.at.astimezone(zone).date()
    return one == other


def _form(said: Said) -> Form:
    return "day" if said.form == "day" else "clock" if said.form == "clock" else "when"


def _name_of(text: Spoken, said: Said) -> str:
    """The fact or var that is the point in time."""
    moments = (text.plan.moments | text.step.moments).items()
    return next((name for name, at in moments if at == said.about), "")


def _led(text: Spoken, value: Value, said: Said, by: Plan) -> Value:
    """A heads-up counts to an announcement: when that one is due at another time or gone, its promise is as well."""
    at = text.step.counts_to
    if at is None or said.about != at or value.at != at or at == text.plan.opens:
        return value
    announced = [step.id for step in text.plan.steps if step.due == at and step.id != text.step.id]
    if not announced or any(step.due == at for step in by.steps):
        return value
    return next((Value(at=step.due) for step in by.steps if step.id in announced), GONE)


def _value(said: Said) -> Value:
    return Value(words=said.words) if said.about is None else Value(at=said.about)


def _about(text: Spoken, said: Said, old: Plan) -> str:
    if said.source.startswith("teaser."):
        return text.step.follows_up or "time"
    if said.source in _ABOUT:
        return _ABOUT[said.source]
    if said.about in {text.plan.opens, old.opens}:
        return "opening"
    return next((step.id for step in text.plan.steps if step.due == said.about and step.id != text.step.id), "time")


def _joined(words: str, more: str) -> str:
    return words if more in words else f"{words} {more}"
