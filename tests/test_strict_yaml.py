"""YAML without guesses: what is taken, what is refused, and the line of everything."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from drumroll.launchfile.strict import StrictYamlError, dotted, read


def refusal(text: str) -> StrictYamlError:
    with pytest.raises(StrictYamlError) as raised:
        read(text)
    return raised.value


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("word", "word"),
        ("two words", "two words"),
        ("'12:30'", "12:30"),
        ('"no"', "no"),
        ('"0123"', "0123"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("", None),
        ("0", 0),
        ("-12", -12),
        ("+3", 3),
        ("1.50", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("25%", "25%"),
        ("D-1 23:00", "D-1 23:00"),
        ("2026-12-11", "2026-12-11"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("nobody", "nobody"),
        ("|\n  a\n  b", "a\nb"),
        ("[a, 1]", ["a", 1]),
        ("{a: {b: 1}}", {"a": {"b": 1}}),
        ('"\\u516c\\u544a\\t"', "公告\t"),
        ("【公告】👪", "【公告】👪"),
    ],
)
def test_plain_values_follow_the_yaml_1_2_core_schema(written, value):
    found = read(f"key: {written}").value["key"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize("key", ["12:30", "no", "0123", "null", "1"])
def test_keys_are_always_text(key):
    assert read(f"{key}: x").value == {key: "x"}


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("12:30", '12:30 without quotes is a number in base 60 to YAML; write "12:30"'),
        ("1:30:00", '1:30:00 without quotes is a number in base 60 to YAML; write "1:30:00"'),
        ("0123", '0123 without quotes is an octal number to YAML; write 123, or "0123" in quotes where text is meant'),
        ("00", '00 without quotes is an octal number to YAML; write 0, or "00" in quotes where text is meant'),
        ("no", 'no without quotes means true or false to YAML; write true or false, or "no" for the word'),
        ("On", 'On without quotes means true or false to YAML; write true or false, or "On" for the word'),
        ("y", 'y without quotes means true or false to YAML; write true or false, or "y" for the word'),
        ("1234567890123456789", "1234567890123456789 has more than 18 digits; put it in quotes if it is a name"),
        ("1e999", "1e999 is too large a number; write a smaller one, or put it in quotes"),
    ],
)
def test_what_yaml_1_1_would_guess_at_is_refused_with_its_place(written, message):
    refused = refusal(f"a:\n  - b: {written}")
    assert (refused.line, str(refused)) == (2, f"a[0].b: {message}")


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\nb: 2\na: 3", 3, 'duplicate key "a"; the first one is on line 1; keep one'),
        ("x:\n  a: 1\n  'a': 3", 3, 'x: duplicate key "a"; the first one is on line 2; keep one'),
        ("a: &x 1", 1, "anchors (&) and aliases (*) are not allowed; write the value out"),
        ("a: 1\nb: *x", 2, "anchors (&) and aliases (*) are not allowed; write the value out"),
        ("a:\n  <<: {b: 1}", 2, "a: merge keys (<<) are not allowed; write the keys out"),
        ("a: 1\nb: !!python/name:os.system x", 2, "tags (!) are not allowed; remove it, or put the text in quotes"),
        ("a: ! x", 1, "tags (!) are not allowed; remove it, or put the text in quotes"),
        ("a: 1\n[b]: 2", 2, "a key must be plain text"),
        ("a: 1\n\nb: \x1b[31m", 3, "control character U+001B; remove it"),
        ("a: 1\nb: \ufeffx", 2, "control character U+FEFF; remove it"),
        ("a: 1\nb: x\x85y", 2, "control character U+0085; remove it"),
        ('a: 1\nb: "\\e[31m"', 2, "b: control character U+001B in quoted text; remove it"),
        ('a: 1\n"\\0": 2', 2, "control character U+0000 in quoted text; remove it"),
        ('a: "\\uD800"', 1, "not valid YAML"),
        ("a: [1", 1, "not valid YAML"),
        ("a: 1\n\tb: 2", 2, "not valid YAML"),
        ("- a\nb: 1", 2, "not valid YAML"),
        ("a: 1\n---\nb: 1", 2, "not valid YAML: expected a single document"),
        ("", 1, "the file is empty; start from `drumroll new NAME`"),
        ("# nothing", 1, "the file is empty"),
        ("[" * 41, 1, "nested too deeply; a launch file needs fewer than 10 levels"),
        ("[" * 1_000_000, 1, "nested too deeply"),
        ("x" * 4_000_001, 1, "the file is larger than 4,000,000 bytes; split the launch"),
        ("公" * 1_400_000, 1, "the file is larger than 4,000,000 bytes"),
    ],
)
def test_what_is_not_plain_data_is_refused_at_its_line(text, line, message):
    refused = refusal(text)
    assert refused.line == line
    assert str(refused).startswith(message)


def test_an_alias_bomb_never_unfolds():
    bomb = "a: &a [x]\n" + "\n".join(
        f"{b}: &{b} [{', '.join(['*' + a] * 9)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    assert refusal(bomb).line == 1


def test_every_key_and_item_knows_its_line():
    document = read("a: 1\nb:\n  - c: 2\n    d: 3\n  - e\n")
    places = {(): 1, ("a",): 1, ("b",): 2, ("b", 0): 3, ("b", 0, "c"): 3, ("b", 0, "d"): 4, ("b", 1): 5}
    assert document.lines == places


def test_a_place_that_is_not_there_has_the_line_of_what_is_around_it():
    document = read("a: 1\nb:\n  - c: 2\n")
    assert document.line(("b", 0, "nowhere", 7)) == 3
    assert document.line(("nowhere",)) == 1


def test_places_are_written_with_dots_and_brackets():
    assert dotted(("phases", "ignite", "steps", 3, "at")) == "phases.ignite.steps[3].at"
    assert dotted(()) == ""


def test_nothing_that_stands_where_channels_are_is_quoted():
    for secret in ("0123456789", "12:34", "1" * 20):
        assert secret not in str(refusal(f"community:\n  channels:\n    a:\n      secret_env: {secret}"))
    assert "hush" not in str(refusal("community:\n  channels:\n    a:\n      secret_env: !hush x"))


WORDS = st.text(st.characters(exclude_categories=["C", "Z"]))
VALUES = st.recursive(WORDS, lambda inner: st.lists(inner) | st.dictionaries(WORDS, inner), max_leaves=8)


@given(VALUES)
def test_any_words_in_quotes_come_back_as_they_were(value):
    assert read(yaml.safe_dump(value, default_style='"', allow_unicode=True)).value == value


@given(st.text() | st.text("abc:-[]{}#&*!|>'\"%@` \n\t0123456789.~<?,"))
def test_any_text_is_read_or_refused(text):
    try:
        line = read(text).line(())
    except StrictYamlError as error:
        line = error.line
    assert 1 <= line <= 1 + sum(text.count(end) for end in "\r\n\x85\u2028\u2029")
