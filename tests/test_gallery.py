"""The gallery: every text of a launch on one page, as its writers need it."""

import html
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from drumroll.check import check_file
from drumroll.errors import LaunchRefusedError, UsageError
from drumroll.report.gallery import Room, counts, gallery_html, unused_templates, write_gallery
from tests.launch_files import Project, drumroll, new_project

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "configs" / "learning-phone.yaml"
EDITION = "kettle@2027-01-16"


class Page(HTMLParser):
    """What a browser would make of the page: its tags, its addresses, its texts by element id, its chat bubbles."""

    VOID = frozenset({"meta", "rect", "br"})

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.bubbles: list[str] = []
        self._open: list[tuple[str, bool]] = []
        self.feed(source)
        assert not self._open, self._open

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.tags.append(tag)
        self.links += [given[name] for name in ("href", "src", "action") if name in given]
        self.ids += [given["id"]] if "id" in given else []
        if tag in self.VOID:
            return
        self._open.append((tag, "bubble" in given.get("class", "").split()))
        if self._open[-1][1]:
            self.bubbles.append("")

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop()[0] == tag, tag

    def handle_data(self, data):
        if self._open and self._open[-1][1]:
            self.bubbles[-1] += data


def small(tmp_path: Path) -> Project:
    project = new_project(tmp_path)
    pages = tmp_path / "templates" / "pages"
    pages.mkdir(exist_ok=True)
    shutil.copy(ROOT / "templates" / "pages" / "gallery.html.j2", pages)
    return project


def page(project: Project) -> str:
    return gallery_html(project.check())


def seen(source: str) -> str:
    """The words of the page, on one line."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", source)).split())


def part(source: str, step: str) -> str:
    """The words of one step's card."""
    return seen(source.partition(f'id="step-{step}">')[2].partition('<li class="text"')[0])


@pytest.fixture(scope="module")
def example():
    checked = check_file(EXAMPLE)
    return checked, gallery_html(checked)


def test_every_text_is_there_in_order_and_then_the_remedies(example):
    checked, source = example
    ids = [name.removeprefix("step-") for name in Page(source).ids if name.startswith("step-")]
    assert ids == [step.id for step in checked.subject.steps]


def test_texts_stand_in_bubbles_word_for_word(example):
    checked, source = example
    differs = [step for step in checked.texts if checked.subject.worst[step] != checked.texts[step]]
    told = {*checked.texts.values(), *(checked.subject.worst[step] for step in differs)}
    assert set(Page(source).bubbles) == told
    assert source.count("<details>") == len(differs) > 0


def test_the_page_loads_nothing_and_runs_nothing(example):
    found = Page(example[1])
    assert not {"script", "link", "img", "iframe", "form", "object"} & set(found.tags)
    assert all(link.startswith("#") for link in found.links)
    assert {link[1:] for link in found.links} <= set(found.ids)
    assert len(found.ids) == len(set(found.ids))


def test_a_card_says_where_its_text_comes_from_and_goes_to(tmp_path):
    card = part(page(small(tmp_path)), "welcome")
    assert card.startswith("No. 01 welcome Sun 2027-01-10 10:00 recruit · welcome · welcome · to all groups")
    assert "templates/en/recruit/welcome.md.j2" in card


def test_a_card_says_what_it_teases_and_what_the_mystery_hides(tmp_path):
    card = part(page(small(tmp_path)), "the-noise")
    assert (
        "Teases No. 03 the-host : tomorrow at 20:00 · somebody you have met (a declared mystery: who made it )" in card
    )
    assert "Reveals host" in part(page(small(tmp_path)), "the-host")


def test_a_card_says_how_much_room_there_is_on_each_channel_at_worst(tmp_path):
    project = small(tmp_path).change("lead: 30m", "lead: 30m\n      max_bytes: 200")
    checked = project.check()
    worst = checked.subject.worst["the-noise"]
    assert len(worst.encode()) > len(checked.texts["the-noise"].encode())
    card = part(page(project), "the-noise")
    assert f"screen {len(worst.encode())} bytes at worst, no limit" in card
    assert f"by_hand {len(worst.encode())} of 200 bytes at worst" in card
    assert f"In its longest form {worst}" in card


@pytest.mark.parametrize(
    ("size", "limit", "percent"), [(50, 200, 25.0), (300, 200, 100.0), (1, 3, 33.3), (9, None, 0.0)]
)
def test_a_bar_is_as_long_as_the_room_that_is_taken(size, limit, percent):
    assert Room("by_hand", size, limit).percent == percent


def test_a_channel_that_a_text_does_not_go_to_is_not_measured(tmp_path):
    card = part(page(small(tmp_path)), "nudge")
    assert "to silent members of east" in card
    assert "screen" in card
    assert "by_hand" not in card


def test_a_text_that_is_always_the_same_has_no_longest_form(tmp_path):
    assert "In its longest form" not in part(page(small(tmp_path)), "roll-call")


def test_a_remedy_says_which_gate_asks_for_it(tmp_path):
    source = page(small(tmp_path))
    remedies = source.split('<section id="remedies"')[1]
    assert "Only if the gate of recruit asks for it:" in seen(remedies)
    assert "30m after the verdict" in part(source, "recruit.remedy.invite")


