"""The welcome, the promises it makes, and the value posts that keep them (brief V1, V2)."""

from collections.abc import Iterator

from drumroll.plan.model import PlannedStep
from drumroll.suspense.rule import Breach, Edit, Rule, Subject
from drumroll.suspense.sentences import plain, says


def _first(subject: Subject) -> Iterator[Breach]:
    recruit = subject.launch.phases.get("recruit")
    if recruit is None or not recruit.steps:
        return
    step = subject.plan.steps[0]
    place = subject.places[step.id]
    if step.kind != "welcome":
        what = f"is the first message of the launch, and of kind {step.kind}"
        yield Breach((*place, "kind"), what, "begin with a step of kind welcome")
        return
    reached = set(step.groups)
    newcomers = [group.id for group in subject.launch.community.groups if group.kind == "conversion"]
    missing = [group for group in newcomers if group not in reached]
    if missing or step.segment is not None:
        left_out = f"group {missing[0]}" if missing else f"everyone outside the segment {step.segment}"
        key = "to" if missing else "segment"
        yield Breach((*place, key), f"is the first message of the launch, and leaves out {left_out}", f"drop `{key}:`")
    if step.id in subject.texts and not _looks_ahead(subject, step):
        what = f"templates/{step.template} is the first message people see, and says nothing of what comes"
        yield Breach(place, what, "make it `serial: true` and tease the next one, or tell a promise of the launch")


def _looks_ahead(subject: Subject, step: PlannedStep) -> bool:
    text, teaser = subject.texts[step.id], subject.teasers.get(step.id)
    if teaser is not None and any(teaser[part] and teaser[part] in text for part in ("when", "topic")):
        return True
    return any(says(plain(text), promise) for promise in subject.launch.promises.values())


def _named(subject: Subject) -> Iterator[Breach]:
    names = ", ".join(subject.launch.promises)
    remedy = f"add `keeps:` with one of: {names}" if names else "declare it under `promises:` and add `keeps: NAME`"
    for step in subject.plan.steps:
        if step.kind == "value" and step.keeps is None:
            yield Breach(subject.places[step.id], "gives something of value and names no promise that it keeps", remedy)


def _told(subject: Subject) -> Iterator[Breach]:
    welcomes: list[str | None] = []
    for step in subject.plan.steps:
        if step.kind == "welcome":
            welcomes.append(plain(subject.texts[step.id]) if step.id in subject.texts else None)
        promise = subject.launch.promises.get(step.keeps or "")
        if promise is None or any(text is None or says(text, promise) for text in welcomes):
            continue
        what = f'keeps the promise "{step.keeps}", which no welcome before it makes'
        remedy = f"let the welcome say: {promise} (its template may loop over `promises`)"
        yield Breach((*subject.places[step.id], "keeps"), what, remedy)


def _unkept(subject: Subject) -> Iterator[Breach]:
    kept = {step.keeps for step in subject.plan.steps}
    for name in subject.launch.promises:
        if name not in kept:
            what = f'no step keeps the promise "{name}"'
            yield Breach(("promises", name), what, f"give a value step `keeps: {name}`, or promise less")


FIRST = Rule(
    id="welcome/first",
    title="The first message is a welcome that looks ahead",
    reason=(
        "The first message a newcomer reads is the only one that nearly everyone reads. It ties the reason they came "
        "for to what you offer and to what comes next: by a numbered message that teases the next one, or by a promise."
    ),
    check=_first,
    example=(
        Edit(
            "      - id: welcome ",
            '      - id: hello\n        at: "D-8 11:00"\n        kind: prompt\n      - id: welcome ',
        ),
    ),
    severity="warning",
)
NAMED = Rule(
    id="promise/named",
    title="A value post names the promise it keeps",
    reason=(
        "Something useful now and then is nice; something useful that was promised and came makes people expect the "
        "next promise to be kept, and the last one is the product. Which promise, the file says."
    ),
    check=_named,
    example=(
        Edit(
            "      - id: useful ",
            '      - id: extra\n        at: "D-3 14:00"\n        kind: value\n      - id: useful ',
        ),
    ),
)
TOLD = Rule(
    id="promise/told",
    title="The welcome makes the promises that are kept later",
    reason="A promise that nobody heard cannot be kept: the post is then only another post.",
    check=_told,
    example=(Edit("- {{ promised }}", "- a surprise", file="en/recruit/welcome.md.j2"),),
)
UNKEPT = Rule(
    id="promise/unkept",
    title="Every promise is kept by some step",
    reason="People remember what they were told they would get, longest where it never came.",
    check=_unkept,
    example=(Edit("  limits: ", "  more: a second helping of it, some day\n  limits: "),),
    severity="warning",
)
RULES = (FIRST, NAMED, TOLD, UNKEPT)
