"""From a launch file to a plan that may run: the texts, the secrets, and whatever people may throw at it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drumroll.channels.registry import KINDS
from drumroll.check import Checked
from drumroll.errors import LaunchRefusedError, UsageError
from tests.launch_files import LAUNCH, LOUDSPEAKER, SERIAL, drumroll, new_project

WELCOME = "en/recruit/welcome.md.j2"
STEP = "phases.recruit.steps[0]"


@pytest.fixture
def project(tmp_path):
    return new_project(tmp_path)


def said(project):
    """Exit code and findings of `drumroll check`, without the file's name."""
    ran = drumroll("check", project.file)
    place = f"{project.file}:"
    lines = [line.removeprefix(place) for line in ran.out.splitlines() if line.startswith(place)]
    return ran.code, [line for line in lines if not line.startswith(" ok:")]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (
            "{{ step.label }",
            "templates/{w}:1: template syntax: unexpected '}}'; correct the template [template/syntax]",
        ),
        (
            "{% loop %}",
            "templates/{w}:1: template syntax: Encountered unknown tag 'loop'; correct the template [template/syntax]",
        ),
        (
            "{{ product.price | mony }}",
            "templates/{w}:1: template syntax: No filter named 'mony'; did you mean \"money\"? [template/render]",
        ),
        (
            "{{ ''.__class__ }}",
            "templates/{w}:1: access to attribute '__class__' of 'str' object is unsafe; templates may not reach into Python [template/render]",
        ),
        (
            "a\n{{ x }}",
            "templates/{w}:2: 'x' is undefined; add it to the step's vars or to facts, or correct the name [template/render]",
        ),
        (
            "{{ facts.host }}",
            'templates/{w}:1: tells the fact "host" before its time; step "the-host" is the one that reveals it [reveal/early]',
        ),
        (
            "{{ 'a' * 10**8 }}",
            "templates/{w}:1: the operator ** is not allowed here; give the finished words in `vars` [template/render]",
        ),
        (
            "{% for a in range(9999) %}{{ opens | day }}{% endfor %}",
            "templates/{w}: renders more than 20,000 characters; shorten it [template/render]",
        ),
        ("{# words #}\n\n", "templates/{w} says nothing; write the text [template/empty]"),
        (
            "{% include 'en/none.md.j2' %}",
            'unknown template "en/none.md.j2", which templates/{w} includes; create it, or correct the name there [name/template]',
        ),
        (
            "{% extends '../../../etc/passwd' %}",
            'unknown template "../../../etc/passwd", which templates/{w} includes; create it, or correct the name there [name/template]',
        ),
        ("{% include step.kind %}", "templates/{w} includes a computed name; write the name out [template/dynamic]"),
        (
            "Hi. {{ teaser.when }}: {{ teaser.topic }}",
            "templates/{w} does not say its number No. 01; begin it with {{{{ step.label }}}} [serial/label]",
        ),
        (
            "{{ step.label }} {{ teaser.topic }}",
            "templates/{w} does not tease the time of No. 02 (on Tue, Jan 12 at 19:00); use {{{{ teaser.when }}}} in it [teaser/missing]",
        ),
        (
            "{{ step.label }} {{ teaser.when }}",
            "templates/{w} does not tease the topic of No. 02 (what the noise does); use {{{{ teaser.topic }}}} in it [teaser/missing]",
        ),
    ],
)
def test_a_bad_text_is_found_at_the_step_that_says_it(project, source, expected):
    project.template(WELCOME, source)
    assert said(project) == (1, [f"45: {STEP}: {expected.format(w=WELCOME)}"])


@pytest.mark.parametrize(
    "source", ["{{ " + "(" * 2000 + "1" + ")" * 2000 + " }}", "{% if 1 %}" * 3000, "{{ " + "9" * 5000 + " }}"]
)
def test_a_template_too_much_for_the_parser_is_a_finding(project, source):
    project.template(WELCOME, source)
    assert project.finding("template/syntax").what.startswith(f"templates/{WELCOME}: template syntax: ")


def test_a_template_that_includes_itself_is_a_finding(project):
    project.template(WELCOME, f"{{% include '{WELCOME}' %}}")
    assert project.finding("template/render").what == f"templates/{WELCOME}: nested too deeply"


