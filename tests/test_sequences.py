"""The ready-made sequences of `drumroll new`: sound in every language, and true to the pattern of their occasion."""

from datetime import date, timedelta
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from drumroll.check import check_file
from drumroll.cli.new import SEQUENCES, default_opening, starter
from drumroll.words.phrases import LOCALES
from drumroll.words.simplified import simplified
from tests.launch_files import drumroll, new_project

TEMPLATES = Path(__file__).parents[1] / "templates"
LIBRARY = ("library", "welcome", "prompts", "value", "occasion", "evening", "thanks")
WAYS = ("question", "number", "contradiction", "promise", "mystery", "consequence")
OCCASIONS = ("link-opening", "notice", "new-product", "guest")
ZONE = ZoneInfo("Asia/Taipei")


@pytest.fixture(scope="session")
def project(tmp_path_factory):
    root = tmp_path_factory.mktemp("sequences")
    (root / "configs").mkdir()
    (root / "templates").symlink_to(TEMPLATES)
    return root


@pytest.fixture(scope="session")
def checked(project):
    """Check the new launch file of a sequence in a locale, once for each opening."""
    done = {}

    def check(kind, locale="en", weeks=0):
        key = kind, locale, weeks
        if key not in done:
            opens = default_opening(date(2026, 12, 15) + timedelta(weeks=weeks), sequence=kind)
            text = starter("spring", sequence=kind, locale=locale, timezone=ZONE.key, currency="TWD", opens=opens)
            file = project / "configs" / f"{kind}-{locale}-{weeks}.yaml"
            file.write_text(text, encoding="utf-8")
            done[key] = check_file(file)
        return done[key]

    return check


def kinds_in(locale):
    folder = files("drumroll") / "launchfile" / "sequences" / locale
    return {entry.name.removesuffix(".yaml") for entry in folder.iterdir()}


def local(step):
    return step.due.astimezone(ZONE)


@pytest.mark.parametrize("locale", ["en", "zh-Hant"])
def test_every_sequence_is_written_in_both_languages(locale):
    assert kinds_in(locale) == set(SEQUENCES)


@pytest.mark.parametrize("locale", sorted(LOCALES))
@pytest.mark.parametrize("kind", SEQUENCES)
def test_a_new_file_of_every_sequence_passes_check_without_a_finding(checked, kind, locale):
    result = checked(kind, locale)
    assert [str(finding) for finding in result.findings] == []
    assert result.plan.launch.locale == locale


@pytest.mark.parametrize("kind", SEQUENCES)
def test_a_sequence_moves_to_another_week_without_a_finding(checked, kind):
    moved = checked(kind, weeks=15)
    assert [str(finding) for finding in moved.findings] == []
    assert not any(text == moved.texts[step] for step, text in checked(kind).texts.items() if "Jan" in text)


@pytest.mark.parametrize("locale", ["en", "zh-Hant"])
@pytest.mark.parametrize("kind", OCCASIONS)
def test_the_occasions_follow_the_pattern_of_the_clock(checked, kind, locale):
    plan = checked(kind, locale).plan
    opening = plan.opens.astimezone(ZONE)
    eve = [step for step in plan.steps if local(step).date() == opening.date() - timedelta(days=1)]
    assert opening.strftime("%H:%M") == "12:00"
    assert any(step.kind == "heads_up" and 8 <= local(step).hour < 18 for step in eve)
    assert any(step.number and local(step).strftime("%H:%M") == "23:00" for step in eve)
    assert any(step.kind == "countdown" and plan.opens - step.due == timedelta(hours=2) for step in plan.steps)
    assert any(step.number and step.due == plan.opens for step in plan.steps)
    assert any(step.kind == "prompt" for step in plan.steps)
    assert any(step.kind == "thanks" and step.due > plan.opens for step in plan.steps)
    assert len({local(step).date() for step in plan.steps}) <= 7


@pytest.mark.parametrize("locale", ["en", "zh-Hant"])
@pytest.mark.parametrize("kind", ["notice", "guest"])
def test_where_nothing_is_sold_there_is_no_price_no_link_and_no_fit(checked, kind, locale):
    launch = checked(kind, locale).plan.launch
    assert (launch.product.price, launch.product.currency, launch.fit) == (None, None, None)
    assert not any(step.kind == "link" for phase in launch.phases.values() for step in phase.steps)


