"""What a text says of the plan's times and topics, points in time that move with the opening, and waivers."""

from datetime import UTC, datetime, timedelta

import pytest

from drumroll.launchfile.method import QuietHours
from drumroll.plan.compile import planned_remedy
from drumroll.words.render import Words
from tests.launch_files import SERIAL, new_project

WELCOME = "en/recruit/welcome.md.j2"
OPENING = datetime(2027, 1, 16, 4, tzinfo=UTC)


@pytest.fixture
def project(tmp_path):
    return new_project(tmp_path)


def said(project, step_id, **how):
    plan = project.plan()
    step = plan.step(step_id)
    return Words(plan).read(step, **{"now": step.due} | how).said


def test_a_text_notes_the_instants_it_names_and_how_it_put_them(project):
    project.template(WELCOME, SERIAL + "{{ opens | clock }} {{ opens | day }}")
    assert [(one.source, one.about, one.words) for one in said(project, "welcome")] == [
        ("teaser.when", datetime(2027, 1, 12, 11, tzinfo=UTC), "on Tue, Jan 12 at 19:00"),
        ("teaser.topic", None, "what the noise does"),
        ("time", OPENING, "12:00"),
        ("time", OPENING, "Sat, Jan 16"),
    ]


def test_time_left_is_said_only_where_it_is_printed(project):
    project.template("en/ignite/countdown.md.j2", "{% if left == 'nothing' %}{{ left }}{% endif %}Soon")
    assert said(project, "two-hours") == ()
    project.template("en/ignite/countdown.md.j2", "{{ 'only ' ~ left }}")
    assert [(one.source, one.about, one.words) for one in said(project, "two-hours")] == [("left", OPENING, "2 hours")]


def test_a_time_is_noted_as_exactly_as_it_was_put(project):
    project.template(WELCOME, "{{ opens | day }} {{ opens | clock }} {{ opens | when }}" + SERIAL)
    assert [one.form for one in said(project, "welcome") if one.source == "time"] == ["day", "clock", "when"]


def test_an_amount_a_fact_and_a_promise_are_noted_where_they_are_printed(project):
    project.change("persona:", "promises:\n  quiet: no noise\n  calm: no calls\n\npersona:")
    project.change("        reveals: [host]\n", "")
    project.template(
        WELCOME,
        "{% if facts.host is defined %}{{ facts.host }} {% endif %}{% if facts.host == promises.calm %}{% endif %}"
        "{{ product.price | money }} {{ promises.quiet }} " + SERIAL,
    )
    noted = {(one.source, one.name, one.words) for one in said(project, "welcome") if one.source[:6] != "teaser"}
    assert noted == {("fact", "host", "Ann Boil"), ("money", "", "NT$3,980"), ("promise", "quiet", "no noise")}


def test_a_promise_that_a_step_keeps_is_noted_where_it_is_printed(project):
    project.change("persona:", "promises:\n  quiet: no noise\n\npersona:")
    project.change('at: "D-5 19:00"\n', 'at: "D-5 19:00"\n        keeps: quiet\n')
    project.template(WELCOME, "{{ promises.quiet }} " + SERIAL)
    project.template("en/recruit/prompt.md.j2", "{% if promise %}As promised, {{ promise }}. {% endif %}Who is here?")
    assert [one.name for one in said(project, "roll-call")] == ["quiet"]
    project.template("en/recruit/prompt.md.j2", "Who is here?")
    assert said(project, "roll-call") == ()


def test_what_a_branch_not_taken_would_say_is_not_said(project):
    project.template(WELCOME, SERIAL + "{% if step.number > 1 %}{{ opens | when }}{% endif %}")
    assert [one.source for one in said(project, "welcome")] == ["teaser.when", "teaser.topic"]


def test_a_macro_of_another_file_says_what_it_says(project):
    project.template(
        "en/library/hooks.md.j2", "{% macro hook(teaser) %}{{ teaser.when }}: {{ teaser.topic }}{% endmacro %}"
    )
    project.template(
        WELCOME, "{% from 'en/library/hooks.md.j2' import hook %}{{ step.label }} {{ hook(teaser) }} {{ opens | when }}"
    )
    assert [one.source for one in said(project, "welcome")] == ["teaser.when", "teaser.topic", "time"]


def test_the_longest_form_of_a_text_holds_whenever_it_is_read(project):
    plan = project.plan()
    words, steps = Words(plan), plan.steps
    for step in steps:
        worst = len(words.read(step, now=step.due, worst=True).text.encode())
        late = [step.due + timedelta(minutes=minutes) for minutes in (-4000, -1500, -61, 0, 1, 30, 61)]
        assert worst >= max(len(words.text(step, now=now).encode()) for now in late)