def test_a_template_that_is_not_utf_8_is_a_finding(project):
    project.template(WELCOME, "Grüße".encode("latin-1"))
    found = project.finding("template/unreadable")
    assert found.what.startswith(
        f"templates/{WELCOME} cannot be read: 'utf-8' codec can't decode byte 0xfc in position 2"
    )


def test_an_include_with_a_name_that_is_no_name_is_a_finding(project):
    project.template(WELCOME, "{% include '\\x00' %}")
    assert project.finding("name/template").what == f'unknown template "\x00", which templates/{WELCOME} includes'


def test_a_link_out_of_the_templates_is_not_followed(project, tmp_path):
    (tmp_path / "secret").write_text("hush")
    (tmp_path / "templates" / "en" / "way-out.md.j2").symlink_to(tmp_path / "secret")
    project.change("kind: welcome", "kind: welcome\n        template: way-out")
    assert project.finding("name/template").what == 'unknown template "way-out"'


def test_a_step_without_any_template_is_told_where_to_put_one(project):
    project.change("kind: prompt\n      - id: the-noise", "kind: thanks\n      - id: the-noise")
    found = project.finding("name/template")
    assert (found.line, found.path) == (49, "phases.recruit.steps[1]")
    assert str(found).endswith(
        'unknown template "recruit/roll-call"; create one of: templates/en/kettle/recruit/roll-call.md.j2, '
        "templates/en/recruit/roll-call.md.j2, templates/en/recruit/thanks.md.j2"
    )


def test_a_step_whose_template_is_misspelt_is_told_the_near_one(project):
    project.change("id: the-host", "id: teh-host").template("en/nurture/the-host.md.j2", SERIAL)
    assert project.finding("name/template").remedy == 'did you mean "the-host"?'


def test_a_byte_order_mark_and_foreign_line_ends_in_a_template_change_nothing(project):
    before = project.plan().hash
    project.template(WELCOME, b"\xef\xbb\xbf" + SERIAL.replace("\n", "\r\n").encode())
    assert project.plan().hash == before


def test_every_text_must_fit_every_channel_it_goes_to_in_bytes(project):
    project.change("lead: 30m", "max_bytes: 100").template("en/recruit/prompt.md.j2", "公" * 34)
    assert said(project) == (
        1,
        [
            f"{line}: {path}: 102 bytes at worst are more than channel by_hand takes (100); shorten templates/en/recruit/prompt.md.j2 [words/too-long]"
            for line, path in [(49, "phases.recruit.steps[1]"), (61, "phases.recruit.gate.remedy[0]")]
        ],
    )
    project.template("en/recruit/prompt.md.j2", "公" * 33)
    assert said(project) == (0, [])


def test_a_text_need_not_fit_a_channel_that_it_does_not_go_to(project):
    project.change("lead: 30m", "max_bytes: 100").template("en/nurture/prompt.md.j2", "x" * 101)
    assert said(project) == (0, [])


def test_single_members_cannot_be_reached_over_a_channel_for_groups_alone(project, monkeypatch):
    monkeypatch.setitem(KINDS, "loudspeaker", LOUDSPEAKER)
    project.change("channel: screen}", "channel: loud}").change(
        "    screen:\n      kind: console", "    loud:\n      kind: loudspeaker"
    )
    found = project.finding("step/direct")
    assert (found.line, found.path) == (74, "phases.nurture.steps[1]")
    assert str(found).endswith(
        "goes to single members, but channel loud of group east only reaches whole groups; limit it with `to:`, or drop `segment:`"
    )


def test_a_reveal_that_tells_nothing_is_warned_of(project):
    project.template("en/nurture/the-host.md.j2", SERIAL)
    assert said(project) == (
        0,
        [
            '73: phases.nurture.steps[0].reveals[0]: templates/en/nurture/the-host.md.j2 does not tell the fact "host" that it reveals; use {{ facts.host }} in it, or reveal it in another step [reveal/untold, warning]'
        ],
    )


@pytest.mark.parametrize(
    ("fact", "shown"),
    [("{{ product.price }}", "{{ product.price }}"), ("{% if x %}", "{% if x %}"), ("see {{ x", "{{")],
)
def test_braces_that_members_would_read_are_warned_of(project, fact, shown):
    project.change("host: Ann Boil", f"host: '{fact}'")
    assert said(project) == (
        0,
        [
            f'69: phases.nurture.steps[0]: members would read "{shown}"; vars and facts are not rendered again; write the words out, or use the name in the template [template/braces, warning]'
        ],
    )


