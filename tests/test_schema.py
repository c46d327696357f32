"""The JSON Schema and the reference: what they print, what the schema takes and refuses, and that `check` agrees."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter, ValidationError

from drumroll.channels.registry import KINDS, channel_class
from drumroll.cli.new import starter
from drumroll.launchfile.choices import PHASES as PHASE_MEANINGS
from drumroll.launchfile.fields import AS_MOMENT, Duration, Stretch, TemplateName, Word
from drumroll.launchfile.models import PHASES
from drumroll.launchfile.reference import reference
from drumroll.launchfile.schema import launch_schema, options_name
from drumroll.launchfile.strict import StrictYamlError, read
from drumroll.metrics.registry import METRICS
from drumroll.moments import MomentError, instant
from drumroll.sources.registry import SOURCES
from drumroll.suspense.registry import RULES
from tests.launch_files import LAUNCH, drumroll, drumroll_process, new_project

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "configs").glob("*.yaml"))
SEQUENCES = sorted((ROOT / "drumroll" / "launchfile" / "sequences").glob("*/*.yaml"))
SCHEMA, PAGE = launch_schema(), reference()
VALIDATOR = Draft202012Validator(SCHEMA)
FIRST_LINE = "# yaml-language-server: $schema=launch.schema.json"


def problems(text: str) -> list[str]:
    """What the schema says of a launch file, or the strict reading before it."""
    try:
        value = read(text).value
    except StrictYamlError as error:
        return [str(error)]
    return [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(value)]


def test_the_schema_is_one():
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize(
    ("options", "file"), [([], "configs/launch.schema.json"), (["--reference"], "docs/launch-file.md")]
)
def test_the_file_in_the_project_is_what_the_command_prints(options, file):
    printed = drumroll("schema", *options)
    assert (printed.code, printed.err) == (0, "")
    assert printed.out == (ROOT / file).read_text(encoding="utf-8"), (
        f"write it anew: drumroll {' '.join(['schema', *options])} > {file}"
    )


def test_the_schema_is_the_same_in_another_process():
    printed = drumroll_process("schema", env={"PYTHONHASHSEED": "7", "PYTHONUTF8": "1"})
    assert json.loads(printed.out) == SCHEMA
    assert list(json.loads(printed.out)["$defs"]) == list(SCHEMA["$defs"])


def test_the_command_loads_nothing_slow():
    code = (
        "import sys; from drumroll.cli.main import main; sys.argv = ['drumroll', 'schema']\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print(sorted({n.partition('.')[0] for n in sys.modules}"
        " & {'prefect', 'sqlmodel', 'sqlalchemy', 'aiohttp', 'babel', 'jinja2', 'rich'}), file=sys.stderr)"
    )
    assert drumroll_process(code=code).err == "[]\n"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_are_valid(path):
    assert problems(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", SEQUENCES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_sequence_is_valid_once_filled_in(path):
    text = path.read_text(encoding="utf-8")
    values = {"NAME": "spring", "LOCALE": path.parent.name, "TIMEZONE": "Asia/Taipei", "CURRENCY": "TWD"}
    for key, value in {**values, "OPENS": "2027-01-16 12:00"}.items():
        text = text.replace(f"__{key}__", value)
    assert problems(text) == []


def test_what_new_writes_is_valid():
    text = starter("0123", locale="en", timezone="UTC", currency="USD", opens="2027-01-16 12:00")
    assert problems(text) == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_say_where_the_schema_is(path):
    assert path.read_text(encoding="utf-8").startswith(f"{FIRST_LINE}\n")


@pytest.mark.parametrize("has_schema", [True, False])
def test_new_names_the_schema_where_there_is_one(tmp_path, monkeypatch, has_schema):
    folder = new_project(tmp_path).file.parent
    if has_schema:
        (folder / "launch.schema.json").write_text("{}", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert drumroll("new", "spring").code == 0
    text = (folder / "spring.yaml").read_text(encoding="utf-8")
    assert text.startswith(f"{FIRST_LINE}\n") == has_schema
    assert problems(text) == []


def parts():
    return {"Launch": SCHEMA, **SCHEMA["$defs"]}


@pytest.mark.parametrize("part", parts())
def test_every_key_is_described(part):
    assert parts()[part]["description"]
    assert [key for key, value in parts()[part]["properties"].items() if not value.get("description")] == []


def test_only_a_channel_is_open_and_every_kind_of_it_is_closed():
    open_parts = [name for name, part in parts().items() if part.get("additionalProperties", True)]
    assert open_parts == ["ChannelSpec"]
    assert {options_name(kind) for kind in KINDS} <= set(SCHEMA["$defs"])


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_channel_kind_has_the_keys_of_its_options(kind):
    keys = set(SCHEMA["$defs"][options_name(kind)]["properties"])
    fields = channel_class(kind).Options.model_fields
    assert keys == {"kind", *(field.alias or name for name, field in fields.items())}


@pytest.mark.parametrize(
    ("written", "what", "remedy"),
    [
        ("form: a@example.org", 'unknown key "form"', 'did you mean "from"?'),
        ("sender: a@example.org", 'unknown key "sender"', "known: host"),
        ("from: 7", "expected text", "put it in quotes"),
    ],
)
def test_a_key_is_told_by_its_name_in_the_file(tmp_path, written, what, remedy):
    channel = f"kind: email\n      host: smtp.example.org\n      {written}"
    findings = new_project(tmp_path, changed(SCREEN, channel)).check().errors
    assert [f for f in findings if f.what == what and f.remedy.startswith(remedy)], findings


def test_the_words_of_the_registries_are_in_it():
    metric = SCHEMA["$defs"]["Threshold"]["properties"]["metric"]
    assert dict(zip(metric["enum"], metric["enumDescriptions"], strict=True)) == {
        name: metric.description for name, metric in METRICS.items()
    }
    assert SCHEMA["properties"]["waive"]["propertyNames"]["enum"] == list(RULES)
    assert set(SCHEMA["$defs"]["SourceSpec"]["properties"]["kind"]["enum"]) == set(SOURCES)
    assert tuple(SCHEMA["properties"]["phases"]["properties"]) == PHASES == tuple(PHASE_MEANINGS)


AT = 'at: "D-6 10:00"'
SCREEN = "kind: console"
SHARE = "at_least: 10%"
PRICE = "  price: 3980\n"

# What becomes of the small launch: (this, becomes that).
REFUSED = {
    "misspelt key at the top": ("title: The", "titel: The"),
    "misspelt key in a step": (AT, 'att: "D-6 10:00"'),
    "a key that is missing": ("    goal: Trust\n", ""),
    "another version": ("drumroll: 1", "drumroll: 2"),
    "name with capitals": ("name: kettle", "name: Kettle"),
    "name that is too long": ("name: kettle", f"name: {'k' * 65}"),
    "number for a title": ("title: The quiet kettle", "title: 2027"),
    "blank title": ("title: The quiet kettle", 'title: " "'),
    "empty title": ("title: The quiet kettle", "title:"),
    "unknown locale": ("locale: en", "locale: english"),
    "time zone with a space": ("timezone: Asia/Taipei", "timezone: Asia Taipei"),
    "opening in words": ('opens: "2027-01-16 12:00"', "opens: soon"),
    "relative opening": ('opens: "2027-01-16 12:00"', 'opens: "D 12:00"'),
    "time without quotes": (AT, "at: 12:30"),
    "time alone": (AT, 'at: "12:30"'),
    "moment in words": (AT, "at: tomorrow"),
    "moment without a length": ('at: "T-2h"', "at: T-"),
    "moment at the 25th hour": (AT, 'at: "D-6 25:00"'),
    "moment in the 13th month": (AT, 'at: "2027-13-01 10:00"'),
    "moment in another age": (AT, 'at: "1027-01-01 10:00"'),
    "unknown step kind": ("kind: prompt", "kind: promt"),
    "true in quotes": ("serial: true", 'serial: "true"'),
    "yes": ("serial: true", "serial: yes"),
    "number in quotes": ("at_least: 30", 'at_least: "30"'),
    "at_least in words": ("at_least: 30", "at_least: lots"),
    "true for a number": ("at_least: 30", "at_least: true"),
    "25 for 25%": (SHARE, "at_least: 25"),
    "both limits": ("at_least: 30", "at_least: 30\n          at_most: 40"),
    "no limit": ("          at_least: 30\n", ""),
    "unknown metric": ("metric: members", "metric: membrs"),
    "unknown verdict": ("[remedy, extend, hold]", "[remedy, wait]"),
    "confidence for certain": ("otherwise: [", "confidence: 1\n      otherwise: ["),
    "duration without a unit": ("slack: 12h", 'slack: "12"'),
    "duration as a number": ("slack: 12h", "slack: 12"),
    "duration back to front": ("slack: 12h", "slack: 30m12h"),
    "segment of no time": ("silent_for: 3d", "silent_for: 0d"),
    "segment without a condition": ("silent_for: 3d", "{}"),
    "unknown phase": ("  nurture:\n", "  nuture:\n"),
    "no phases": (LAUNCH[LAUNCH.index("phases:") : LAUNCH.index("fit:")], "phases: {}\n\n"),
    "steps that are no list": ("steps:\n      - id: the-host\n        at", "steps:\n        id: the-host\n        at"),
    "price without a currency": ("  currency: TWD\n", ""),
    "currency without a price": (PRICE, ""),
    "free of charge": (PRICE, "  price: 0\n"),
    "price in words": (PRICE, "  price: cheap\n"),
    "currency by its sign": ("currency: TWD", 'currency: "NT$"'),
    "unknown role": ("role: host", "role: boss"),
    "unknown channel kind": (SCREEN, "kind: consol"),
    "channel without a kind": (SCREEN, "path: out"),
    "key of another channel kind": (SCREEN, "kind: console\n      lead: 30m"),
    "file without a path": (SCREEN, "kind: file"),
    "webhook without an address": (SCREEN, "kind: webhook"),
    "webhook with two addresses": (SCREEN, "kind: webhook\n      url: https://a.example\n      url_env: A"),
    "webhook with a misspelt key": (SCREEN, "kind: webhook\n      url_env: A\n      secrt_env: B"),
    "secret in the place of its name": (SCREEN, "kind: webhook\n      url_env: A\n      secret_env: whsec_c2VjcmV0"),
    "address with a login": (SCREEN, "kind: webhook\n      url: https://a:b@c.example"),
    "address without a scheme": (SCREEN, "kind: webhook\n      url: c.example"),
    "half a message a minute": (SCREEN, "kind: webhook\n      url_env: A\n      per_minute: 0.5"),
    "group for nobody": ("channel: screen}", "channel: screen, cap: 0}"),
    "unknown source kind": ("facts:", "  sources: [{kind: slak, path: x}]\nfacts:"),
    "fact with a dash in its name": ("  host: Ann", "  the-host: Ann"),
    "fact that is a number": ("host: Ann Boil", "host: 7"),
    "fact at no moment": ("host: Ann Boil", "host: {at: soon}"),
    "template outside": ("topic: what the noise does", "template: ../secret"),
    "the same group twice": ("to: [east]", "to: [east, east]"),
    "to nobody": ("to: [east]", "to: []"),
    "waiver of no rule": ("facts:", "waive: {no/rule: because}\nfacts:"),
    "waiver without a reason": ("facts:", "waive: {reveal/early: ''}\nfacts:"),
    "quiet at 8": ("facts:", 'quiet_hours: {starts: "8:00"}\nfacts:'),
    "unknown way of approval": ("facts:", "approval: maybe\nfacts:"),
}
TAKEN = {
    "nothing changed": ("drumroll: 1", "drumroll: 1"),
    "no price at all": (PRICE + "  currency: TWD\n", ""),
    "price in quotes": (PRICE, '  price: "3980.50"\n'),
    "number in place of a percentage": (SHARE, "at_least: 0.1"),
    "percentage in quotes, with a space": (SHARE, 'at_least: "10.5 %"'),
    "moment with seconds": (AT, 'at: "D-6 9:00:30"'),
    "absolute moment": (AT, 'at: "2027-01-10 10:00"'),
    "moment with days and hours": (AT, "at: T-5d12h"),
    "duration of several units": ("slack: 12h", "slack: 11h59m30s"),
    "no slack": ("    slack: 12h\n", '    slack: "0s"\n'),
    "empty optional key": ("serial: true", "serial: true\n        mystery:"),
    "channel to a file": (SCREEN, "kind: file\n      path: out/a.jsonl"),
    "webhook": (SCREEN, "kind: webhook\n      url: https://a.example/x\n      timeout: 1m\n      idempotent: true"),
    "webhook by names": (SCREEN, "kind: webhook\n      url_env: A_URL\n      secret_env: A_SECRET"),
    "source": ("facts:", "  sources: [{kind: slack, path: x, map: {general: east}, timezone: UTC}]\nfacts:"),
    "fact that is a moment": ("host: Ann Boil", 'host: Ann Boil\n  closes: {at: "D+1 20:00"}'),
    "fact with a Chinese name": ("host: Ann Boil", "host: Ann Boil\n  價錢: NT$100"),
    "vars of every type": (
        "topic: what the noise does",
        'topic: x\n        vars: {a: text, b: 7, c: 0.5, d: true, e: {at: "T"}}',
    ),
    "quiet hours": ("facts:", 'quiet_hours: {starts: "22:00", ends: "09:00"}\nfacts:'),
    "waiver": ("facts:", "waive: {reveal/twice: a test}\nfacts:"),
}
# Where the two differ, with the reason; and whether the schema takes it.
DIFFERENT = {
    "a group that nobody declared": ("to: [east]", "to: [est]", True),  # a schema follows no names
    "a fact that nobody declared": ("reveals: [host]", "reveals: [hots]", True),
    "the same step twice": ("id: roll-call", "id: welcome", True),
    "a day that the month lacks": (AT, 'at: "2027-02-30 10:00"', True),  # a pattern knows no calendar
    "a time that happens once": (AT, 'at: "D-6 10:00 first"', True),  # nor what clocks do in a zone
    "a time zone that nobody has": ("timezone: Asia/Taipei", "timezone: Asia/Nowhere", True),  # lists change by machine
    "a currency that nobody has": ("currency: TWD", "currency: QQQ", True),
    "more than everybody, in percent": (SHARE, "at_least: 110%", True),  # limits of numbers do not hold for text
    "a webhook that waits an hour": (SCREEN, "kind: webhook\n      url_env: A\n      timeout: 1h", True),
    "a whole number with a point": ("channel: screen}", "channel: screen, cap: 200.0}", True),  # 200.0 is 200 in JSON
    "a name with a full-width sign": ("host: Ann Boil", "host: Ann Boil\n  價！: x", True),  # see fields.py
    "an empty key beside its other": (  # `oneOf` looks at which keys are there
        "at_least: 30",
        "at_least: 30\n          at_most:",
        False,
    ),
    "true in quotes for a webhook": (  # pydantic's ways with options are broader than the schema's
        SCREEN,
        'kind: webhook\n      url_env: A\n      idempotent: "true"',
        False,
    ),
}
# What the schema is about; the rules of suspense, the fit and the order of time are beyond it.
WITHIN_REACH = {"file", "name", "moment", "gate", "waive"}


def refused_by_check(root: Path, text: str) -> list[str]:
    findings = new_project(root, text).check().errors
    return [str(each) for each in findings if each.rule.partition("/")[0] in WITHIN_REACH]


def changed(old: str, new: str) -> str:
    assert old in LAUNCH, old
    return LAUNCH.replace(old, new, 1)


@pytest.mark.parametrize("name", REFUSED)
def test_schema_and_check_refuse(tmp_path, name):
    text = changed(*REFUSED[name])
    assert problems(text)
    assert refused_by_check(tmp_path, text)


@pytest.mark.parametrize("name", TAKEN)
def test_schema_and_check_take(tmp_path, name):
    text = changed(*TAKEN[name])
    assert (problems(text), refused_by_check(tmp_path, text)) == ([], [])


@pytest.mark.parametrize("name", DIFFERENT)
def test_only_one_of_schema_and_check_refuses(tmp_path, name):
    old, new, taken = DIFFERENT[name]
    text = changed(old, new)
    assert (not problems(text), not refused_by_check(tmp_path, text)) == (taken, not taken)


def matches(schema: dict, text: str) -> bool:
    return Draft202012Validator(schema).is_valid(text)


def parses(adapter: TypeAdapter, text: str) -> bool:
    try:
        adapter.validate_python(text)
    except ValidationError:
        return False
    return True


LENGTHS = st.from_regex(r"([0-9]{1,8}[dhms]){0,4}", fullmatch=True) | st.text("0123456789dhms -+", max_size=8)
NAMES = st.text("aZ9_-./\\ 價！", max_size=6)
TYPES = {"duration": (Duration, LENGTHS), "stretch": (Stretch, LENGTHS), "template": (TemplateName, NAMES)}


@pytest.mark.parametrize("name", TYPES)
def test_a_pattern_takes_what_its_parser_takes(name):
    annotation, texts = TYPES[name]
    adapter = TypeAdapter(annotation)
    schema = adapter.json_schema()

    @given(texts)
    def agrees(text):
        assert matches(schema, text) == (parses(adapter, text) and bool(text))

    agrees()


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=4))
def test_the_pattern_of_a_word_is_exact_for_printable_ascii(text):
    adapter = TypeAdapter(Word)
    assert matches(adapter.json_schema(), text) == parses(adapter, text)


CLOCKS = st.from_regex(r"[0-9]{1,2}:[0-9]{2}(:[0-9]{2})?( first| second)?", fullmatch=True)
DAYS = st.from_regex(r"D([+-][0-9]{1,4})? |[12][0-9]{3}-[0-9]{2}-[0-9]{2}[ T]", fullmatch=True)
MOMENTS = (
    st.builds(str.__add__, DAYS, CLOCKS)
    | st.builds(str.__add__, st.sampled_from(["T", "T+", "T-", "t-"]), LENGTHS)
    | st.text("TD+-0129: dhms", max_size=12)
)
BEYOND_A_PATTERN = re.compile("is no date|happens only once|happens twice|does not exist")


def refusal_of_moment(text: str) -> str:
    try:
        instant(text, zone=ZoneInfo("UTC"), opens=datetime(2600, 1, 16, 4, tzinfo=UTC))  # every length fits before it
    except MomentError as error:
        return str(error)
    return ""


@given(MOMENTS)
def test_the_pattern_of_a_moment_refuses_what_is_none(text):
    refusal = refusal_of_moment(text)
    if not BEYOND_A_PATTERN.search(refusal):
        assert matches(AS_MOMENT, text) == (not refusal)


def test_every_link_of_the_reference_leads_somewhere():
    headings = re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)
    anchors = [re.sub("[^a-z0-9_ -]", "", heading.lower()).replace(" ", "-") for heading in headings]
    assert len(anchors) == len(set(anchors))
    assert set(re.findall(r"\]\(#([^)]*)\)", PAGE)) <= set(anchors)


@pytest.mark.parametrize("part", [part for part in SCHEMA["$defs"] if part != "MomentValue"])
def test_the_reference_has_every_key_of(part):
    section = PAGE.partition(f" {SCHEMA['$defs'][part]['title']}\n")[2]
    section = section.partition("\n#")[0]
    for key in SCHEMA["$defs"][part]["properties"]:
        assert f"\n| `{key}` | " in section
