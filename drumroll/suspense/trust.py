"""The order link: behind the trust gate, and never in a welcome (brief Q7)."""

import re
from collections.abc import Callable, Iterator

from drumroll.launchfile.models import PHASES
from drumroll.plan.model import PlannedStep
from drumroll.suspense.rule import Breach, Edit, Rule, Subject

_URL = re.compile(r"https?://[^\s<>\"'「」『』（）【】，。；！？、]+", re.IGNORECASE)
_SHORTEST = 6  # a fact of fewer characters, "24" perhaps, stands in many texts that tell nothing of it
_AFTER_NURTURE = PHASES[PHASES.index("nurture") + 1 :]


def _behind_gate(subject: Subject) -> Iterator[Breach]:
    why = _carrier(subject)
    carriers = [(step, what) for step in subject.steps if (what := why(step)) is not None]
    if not carriers:
        return
    nurture = subject.launch.phases.get("nurture")
    if nurture is None:
        step, what = carriers[0]
        remedy = "add a nurture phase that ends with a gate before it; for a launch of one evening a short one will do"
        yield Breach(subject.places[step.id], f"{what}, and there is no trust gate: no phase nurture", remedy)
        return
    if nurture.gate is None:
        what = "has no gate, so nothing holds the order link back until people trust you"
        yield Breach(("phases", "nurture"), what, "add a gate to it, with one threshold at least")
    for step, what in carriers:
        if step.phase not in _AFTER_NURTURE:
            early = f"{what} before the trust gate, the one that ends nurture"
            yield Breach(subject.places[step.id], early, "move it to ignite, or take the link out of it")


def _no_greeting(subject: Subject) -> Iterator[Breach]:
    why = _carrier(subject)
    for step in subject.steps:
        if step.kind == "welcome" and (what := why(step)) is not None:
            yield Breach(subject.places[step.id], f"{what} to newcomers as a greeting", "take the link out of it")


def _carrier(subject: Subject) -> Callable[[PlannedStep], str | None]:
    """For a step: how it brings the order link, in words; None when it does not."""
    facts = _link_facts(subject)
    values = [value for fact in facts if isinstance(value := subject.launch.facts[fact], str)]
    links = {_same(url) for value in values for url in _URL.findall(value)}
    others = [value.strip() for value in values if not _URL.search(value) and len(value.strip()) >= _SHORTEST]

    def why(step: PlannedStep) -> str | None:
        if step.kind == "link":
            return "brings the order link"
        if revealed := [fact for fact in step.reveals if fact in facts]:
            return f'reveals the order link ("{revealed[0]}")'
        for use in subject.uses.get(step.template, ()):
            owner, _, fact = use.name.partition(".")
            if owner == "facts" and fact in facts and not use.guarded:
                return f'tells the order link ("{fact}", templates/{use.template}:{use.line})'
        text = subject.texts.get(step.id, "")
        for url in _URL.findall(text):
            if _same(url) in links:
                return f"tells the order link ({url})"
        return next((f"tells the order link ({other})" for other in others if other in text), None)

    return why


def _link_facts(subject: Subject) -> frozenset[str]:
    """The facts that steps of kind link reveal."""
    return frozenset(fact for step in subject.plan.steps if step.kind == "link" for fact in step.reveals)


def _same(url: str) -> str:
    """An address as it is compared: the host's case, a closing slash and punctuation after it make no difference."""
    host, slash, path = url.partition("://")[2].partition("/")
    return (host.lower() + slash + path).rstrip(".,;:!?)]*_/")


TRUST_GATE = Rule(
    id="link/trust-gate",
    title="The order link stays behind the trust gate",
    reason=(
        "People who are shown the way to pay before they trust you see an advertisement, and read everything after it "
        "as one. The gate that ends nurture measures whether they do; until it has passed, no text may bring the link. "
        "The links meant are the facts that steps of kind link reveal. One evening is enough for a nurture phase."
    ),
    check=_behind_gate,
    example=(
        Edit(
            "      - id: useful ",
            '      - id: useful\n        vars: {text: "Some of you asked: https://example.com/order"}\n       ',
        ),
    ),
)
WELCOME = Rule(
    id="link/welcome",
    title="A welcome never brings the order link",
    reason=(
        "Whoever comes through the door came for a reason of their own. A link to pay as the first thing they read "
        "tells them that the reason did not matter. This holds for late joiners after the trust gate as well."
    ),
    check=_no_greeting,
    example=(
        Edit(
            "      - id: last-doubts\n",
            "      - id: hello-late\n"
            '        at: "D 14:00"\n'
            "        kind: welcome\n"
            "        template: recruit/welcome\n"
            '        vars: {text: "You come at the right time: https://example.com/order"}\n'
            "      - id: last-doubts\n",
        ),
    ),
)
RULES = (TRUST_GATE, WELCOME)
