"""The rule book. Every rule's example is a change to what `drumroll new` writes: it breaks that rule, and the way back repairs it."""

import json
import shutil
from pathlib import Path

import pytest

from drumroll.check import check_file
from drumroll.suspense.book import FAMILIES, family_of
from drumroll.suspense.registry import RULES
from tests.launch_files import drumroll

REPOSITORY = Path(__file__).parents[1]
TEMPLATES = REPOSITORY / "templates" / "en"
# A gap between two messages is told at the later one, or at its phase.
TOLD_FARTHER_ON = {"rhythm/tightens", "rhythm/sag"}

every_rule = pytest.mark.parametrize("rule", RULES.values(), ids=list(RULES))


class Sample:
    """A project with the launch that `drumroll new sample` writes, and the examples applied to it."""

    def __init__(self, root):
        self.root = root
        self.file = root / "configs" / "sample.yaml"
        self.edits = []  # (path, position, edit) in order

    def found(self):
        return check_file(self.file).findings

    def break_with(self, rule):
        for edit in rule.example:
            path = self.root / "templates" / edit.file if edit.file else self.file
            text = path.read_text(encoding="utf-8")
            assert edit.sound in text, f"{path.name} has no {edit.sound!r}"
            assert edit.sound != edit.broken
            position = text.index(edit.sound)
            path.write_text(text.replace(edit.sound, edit.broken, 1), encoding="utf-8")
            self.edits.append((path, position, edit))

    def repair(self):
        for path, position, edit in reversed(self.edits):
            text = path.read_text(encoding="utf-8")
            path.write_text(text[:position] + edit.sound + text[position + len(edit.broken) :], encoding="utf-8")

    def changed_lines(self):
        """The lines of the launch file, as it is now, that the edits to its phases wrote."""
        lines, text = set(), self.file.read_text(encoding="utf-8")
        for index, (path, position, edit) in enumerate(self.edits):
            later = [(at, one) for other, at, one in self.edits[index + 1 :] if other == path and at <= position]
            start = position + sum(len(one.broken) - len(one.sound) for _, one in later)
            if path == self.file and start > text.index("\nphases:"):
                first = text[:start].count("\n") + 1
                lines |= set(range(first, first + max(1, len(edit.broken.splitlines()))))
        return lines


@pytest.fixture
def sample(tmp_path, monkeypatch):
    shutil.copytree(TEMPLATES, tmp_path / "templates" / "en", ignore=shutil.ignore_patterns("cohort-course"))
    monkeypatch.chdir(tmp_path)
    assert drumroll("new", "sample", "--timezone", "Asia/Taipei", "--opens", "2027-01-16 12:00").code == 0
    return Sample(tmp_path)


def test_what_new_writes_breaks_no_rule(sample):
    assert sample.found() == []


@every_rule
def test_an_example_breaks_its_rule_and_no_other_family(sample, rule):
    sample.break_with(rule)
    found = sample.found()
    mine = [finding for finding in found if finding.rule == rule.id]
    assert mine
    assert {finding.severity for finding in mine} == {rule.severity}
    assert all(finding.rule in RULES and family_of(RULES[finding.rule]) == family_of(rule) for finding in found), found
    lines = sample.changed_lines()
    if lines and rule.id not in TOLD_FARTHER_ON:
        assert lines & {finding.line for finding in mine}


@every_rule
def test_an_example_read_backwards_is_a_repair(sample, rule):
    before = sample.file.read_bytes()
    sample.break_with(rule)
    sample.repair()
    assert sample.file.read_bytes() == before
    assert sample.found() == []


@every_rule
def test_a_broken_rule_that_is_waived_is_on_record_and_refuses_nothing(sample, rule):
    sample.break_with(rule)
    reason = "the team talked it over"
    with sample.file.open("a", encoding="utf-8") as file:
        file.write(f"\nwaive:\n  {rule.id}: {reason}\n")
    mine = [finding for finding in sample.found() if finding.rule == rule.id]
    assert mine
    assert all(finding.severity == "waived" and finding.what.endswith(f"(waived: {reason})") for finding in mine)


def test_every_rule_belongs_to_a_family_with_a_sentence_of_its_own():
    assert {family_of(rule) for rule in RULES.values()} == set(FAMILIES)


@every_rule
def test_a_rule_reads_like_a_sentence_to_a_person(rule):
    assert rule.title[0].isupper()
    assert not rule.title.endswith(".")
    assert rule.reason.endswith(".")
    assert rule.example


def test_the_rules_are_listed_by_family():
    ran = drumroll("rules")
    assert ran.code == 0
    for rule in RULES.values():
        assert f"  {rule.id:<19} {rule.severity:<8} {rule.title}\n" in ran.out


def test_one_rule_is_explained_with_its_example_and_how_to_waive_it():
    ran = drumroll("rules", "words/literal-time")
    assert ran.code == 0
    assert ran.out.startswith("words/literal-time (warning)\nTimes in a text come from the plan\n\n")
    assert ran.out[ran.out.index("Example, in") :] == (
        "Example, in templates/en/ignite/countdown.md.j2 (- keeps the rule, + breaks it):\n"
        "  - {{ counts_to | clock }}\n"
        "  + 12:00\n\n"
        "To break it on purpose, say why in the launch file:\n"
        "  waive:\n"
        "    words/literal-time: why this launch does it all the same\n"
    )


def test_rules_as_json():
    listed = json.loads(drumroll("rules", "--json").out)
    assert [rule["id"] for rule in listed] == list(RULES)
    (one,) = json.loads(drumroll("rules", "serial/label", "--json").out)
    assert one == {
        "id": "serial/label",
        "severity": "error",
        "title": "An announcement says its number",
        "reason": RULES["serial/label"].reason,
        "example": [{"file": "en/build_up/announcement.md.j2", "sound": "{{ step.label }}", "broken": "News:"}],
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["link/trustgate"], '"link/trustgate" is no rule of suspense; did you mean "link/trust-gate"?'),
        (["--markdown", "--json"], "--markdown prints all rules, and nothing else; leave the rest of the call out"),
        (
            ["--markdown", "serial/label"],
            "--markdown prints all rules, and nothing else; leave the rest of the call out",
        ),
    ],
)
def test_a_wrong_call_of_rules_is_a_usage_error(arguments, message):
    ran = drumroll("rules", *arguments)
    assert (ran.code, ran.out, ran.err) == (2, "", f"error: {message}\n")


def test_the_rule_book_in_docs_is_what_the_command_prints():
    printed = drumroll("rules", "--markdown").out
    assert (REPOSITORY / "docs" / "rules.md").read_text(encoding="utf-8") == printed, (
        "run `drumroll rules --markdown > docs/rules.md`"
    )