def test_a_fact_that_is_a_point_in_time_moves_with_the_opening(project):
    project.change("  host: Ann Boil\n", '  host: Ann Boil\n  closes: {at: "D+1 20:00"}\n')
    project.template("en/ignite/countdown.md.j2", "Until {{ facts.closes | when }}\n")
    assert project.check().texts["two-hours"] == "Until tomorrow at 20:00"
    moved = project.check(opens="2027-01-18 12:00")
    assert moved.accepted().moments["closes"] == datetime(2027, 1, 19, 12, tzinfo=UTC)
    assert moved.texts["two-hours"] == "Until tomorrow at 20:00"


def test_a_var_that_is_a_point_in_time_needs_a_filter(project):
    project.change("kind: countdown", 'kind: countdown\n        vars: {until: {at: "T+8h"}}')
    project.template("en/ignite/countdown.md.j2", "{{ vars.until | clock }}\n")
    assert project.check().texts["two-hours"] == "20:00"
    project.template("en/ignite/countdown.md.j2", "{{ vars.until }}\n")
    assert "prints a point in time" in project.finding("template/render").what


def test_a_remedy_says_its_points_in_time_as_well(project):
    project.change("after: 30m", 'after: 30m\n          vars: {until: {at: "D-3 09:00"}}')
    plan = project.plan()
    remedy = plan.launch.phases["recruit"].gate.remedy[0]
    planned = planned_remedy(plan, "recruit", remedy, verdict_at=plan.phase("recruit").gate_at)
    assert planned.moments == {"until": datetime(2027, 1, 13, 1, tzinfo=UTC)}


@pytest.mark.parametrize(
    ("old", "new", "line", "what"),
    [
        ("  host: Ann Boil", '  host: {at: "tomorrow"}', 35, '"tomorrow" is not a moment'),
        ("kind: countdown", 'kind: countdown\n        vars: {until: {at: "D 25:00"}}', 96, '"D 25:00"'),
        ("after: 30m", 'after: 30m\n          vars: {until: {at: "noon"}}', 63, '"noon" is not a moment'),
    ],
)
def test_a_wrong_point_in_time_is_found_where_it_stands(project, old, new, line, what):
    found = project.change(old, new).finding("moment")
    assert (found.line, found.what.startswith(what)) == (line, True), found


def test_a_fact_in_a_branch_that_is_not_taken_is_told_too_early_all_the_same(project):
    project.template(WELCOME, SERIAL + "{% if step.number > 1 %}\n{{ facts.link }}{% endif %}")
    found = project.finding("reveal/early")
    assert found.what == f'templates/{WELCOME}:3: tells the fact "link" before its time'


def test_a_template_may_ask_whether_a_fact_is_known(project):
    project.template(WELCOME, SERIAL + "{% if facts.link is defined %}{{ facts.link }}{% endif %}")
    assert not project.check().errors


def test_a_fact_told_early_by_an_included_file_is_found(project):
    project.template("en/library/end.md.j2", "\n{{ facts['link'] }}")
    project.template(WELCOME, SERIAL + "{% include 'en/library/end.md.j2' %}")
    assert project.finding("reveal/early").what.startswith("templates/en/library/end.md.j2:2:")


def test_a_waived_rule_leaves_its_finding_on_record_and_refuses_nothing(project):
    project.template(WELCOME, SERIAL + "{{ facts.link }}")
    project.change("phases:", "waive:\n  reveal/early: everybody here has the link already\n\nphases:")
    assert "https://kettle.example/order" in project.check().texts["welcome"]
    found = project.finding("reveal/early")
    assert found.severity == "waived"
    assert found.what.endswith("(waived: everybody here has the link already)")


def test_a_waiver_that_nothing_needs_is_a_warning(project):
    project.change("phases:", "waive:\n  reveal/early: just in case\n\nphases:")
    assert (project.finding("waive/unused").severity, project.finding("waive/unused").line) == ("warning", 39)


def test_what_is_no_rule_cannot_be_waived(project):
    project.change("phases:", "waive:\n  reveal/erly: a reason\n\nphases:")
    assert project.finding("waive/unknown").remedy == 'did you mean "reveal/early"?'


def test_a_price_needs_a_currency(project):
    project.change("  currency: TWD\n", "")
    assert "price and currency belong together" in project.finding("file/value").what


def test_a_launch_that_sells_nothing_has_no_price_to_tell(project):
    project.change("  price: 3980\n  currency: TWD\n", "")
    assert "no amount to tell" in project.finding("template/render").what


@pytest.mark.parametrize(
    ("starts", "ends", "minute", "quiet"),
    [
        ("23:30", "08:00", 23 * 60 + 30, True),
        ("23:30", "08:00", 23 * 60 + 29, False),
        ("23:30", "08:00", 0, True),
        ("23:30", "08:00", 8 * 60, False),
        ("01:00", "06:00", 3 * 60, True),
        ("01:00", "06:00", 23 * 60, False),
        ("08:00", "08:00", 8 * 60, False),
    ],
)
def test_quiet_hours_hold_their_first_minute_and_not_their_last(starts, ends, minute, quiet):
    assert QuietHours(starts=starts, ends=ends).holds(minute) is quiet