def test_texts_are_those_of_the_planned_instants(project):
    texts = project.check().texts
    assert texts["two-hours"] == "2 hours left"
    assert texts["the-host"] == "Ann Boil here. No. 03 · who made it. Next, on Fri, Jan 15 at 23:00: price and terms"
    assert texts["recruit.remedy.invite"] == "Who is here?"


def test_an_opening_that_has_passed_is_warned_of_only_when_asked(project, monkeypatch):
    from drumroll.check import check_file

    opens = project.plan().opens
    assert [f.rule for f in check_file(project.file, now=opens).findings] == ["launch/past"]
    assert check_file(project.file, now=opens - timedelta(seconds=1)).findings == []
    assert check_file(project.file).findings == []
    assert check_file(project.file, opens="2099-01-16 12:00", now=datetime(2098, 1, 1, tzinfo=UTC)).findings == []


@pytest.mark.parametrize(
    ("opens", "message"),
    [
        ("tomorrow", '--opens: "tomorrow" is not an absolute local time; write it like "2026-12-11 23:00"'),
        ("T-2h", '--opens: "T-2h" is not an absolute local time; write it like "2026-12-11 23:00"'),
        ("", '--opens: "" is not an absolute local time; write it like "2026-12-11 23:00"'),
        ("2027-02-30 12:00", '--opens: "2027-02-30 12:00" is no date: day is out of range for month'),
    ],
)
def test_another_opening_that_is_no_moment_is_a_usage_error(project, opens, message):
    with pytest.raises(UsageError) as raised:
        project.check(opens)
    assert str(raised.value) == message


def test_a_refused_launch_has_no_plan_and_raises_every_finding(project):
    checked = project.change("metric: members", "metric: membrs").change("kind: welcome", "kind: welcom").check()
    assert checked.plan is None
    with pytest.raises(LaunchRefusedError, match='unknown value "welcom"; did you mean "welcome"'):
        checked.accepted()


def test_a_refusal_says_which_of_its_findings_are_only_warnings(project):
    whole = project.change("metric: members", "metric: membrs").check()
    odd = replace(whole.findings[0], severity="warning", what="looks odd")
    said = str(LaunchRefusedError([odd, *whole.findings])).splitlines()
    assert "membrs" in said[0]
    assert "looks odd" in said[-2]
    assert said[-2].endswith("[warning]")
    assert not any(line.endswith("[warning]") for line in said[:-2])


def test_a_launch_file_outside_a_project_is_a_usage_error(tmp_path):
    (tmp_path / "kettle.yaml").write_text(LAUNCH, encoding="utf-8")
    ran = drumroll("check", tmp_path / "kettle.yaml")
    assert ran.code == 2
    assert ran.err == (
        f"error: {tmp_path}: no project directory: no folder from here upwards holds templates/; "
        "run the command inside a Drumroll project, or keep launch files in its configs/\n"
    )


CANARY = "whsec_Q0FOQVJZQ0FOQVJZ"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("kind: console", f"kind: {CANARY}"),
        ("kind: console", f"kind: [{CANARY}]"),
        ("kind: console", f"kind: console\n      secret: {CANARY}"),
        ("kind: console", f"{CANARY}"),
        ("screen:\n      kind: console", f"screen: {CANARY}"),
        ("screen:\n      kind: console", f"screen: [{CANARY}]"),
        ("lead: 30m", f"lead: {CANARY}"),
        ("lead: 30m", f"lead: '{CANARY}'"),
        ("lead: 30m", f"max_bytes: {CANARY}"),
        ("lead: 30m", f"to: [{CANARY}]"),
        ("lead: 30m", f"lead: !{CANARY} x"),
        ("lead: 30m", f"lead: *{CANARY}"),
        ("lead: 30m", f"lead: &{CANARY} x"),
        ("lead: 30m", f"lead: '{CANARY}"),
        ("lead: 30m", f"lead: {CANARY}: x"),
        ("lead: 30m", f'lead: "{CANARY}\\q"'),
        ("lead: 30m", f'lead: "{CANARY}\\0"'),
        ("kind: console", f"kind: webhook\n      url: {CANARY}"),
        ("kind: console", f"kind: webhook\n      url: https://ann:{CANARY}@kettle.example"),
        ("kind: console", f"kind: webhook\n      url_env: {CANARY}"),
        ("kind: console", f"kind: webhook\n      url_env: A\n      secret_env: {CANARY}"),
        ("kind: console", f"kind: webhook\n      url_env: A\n      timeout: {CANARY}"),
        ("kind: console", f"kind: webhook\n      url_env: A\n      idempotent: {CANARY}"),
        ("kind: console", f"kind: webhook\n      url_env: A\n      concurrency: {CANARY}"),
        ("kind: console", f"kind: webhook\n      url: https://kettle.example\n      url_env: {CANARY}"),
        ("kind: console", f"kind: file\n      path: [{CANARY}]"),
    ],
)
def test_what_stands_where_a_secret_might_is_never_quoted(project, old, new):
    project.change(old, new)
    for arguments in (["check", project.file], ["check", "--json", project.file], ["plan", project.file]):
        ran = drumroll(*arguments)
        assert ran.code == 1
        assert "Q0FOQVJZ" not in ran.out + ran.err
    assert "Q0FOQVJZ" not in repr(project.check())


