"""Simplified Chinese: converted once, when a launch is compiled, and only what members read."""

import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opencc import OpenCC

from drumroll.check import check_file
from drumroll.launchfile.load import load_launch
from drumroll.launchfile.method import Persona
from drumroll.plan.model import Plan
from drumroll.words.phrases import LOCALES, label, left, when
from drumroll.words.render import Words
from drumroll.words.simplified import in_its_characters, simplified, simplified_source
from tests.launch_files import LAUNCH, Project, new_project

ROOT = Path(__file__).parent.parent
HANS = LAUNCH.replace("locale: en", "locale: zh-Hans").replace("topic: what the noise does", "topic: 電壺的聲音")
SERIAL = (
    "{{ step.label }} {{ step.topic or '歡迎' }}{% if teaser %}。{{ teaser.when }}：{{ teaser.topic }}{% endif %}？\n"
)
HANT = {
    "zh-Hant/recruit/welcome.md.j2": SERIAL,
    "zh-Hant/recruit/announcement.md.j2": SERIAL,
    "zh-Hant/recruit/prompt.md.j2": "誰在這裡？\n",
    "zh-Hant/nurture/the-host.md.j2": "{{ facts.host }}：" + SERIAL,
    "zh-Hant/nurture/prompt.md.j2": "你們呢？\n",
    "zh-Hant/ignite/announcement.md.j2": "{{ product.price | money }}。" + SERIAL,
    "zh-Hant/ignite/countdown.md.j2": "還有 {{ left }}\n",
    "zh-Hant/ignite/link.md.j2": "{{ facts.link }} " + SERIAL,
}

CHINESE = st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FA5), max_size=30)
ANYTHING = st.text(max_size=30) | CHINESE


def hans(tmp_path: Path, text: str = HANS, **more: str) -> Project:
    return new_project(tmp_path, text, HANT | more)


def said(plan: Plan, step: str) -> str:
    return Words(plan).text(plan.step(step), now=plan.step(step).due)


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """The repository's Chinese example with one line changed."""
    root = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "templates", root / "templates")
    text = (ROOT / "configs" / "learning-phone.yaml").read_text(encoding="utf-8")
    assert "locale: zh-Hant\n" in text
    file = root / "learning-phone.yaml"
    file.write_text(text.replace("locale: zh-Hant\n", "locale: zh-Hans\nprotected_terms: [螢窗]\n"), encoding="utf-8")
    return check_file(file)


def test_characters_change_and_words_of_the_trade_do_not():
    assert simplified("後天在視頻號和社群裡說：頭髮乾了，乾隆沒有") == "后天在视频号和社群里说：头发干了，乾隆没有"


@given(ANYTHING)
@settings(deadline=None)
def test_what_is_simplified_stays_as_it_is(text):
    once = simplified(text)
    assert simplified(once) == once


@given(st.text(st.characters(max_codepoint=0x2E7F), max_size=60))
def test_what_is_not_chinese_stays_as_it_is(text):
    assert simplified(text) == text


@given(CHINESE, st.lists(CHINESE.filter(bool), max_size=3), CHINESE)
@settings(deadline=None)
def test_a_protected_term_stays_wherever_it_stands(before, terms, after):
    text = before + "".join(terms) + after
    assert "".join(terms) in simplified(text, terms)


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        (["視頻", "視頻號"], "視頻號的电话号码"),
        (["電話號", "號碼"], "视频号的電話號碼"),
        (["頻號的電"], "视頻號的電话号码"),
        ([""], "视频号的电话号码"),
    ],
)
def test_protected_terms_may_overlap(terms, expected):
    assert simplified("視頻號的電話號碼", terms) == expected


