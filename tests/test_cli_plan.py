"""The quick commands from the outside: `--help`, `check`, `plan`, `new`; their JSON, their exit codes."""

import importlib
import json
import os
import re
import subprocess
import sys
from datetime import date
from pathlib import Path

import click
import pytest

from drumroll.check import check_file
from drumroll.cli.main import COMMANDS
from drumroll.cli.new import default_opening, starter
from tests.launch_files import MAIN, drumroll, drumroll_process, new_project

TEMPLATES = Path(__file__).parent.parent / "templates"


@pytest.fixture
def project(tmp_path):
    return new_project(tmp_path)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty project with the real templates, and the working directory in it."""
    (tmp_path / "templates").symlink_to(TEMPLATES)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_help_is_the_table_of_commands():
    ran = drumroll("--help")
    listed = re.findall(r"^  ([\w-]+) {2,}(\S.*(?:\n {6,}\S.*)*)", ran.out.partition("Commands:\n")[2], re.MULTILINE)
    assert ran.code == 0
    assert [(name, " ".join(text.split())) for name, text in listed] == [
        (name, text) for name, (_, text) in COMMANDS.items()
    ]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there_and_documents_itself_and_its_options(name):
    module, _, function = COMMANDS[name][0].partition(":")
    command = getattr(importlib.import_module(module), function)
    assert isinstance(command, click.Command)
    assert command.name == name
    assert command.help
    if "as_json" in {parameter.name for parameter in command.params}:
        assert "JSON" in command.help
    assert [
        parameter.name for parameter in command.params if isinstance(parameter, click.Option) and not parameter.help
    ] == []


def test_an_unknown_command_is_a_usage_error():
    ran = drumroll("chekc")
    assert ran.code == 2
    assert "No such command 'chekc'" in ran.err


def test_check_sums_up_what_it_found_in_its_last_line(project):
    ran = drumroll("check", project.file)
    assert (ran.code, ran.err) == (0, "")
    sum_up = "ok: kettle@2027-01-16, 3 phases, 8 steps, 5 numbered, 2 groups, plan"
    assert ran.out.splitlines()[-1] == f"{project.file}: {sum_up} {project.plan().hash[:12]}"


def test_check_counts_the_errors_on_standard_error(project):
    ran = drumroll("check", project.change("metric: members", "metric: membrs").file)
    assert (ran.code, ran.err) == (1, f"{project.file}: refused: 1 error\n")
    ran = drumroll("check", project.change("kind: console", "kind: consol").file)
    assert ran.err == f"{project.file}: refused: 2 errors\n"


def test_check_takes_several_files_and_refuses_when_one_is_wrong(project, tmp_path):
    other = new_project(tmp_path / "other").change("metric: members", "metric: membrs")
    ran = drumroll("check", project.file, other.file)
    assert ran.code == 1
    told = [line.partition(":")[0] for line in ran.out.splitlines() if line.startswith(str(tmp_path))]
    assert list(dict.fromkeys(told)) == [str(project.file), str(other.file)]


def test_check_as_json(project, tmp_path, snapshot):
    project.change("otherwise: [remedy, extend, hold]", "otherwise: [hold]")
    wrong = new_project(tmp_path / "other").change("metric: members", "metric: membrs")
    ran = drumroll("check", "--json", project.file, wrong.file)
    assert (ran.code, ran.err) == (1, "")
    document = json.loads(ran.out.replace(f"{tmp_path}/", ""))
    assert document == snapshot


def test_plan_as_json(project, snapshot):
    ran = drumroll("plan", "--json", project.file)
    assert (ran.code, ran.err) == (0, "")
    assert json.loads(ran.out) == snapshot


@pytest.mark.parametrize(
    ("command", "places"), [("plan", ["", "phases", "steps", "workload"]), ("check", ["", "files", "findings"])]
)
def test_every_field_of_the_json_is_documented(project, command, places):
    project.change("otherwise: [remedy, extend, hold]", "otherwise: [hold]")
    document = json.loads(drumroll(command, "--json", project.file).out)
    documents = {"": document, **{name: document[name][0] for name in places if name in document}}
    if command == "check":
        documents["findings"] = document["files"][0]["findings"][0]
    told = set(re.findall(r"\w+", drumroll(command, "--help").out))
    assert set(documents) == set(places)
    assert {field for each in documents.values() for field in each} - told == set()


def test_plan_as_a_run_sheet(project, snapshot):
    ran = drumroll("plan", project.file)
    assert (ran.code, ran.err) == (0, "")
    assert [line.rstrip() for line in ran.out.splitlines()] == snapshot


def test_the_run_sheet_loses_no_column_on_a_narrow_screen(project, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    sheet = drumroll("plan", project.file).out
    assert "No. 04  Fri 01-15 23:00      01-15 15:00  ignite   announcement  terms      all groups" in sheet


def test_the_run_sheet_prints_words_of_the_file_as_they_are(project):
    project.change("title: The quiet kettle", "title: '[bold]The[/] [link=x]kettle'").change(
        "to: [east]", "to: [east, west]"
    )
    assert drumroll("plan", project.file).out.startswith(
        "[bold]The[/] [link=x]kettle · kettle@2027-01-16 · opens Sat 2027-01-16 12:00"
    )


def test_plan_texts_prints_every_text_in_full_remedies_too(project):
    ran = drumroll("plan", "--texts", project.file)
    assert "── Sat 2027-01-16 10:00 · ignite · countdown · two-hours · all groups\n2 hours left\n\n" in ran.out
    assert "── Thu 2027-01-14 12:00 · nurture · prompt · nudge · silent members of east\nAnd you?\n\n" in ran.out
    assert "── only if the gate of recruit asks for it · prompt · invite\nWho is here?\n\n" in ran.out
    assert ran.out.count("── ") == 9


def test_plan_with_another_opening(project):
    project.at_any_hour()
    document = json.loads(drumroll("plan", "--json", "--opens", "2027-02-01 00:30", project.file).out)
    assert (document["edition"], document["opens"]) == ("kettle@2027-02-01", "2027-01-31T16:30:00Z")


def test_a_refused_plan_prints_every_finding_and_no_sheet(project):
    project.change("metric: members", "metric: membrs")
    ran = drumroll("plan", project.file)
    assert (ran.code, ran.out) == (1, "")
    what = 'phases.recruit.gate.thresholds[0].metric: unknown metric "membrs"; did you mean "members"?'
    last = f"1 error; `drumroll check {project.file}` shows it with its rule"
    assert ran.err == f"error: {project.file}:57: {what}\n{last}\n"


def test_a_refusal_counts_its_errors_and_not_its_warnings(project):
    project.change("metric: members", "metric: membrs").change("kind: console", "kind: consol").change(
        "otherwise: [remedy, extend, hold]", "otherwise: [hold]"
    )
    refused = drumroll("plan", project.file).err.splitlines()
    assert len(refused) == 4
    assert refused[-1] == f"2 errors; `drumroll check {project.file}` shows them with their rules"


def test_the_run_sheet_shows_the_seconds_of_a_moment_that_has_some(project):
    project.change('at: "D-6 10:00"', 'at: "D-6 10:00:30"')
    sheet = drumroll("plan", project.file).out
    assert "Sun 01-10 10:00:30   01-10 02:00:30  recruit  welcome" in sheet
    assert "Sun 01-10  1 to post by hand, 10:00:30\n" in sheet
    assert "── Sun 2027-01-10 10:00:30 · recruit" in drumroll("plan", "--texts", project.file).out


@pytest.mark.parametrize("command", ["check", "plan"])
def test_a_missing_file_is_exit_code_2(tmp_path, command):
    ran = drumroll(command, tmp_path / "none.yaml")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == f"error: {tmp_path}/none.yaml: no such file; create one with `drumroll new NAME`\n"


@pytest.mark.parametrize("command", ["check", "plan"])
def test_a_folder_instead_of_a_file_is_exit_code_2(tmp_path, command):
    ran = drumroll(command, tmp_path)
    assert ran.code == 2
    assert "is a directory" in ran.err.lower()


@pytest.mark.parametrize("arguments", [["check"], ["plan"], ["plan", "a", "b"], ["check", "--jsn", "a"], ["new"]])
def test_a_call_that_is_wrong_is_exit_code_2(arguments):
    ran = drumroll(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert "Error: " in ran.err


def test_ctrl_c_is_exit_code_130(project, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("drumroll.check.check_file", interrupt)
    ran = drumroll("check", project.file)
    assert ran.code == 130
    assert ran.err.strip() == "interrupted; nothing is lost, run the same command again to go on"


def test_a_process_of_its_own_has_the_same_exit_codes(project, tmp_path):
    fine, missing = drumroll_process("check", project.file), drumroll_process("check", tmp_path / "none.yaml")
    refused = drumroll_process("check", project.change("metric: members", "metric: membrs").file)
    assert [ran.code for ran in (fine, refused, missing)] == [0, 1, 2]
    assert "Traceback" not in fine.err + refused.err + missing.err


def test_a_terminal_without_chinese_and_a_file_name_without_text_end_in_no_traceback(project):
    project.change("title: The quiet kettle", "title: 序列式").change("kind: console", "kind: 公告")
    only_ascii = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    refused = drumroll_process("check", project.file, env=only_ascii)
    assert (refused.code, "Traceback" in refused.err) == (1, False)
    planned = drumroll_process("plan", project.change("kind: 公告", "kind: console").file, env=only_ascii)
    assert (planned.code, planned.out.startswith("\\u5e8f\\u5217\\u5f0f")) == (0, True)
    odd = subprocess.run([sys.executable, "-c", MAIN, "check", b"\xff.yaml"], capture_output=True, check=False)
    assert (odd.returncode, b"Traceback" in odd.stderr, b"no such file" in odd.stderr) == (2, False, True)


def test_a_reader_who_leaves_early_sees_no_traceback(project):
    process = subprocess.Popen(
        [sys.executable, "-c", MAIN, "plan", "--texts", project.file], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()
    assert b"Traceback" not in process.stderr.read()
    process.wait(30)
    process.stderr.close()


@pytest.mark.parametrize("locale", ["en", "zh-Hant"])
def test_a_new_launch_file_passes_check_in_every_language(here, locale):
    ran = drumroll("new", "spring-course", "--locale", locale, "--timezone", "Asia/Taipei", "--currency", "TWD")
    file = here / "configs" / "spring-course.yaml"
    assert ran.code == 0
    shown = "configs/spring-course.yaml"
    assert ran.out == (
        f"{shown} written; next:\n  drumroll check {shown}\n  drumroll plan {shown}\n  drumroll rehearse {shown}\n"
    )
    checked = check_file(file)
    assert checked.findings == []
    assert checked.plan.edition == f"spring-course@{default_opening()[:10]}"
    assert "__" not in file.read_text(encoding="utf-8")


def test_the_commands_after_new_work_from_where_it_was_called(here, monkeypatch):
    folder = here / "configs"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert "\n  drumroll check spring-course.yaml\n" in drumroll("new", "spring-course").out
    assert drumroll("check", "spring-course.yaml").code == 0


@pytest.mark.parametrize("name", ["no", "null", "2027", "0123", "1e5", "k" * 64, "a-b_c9"])
def test_any_name_makes_a_file_that_passes_check(here, name):
    assert drumroll("new", name).code == 0
    assert check_file(here / "configs" / f"{name}.yaml").accepted().launch.name == name


@pytest.mark.parametrize(
    "name", ["Spring", "a b", "../x", "a/b", "", "-", "a-", "a--b", "春", "k" * 65, "a\n", "a.yaml"]
)
def test_a_name_that_is_none_is_refused(here, name):
    ran = drumroll("new", "--", name)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        f'error: "{name}" is no launch name; use at most 64 lower-case letters, digits and dashes, e.g. spring-course\n'
    )
    assert list(here.rglob("*.yaml")) == []


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--timezone", "Mars/One", '--timezone: unknown time zone "Mars/One"; use an IANA name such as Asia/Taipei'),
        ("--currency", "usd", '--currency: "usd" is no currency; use the three capital letters of ISO 4217, like TWD'),
        ("--currency", "ZZZ", '--currency: "ZZZ" is no currency; use the three capital letters of ISO 4217, like TWD'),
        ("--currency", "EUO", '--currency: "EUO" is no currency; did you mean "EUR"?'),
        ("--opens", "soon", '--opens: "soon" is not an absolute local time; write it like "2026-12-11 23:00"'),
        (
            "--opens",
            'x"\nname: y',
            '--opens: "x"\nname: y" is not an absolute local time; write it like "2026-12-11 23:00"',
        ),
    ],
)
def test_a_new_launch_with_a_wrong_option_is_refused(here, option, value, message):
    ran = drumroll("new", "spring-course", option, value)
    assert (ran.code, ran.err) == (2, f"error: {message}\n")
    assert list(here.rglob("*.yaml")) == []


def test_a_new_launch_overwrites_nothing(here):
    drumroll("new", "spring-course")
    file = here / "configs" / "spring-course.yaml"
    file.write_text("mine")
    ran = drumroll("new", "spring-course")
    assert ran.code == 2
    assert ran.err == f"error: {file}: exists already; choose another name, or edit that file\n"
    assert file.read_text() == "mine"


def test_a_new_launch_needs_a_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ran = drumroll("new", "spring-course")
    assert ran.code == 2
    assert "no project directory: no folder from here upwards holds templates/" in ran.err


def test_a_new_launch_that_cannot_be_written_is_no_traceback(here):
    (here / "configs").write_text("a file")
    ran = drumroll("new", "spring-course")
    assert (ran.code, ran.err) == (1, f"error: {here}/configs/spring-course.yaml: cannot be written: File exists\n")


def test_a_new_launch_opens_at_noon_in_four_weeks():
    assert default_opening(date(2026, 12, 15)) == "2027-01-12 12:00"
    text = starter("spring", locale="en", timezone="UTC", currency="USD", opens="2027-01-12 12:00")
    assert 'opens: "2027-01-12 12:00"' in text
