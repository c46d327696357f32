"""Rules of what texts say: the order link, the welcome and its promises, the persona, times written by hand."""

import json

import pytest

from tests.launch_files import SERIAL, drumroll, new_project

WELCOME, VALUE = "en/recruit/welcome.md.j2", "en/nurture/value.md.j2"
LINK = "https://kettle.example/order"
USEFUL = '      - id: useful\n        at: "D-2 15:00"\n        kind: value\n        keeps: hint\n'
NURTURE_GATE = """\
    gate:
      thresholds:
        - metric: active_rate
          at_least: 10%
          segment: silent

  ignite:"""


@pytest.fixture
def project(tmp_path):
    return new_project(tmp_path)


@pytest.fixture
def promising(project):
    """A launch whose welcome makes a promise that a value post keeps."""
    project.change("phases:", "promises:\n  hint: One hint you can try tonight.\n\nphases:")
    project.change(NURTURE_GATE, USEFUL + NURTURE_GATE)
    project.template(WELCOME, SERIAL + "You get: {{ promises.hint }}")
    return project.template(VALUE, "{{ promise }} Did it work?")


def rules(project, family):
    return [(found.rule, found.line, found.what) for found in project.check().findings if found.rule.startswith(family)]


def test_the_sound_launches_that_these_tests_break_break_no_rule(project):
    assert project.check().findings == []


def test_a_promise_made_and_kept_breaks_no_rule(promising):
    assert promising.check().findings == []


# The order link


@pytest.mark.parametrize(
    "words",
    [
        LINK,
        "HTTPS://Kettle.Example/order/",
        f"Order here: {LINK}.",
        "http://kettle.example/order",
        f"「{LINK}」",
        f"({LINK})",
        f"_{LINK}_",
        f"{LINK}?src=welcome",
        f"{LINK}/?src=welcome",
        f"{LINK}#a",
        f"{LINK}/now",
        "https://www.kettle.example/order",
        "kettle.example/order",
        "去Kettle.example/order下單",
    ],
)
def test_the_order_link_is_found_before_the_trust_gate_however_it_is_written(project, words):
    project.template("en/nurture/prompt.md.j2", f"{words} And you?\n")
    ((rule, line, what),) = rules(project, "link/")
    assert (rule, line) == ("link/trust-gate", project.line("- id: nudge"))
    assert what.startswith("tells the order link (")
    assert what.endswith("before the trust gate, the one that ends nurture")


@pytest.mark.parametrize(
    "words",
    [
        "https://kettle.example/",
        "https://kettle.example/orders",
        "https://kettle.example/order-of-the-day",
        "https://kettle.example/order.pdf",
        "https://kettle.example/help/order",
        "https://other.example/order",
        "https://tea-kettle.example/order",
        "https://kettle.example.org/order",
        "order@kettle.example",
        "https://[x",
    ],
)
def test_another_address_is_not_the_order_link(project, words):
    project.template("en/nurture/prompt.md.j2", f"{words} And you?\n")
    assert rules(project, "link/") == []


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("https://kettle.example", 1),
        ("https://kettle.example/?src=a", 1),
        ("Kettle.example.", 1),
        ("https://kettle.example/story", 0),
        ("ann@kettle.example", 0),
        ("https://kettle.example.org", 0),
    ],
)
def test_an_order_link_that_is_a_bare_host_is_not_all_the_pages_of_its_site(project, words, found):
    project.change(LINK, "https://www.kettle.example/").template("en/nurture/prompt.md.j2", f"{words} And you?\n")
    assert len(rules(project, "link/")) == found


def test_an_order_link_told_by_the_step_of_kind_link_cannot_be_revealed_earlier(project):
    project.change("        reveals: [link]\n", "")
    project.change("reveals: [host]", "reveals: [host, link]")
    ((rule, line, what),) = rules(project, "link/")
    assert (rule, line) == ("link/trust-gate", project.line("- id: the-host"))
    assert what.startswith('reveals the order link ("link") before')


def test_another_fact_that_the_step_of_kind_link_tells_is_no_order_link(project):
    project.template("en/ignite/link.md.j2", "{{ facts.host }}: {{ facts.link }} " + SERIAL)
    assert rules(project, "link/") == []


