"""The teaser chain: every announcement sets up the next, with a time and a topic or a declared mystery (brief Q3)."""

from collections.abc import Iterator
from itertools import pairwise

from drumroll.suspense.rule import Breach, Edit, Rule, Subject


def _topics(subject: Subject) -> Iterator[Breach]:
    for step, following in pairwise(subject.serial):
        if not (following.topic or following.mystery):
            what = f"announcement {following.number} has no topic for number {step.number} to tease"
            yield Breach(subject.places[following.id], what, "add `topic:`, or `mystery:` for a declared mystery")


def _order(subject: Subject) -> Iterator[Breach]:
    for step, following in pairwise(subject.serial):
        if following.due == step.due:
            what = f'stands at the same instant as announcement {step.number} ("{step.id}")'
            yield Breach((*subject.places[following.id], "at"), what, "leave time between numbered announcements")


def _teased(subject: Subject) -> Iterator[Breach]:
    for step in subject.serial:
        text, teaser = subject.texts.get(step.id), subject.teasers.get(step.id)
        if text is None or teaser is None:
            continue
        for part, name in (("when", "time"), ("topic", "topic")):
            if teaser[part] not in text:
                what = f"templates/{step.template} does not tease the {name} of {teaser['label']} ({teaser[part]})"
                yield Breach(subject.places[step.id], what, f"use {{{{ teaser.{part} }}}} in it")


TOPICS = Rule(
    id="teaser/topic",
    title="An announcement has a topic to be teased with",
    reason=(
        "The announcement before says what this one will be about. A declared mystery is as good: it promises "
        "something important and says that it will not be told yet."
    ),
    check=_topics,
    example=(
        Edit(
            '      - id: the-problem\n        at: "D-6 19:00"\n        topic: the problem we could not leave alone\n',
            '      - id: the-problem\n        at: "D-6 19:00"\n',
        ),
    ),
)
ORDER = Rule(
    id="teaser/order",
    title="Numbered announcements do not share an instant",
    reason="Which of two messages at one instant teases the other is anybody's guess, and different in each group.",
    check=_order,
    example=(Edit('        at: "D 19:00"\n        topic: your', '        at: "D 12:00"\n        topic: your'),),
)
TEASED = Rule(
    id="teaser/missing",
    title="Every announcement but the last says when the next one comes and what it is about",
    reason=(
        "Suspense is a promise with a time on it. The time and the topic come from the plan, so they stay right when "
        "the plan moves; a text that does not use them breaks the chain."
    ),
    check=_teased,
    example=(Edit("{{ teaser.when }}", "soon", file="en/recruit/announcement.md.j2"),),
)
RULES = (TOPICS, ORDER, TEASED)
