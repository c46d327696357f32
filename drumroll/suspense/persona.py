"""The persona: which pull leads in each phase, and whether the texts carry it (brief V3)."""

import re
from collections.abc import Callable, Iterator

from drumroll.launchfile.method import Persona
from drumroll.suspense.rule import Breach, Edit, Rule, Subject
from drumroll.suspense.sentences import plain, says

_PULLS = {"outer": "what the product does", "inner": "what becomes of the member"}


def _declared(subject: Subject) -> Iterator[Breach]:
    persona = subject.launch.persona
    if persona is None:
        remedy = "add `persona:` with `voice:`, and with `leads:`: outer or inner for each phase"
        yield Breach(("product",), "no persona says who speaks, and which pull leads when", remedy)
        return
    for name, phase in subject.launch.phases.items():
        if phase.steps and name not in persona.leads:
            what = f"does not say which pull leads in {name}"
            yield Breach(("persona", "leads"), what, f"add `{name}: outer` or `{name}: inner`")


def _lead(subject: Subject) -> Iterator[Breach]:
    persona = subject.launch.persona
    if persona is None:
        return
    carries = {pull: _carried(subject, persona, pull) for pull in _PULLS}
    for name, lead in persona.leads.items():
        texts = [
            plain(subject.texts[step.id])
            for step in subject.plan.steps
            if step.phase == name and step.id in subject.texts
        ]
        if not texts:
            continue
        other = "inner" if lead == "outer" else "outer"
        leading, following = (sum(map(carries[pull], texts)) for pull in (lead, other))
        if leading and leading >= following:
            continue
        what = f"the {lead} pull is to lead in {name}, and {_texts(leading, len(texts))} it; "
        what += f"the {other} one has {following}"
        key = "promise" if lead == "outer" else "result"
        remedy = f"say {_PULLS[lead]} in more of them (product.{key}, or a word of persona.{lead}), or let {other} lead"
        yield Breach(("persona", "leads", name), what, remedy)


def _texts(count: int, of: int) -> str:
    if count == 0:
        return "none of its texts carries" if of > 1 else "its text does not carry"
    return f"{count} of its {of} texts {'carries' if count == 1 else 'carry'}"


def _carried(subject: Subject, persona: Persona, pull: str) -> Callable[[str], bool]:
    """Whether a plain text carries a pull: says its sentence, or has a word that begins with one of its words."""
    product = subject.launch.product
    sentence = product.promise if pull == "outer" else product.result
    words = [plain(word) for word in (persona.outer if pull == "outer" else persona.inner)]
    pattern = re.compile("|".join(_begins(word) for word in words)) if words else None
    return lambda text: says(text, sentence) or (pattern is not None and pattern.search(text) is not None)


def _begins(word: str) -> str:
    """A word's pattern: light is in lights and not in delight; Chinese is written without gaps between words."""
    return (r"(?<![a-z0-9à-ɏ])" if re.match("[a-z0-9à-ɏ]", word) else "") + re.escape(word)


DECLARED = Rule(
    id="persona/declared",
    title="The launch says who speaks, and which pull leads when",
    reason=(
        "Several people write for one voice over two weeks. What the product does (the outer pull) and what becomes "
        "of the member (the inner pull) complement each other; who decides it anew in every message says both at "
        "once, or only the one that is easier to write."
    ),
    check=_declared,
    example=(Edit("build_up: inner, ", ""),),
    severity="warning",
)
LEAD = Rule(
    id="persona/lead",
    title="In each phase the texts carry the pull that leads",
    reason=(
        "A text carries a pull when it says product.promise or product.result, or a word of persona.outer or "
        "persona.inner. Where fewer texts carry the leading pull than the other, or none does, the phase works for "
        "another goal than the one you wrote down."
    ),
    check=_lead,
    example=(Edit("build_up: inner", "build_up: outer"),),
    severity="warning",
)
RULES = (DECLARED, LEAD)