def test_the_order_link_in_a_branch_that_is_not_taken_is_found(project):
    project.template("en/nurture/prompt.md.j2", "{% if now > opens %}{{ facts.link }}{% endif %}\nAnd you?")
    ((_, _, what),) = rules(project, "link/")
    assert what.startswith('tells the order link ("link", templates/en/nurture/prompt.md.j2:1) before')


def test_the_order_link_in_the_remedy_of_a_gate_is_found(project):
    project.change("after: 30m", f"after: 30m\n          vars: {{text: '{LINK}'}}")
    project.template("en/recruit/prompt.md.j2", "{{ vars.text if vars.text is defined else 'Here' }}?")
    assert [(rule, line) for rule, line, _ in rules(project, "link/")] == [
        ("link/trust-gate", project.line("- id: invite"))
    ]


def test_a_step_of_kind_link_before_the_trust_gate_is_found_whatever_it_says(project):
    project.change('at: "D-3 20:00"\n', 'at: "D-3 20:00"\n        kind: link\n        template: nurture/the-host\n')
    found = rules(project, "link/")
    assert ("link/trust-gate", project.line("- id: the-host")) in [(rule, line) for rule, line, _ in found]
    assert found[0][2] == "brings the order link before the trust gate, the one that ends nurture"


def test_a_link_that_is_no_address_is_found_by_its_words_and_a_short_one_by_its_name_alone(project):
    project.change(LINK, "the counter at the back").template("en/nurture/prompt.md.j2", "See the counter at the back?")
    assert len(rules(project, "link/")) == 1
    project.change("the counter at the back", "desk").template("en/nurture/prompt.md.j2", "On your desk?")
    assert rules(project, "link/") == []


def test_nurture_without_a_gate_is_no_trust_gate(project):
    project.change(NURTURE_GATE, "\n  ignite:")
    ((rule, line, what),) = rules(project, "link/")
    assert (rule, line) == ("link/trust-gate", project.line("  nurture:"))
    assert what == "has no gate, so nothing holds the order link back until people trust you"


def test_a_launch_without_nurture_has_no_trust_gate(project):
    text = project.text
    start, end = text.index("  nurture:"), text.index("  ignite:")
    project.write((text[:start] + text[end:]).replace("nurture: outer, ", ""))
    ((_, line, what),) = rules(project, "link/")
    assert line == project.line("- id: order")
    assert what == "brings the order link, and there is no trust gate: no phase nurture"


def test_a_launch_that_has_no_order_link_needs_no_trust_gate(project):
    project.change(NURTURE_GATE, "\n  ignite:").change("        kind: link\n        topic", "        topic")
    assert rules(project, "link/") == []


def test_a_welcome_brings_no_order_link_after_the_trust_gate_either(project):
    late = f'      - id: late\n        at: "D 13:00"\n        kind: welcome\n        template: late\n        vars: {{at: {LINK}}}\n'
    project.change("\nfit:", late + "\nfit:").template("en/late.md.j2", "Hello, {{ vars.at }}")
    ((rule, line, what),) = rules(project, "link/")
    assert (rule, line) == ("link/welcome", project.line("- id: late"))
    assert what == f"tells the order link ({LINK}) to newcomers as a greeting"


# The welcome and its promises


@pytest.mark.parametrize(
    ("old", "new", "line", "what"),
    [
        (
            "kind: welcome",
            "kind: announcement",
            "kind: announcement",
            "is the first message of the launch, and of kind",
        ),
        ("kind: welcome", "kind: welcome\n        to: [east]", "to: [east]", "leaves out group west"),
        (
            "kind: welcome",
            "kind: welcome\n        to: [east]\n        segment: silent",
            "segment: silent",
            "leaves out",
        ),
        ("        serial: true\n", "", "- id: welcome", "says nothing of what comes"),
    ],
)
def test_the_first_message_is_a_welcome_to_everyone_that_looks_ahead(project, old, new, line, what):
    project.change(old, new).template("en/recruit/announcement.md.j2", SERIAL)
    found = project.finding("welcome/first")
    assert found.severity == "warning"
    assert what in found.what
    assert found.line <= project.line(line)


def test_a_welcome_that_makes_a_promise_need_not_be_numbered(promising):
    promising.change("        serial: true\n", "")
    assert rules(promising, "welcome/") == []


def test_the_welcome_need_not_go_to_those_who_have_paid(project):
    project.change("{id: west, name: West,", "{id: west, kind: value, name: West,")
    project.change("kind: welcome", "kind: welcome\n        to: [east]")
    assert rules(project, "welcome/") == []


