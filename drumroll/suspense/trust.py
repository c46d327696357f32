"""The order link: behind the trust gate, and never in a welcome (brief Q7)."""

import re
from collections.abc import Callable, Iterable, Iterator

from drumroll.launchfile.models import PHASES
from drumroll.plan.model import PlannedStep
from drumroll.suspense.rule import Breach, Edit, Rule, Subject

_URL = re.compile(r"https?://[^\s<>\"'「」『』（）【】，。；！？、]+", re.IGNORECASE)
# What would make it another address: more of the name before it, or more of the host's name or path after it.
_NO_MORE_BEFORE = r"(?<![A-Za-z0-9.@/-])"
_NO_MORE_AFTER = r"(?![_~-]*[A-Za-z0-9%+@&=$]|[.:][A-Za-z0-9])"
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
    addresses = _addresses(url for value in values for url in _URL.findall(value))
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
        if addresses and (told := addresses.search(text)):
            return f"tells the order link ({told[0]})"
        return next((f"tells the order link ({other})" for other in others if other in text), None)

    return why


def _link_facts(subject: Subject) -> frozenset[str]:
    """The facts that steps of kind link reveal, and the addresses among those that their templates use."""
    steps = [step for step in subject.plan.steps if step.kind == "link"]
    revealed = {fact for step in steps for fact in step.reveals}
    names = {use.name for step in steps for use in subject.uses.get(step.template, ())}
    told = {fact for fact, value in subject.launch.facts.items() if f"facts.{fact}" in names and _is_address(value)}
    return frozenset(revealed | told)


def _is_address(value: object) -> bool:
    return isinstance(value, str) and _URL.fullmatch(value.strip()) is not None


def _addresses(urls: Iterable[str]) -> re.Pattern[str] | None:
    """What finds these addresses in a text, with or without scheme and `www.`; None when there are none.

    What stands below an address, or has it with a query or a fragment, leads there too: `/order/now`, `/order?src=x`.
    A bare host is the page itself alone, because all pages of the site stand below it.
    """
    found = [_address(host, path) for host, path in map(_place, urls) if host]
    return re.compile(f"{_NO_MORE_BEFORE}(?:{'|'.join(found)}){_NO_MORE_AFTER}") if found else None


def _address(host: str, path: str) -> str:
    end = re.escape(path) if path else "(?:/(?!/)|(?!/))"
    return rf"(?i:(?:https?://)?(?:www\.)?{re.escape(host)}){end}"


def _place(url: str) -> tuple[str, str]:
    """Host and path of an address, without what makes no difference: `www.`, query, fragment, a closing slash."""
    place = re.split("[?#]", url.partition("://")[2])[0].rstrip(".,;:!)]*_/")
    host, slash, path = place.partition("/")
    return re.sub(r"^www\.", "", host, flags=re.IGNORECASE), slash + path


TRUST_GATE = Rule(
    id="link/trust-gate",
    title="The order link stays behind the trust gate",
    reason=(
        "People who are shown the way to pay before they trust you see an advertisement, and read everything after it "
        "as one. The gate that ends nurture measures whether they do; until it has passed, no text may bring the link. "
        "The links meant are the facts that steps of kind link reveal, the addresses among the facts that their texts "
        "tell, and what stands below those addresses. One evening is enough for a nurture phase."
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
