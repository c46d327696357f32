"""The words: how instants, amounts and numbers are said, and what a template may and may not do."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from drumroll.words.phrases import LOCALES, clock, day, label, left, money, short_label, when
from drumroll.words.render import Words, WordsError
from tests.launch_files import SERIAL, new_project

TAIPEI = ZoneInfo("Asia/Taipei")
ZH, EN = LOCALES["zh-Hant"], LOCALES["en"]
NOW = datetime(2026, 12, 7, 14, 0, tzinfo=TAIPEI)  # a Monday
WELCOME = "en/recruit/welcome.md.j2"


@pytest.fixture
def project(tmp_path):
    return new_project(tmp_path)


def local(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=TAIPEI)


@pytest.mark.parametrize(
    ("at", "zh", "en"),
    [
        ("2026-12-07 15:00", "今天 15:00", "today at 15:00"),
        ("2026-12-07 17:59", "今天 17:59", "today at 17:59"),
        ("2026-12-07 18:00", "今晚 18:00", "tonight at 18:00"),
        ("2026-12-07 23:00", "今晚 23:00", "tonight at 23:00"),
        ("2026-12-08 00:00", "明天 00:00", "tomorrow at 00:00"),
        ("2026-12-08 10:00", "明天 10:00", "tomorrow at 10:00"),
        ("2026-12-08 23:00", "明晚 23:00", "tomorrow at 23:00"),
        ("2026-12-09 10:00", "後天 10:00", "on Wed, Dec 9 at 10:00"),
        ("2026-12-09 20:00", "後天晚上 20:00", "on Wed, Dec 9 at 20:00"),
        ("2026-12-10 20:00", "12月10日（週四）20:00", "on Thu, Dec 10 at 20:00"),
        ("2027-01-01 12:00", "1月1日（週五）12:00", "on Fri, Jan 1 at 12:00"),
        ("2026-12-06 20:00", "12月6日（週日）20:00", "on Sun, Dec 6 at 20:00"),
    ],
)
def test_instants_are_said_as_people_say_them(at, zh, en):
    assert (when(ZH, local(at), now=NOW), when(EN, local(at), now=NOW)) == (zh, en)


def test_tomorrow_begins_at_midnight_however_near():
    at = local("2026-12-08 00:01")
    assert when(ZH, at, now=local("2026-12-07 23:59")) == "明天 00:01"
    assert when(ZH, at, now=local("2026-12-08 00:00")) == "今天 00:01"


def test_days_and_clocks_are_short():
    at = local("2026-12-09 08:05")
    assert (day(ZH, at), day(EN, at), clock(at)) == ("12月9日（週三）", "Wed, Dec 9", "08:05")


@pytest.mark.parametrize(
    ("span", "zh", "en"),
    [
        (timedelta(hours=2), "2 小時", "2 hours"),
        (timedelta(hours=2) - timedelta(milliseconds=30), "2 小時", "2 hours"),
        (timedelta(hours=2) + timedelta(seconds=29), "2 小時", "2 hours"),
        (timedelta(hours=1, minutes=57), "1 小時 57 分鐘", "1 hour 57 minutes"),
        (timedelta(hours=1), "1 小時", "1 hour"),
        (timedelta(minutes=30), "30 分鐘", "30 minutes"),
        (timedelta(minutes=1), "1 分鐘", "1 minute"),
        (timedelta(seconds=1), "1 分鐘", "1 minute"),
        (timedelta(0), "0 分鐘", "0 minutes"),
        (timedelta(minutes=-5), "0 分鐘", "0 minutes"),
        (timedelta(hours=24), "24 小時", "24 hours"),
        (timedelta(hours=36), "36 小時", "36 hours"),
        (timedelta(hours=47, minutes=30), "47 小時 30 分鐘", "47 hours 30 minutes"),
        (timedelta(days=2), "2 天", "2 days"),
        (timedelta(days=3, hours=4, minutes=50), "3 天 4 小時", "3 days 4 hours"),
    ],
)
def test_time_left_is_said_to_the_minute_or_the_hour(span, zh, en):
    assert (left(ZH, span), left(EN, span)) == (zh, en)


@pytest.mark.parametrize(
    ("amount", "currency", "zh", "en"),
    [
        (Decimal(3980), "TWD", "NT$3,980", "NT$3,980"),
        (Decimal("3980.00"), "TWD", "NT$3,980", "NT$3,980"),
        (Decimal(1999), "CNY", "CN¥1,999", "CN¥1,999"),
        (Decimal(490), "USD", "US$490", "$490"),
        (Decimal("1234567.5"), "USD", "US$1,234,567.50", "$1,234,567.50"),
        (0.1, "USD", "US$0.10", "$0.10"),
        (5, "USD", "US$5", "$5"),
    ],
)
def test_money_has_an_unambiguous_sign_and_no_needless_cents(amount, currency, zh, en):
    assert (money(ZH, amount, currency), money(EN, amount, currency)) == (zh, en)


def test_numbers_are_labelled_with_two_digits_and_more_when_needed():
    assert [label(ZH, number) for number in (1, 30, 100)] == ["【公告01】", "【公告30】", "【公告100】"]
    assert [label(EN, number) for number in (1, 30, None)] == ["No. 01 ·", "No. 30 ·", ""]


def test_a_number_in_a_sentence_has_no_separator():
    assert [short_label(EN, number) for number in (1, 100, None)] == ["No. 01", "No. 100", ""]
    assert [short_label(ZH, number) for number in (1, 100, None)] == ["【公告01】", "【公告100】", ""]


def said(project, source: str, step: str = "welcome", name: str = WELCOME, **late: float) -> str:
    """The text of `source` as the template of `step`, whether `check` likes it or not."""
    plan = project.plan()
    plan = plan.model_copy(update={"templates": {**plan.templates, name: source}})
    planned = plan.step(step)
    return Words(plan).text(planned, now=planned.due + timedelta(**late))


def test_a_step_sees_what_the_contract_promises(project):
    source = (
        "{{ launch.title }}|{{ launch.name }}|{{ product.name }}|{{ product.promise }}|{{ product.result }}|"
        "{{ product.price | money }}|{{ team.name }}|{{ step.label }}|{{ step.number }}|"
        "{% if step.topic is none %}no topic{% endif %}|{{ step.kind }}|"
    )
    assert said(project, source) == (
        "The quiet kettle|kettle|the quiet kettle|it boils without a sound|nobody wakes up|"
        "NT$3,980|the kettle people|No. 01 ·|1|no topic|welcome|"
    )


def test_a_step_sees_the_launchs_instants_in_local_time(project):
    source = "{{ opens | day }} {{ opens | clock }}|{{ counts_to | when }}|{{ now | clock }}|{{ left }}"
    assert (
        said(project, source, "two-hours", "en/ignite/countdown.md.j2")
        == "Sat, Jan 16 12:00|today at 12:00|10:00|2 hours"
    )


def test_what_depends_on_the_clock_is_worked_out_when_it_is_sent(project):
    source = "{{ left }}|{{ now | clock }}|{{ opens | when }}"
    assert (
        said(project, source, "two-hours", "en/ignite/countdown.md.j2", minutes=3)
        == "1 hour 57 minutes|10:03|today at 12:00"
    )


def test_a_teaser_says_when_what_and_which(project):
    assert said(project, "{{ teaser.when }}|{{ teaser.topic }}|{{ teaser.label }}") == (
        "on Tue, Jan 12 at 19:00|what the noise does|No. 02"
    )


def test_a_declared_mystery_is_teased_in_place_of_the_topic(project):
    source = "{{ teaser.topic }}"
    assert said(project, source, "the-noise", "en/recruit/announcement.md.j2") == "somebody you have met"


@pytest.mark.parametrize(
    ("step", "name"), [("order", "en/ignite/link.md.j2"), ("roll-call", "en/recruit/prompt.md.j2")]
)
def test_the_last_and_the_unnumbered_have_no_teaser(project, step, name):
    assert said(project, "{% if teaser is none %}none{% endif %}{{ step.label }}", step, name).startswith("none")


def test_a_late_teaser_still_names_the_right_day(project):
    assert said(project, "{{ teaser.when }}", days=1) == "tomorrow at 19:00"


def test_rendering_is_deterministic(project):
    plan = project.plan()
    texts = [{step.id: words.text(step, now=step.due) for step in plan.steps} for words in (Words(plan), Words(plan))]
    assert texts[0] == texts[1] == {step.id: project.check().texts[step.id] for step in plan.steps}


def test_blocks_leave_no_blank_lines_and_ends_are_trimmed(project):
    assert said(project, "\n\n  {% if true %}\na   \n  {% endif %}\nb\t\n\n\n") == "a\nb"


@pytest.mark.parametrize("value", ["{{ product.price }}", "{% raw %}", "{# x #}", "{{", "<b>&amp;</b>", "%s {0}"])
def test_words_of_the_file_are_data_and_never_templates(project, value):
    project.change("serial: true", f"serial: true\n        vars: {{text: '{value}'}}").change("Ann Boil", f"'{value}'")
    project.template(WELCOME, "{{ vars.text }} " + SERIAL)
    assert project.check().texts["welcome"].startswith(f"{value} No. 01")
    assert project.check().texts["the-host"].startswith(f"{value} here.")


@pytest.mark.parametrize("name", ["items", "keys", "values", "get", "pop", "copy", "update", "_values"])
def test_a_var_may_be_called_like_anything(project, name):
    project.change("serial: true", f"serial: true\n        vars: {{{name}: mine}}")
    shown = (
        said(project, f"{{{{ vars['{name}'] }}}}") if name.startswith("_") else said(project, f"{{{{ vars.{name} }}}}")
    )
    assert shown == "mine"


def test_optional_vars_are_asked_for_first(project):
    project.change("serial: true", "serial: true\n        vars: {c: 3}")
    source = (
        "{% if vars.a is defined %}a{% endif %}{{ vars.b | default('!') }}{% if 'c' in vars %}{{ vars.c }}{% endif %}"
    )
    assert said(project, source) == "!3"


def test_a_fact_is_known_from_its_reveal_on(project):
    assert said(project, "{{ facts.host }}", "the-host", "en/nurture/the-host.md.j2") == "Ann Boil"
    assert said(project, "{{ facts.host }}", "terms", "en/ignite/announcement.md.j2") == "Ann Boil"


def test_a_fact_is_unknown_to_another_step_at_the_very_instant_of_its_reveal(project):
    project.change('at: "D-2 12:00"', 'at: "D-3 20:00"')
    with pytest.raises(WordsError, match='tells the fact "host" before its time'):
        said(project, "{{ facts.host }}", "nudge", "en/nurture/prompt.md.j2")


def test_a_fact_that_nobody_reveals_is_known_from_the_start(project):
    project.change("  host: Ann Boil", "  host: Ann Boil\n  mail: hello@kettle.example")
    assert said(project, "{{ facts.mail }}") == "hello@kettle.example"


def refusal(project, source: str) -> WordsError:
    with pytest.raises(WordsError) as raised:
        said(project, source)
    return raised.value


REFUSED = [
    ("a\n{{ b }", 2, "template syntax: unexpected '}'"),
    ("a\n\n{% if b %}", 3, "template syntax: Unexpected end of template"),
    ("a\n{{ nothing }}", 2, "'nothing' is undefined; add it to the step's vars or to facts, or correct the name"),
    ("{{ vars.text }}", 1, "vars.text is undefined; add it to the step's vars or to facts, or correct the name"),
    ("{{ vars.a.b }}", 1, "vars.a is undefined"),
    ("{{ teaser.who }}", 1, "teaser.who is undefined"),
    ("{{ facts.hots }}", 1, "facts.hots is undefined"),
    ("\n{{ facts.host }}", 2, 'tells the fact "host" before its time; step "the-host" is the one that reveals it'),
    ("{{ facts['link'] }}", 1, 'tells the fact "link" before its time; step "order" is the one that reveals it'),
    ("{{ step.topic }}", 1, "prints none, where words or a number should stand"),
    ("{{ opens }}", 1, "prints a point in time, where words or a number should stand"),
    ("{{ step.label.upper }}", 1, "prints no text, where words or a number should stand"),
    ("{{ 1 == 1 }}", 1, "prints true or false, where words or a number should stand"),
    ("{{ 'x' | money }}", 1, '"x" is no amount like product.price'),
    ("{{ '12:00' | when }}", 1, '"12:00" is no point in time like opens, counts_to or now'),
    ("{{ 1 / 0 }}", 1, "cannot be rendered: division by zero"),
    ("{{ 1.0e400 | int }}", 1, "cannot be rendered: "),
    ("{{ 'a' * 10**8 }}", 1, "the operator ** is not allowed here"),
    ("{{ 'a' * 100000000 }}", 1, "the operator * is not allowed here"),
    ("{{ [1] * 100000000 }}", 1, "the operator * is not allowed here"),
    ("{{ '%0100000000d' % 1 }}", 1, "the operator % is not allowed here"),
    ("{{ 'a'.ljust(100000000) }}", 1, "access to attribute 'ljust' of 'str' object is unsafe"),
    ("{{ 'a' | center(100000000) }}", 1, "template syntax: No filter named 'center'"),
    ("{{ [1, 2] | random }}", 1, "template syntax: No filter named 'random'"),
    ("{{ lipsum() }}", 1, "'lipsum' is undefined"),
    ("{{ ''.__class__.__mro__ }}", 1, "access to attribute '__class__' of 'str' object is unsafe"),
    ("{{ launch._values }}", 1, "access to attribute '_values' of 'Named' object is unsafe"),
    ("{{ range(1000000) | length }}", 1, "cannot be rendered: Range too big"),
    ("{% for n in range(9999) %}aaaaa{% endfor %}", 0, "renders more than 20,000 characters"),
    ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", 0, "nested too deeply; write it plainer"),
    ("{% for a in [1] %}" * 30 + "{% endfor %}" * 30, 0, "nested too deeply; write it plainer"),
    ("a\x07b", 0, "control character U+0007; remove it"),
    ("{{ '\\x00' }}", 0, "control character U+0000; remove it"),
]


@pytest.mark.parametrize(("source", "line", "message"), REFUSED)
def test_no_refusal_lacks_a_remedy_or_has_two_stops(project, source, line, message):
    refused = refusal(project, source)
    assert refused.remedy
    assert ".;" not in str(refused)


@pytest.mark.parametrize(
    ("source", "remedy"),
    [
        ("{{ opens | wen }}", 'did you mean "when"?'),
        ("{{ opens | zzzz }}", "use one of Jinja2's own filters"),
        ("{{ 'a' | center(9) }}", "it is left out here; write the words out"),
        ("{% if opens is defind %}{% endif %}", 'did you mean "defined"?'),
        ("{{ launch._values }}", "templates may not reach into Python"),
        ("{{ step.topic }}", "ask for it first with {% if … %}, or use a filter that fits"),
    ],
)
def test_a_refusal_says_what_to_do(project, source, remedy):
    assert refusal(project, source).remedy == remedy


@pytest.mark.parametrize(("source", "line", "message"), REFUSED)
def test_a_template_that_cannot_be_said_tells_where_and_why(project, source, line, message):
    refused = refusal(project, source)
    where = f"templates/{WELCOME}:{line}: " if line else f"templates/{WELCOME}: "
    assert (refused.line, refused.template) == (line, WELCOME)
    assert str(refused).startswith(where + message)


@pytest.mark.parametrize("grow", ["ns.it + ns.it", "ns.it * ns.it"])
def test_nothing_doubles_without_end(project, grow):
    first = "'a'" if "+" in grow else "3"
    source = f"{{% set ns = namespace(it={first}) %}}{{% for n in range(60) %}}{{% set ns.it = {grow} %}}{{% endfor %}}"
    assert "not allowed here" in str(refusal(project, source))


def test_an_error_in_an_included_template_names_that_template(project):
    plan = project.plan()
    part = "en/parts/hello.md.j2"
    templates = {**plan.templates, part: "a\nb\n{{ nobody }}", WELCOME: f"\n{{% include '{part}' %}}"}
    plan = plan.model_copy(update={"templates": templates})
    with pytest.raises(WordsError, match=re.escape(f"templates/{part}:3: 'nobody' is undefined")):
        Words(plan).text(plan.step("welcome"), now=plan.opens)


def test_a_template_can_change_nothing_that_the_next_one_sees(project):
    source = "{% set _ = vars %}{{ launch.title.replace('quiet', 'loud') }}{% set launch = 1 %}"
    assert said(project, source) == "The loud kettle"
    assert said(project, "{{ launch.title }}") == "The quiet kettle"


def test_no_locale_lacks_words():
    at = datetime(2026, 12, 7, 10, tzinfo=UTC)
    for phrases in LOCALES.values():
        said_now = [when(phrases, at + timedelta(hours=hours), now=at) for hours in range(0, 24 * 9, 3)]
        assert len(set(said_now)) == len(said_now)
        assert "{" not in "".join(said_now)
