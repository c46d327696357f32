"""The operators' share of voice: no long run of broadcasts without a question (brief U5), no stock phrases."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from drumroll.plan.model import PlannedStep
from drumroll.suspense.audiences import audiences, named
from drumroll.suspense.rule import Breach, Edit, Rule, Subject

_MOST_IN_A_ROW = 4
_QUESTION = re.compile(r"？|\?(?![A-Za-z0-9_%&=#/+~-])")  # not the one in a URL
_MOST_TEXTS = 2
_LETTERS, _HAN = 24, 10
_SHOWN, _LISTED = 60, 5
_IS_HAN = re.compile("[\\u3040-\\u30ff\\u3400-\\u9fff\\uac00-\\ud7af\\uf900-\\ufaff]")
_SENTENCE_ENDS = re.compile(r"""\n+|[.!?]+["'”’)\]]*(?:\s+|$)|[。！？]+[」』”’）]*""")
_FROM_THE_PLAN = "…"
_EDGES = f"{_FROM_THE_PLAN} ·:：,，"


def _broadcasts(subject: Subject) -> Iterator[Breach]:
    everyone = len(subject.channel_of)
    asking = {step.id for step in subject.plan.steps if _asks(step, subject.texts.get(step.id))}
    found: dict[tuple[str, str, int], list[str]] = defaultdict(list)
    one_too_many: dict[tuple[str, str, int], str] = {}
    for audience in audiences(subject.plan.steps):
        for run in _runs(audience.steps, asking):
            key = (run[0].id, run[-1].id, len(run))
            found[key].extend(audience.groups)
            one_too_many[key] = run[_MOST_IN_A_ROW].id
    for (first, last, length), groups in found.items():
        where = "" if len(groups) == everyone else f" in {named(groups)}"
        what = (
            f"{length} messages in a row ask nothing{where}, from {_name(subject, first)} to {_name(subject, last)}; "
            f"at most {_MOST_IN_A_ROW} should"
        )
        place = subject.places[one_too_many[first, last, length]]
        yield Breach(place, what, "end one of them on a question, or put a prompt between them")


def _asks(step: PlannedStep, text: str | None) -> bool:
    """A text that could not be rendered gets the benefit of the doubt."""
    return step.kind == "prompt" or text is None or _QUESTION.search(text) is not None


def _runs(steps: Sequence[PlannedStep], asking: set[str]) -> Iterator[list[PlannedStep]]:
    """Longest runs of messages that ask nothing, where they are too long."""
    run: list[PlannedStep] = []
    for step in steps:
        if step.id not in asking:
            run.append(step)
            continue
        if len(run) > _MOST_IN_A_ROW:
            yield run
        run = []
    if len(run) > _MOST_IN_A_ROW:
        yield run


def _name(subject: Subject, step_id: str) -> str:
    return subject.labels.get(step_id, f'"{step_id}"')


def _repeats(subject: Subject) -> Iterator[Breach]:
    launch = subject.launch
    everywhere = [launch.product.promise, launch.product.result, *launch.promises.values()]
    everywhere += [fact for fact in launch.facts.values() if isinstance(fact, str)]
    plan_words = _any_of(everywhere)
    said_in: dict[str, list[str]] = defaultdict(list)
    for step in subject.steps:
        if step.id in subject.texts:
            for sentence in sorted(_sentences(subject, step, plan_words)):
                said_in[sentence].append(step.id)
    together: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for sentence, step_ids in said_in.items():
        if len(step_ids) > _MOST_TEXTS:
            together[tuple(step_ids)].append(sentence)
    for texts, sentences in together.items():
        what = f"{_quoted(sentences)} in {len(texts)} texts: {_listed(subject, texts)}"
        yield Breach(subject.places[texts[_MOST_TEXTS]], what, "say it in other words, or only once")


def _quoted(sentences: Sequence[str]) -> str:
    first = sentences[0] if len(sentences[0]) <= _SHOWN else f"{sentences[0][: _SHOWN - 1]}…"
    others = len(sentences) - 1
    if not others:
        return f'"{first}" stands'
    return f'"{first}" and {others} more sentence{"s" if others > 1 else ""} stand'


def _listed(subject: Subject, step_ids: Sequence[str]) -> str:
    names = [_name(subject, step_id) for step_id in step_ids]
    return (
        ", ".join(names) if len(names) <= _LISTED else f"{', '.join(names[:_LISTED])} and {len(names) - _LISTED} more"
    )


def _sentences(subject: Subject, step: PlannedStep, everywhere: re.Pattern[str] | None) -> set[str]:
    """A text's own sentences that are long enough to be recognised, with what comes from the plan left out."""
    moving = (said for said in subject.said.get(step.id, ()) if said.source not in {"fact", "promise", "money"})
    from_plan = [said.words for said in moving] + list(subject.teasers.get(step.id, {}).values())
    from_plan.append(subject.labels.get(step.id, ""))
    text = subject.texts[step.id]
    for words in sorted(filter(None, from_plan), key=len, reverse=True):  # a few: no pattern is compiled for them
        text = text.replace(words, _FROM_THE_PLAN)
    text = everywhere.sub(_FROM_THE_PLAN, text) if everywhere else text
    sentences = (" ".join(sentence.split()) for sentence in _SENTENCE_ENDS.split(text))
    return {sentence.strip(_EDGES) for sentence in sentences if _is_long(sentence)}


def _any_of(words: Sequence[str]) -> re.Pattern[str] | None:
    """Matches any of them, the longest first; None when there are none."""
    known = sorted({word for word in words if word.strip()}, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, known))) if known else None


def _is_long(sentence: str) -> bool:
    own = sentence.replace(_FROM_THE_PLAN, "").strip()
    return len(own) >= _LETTERS or len(_IS_HAN.findall(own)) >= _HAN


_NOTES = "".join(
    f'      - {{id: note-{n}, at: "D-1 {14 + n}:30", kind: heads_up, vars: {{text: Nearly there., question: Wait.}}}}\n'
    for n in range(1, 6)
)
BROADCASTS = Rule(
    id="voice/broadcasts",
    title="No more than four messages in a row ask nothing",
    reason=(
        "A group that only gets announcements becomes a notice board, and nobody answers a notice board. A message "
        "asks when it is a prompt or has a question in it. Followed group by group; messages to single members do not "
        "count."
    ),
    check=_broadcasts,
    example=(Edit("      - id: the-terms ", f"{_NOTES}      - id: the-terms "),),
    severity="warning",
)
REPEATS = Rule(
    id="voice/repeats",
    title="The same sentence does not stand in three texts",
    reason=(
        "A stock phrase makes a series sound like a machine, and people stop reading where it begins. Looks at whole "
        "sentences of some length; the times, topics, numbers, facts and promises that come from the plan do not count."
    ),
    check=_repeats,
    example=(
        Edit(
            "{{ step.label }}",
            "{{ step.label }}\nStay with us, because the best of it is still ahead.\n",
            file="en/nurture/announcement.md.j2",
        ),
    ),
    severity="warning",
)
RULES = (BROADCASTS, REPEATS)