def test_a_launch_that_recruits_nobody_needs_no_welcome(project):
    text = project.text
    start, end = text.index("  recruit:"), text.index("  nurture:")
    project.write((text[:start] + text[end:]).replace("recruit: outer, ", ""))
    assert rules(project, "welcome/") == []


def test_a_value_post_that_keeps_no_promise_is_refused(promising):
    promising.change("        keeps: hint\n", "")
    found = promising.finding("promise/named")
    assert (found.severity, found.line) == ("error", promising.line("- id: useful"))
    assert found.remedy == "add `keeps:` with one of: hint"
    assert promising.finding("promise/unkept").line == promising.line("  hint: One")


def test_a_promise_that_the_welcome_does_not_make_cannot_be_kept(promising):
    promising.template(WELCOME, SERIAL)
    found = promising.finding("promise/told")
    assert (found.severity, found.line) == ("error", promising.line("keeps: hint"))
    assert found.what == 'keeps the promise "hint", which no welcome before it makes'


def test_a_promise_made_after_it_was_kept_was_not_made(promising):
    earlier = USEFUL.replace("D-2 15:00", "D-6 09:30")
    promising.change(USEFUL, "").change("      - id: roll-call", earlier + "      - id: roll-call")
    promising.template("en/recruit/value.md.j2", "{{ promise }} Did it work?")
    assert "promise/told" in [rule for rule, _, _ in rules(promising, "promise/")]


@pytest.mark.parametrize(
    "told", ["You get: one hint you can\ntry tonight", "ONE HINT YOU CAN TRY TONIGHT!", "one hint you can try tonight,"]
)
def test_a_promise_may_be_told_with_other_line_breaks_capitals_and_stops(promising, told):
    promising.template(WELCOME, SERIAL + told)
    assert rules(promising, "promise/") == []


def test_a_promise_that_nothing_keeps_is_warned_of(promising):
    promising.change("  hint: One", "  more: Something else.\n  hint: One")
    found = promising.finding("promise/unkept")
    assert (found.severity, found.line, found.path) == ("warning", promising.line("more:"), "promises.more")


# The persona


def persona(project, words):
    start = project.text.index("persona:")
    return project.write(project.text[:start] + words)


def test_a_launch_without_a_persona_is_warned(project):
    found = persona(project, "").finding("persona/declared")
    assert (found.severity, found.line) == ("warning", project.line("product:"))


def test_a_phase_in_which_nobody_knows_what_leads_is_warned_of(project):
    found = project.change("nurture: outer, ", "").finding("persona/declared")
    assert (found.path, found.what) == ("persona.leads", "does not say which pull leads in nurture")


def test_a_phase_whose_texts_do_not_carry_what_leads_is_warned_of(project):
    found = project.change("recruit: outer", "recruit: inner").finding("persona/lead")
    assert (found.severity, found.path) == ("warning", "persona.leads.recruit")
    assert found.what == "the inner pull is to lead in recruit, and none of its texts carries it; the outer one has 2"


@pytest.mark.parametrize(
    ("text", "carries"),
    [
        ("Nobody\nwakes up", True),
        ("It lets you SLEEP", True),
        ("Sleepers of the world", True),
        ("You oversleep", False),
        ("睡得著", False),
        ("今晚睡得好", True),
    ],
)
def test_a_text_carries_a_pull_by_its_sentence_or_by_a_word_that_begins_with_one_of_its_words(project, text, carries):
    persona(
        project,
        "persona:\n  voice: x\n  inner: [sleep, 睡得好]\n  leads: {recruit: inner, nurture: outer, ignite: outer}\n",
    )
    project.template("en/recruit/prompt.md.j2", f"{text}?")
    paths = [found.path for found in project.check().findings if found.rule == "persona/lead"]
    assert ("persona.leads.recruit" not in paths) is carries


def test_as_many_texts_of_the_other_pull_are_no_lack_and_one_more_is(project):
    persona(project, "persona:\n  voice: x\n  outer: [noise]\n  inner: [here]\n  leads: {recruit: inner}\n")
    project.template("en/recruit/prompt.md.j2", "Who is here, in this noise?")
    found = project.finding("persona/lead")
    assert found.what == "the inner pull is to lead in recruit, and 1 of its 3 texts carries it; the outer one has 3"
    project.template(WELCOME, SERIAL + " here").template("en/recruit/announcement.md.j2", SERIAL + " here")
    assert rules(project, "persona/lead") == []