def test_the_head_says_what_the_launch_rests_on(tmp_path):
    project = small(tmp_path).change("host: Ann Boil", "host: Ann Boil\n  ships: {at: D+2 09:00}")
    head = seen(page(project).split("<main>")[1].split('<section id="phase-')[0])
    assert "host Ann Boil No. 03 the-host" in head
    assert "ships Mon 2027-01-18 09:00 known from the start" in head
    assert "it boils without a sound" in head


def test_promises_name_the_steps_that_keep_them(example):
    checked, source = example
    kept = {step.keeps for step in checked.plan.steps if step.keeps}
    assert kept
    rows = source.split("<caption>Promises</caption>")[1].split("</table>")[0]
    for step in checked.plan.steps:
        if step.keeps:
            assert f'href="#step-{step.id}"' in rows
            words = checked.plan.launch.promises[step.keeps]
            assert f"Keeps the promise: {words}" in part(source, step.id)


def test_warnings_and_waivers_are_told(tmp_path):
    project = small(tmp_path).change("\nphases:", "\nwaive: {serial/label: it stands in the picture}\nphases:")
    project.template("en/recruit/announcement.md.j2", "{{ teaser.when }}: {{ teaser.topic }}\n")
    source = page(project)
    found = [finding for finding in project.check().findings if finding.severity == "warning"]
    waived = source.split("breaks on purpose</h3>")[1].split("</ul>")[0]
    assert "serial/label it stands in the picture" in seen(waived)
    assert "does not say its number No. 02" in seen(waived)
    assert all(" ".join(finding.what.split()) in seen(source) for finding in found)


def test_markup_in_texts_and_names_is_shown_as_text(tmp_path):
    bad = "<script>alert(1)</script>"
    project = (
        small(tmp_path).change("host: Ann Boil", f"host: '{bad}'").change("title: The quiet kettle", f"title: '{bad}'")
    )
    project.template("en/recruit/prompt.md.j2", f"{bad} & you?\n")
    found = Page(page(project))
    assert "script" not in found.tags
    assert f"{bad} & you?" in found.bubbles


def test_unused_templates_are_listed_with_their_first_words(tmp_path):
    project = small(tmp_path)
    project.template("en/recruit/value.md.j2", '\n{% from "en/x.md.j2" import y %}\n{% if y %}\nSomething to keep\n')
    project.template("en/prompts/one-word.md.j2", "{# One word, about anything. #}\nWhich word?\n")
    project.template("en/kettle/recruit/old.md.j2", "No longer used\n")
    project.template("en/teapot/recruit/welcome.md.j2", "Another launch's\n")
    project.template("en/broken.md.j2", b"\xff\xfe")
    project.template("zh-Hant/recruit/value.md.j2", "另一種語言\n")
    assert [(each.name, each.first_line) for each in unused_templates(tmp_path, project.plan())] == [
        ("en/broken.md.j2", "cannot be read"),
        ("en/kettle/recruit/old.md.j2", "No longer used"),
        ("en/prompts/one-word.md.j2", "One word, about anything."),
        ("en/recruit/value.md.j2", "Something to keep"),
    ]
    assert "One word, about anything." in seen(page(project).split('<section id="unused"')[1])


def test_the_counts_are_those_of_the_texts(tmp_path):
    checked = small(tmp_path).check()
    longest = checked.subject.worst["the-host"]
    assert len(longest.encode()) == max(len(text.encode()) for text in checked.subject.worst.values())
    assert counts(checked) == {
        "texts": len(checked.subject.steps),
        "numbered": 5,
        "characters": sum(len(text) for text in checked.texts.values()),
        "longest": {"step": "the-host", "bytes": len(longest.encode())},
    }


def test_the_command_prints_the_path_last(tmp_path):
    project = small(tmp_path)
    ran = drumroll("gallery", project.file)
    path = tmp_path / ".drumroll" / "gallery" / f"{EDITION}.html"
    assert (ran.code, ran.out.splitlines()[-1]) == (0, str(path))
    assert path.read_text(encoding="utf-8") == page(project)


def test_the_command_tells_machines_where_and_how_much(tmp_path):
    project, out = small(tmp_path), tmp_path / "texts.html"
    ran = drumroll("gallery", project.file, "--out", out, "--opens", "2027-03-20 12:00", "--json")
    told = json.loads(ran.out)
    assert list(told) == ["edition", "title", "hash", "path", "texts", "numbered", "characters", "longest", "warnings"]
    assert (told["edition"], told["path"], told["numbered"]) == ("kettle@2027-03-20", str(out), 5)
    assert "Opens Sat 2027-03-20 12:00" in seen(out.read_text(encoding="utf-8"))


def test_a_refused_launch_has_findings_and_no_gallery(tmp_path):
    project = small(tmp_path).change("reveals: [link]", "reveals: [nothing]")
    ran = drumroll("gallery", project.file)
    assert (ran.code, ran.out) == (1, "")
    assert "nothing" in ran.err
    assert not (tmp_path / ".drumroll").exists()
    with pytest.raises(LaunchRefusedError):
        counts(project.check())


def test_a_gallery_that_cannot_be_written_says_where(tmp_path):
    checked = small(tmp_path).check()
    with pytest.raises(UsageError, match="no such folder"):
        write_gallery(checked, tmp_path / "deep" / "texts.html")
    with pytest.raises(UsageError, match="the gallery cannot be written"):
        write_gallery(checked, tmp_path / "configs")