@pytest.mark.parametrize("term", ["(號.*)", "{{ 號 }}", "\x00號\ue000", "[號]\\", "號\n號"])
def test_a_protected_term_may_contain_any_character(term):
    assert simplified(f"後{term}後", [term]) == f"后{term}后"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://a.example/訂購 後", "https://a.example/訂購 后"),
        ("看https://a.example/訂購/開放?頁=價錢，後天", "看https://a.example/訂購/開放?頁=價錢，后天"),
        ("請到https://a.example報名", "请到https://a.example报名"),
        ("HTTPS://螢窗.example。開放", "HTTPS://螢窗.example。开放"),
    ],
)
def test_an_address_still_leads_where_it_led(text, expected):
    assert simplified(text) == expected


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\u2028", "\x0c"])
def test_line_ends_stay(end):
    assert simplified(f"後{end}裡{end}") == f"后{end}里{end}"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ facts.價錢 }}價錢", "{{ facts.價錢 }}价钱"),
        ("{{ facts['價錢'] }}", "{{ facts['價錢'] }}"),
        ("{{ step.topic or '歡迎' }}", "{{ step.topic or '欢迎' }}"),
        ('{% if vars.x == "後" -%} 後 {%- endif %}', '{% if vars.x == "后" -%} 后 {%- endif %}'),
        ('{% include "zh-Hant/分享/後.md.j2" %}', '{% include "zh-Hant/分享/後.md.j2" %}'),
        (
            '{%- from "zh-Hant/鉤.md.j2" import 鉤 %}{{ 鉤("開") }}',
            '{%- from "zh-Hant/鉤.md.j2" import 鉤 %}{{ 鉤("开") }}',
        ),
        ("{# 給寫的人 #}給", "{# 給寫的人 #}给"),
        ("{{ '}}後' }}後", "{{ '}}后' }}后"),
        ("{{ 後", "{{ 后"),
    ],
)
def test_of_a_template_only_what_it_says_changes(source, expected):
    assert simplified_source(source) == expected


def test_an_unclosed_template_takes_no_longer():
    assert simplified_source("{{ " + "'\"" * 5_000 + "後").endswith("后")


@pytest.mark.parametrize(
    ("hours", "expected"), [(1, "今晚 23:00"), (24, "明晚 23:00"), (48, "后天晚上 23:00"), (72, "12月9日（周三）23:00")]
)
def test_times_are_said_in_simplified_words(hours, expected):
    from datetime import UTC, datetime, timedelta

    at = datetime(2026, 12, 9, 23, tzinfo=UTC)
    assert when(LOCALES["zh-Hans"], at, now=at - timedelta(hours=hours)) == expected


def test_labels_and_time_left_are_said_in_simplified_words():
    from datetime import timedelta

    words = LOCALES["zh-Hans"]
    assert (label(words, 7), left(words, timedelta(minutes=117))) == ("【公告07】", "1小时57分钟")


def test_the_example_passes_in_simplified_characters(example):
    assert [str(finding) for finding in example.findings if finding.severity == "error"] == []
    assert len(example.texts) > 50


def test_no_text_of_the_example_has_a_traditional_character_but_in_protected_terms(example):
    convert = OpenCC("tw2s").convert
    texts = {step: text.replace("螢窗", "") for step, text in example.texts.items()}
    assert {step: text for step, text in texts.items() if convert(text) != text} == {}
    assert any("螢窗" in text for text in example.texts.values())


def test_the_plan_is_finished_and_its_hash_covers_the_words(tmp_path):
    project = hans(tmp_path)
    plan = project.plan()
    assert plan.templates["zh-Hant/recruit/prompt.md.j2"] == "谁在这里？\n"
    assert plan.step("the-noise").topic == "电壶的声音"
    kept = project.change("facts:", "protected_terms: [誰]\nfacts:").plan()
    assert kept.templates["zh-Hant/recruit/prompt.md.j2"] == "誰在这里？\n"
    assert kept.hash != plan.hash
    assert Plan.model_validate_json(plan.model_dump_json()) == plan


