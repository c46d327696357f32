"""Numbers 【公告NN】: contiguous in order of time, and told by the text that carries them (brief Q2)."""

from collections.abc import Iterator

from drumroll.suspense.rule import Breach, Edit, Rule, Subject


def _contiguous(subject: Subject) -> Iterator[Breach]:
    steps = {step.id: step for phase in subject.launch.phases.values() for step in phase.steps}
    for planned in subject.plan.steps:
        expected = steps[planned.id].number if planned.id in steps else None
        if expected is None or expected == planned.number:
            continue
        path = (*subject.places[planned.id], "number")
        if planned.number is None:
            yield Breach(path, f"carries no number, and the file says {expected}", "add `serial: true`, or remove it")
        else:
            what = f"is number {planned.number} in order of time, and the file says {expected}"
            yield Breach(path, what, f"write {planned.number}, or move the step")


def _labelled(subject: Subject) -> Iterator[Breach]:
    for step in subject.serial:
        text, label = subject.texts.get(step.id), subject.labels[step.id]
        if text is not None and label not in text:
            what = f"templates/{step.template} does not say its number {label}"
            yield Breach(subject.places[step.id], what, "begin it with {{ step.label }}")


CONTIGUOUS = Rule(
    id="serial/contiguous",
    title="Numbers run without a gap, in order of time",
    reason=(
        "Somebody who suddenly sees number 9 reads back to find the first eight. A number that is missing, or that "
        "comes after a higher one, sends them looking for what does not exist. Numbers are given by the compiler; "
        "`number:` says which one you count on, in a picture or a printed sheet."
    ),
    check=_contiguous,
    example=(Edit("      - id: the-problem\n", "      - id: the-problem\n        number: 7\n"),),
)
LABELLED = Rule(
    id="serial/label",
    title="An announcement says its number",
    reason="The number is what makes a latecomer curious about the earlier ones; without it a series is just messages.",
    check=_labelled,
    example=(Edit("{{ step.label }}", "News:", file="en/build_up/announcement.md.j2"),),
)
RULES = (CONTIGUOUS, LABELLED)
