"""The report: self-contained, honest, and deaf to what members call themselves."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from small_launch import EDITION, NOW, STARTS, begun, halfway, held, send

from drumroll.activity import Event
from drumroll.errors import UsageError
from drumroll.operate.gating import decide, read_gate
from drumroll.operate.reading import reading_of
from drumroll.report.bars import bar
from drumroll.report.checks import checks_of, drift, last_reading
from drumroll.report.display import amount, interval, lateness, limit, moment, span
from drumroll.report.figures import funnel
from drumroll.report.page import account_of, report_html, write_report
from drumroll.words.pages import render_page
from drumroll.words.render import WordsError

LATER = NOW + timedelta(hours=4)


class Page(HTMLParser):
    """Tags with their attributes, the visible text, and that of each section by its id."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text, self.open, self._sections, self._id = [], "", [], {}, None
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "section":
            self._id = dict(attrs)["id"]
        if tag not in {"meta", "br"}:
            self.open.append(tag)
        self._sections[self._id] = self._sections.get(self._id, "") + " "

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.text += data
            self._sections[self._id] = self._sections.get(self._id, "") + data

    def section(self, name):
        return " ".join(self._sections[name].split())


def html(where, now=LATER):
    return report_html(account_of(where, now=now), Path(where.project))


def page(where, now=LATER):
    return Page(html(where, now))


@pytest.fixture
def decided(tmp_path):
    where = held(tmp_path)
    decide(where, "recruit", "pass", by="Ann", reason="<b>loud</b> enough", now=NOW + timedelta(hours=3))
    return where


def test_the_page_is_well_formed_and_loads_nothing(decided):
    found = page(decided)
    assert not found.open
    loading = {"script", "link", "img", "iframe", "object", "embed", "video", "audio", "source", "base"}
    assert not loading & {tag for tag, _ in found.tags}
    targets = [value for _, attrs in found.tags for name, value in attrs.items() if name in {"src", "href", "data"}]
    assert targets
    assert all(target.startswith("#") for target in targets)
    assert not re.search(r"url\(|@import|https?:", html(decided))


def test_every_link_of_the_contents_leads_somewhere(decided):
    found = page(decided)
    ids = {attrs.get("id") for _, attrs in found.tags}
    wanted = {attrs["href"][1:] for tag, attrs in found.tags if tag == "a"}
    assert wanted <= ids
    assert len(wanted) == 7


def test_words_of_templates_and_people_are_text_with_their_line_breaks(decided):
    found = page(decided)
    assert "No. 01 · Hello <script>alert(1)</script> [bold]all[/bold]\nSecond line" in found.text
    assert "Reason: <b>loud</b> enough" in found.text
    assert "Room [one] <b>" in found.text


def test_no_member_is_named(decided):
    assert "Mallory" not in html(decided)


def test_the_head_says_what_came_of_it_and_whom_the_numbers_leave_out(decided):
    text = page(decided).text
    assert "Held, now decided, 1 of 2 gates passed: 8 people joined, 1 ordered (12.5%; 95% 2.2–47.1%)." in text
    assert "Staff (1) and bots (1) are outside every number: 1 events left out." in text


def test_the_glance_counts_every_delivery_once(decided):
    told = account_of(decided, now=LATER)
    counted = told.glance
    assert (counted.planned, counted.sent, counted.awaiting, counted.unknown, counted.to_come) == (6, 2, 1, 1, 2)
    automatic, by_hand = told.lateness
    assert (automatic.n, automatic.median_ms, automatic.max_ms) == (1, 40, 40)
    assert (by_hand.n, by_hand.median_ms) == (1, 240_000)


def test_a_gate_shows_outcomes_in_words_and_who_decided(decided):
    gates = page(decided).section("gates")
    assert "members · ✓ met 8, all counted · asked: at least 4, abort below 1" in gates
    assert "active_rate in one · ? not sure enough, so not met 75.0%, 95% interval 30.1–95.4%, n = 4" in gates
    assert "Ann decided on Thu 2027-03-04 15:10: passed. Reason: <b>loud</b> enough" in gates
    drawn = [attrs["aria-label"] for tag, attrs in page(decided).tags if tag == "svg" and attrs.get("role") == "img"]
    assert "members: 8, all counted; at least 4, abort below 1: met" in drawn


