"""Launches made wrong, made different and made garbage: what check says of them, and on which line.

CI takes about 700 variants. `DRUMROLL_MUTANTS=10000 pytest tests/test_mutations.py` takes that many of each kind.
"""

import os
from math import ceil

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from drumroll.errors import UsageError
from tests.drafts import EXAMPLES, Draft, Example
from tests.mutations import OPERATORS

MUTANTS = int(os.environ.get("DRUMROLL_MUTANTS", "500"))


def at_most(count):
    return settings(
        max_examples=count,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much, HealthCheck.too_slow],
    )


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    """Both examples of the project, each in a project of its own."""
    return {name: Example(name, tmp_path_factory.mktemp(name)) for name in EXAMPLES}


def picking(data):
    def pick(options):
        options = list(options)
        assume(options)
        return data.draw(st.sampled_from(options))

    return pick


@pytest.mark.parametrize("name", OPERATORS)
@at_most(ceil(MUTANTS / len(OPERATORS)))
@given(data=st.data())
def test_what_is_wrong_is_found_on_its_line(examples, name, data):
    pick = picking(data)
    example = examples[pick(EXAMPLES)]
    draft = Draft(example)
    expected = OPERATORS[name](draft, pick)
    findings = example.check(draft).findings
    new = [one for one in findings if (one.rule, one.path, one.what) not in example.found]
    assert expected in [type(expected)(one.rule, one.line, one.severity) for one in new], (expected, list(map(str, new)))