@pytest.mark.parametrize("locale", ["en", "zh-Hant"])
def test_a_sale_evening_has_twenty_announcements_on_one_day(checked, locale):
    plan = checked("sale-evening", locale).plan
    day = [step for step in plan.steps if step.number and local(step).date() == plan.opens.astimezone(ZONE).date()]
    assert len(day) >= 20
    assert [step.number for step in day] == list(range(1, len(day) + 1))
    assert day[0].kind == "welcome"
    assert any(step.kind == "link" for step in day)


@pytest.mark.parametrize("kind", sorted(set(SEQUENCES) - {"notice", "guest"}))
def test_the_link_of_a_sequence_stands_behind_a_trust_gate(checked, kind):
    plan = checked(kind).plan
    links = [step.due for step in plan.steps if step.kind == "link"]
    assert plan.launch.phases["nurture"].gate is not None
    assert min(links) > plan.phase("nurture").latest


@pytest.mark.parametrize("kind", SEQUENCES)
def test_neighbors_in_a_series_never_end_alike(checked, kind):
    result = checked(kind)
    endings = []
    for step in result.subject.serial[:-1]:
        teaser = result.subject.teasers[step.id]
        line = next(line for line in reversed(result.texts[step.id].splitlines()) if teaser["topic"] in line)
        for part in ("when", "topic", "label"):
            line = line.replace(teaser[part], "…")
        endings.append(line)
    assert all(ending != following for ending, following in pairwise(endings))
    assert max(map(endings.count, endings)) <= 2


@pytest.mark.parametrize("again", ["", " again"])
@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_end_says_when_the_next_one_comes_and_what_it_is_about(tmp_path, way, again):
    hooks = (TEMPLATES / "en" / "library" / "hooks.md.j2").read_text(encoding="utf-8")
    call = '{% from "en/library/hooks.md.j2" import hook %}{{ step.label }} {{ hook(teaser, vars.ending) }}'
    ended = (
        new_project(tmp_path)
        .template("en/library/hooks.md.j2", hooks)
        .template("en/recruit/welcome.md.j2", call)
        .change("        kind: welcome\n", f"        kind: welcome\n        vars: {{ending: {way}{again}}}\n")
    )
    result = ended.check()
    assert not any(finding.severity == "error" for finding in result.findings)
    assert "on Tue, Jan 12 at 19:00" in result.subject.worst["welcome"]
    assert "what the noise does" in result.texts["welcome"]


def test_an_ending_that_does_not_exist_is_a_broken_chain(tmp_path):
    hooks = (TEMPLATES / "en" / "library" / "hooks.md.j2").read_text(encoding="utf-8")
    call = '{% from "en/library/hooks.md.j2" import hook %}{{ step.label }} {{ hook(teaser, "questoin") }}'
    project = new_project(tmp_path).template("en/library/hooks.md.j2", hooks).template("en/recruit/welcome.md.j2", call)
    assert {finding.rule for finding in project.check().errors} == {"teaser/missing"}


def test_every_template_of_the_library_is_used_by_a_sequence(checked):
    used = {name for kind in SEQUENCES for name in checked(kind).plan.templates}
    written = {
        path.relative_to(TEMPLATES).as_posix()
        for folder in LIBRARY
        for path in (TEMPLATES / "en" / folder).glob("*.md.j2")
    }
    assert written - used == set()


def test_a_file_in_simplified_characters_has_no_traditional_one():
    text = starter("a", sequence="guest", locale="zh-Hans", timezone="UTC", currency="CNY", opens="2027-01-16 12:00")
    assert simplified(text) == text
    assert "locale: zh-Hans" in text
    assert text != starter(
        "a", sequence="guest", locale="zh-Hant", timezone="UTC", currency="CNY", opens="2027-01-16 12:00"
    )


def test_new_writes_the_sequence_that_was_asked_for(project, monkeypatch):
    monkeypatch.chdir(project)
    ran = drumroll("new", "summer-sale", "--sequence", "sale-evening")
    assert (ran.code, ran.err) == (0, "")
    plan = check_file(project / "configs" / "summer-sale.yaml").accepted()
    assert (plan.launch.name, plan.opens.hour) == ("summer-sale", 20)


def test_the_help_of_new_says_what_every_sequence_is_for():
    ran = drumroll("new", "--help")
    lines = ran.out.splitlines()
    for kind, (what, _) in SEQUENCES.items():
        assert any(line.split() == [kind, *what.split()] for line in lines)


def test_a_sequence_that_does_not_exist_is_refused_with_the_known_ones(project, monkeypatch):
    monkeypatch.chdir(project)
    ran = drumroll("new", "autumn", "--sequence", "webinar")
    assert ran.code == 2
    assert "'webinar' is not one of 'launch', 'link-opening'" in ran.err
    assert not (project / "configs" / "autumn.yaml").exists()