def test_a_bar_puts_value_interval_and_limit_on_one_scale(decided):
    result = last_reading(checks_of(decided.open(), EDITION, "recruit")).results[1]
    drawn = bar(result)
    assert (drawn.low, drawn.point, drawn.high) == (30.06, 75.0, 95.44)
    assert [(mark.place, mark.words) for mark in drawn.marks] == [(90.0, "90%")]
    nothing = bar(replace(result, value=None, lower=None, upper=None, at_least=0, method="nothing to measure"))
    assert (nothing.low, nothing.point, nothing.high, nothing.marks[0].place) == (None, None, None, 0)


def test_the_funnel_counts_people_and_how_many_came_on(decided):
    reading = reading_of(decided.open(), decided.plan(), now=LATER)
    whole = funnel(reading, None, until=LATER)
    assert [(stage.name, stage.people) for stage in whole] == [
        ("joined", 8),
        ("active", 6),
        ("waitlisted", 2),
        ("ordered", 1),
    ]
    assert [stage.onward and round(stage.onward.value, 3) for stage in whole] == [None, 0.75, 0.333, 0.5]
    assert [stage.people for stage in funnel(reading, "two", until=LATER)] == [4, 3, 1, 0]


def test_the_funnel_keeps_those_who_left(decided):
    decided.open().take_in(EDITION, [], [Event("t", "l0", "leave", STARTS + timedelta(hours=5), "one", "m0")])
    reading = reading_of(decided.open(), decided.plan(), now=LATER)
    assert [stage.people for stage in funnel(reading, None, until=LATER)] == [8, 6, 2, 1]


def test_an_open_question_comes_with_the_command_that_answers_it(decided):
    questions = page(decided).section("open")
    assert f"drumroll resolve {EDITION}/clue/1/one --as sent|resend|skip --by NAME --reason TEXT" in questions
    assert f"drumroll done {EDITION}/clue/1/two" in questions
    assert "Posted by hand and ticked off: 1 by Ann." in questions


def test_the_proof_of_a_tick_is_shown_as_it_is(decided):
    decided.open().done(f"{EDITION}/clue/1/two", by="Ann", now=LATER, proof="<b>shot-7.png</b>")
    assert f"{EDITION}/clue/1/two: <b>shot-7.png</b>" in page(decided).section("open")