@pytest.mark.parametrize("digits", ["0987654321987", "12:34:56", "1" * 30, "1e999"])
def test_a_secret_of_digits_is_not_quoted_either(project, digits):
    project.change("lead: 30m", f"lead: {digits}")
    ran = drumroll("check", project.file)
    assert ran.code == 1
    assert digits not in ran.out + ran.err


def test_a_wrong_channel_option_is_still_told_with_place_and_remedy(project):
    project.change("lead: 30m", "lead: soon")
    assert said(project) == (
        1,
        [
            '26: community.channels.by_hand.lead: this value is not a duration; write days, hours, minutes, seconds like "1d12h", "90m" or "30s" [file/value]'
        ],
    )


LINES = LAUNCH.splitlines()
BITS = [
    *"\"'{}[]:,-#&*!|>%@`~?\\ \n\t09aZ【é\x00\r\ufeff",
    "true",
    "null",
    "1e9",
    "99999999999999999999",
    "T-",
    "D+",
    "{{ x }}",
]
NUMBERS = st.integers(0, 10_000)
MUTATIONS = st.lists(
    st.tuples(
        st.sampled_from(["drop", "repeat", "insert", "delete", "swap", "redigit", "indent"]),
        NUMBERS,
        NUMBERS,
        st.sampled_from(BITS),
    ),
    min_size=1,
    max_size=4,
)


def mutated(text: str, mutation: str, first: int, second: int, bit: str) -> str:
    """`text` with one slip of a hand or an editor."""
    lines = text.split("\n")
    here, there = first % len(lines), second % len(lines)
    if mutation == "drop":
        del lines[here]
    elif mutation == "repeat":
        lines.insert(there, lines[here])
    elif mutation == "swap":
        lines[here], lines[there] = lines[there], lines[here]
    elif mutation == "redigit":
        lines[here] = "".join(str(second % 10) if letter.isdigit() else letter for letter in lines[here])
    elif mutation == "indent":
        lines[here] = " " * (second % 9) + lines[here].strip()
    else:
        at = first % (len(text) + 1)
        return text[:at] + (bit if mutation == "insert" else "") + text[at + (mutation == "delete") :]
    return "\n".join(lines)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(MUTATIONS)
def test_no_slip_of_the_hand_in_a_launch_file_ends_in_a_traceback(project, mutations):
    text = LAUNCH
    for mutation in mutations:
        text = mutated(text, *mutation)
    assert_checked(project.write(text))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(MUTATIONS)
def test_no_slip_of_the_hand_in_a_template_ends_in_a_traceback(project, mutations):
    source = (
        "{{ step.label }} {{ step.topic or 'Welcome' | upper }}\n{% for n in range(3) %}{{ n * 2 }} {{ opens | when }}{% endfor %}\n"
        "{% include 'en/recruit/prompt.md.j2' %}{% if teaser %}{{ teaser.when }} {{ teaser.topic }}{% endif %}{{ product.price | money }}"
    )
    for mutation in mutations:
        source = mutated(source, *mutation)
    assert_checked(project.template(WELCOME, source))


def assert_checked(project):
    checked = project.check()
    assert isinstance(checked, Checked)
    assert (checked.plan is None) == bool(checked.errors)
    assert all(finding.line >= 1 and finding.what for finding in checked.findings)