# Times written by hand


@pytest.mark.parametrize(
    ("written", "remedy"),
    [
        ("until 12:00", "use {{ counts_to | clock }}"),
        ("until 12 pm", "use {{ counts_to | clock }}"),
        ("中午 12:00", "use {{ counts_to | clock }}"),
        ("at 11:00 PM", "use a var or a fact {at: …} with `| clock`"),
        ("at 11 p.m. sharp", "use a var or a fact {at: …} with `| clock`"),
        ("晚上 11 點", "use a var or a fact {at: …} with `| clock`"),
        ("晚上11:00", "use a var or a fact {at: …} with `| clock`"),
    ],
)
def test_a_time_of_the_plan_written_by_hand_is_found(project, written, remedy):
    project.change("kind: countdown", 'kind: countdown\n        counts_to: "T"')
    project.template("en/ignite/countdown.md.j2", f"{{{{ left }}}} left, {written}")
    found = project.finding("words/literal-time")
    assert (found.severity, found.line, found.remedy) == ("warning", project.line("- id: two-hours"), remedy)


@pytest.mark.parametrize(
    "written",
    [
        "{{ opens | clock }}",
        "{{ opens | when }}",
        "https://kettle.example/12:00",
        "from 9:15 to 17:45",
        "2:12:00 hours",
        "112:00",
        "三點建議, 12 點",
        "1:1 talks, 12 of them",
        "at 12",
        "12:005",
    ],
)
def test_what_comes_from_the_plan_or_is_no_time_of_it_is_left_alone(project, written):
    project.template("en/ignite/countdown.md.j2", written)
    assert rules(project, "words/") == []


def test_the_same_time_once_from_the_plan_and_once_by_hand_is_found(project):
    project.template("en/ignite/countdown.md.j2", "{{ opens | clock }}. I repeat, 12:00.")
    assert project.finding("words/literal-time").what.startswith(
        "templates/en/ignite/countdown.md.j2 says 12:00 by hand"
    )


@pytest.mark.parametrize(
    ("old", "new", "template", "where"),
    [
        ("topic: price and terms", "topic: all for tomorrow 12:00", None, "topic: all"),
        ("mystery: somebody you have met", "mystery: who calls at 12:00", None, "mystery:"),
        ("kind: countdown", "kind: countdown\n        vars: {end: 12:00 sharp}", "{{ vars.end }}", "vars:"),
        ("  host: Ann", "  late: not after 12:00\n  host: Ann", "{{ facts.late }}", "  late:"),
        ("result: nobody wakes up", "result: sleep until 12:00", "{{ product.result }}", "result:"),
    ],
)
def test_a_time_written_in_the_file_is_found_there_and_once(project, old, new, template, where):
    project.change(old, new)
    if template:
        project.template("en/ignite/countdown.md.j2", template)
    found = project.finding("words/literal-time")
    assert found.line == project.line(where)
    assert found.remedy == "leave it out and let the template say it, or make it a point in time {at: …}"


def test_a_time_is_one_of_the_plan_when_the_opening_moves_there(project):
    project.template("en/ignite/countdown.md.j2", "until 15:00")
    assert project.check().findings == []
    assert [found.rule for found in project.check("2027-01-16 15:00").findings] == ["words/literal-time"]


# Strictness


def test_warnings_refuse_only_those_who_are_strict(project):
    project.change("nurture: outer, ", "")
    assert drumroll("check", project.file).code == 0
    ran = drumroll("check", "--strict", project.file)
    assert (ran.code, ran.err) == (1, f"{project.file}: refused: 1 warning\n")
    document = json.loads(drumroll("check", "--strict", "--json", project.file).out)
    assert (document["ok"], document["files"][0]["ok"]) == (False, False)


def test_what_is_waived_refuses_not_even_those_who_are_strict(project):
    project.change("nurture: outer, ", "").change("phases:", "waive: {persona/declared: it is short}\n\nphases:")
    ran = drumroll("check", "--strict", project.file)
    assert ran.code == 0
    assert "(waived: it is short)" in ran.out
    assert "[persona/declared, waived]" in ran.out


def test_a_time_late_in_the_evening_written_by_hand_is_found(project):
    project.template("en/nurture/prompt.md.j2", "And you? Tonight at 23:00.")  # when the terms are due
    assert "says 23:00 by hand" in project.finding("words/literal-time").what
