"""Facts: each has one step that reveals it, and no earlier text may use it."""

from collections.abc import Iterator

from drumroll.launchfile.method import MomentValue
from drumroll.suspense.rule import Breach, Edit, Rule, Subject


def _early(subject: Subject) -> Iterator[Breach]:
    first = _first_told(subject)
    for step in subject.steps:
        for use in subject.uses.get(step.template, ()):
            owner, _, fact = use.name.partition(".")
            if owner != "facts" or fact not in first or use.guarded or fact in step.reveals:
                continue
            told = subject.by_id[first[fact]]
            if told.due >= step.due and told.id != step.id:
                what = f'templates/{use.template}:{use.line}: tells the fact "{fact}" before its time'
                yield Breach(subject.places[step.id], what, f'step "{told.id}" is the one that reveals it')


def _twice(subject: Subject) -> Iterator[Breach]:
    first = _first_told(subject)
    for step in subject.plan.steps:
        for position, fact in enumerate(step.reveals):
            if first[fact] != step.id:
                what = f'reveals the fact "{fact}" a second time'
                remedy = f'"{first[fact]}" reveals it already; take it out here, later texts may use it anyway'
                yield Breach((*subject.places[step.id], "reveals", position), what, remedy)


def _untold(subject: Subject) -> Iterator[Breach]:
    for step in subject.plan.steps:
        text = subject.texts.get(step.id)
        for position, fact in enumerate(step.reveals):
            if text is None or _tells(subject, step.id, text, fact):
                continue
            what = f'templates/{step.template} does not tell the fact "{fact}" that it reveals'
            remedy = f"use {{{{ facts.{fact} }}}} in it, or reveal it in another step"
            yield Breach((*subject.places[step.id], "reveals", position), what, remedy)


def _tells(subject: Subject, step_id: str, text: str, fact: str) -> bool:
    value = subject.launch.facts[fact]
    if isinstance(value, MomentValue):
        return any(said.source == "time" and said.about == subject.plan.moments[fact] for said in subject.said[step_id])
    return value in text


def _first_told(subject: Subject) -> dict[str, str]:
    """Fact → id of the step that is the first to reveal it."""
    first: dict[str, str] = {}
    for step in subject.plan.steps:
        for fact in step.reveals:
            first.setdefault(fact, step.id)
    return first


EARLY = Rule(
    id="reveal/early",
    title="A fact is not told before the step that reveals it",
    reason=(
        "A price, a guest or a link that slips out early takes the air out of every announcement that was to lead up "
        "to it. Looked for in the templates' own names, so that a branch nobody took yet counts too; a template may "
        "ask `{% if facts.x is defined %}`."
    ),
    check=_early,
    example=(Edit("We will go first", "{{ facts.closes | when }} it ends", file="en/recruit/prompt.md.j2"),),
)
TWICE = Rule(
    id="reveal/twice",
    title="A fact is revealed once",
    reason="A second revelation of the same thing is an anticlimax, and hides which message was meant to carry it.",
    check=_twice,
    example=(
        Edit(
            "        topic: your questions, answered one by one\n",
            "        topic: your questions, answered one by one\n        reveals: [link]\n",
        ),
    ),
)
UNTOLD = Rule(
    id="reveal/untold",
    title="A step tells what it reveals",
    reason="Later texts rely on people knowing it. A revelation that is not in the text leaves them with half a story.",
    check=_untold,
    example=(Edit("{{ facts.link }}", "on our site", file="en/ignite/link.md.j2"),),
    severity="warning",
)
RULES = (EARLY, TWICE, UNTOLD)