def test_only_a_rehearsal_says_that_it_was_one(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert "This was a rehearsal." in page(halfway(tmp_path / "a", rehearsal=True)).text
    assert "rehearsal" not in page(halfway(tmp_path / "b")).text


def test_a_rehearsal_is_told_from_its_own_clock(tmp_path):
    """Its instants may lie in the future of the wall clock."""
    where = halfway(tmp_path, rehearsal=True)
    told = account_of(where, now=STARTS - timedelta(days=100))
    assert told.at == NOW - timedelta(minutes=10) + timedelta(seconds=1)
    assert told.funnel(None)[0].people == 8


def test_an_ended_edition_keeps_the_numbers_of_its_end(tmp_path):
    where = halfway(tmp_path)
    where.open().set_edition_state(EDITION, "done", now=NOW)
    late = Event("t", "late", "join", NOW + timedelta(days=1), "one", "m99")
    where.open().take_in(EDITION, [], [late])
    assert account_of(where, now=NOW + timedelta(days=400)).funnel(None)[0].people == 8


def test_an_edition_with_nothing_in_it_has_a_report(tmp_path):
    found = page(begun(tmp_path), now=STARTS)
    assert "Running, in recruit, 0 of 2 gates passed: 0 people joined." in found.text
    assert "Nothing waits for a person." in found.text


def test_drift_shows_what_came_in_after_the_gate_was_read(tmp_path):
    where = halfway(tmp_path)
    ledger, plan = where.open(), where.plan()
    read_gate(where, "recruit", now=NOW)
    check = last_reading(checks_of(ledger, EDITION, "recruit"))
    assert drift(ledger, plan, check) == []
    ledger.take_in(EDITION, [], [Event("t", "late", "join", STARTS, "one", "m9")])
    changed = {(each.then.metric, each.then.group): (each.then.n, each.today.n) for each in drift(ledger, plan, check)}
    assert changed == {("members", None): (8, 9), ("active_rate", "one"): (4, 5)}


def test_a_text_that_was_edited_between_two_attempts_shows_both(tmp_path):
    where = halfway(tmp_path)
    ledger = where.open()
    ledger.resolve(f"{EDITION}/clue/1/one", "resend", by="Ann", reason="typo", now=NOW)
    sha = ledger.keep_wording(EDITION, "clue", 1, "corrected", now=NOW)
    (claim,) = ledger.claim(
        EDITION, "clue", 1, now=NOW, limit=5, lease=timedelta(seconds=9), wording=sha, released=True
    )
    said = next(each for each in account_of(where, now=NOW).announcements if each.step == "clue")
    assert claim.wording == sha
    assert len(said.texts) == 2


def test_the_report_goes_to_the_projects_own_folder(tmp_path):
    path = write_report(halfway(tmp_path), now=NOW)
    assert path == tmp_path / ".drumroll" / "reports" / f"{EDITION}.html"
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_report_makes_no_folder_but_its_own(tmp_path):
    with pytest.raises(UsageError, match=r"deep: no such folder; create it"):
        write_report(halfway(tmp_path), tmp_path / "deep" / "spring.html", now=NOW)
    assert not (tmp_path / "deep").exists()
    assert not (tmp_path / ".drumroll" / "reports").exists()


def test_a_report_that_cannot_be_written_says_where(tmp_path):
    with pytest.raises(UsageError, match=r"configs.*cannot be written"):
        write_report(halfway(tmp_path), tmp_path / "configs", now=NOW)


def test_a_missing_page_template_is_named(tmp_path):
    where = halfway(tmp_path)
    (tmp_path / "templates" / "pages" / "report.html.j2").unlink()
    with pytest.raises(UsageError, match="no such page template"):
        write_report(where, now=NOW)


@pytest.mark.parametrize(
    ("source", "says"), [("{{ nobody }}", "'nobody' is undefined"), ("\n{% if %}", ":2: template")]
)
def test_a_broken_page_template_is_named(tmp_path, source, says):
    folder = tmp_path / "templates" / "pages"
    folder.mkdir(parents=True)
    (folder / "own.html.j2").write_text(source)
    with pytest.raises(WordsError, match=re.escape(says)) as error:
        render_page(tmp_path, "own.html.j2")
    assert "templates/pages/own.html.j2" in str(error.value)


def test_a_page_escapes_whatever_its_ending(tmp_path):
    """select_autoescape() would leave `.html.j2` as it is."""
    folder = tmp_path / "templates" / "pages"
    folder.mkdir(parents=True)
    (folder / "own.html.j2").write_text("<i title='{{ name }}'>{{ name }}</i>")
    found = render_page(tmp_path, "own.html.j2", name="<b>'{{ 7 * 7 }}")
    assert found == "<i title='&lt;b&gt;&#39;{{ 7 * 7 }}'>&lt;b&gt;&#39;{{ 7 * 7 }}</i>"


def test_numbers_read_as_people_write_them():
    assert [amount(value, unit) for value, unit in ((0.3116, "share"), (1204, "people"), (1.5, "x"), (None, "x"))] == [
        "31.2%",
        "1,204",
        "1.50",
        "–",
    ]
    assert (interval(0.255, 0.366, "share"), interval(None, None, "share")) == ("25.5–36.6%", "")
    assert (limit(0.125, "share"), limit(60, "people")) == ("12.5%", "60")
    assert [span(seconds) for seconds in (0.04, 1.24, 200, 3600, 190_800)] == [
        "40 ms",
        "1.2 s",
        "3 m 20 s",
        "1 h",
        "2 d 5 h",
    ]
    assert [lateness(ms) for ms in (0, 40, -1200)] == ["on time", "40 ms late", "1.2 s early"]


def test_a_moment_shows_its_seconds_only_when_it_has_some():
    at = datetime(2027, 1, 16, 12, tzinfo=UTC)
    zone = ZoneInfo("Asia/Taipei")
    assert [moment(at + timedelta(seconds=seconds), zone) for seconds in (0, 0.5, 7)] == [
        "Sat 2027-01-16 20:00",
        "Sat 2027-01-16 20:00",
        "Sat 2027-01-16 20:00:07",
    ]


def test_a_step_that_waits_for_members_has_its_place(tmp_path):
    where = halfway(tmp_path)
    steps = [each.step for each in account_of(where, now=NOW).announcements]
    assert steps == ["hello", "clue", "quiet-hello", "doors"]


def test_sending_changes_the_account(tmp_path):
    where = halfway(tmp_path)
    before = account_of(where, now=NOW).glance.sent
    send(where, "doors", where.plan().opens)
    assert account_of(where, now=where.plan().opens).glance.sent == before + 1
