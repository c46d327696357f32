"""Launches made wrong, made different and made garbage: what check says of them, and on which line.

Both examples, more than 300 variants. `DRUMROLL_MUTANTS=10000 pytest tests/test_mutations.py` takes that many broken ones,
and the others in proportion.
"""

import os
from math import ceil

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from drumroll.errors import UsageError
from tests.drafts import EXAMPLES, Draft, Example
from tests.mutations import OPERATORS, Expected
from tests.sound_edits import EDITS

MUTANTS = int(os.environ.get("DRUMROLL_MUTANTS", "60"))


def examples_of(share):
    """So many for each broken variant; a variant names its place, there is nothing to shrink."""
    unhelpful = [HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much, HealthCheck.too_slow]
    count = ceil(MUTANTS * share)
    return settings(
        max_examples=count, phases=[Phase.generate], suppress_health_check=unhelpful, database=None, deadline=None
    )


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    """Both examples, each in a project of its own."""
    return {name: Example(name, tmp_path_factory.mktemp(name)) for name in EXAMPLES}


def picking(data):
    """Chooses one of several; a variant for which there is none to choose is none."""

    def pick(options):
        options = list(options)
        assume(options)
        return data.draw(st.sampled_from(options))

    return pick


@pytest.mark.parametrize("name", EXAMPLES)
def test_both_examples_are_sound(examples, name):
    assert list(map(str, examples[name].checked.errors)) == []


@pytest.mark.parametrize("name", OPERATORS)
@examples_of(1 / len(OPERATORS))
@given(data=st.data())
def test_what_is_wrong_is_found_on_its_line(examples, name, data):
    pick = picking(data)
    example = examples[pick(EXAMPLES)]
    draft = Draft(example)
    expected = OPERATORS[name](draft, pick)
    found = [one for one in example.check(draft).findings if (one.rule, one.path, one.what) not in example.found]
    assert expected in [Expected(one.rule, one.line, one.severity) for one in found], list(map(str, found))


@examples_of(0.3)
@given(data=st.data())
def test_what_is_only_different_passes(examples, data):
    pick = picking(data)
    example = examples[pick(EXAMPLES)]
    draft = Draft(example)
    for _ in range(pick([1, 2, 4])):
        EDITS[pick(EDITS)](draft, pick)
    checked = example.check(draft)
    assert list(map(str, checked.errors)) == []
    numbers = [step.number for step in checked.accepted().steps if step.number is not None]
    assert numbers == list(range(1, len(example.serial) + 1))


CHARACTERS = [*"{}[]:,#&*!|>%@`'\"-?\\ \t\n\r\0\x1b07dDT", "é", "公", "\u2028", "\ufeff", "🫖", b"\xff", b"\xc3"]


def garbled(text, data):
    """A file with lines or characters lost, doubled, swapped or put in."""
    content = text.encode()
    for _ in range(data.draw(st.integers(1, 3))):
        lines = content.split(b"\n")
        one, two = (data.draw(st.integers(0, len(lines) - 1)) for _ in range(2))
        at = data.draw(st.integers(0, len(content)))
        change = data.draw(st.sampled_from(["delete", "duplicate", "swap", "indent", "insert", "lose", "end"]))
        if change == "insert":
            character = data.draw(st.sampled_from(CHARACTERS))
            content = content[:at] + (character.encode() if isinstance(character, str) else character) + content[at:]
        elif change == "lose":
            content = content[:at] + content[at + data.draw(st.integers(1, 9)) :]
        elif change == "end":
            content = content[:at]
        else:
            if change == "delete":
                del lines[one]
            elif change == "duplicate":
                lines.insert(two, lines[one])
            elif change == "swap":
                lines[one], lines[two] = lines[two], lines[one]
            else:
                lines[one] = data.draw(st.sampled_from([b" ", b"  ", b"\t", b"- "])) + lines[one]
            content = b"\n".join(lines)
    return content


@examples_of(0.3)
@given(data=st.data())
def test_garbage_is_answered_with_findings(examples, data):
    example = examples[data.draw(st.sampled_from(EXAMPLES))]
    launch, templates = example.text.encode(), dict(example.templates)
    if data.draw(st.booleans()):
        launch = garbled(example.text, data)
    else:
        name = data.draw(st.sampled_from(sorted(example.plan.templates)))
        templates[name] = garbled(templates[name], data)
    try:
        checked = example.check_files(launch, templates)
    except UsageError:
        return
    lines = len(launch.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"))
    assert [finding for finding in checked.findings if not 1 <= finding.line <= lines] == []
    assert (checked.plan is None) == bool(checked.errors)