def test_the_words_of_the_launch_change_and_its_names_do_not(tmp_path):
    text = HANS
    for old, new in {
        "title: The quiet kettle": "title: 電壺",
        "promise: it boils without a sound": "promise: 沒有聲音",
        "result: nobody wakes up": "result: 誰也不會醒",
        "name: the kettle people": "name: 電壺隊",
        "name: Ann,": "name: 陳安,",
        "ids: [ann]": "ids: [陳]",
        "name: East,": "name: 東,",
        "lead: 30m": "lead: 30m\n      to: 陳安",
        "host: Ann Boil": "host: 陳老師\n  lasts: {at: D+1 20:00}",
        "mystery: somebody you have met": "mystery: 見過的人",
        "goal: Trust": "goal: 開口\n    # 門檻",
        "kind: prompt\n        segment": "kind: prompt\n        vars: {text: 試試, many: 3, sure: true}\n        segment",
    }.items():
        assert old in text, old
        text = text.replace(old, new, 1)
    written, _ = load_launch(hans(tmp_path, text).file)
    assert written is not None
    persona = Persona(voice="說實話", outer=("聲",), inner=("醒來",), leads={"recruit": "inner"})
    launch = in_its_characters(written.model_copy(update={"promises": {"talk": "談約定"}, "persona": persona}))
    nudge = next(step for step in launch.phases["nurture"].steps if step.id == "nudge")
    assert (launch.title, launch.product.promise, launch.product.result) == ("电壶", "没有声音", "谁也不会醒")
    assert (launch.team.name, launch.facts["host"], launch.promises) == ("电壶队", "陈老师", {"talk": "谈约定"})
    assert (launch.persona.voice, launch.persona.outer, launch.persona.inner) == ("说实话", ("声",), ("醒来",))
    assert (launch.phases["nurture"].goal, launch.phases["nurture"].steps[0].mystery) == ("开口", "见过的人")
    assert nudge.vars == {"text": "试试", "many": 3, "sure": True}
    assert launch.team.staff[0].name == "陳安"
    assert launch.team.staff[0].ids == ("陳",)
    assert launch.community.groups[0].name == "東"
    assert launch.community.channels["by_hand"].options["to"] == "陳安"


def test_words_written_in_simplified_characters_are_taken_first(tmp_path):
    own = {"zh-Hans/recruit/prompt.md.j2": "到了吗？這個字不改\n"}
    assert said(hans(tmp_path, **own).plan(), "roll-call") == "到了吗？這個字不改"


def test_a_launchs_own_words_come_before_words_for_all_launches(tmp_path):
    more = {"zh-Hans/recruit/prompt.md.j2": "到了吗？\n", "zh-Hant/kettle/recruit/roll-call.md.j2": "請報數\n"}
    assert said(hans(tmp_path, **more).plan(), "roll-call") == "请报数"


def test_traditional_templates_that_are_named_in_others_are_converted(tmp_path):
    more = {
        "zh-Hans/recruit/prompt.md.j2": '{% from "zh-Hant/library/hooks.md.j2" import ask %}{{ ask("誰") }}{% include "zh-Hant/library/end.md.j2" %}',
        "zh-Hant/library/hooks.md.j2": "{% macro ask(who) %}{{ who }}來？{% endmacro %}",
        "zh-Hant/library/end.md.j2": "請說",
    }
    assert said(hans(tmp_path, **more).plan(), "roll-call") == "誰来？请说"


def test_a_launch_in_another_locale_is_not_converted(tmp_path):
    project = hans(tmp_path, HANS.replace("zh-Hans", "zh-Hant"))
    assert said(project.plan(), "roll-call") == "誰在這裡？"


def test_findings_name_the_file_that_is_there(tmp_path):
    project = hans(tmp_path).template("zh-Hant/recruit/prompt.md.j2", "開\n{{ vars.沒有 }}\n")
    found = {each.what for each in project.check().findings if each.rule == "template/render"}
    assert found == {"templates/zh-Hant/recruit/prompt.md.j2:2: vars.沒有 is undefined"}


def test_a_missing_template_may_be_written_in_either(tmp_path):
    project = hans(tmp_path)
    (project.root / "templates" / "zh-Hant" / "recruit" / "prompt.md.j2").unlink()
    remedy = next(each.remedy for each in project.check().findings if each.rule == "name/template")
    assert "templates/zh-Hans/recruit/prompt.md.j2, templates/zh-Hant/recruit/prompt.md.j2" in remedy


def test_the_characters_are_those_that_people_on_the_mainland_write():
    assert simplified("看著視頻號裡的社群，著名的著作") == "看着视频号里的社群，著名的著作"
