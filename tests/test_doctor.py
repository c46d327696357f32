"""`drumroll doctor`: what is missing on this machine, and how to get it."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

from drumroll.doctor.machine import machine_signs, package_signs, setting_signs
from drumroll.doctor.project import file_signs, needed_packages, project_signs
from drumroll.doctor.stored import busiest, filesystem, ledger_signs
from drumroll.ledger.crowd import CEILING, crowded_minutes
from drumroll.ledger.ledger import open_ledger
from tests.launch_files import LAUNCH, drumroll, new_project
from tests.ledger_rows import begin, new

ROOT = Path(__file__).parents[1]
NOW = datetime(2026, 12, 12, 11, 30, tzinfo=UTC)
AT = datetime(2026, 12, 12, 12, tzinfo=UTC)


def found(signs, subject):
    [sign] = [sign for sign in signs if sign.subject == subject]
    return sign


def problems(signs):
    return [sign.subject for sign in signs if sign.state == "problem"]


def test_the_machine_that_runs_these_tests_is_sound():
    assert problems([*machine_signs(), *package_signs(needed_packages(ROOT))]) == []


@pytest.mark.parametrize(("name", "version"), [("fastapi", "0.155.0"), ("SQLAlchemy", "2.1.0"), ("prefect", "3.9.1")])
def test_a_package_that_breaks_prefect_is_a_problem_with_its_reason(monkeypatch, name, version):
    installed = metadata.version
    monkeypatch.setattr(metadata, "version", lambda asked: version if asked == name else installed(asked))
    sign = found(package_signs(needed_packages(ROOT)), f"packages.{name}")
    assert sign.state == "problem"
    assert f"{name} {version} is installed" in sign.what
    assert ": " in sign.what
    assert "requirements.lock" in sign.remedy


def test_a_package_that_is_not_there_is_a_problem():
    assert found(package_signs(["no-such-package-of-ours>=1"]), "packages.no-such-package-of-ours").state == "problem"


@pytest.mark.parametrize(
    ("variable", "value", "subject", "state"),
    [
        ("DRUMROLL_LOG", "xml", "settings.log", "warning"),
        ("DRUMROLL_WAITING", "soon", "settings.waiting", "problem"),
    ],
)
def test_a_setting_that_says_nothing_is_told(monkeypatch, variable, value, subject, state):
    assert list(setting_signs()) == []
    monkeypatch.setenv(variable, value)
    assert found(setting_signs(), subject).state == state


def test_a_wheel_without_a_project_goes_by_its_own_metadata(tmp_path):
    assert any(one.startswith("prefect") for one in needed_packages(tmp_path))


def test_a_ledger_that_is_not_there_yet_is_no_problem_and_is_not_made(tmp_path):
    path = tmp_path / "ledger.db"
    signs = list(ledger_signs(f"sqlite:///{path}"))
    assert problems(signs) == []
    assert not path.exists()


def test_a_current_ledger_is_well(ledger_url, ledger):
    signs = list(ledger_signs(ledger_url))
    assert found(signs, "ledger").state == "ok"
    assert "revision" in found(signs, "ledger").what


@pytest.mark.parametrize(
    ("revision", "state", "remedy"), [("0001", "warning", "upgrade"), ("9999", "problem", "upgrade")]
)
def test_a_ledger_of_another_schema_is_left_as_it_is(tmp_path, revision, state, remedy):
    from sqlalchemy import text

    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    with open_ledger(url).store.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :it"), {"it": revision})
    before = (tmp_path / "ledger.db").read_bytes()
    sign = found(ledger_signs(url), "ledger")
    assert (sign.state, remedy in sign.remedy) == (state, True)
    assert (tmp_path / "ledger.db").read_bytes() == before


def test_a_copied_ledger_is_a_problem(tmp_path):
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    begin(ledger, new())
    ledger.close()
    shutil.copy(tmp_path / "ledger.db", tmp_path / "copy.db")
    sign = found(ledger_signs(f"sqlite:///{tmp_path / 'copy.db'}"), "ledger")
    assert (sign.state, "drumroll db confirm" in sign.remedy) == ("problem", True)


def test_a_pause_of_all_launches_is_told_with_its_author(tmp_path):
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    open_ledger(url).set_brake("*", by="Ann", reason="the shop is down", now=NOW)
    sign = found(ledger_signs(url), "ledger")
    assert (sign.state, "Ann (the shop is down)" in sign.what) == ("warning", True)


def test_a_ledger_that_does_not_answer_is_a_problem_without_its_password():
    sign = found(ledger_signs("postgresql://ann:hush@127.0.0.1:1/ledger"), "ledger")
    assert sign.state == "problem"
    assert "hush" not in sign.what + sign.remedy


def test_a_network_file_system_is_known_by_the_deepest_and_latest_mount(tmp_path):
    mounts = tmp_path / "mounts"
    share = tmp_path / "my share"
    (share / "inner").mkdir(parents=True)
    there = str(share).replace(" ", "\\040")
    mounts.write_text(f"/dev/sda / ext4 rw 0 0\n/dev/sdb {there} ext4 rw 0 0\nhost:/x {there} nfs4 rw 0 0\n")
    assert filesystem(share / "inner", mounts) == "nfs4"
    assert filesystem(tmp_path, mounts) == "ext4"
    assert filesystem(tmp_path, tmp_path / "none") == ""


@pytest.mark.parametrize(("free", "state"), [(100 << 20, "problem"), (500 << 20, "warning"), (5 << 30, "ok")])
def test_a_full_disk_is_told_before_it_is_full(monkeypatch, tmp_path, free, state):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=free))
    assert found(ledger_signs(f"sqlite:///{tmp_path / 'ledger.db'}"), "ledger.disk").state == state


def test_this_project_is_whole_and_every_deployed_flow_loads():
    assert problems(project_signs(ROOT)) == []


def test_a_flow_that_does_not_load_is_named(tmp_path):
    for name in ("flows", "tasks", "templates", "configs"):
        (tmp_path / name).mkdir()
    (tmp_path / "prefect.yaml").write_text("deployments:\n- {name: x, entrypoint: flows.nowhere.launch}\n")
    sign = found(project_signs(tmp_path), "project.flow.launch")
    assert "flows.nowhere.launch does not load: ModuleNotFoundError" in sign.what


def test_a_folder_with_templates_alone_is_no_project(tmp_path):
    (tmp_path / "templates").mkdir()
    assert found(project_signs(tmp_path), "project.folders").what.endswith("lacks flows, tasks, configs")


def test_the_variables_of_a_launchs_channels_are_named_and_never_shown(tmp_path):
    webhook = "kind: webhook\n      url_env: EAST_URL\n      secret_env: EAST_SECRET"
    file = new_project(tmp_path, LAUNCH.replace("kind: console", webhook)).file
    signs = list(file_signs(file, {"EAST_URL": "https://hooks.example/hush"}))
    assert [(sign.state, sign.what) for sign in signs if sign.subject == "file.channel.screen"] == [
        ("ok", "EAST_URL is set"),
        ("problem", "EAST_SECRET is not set in this environment"),
    ]
    assert "hush" not in str(signs)


def test_a_block_that_stands_in_for_a_variable_is_no_problem_and_all_are_asked_about_at_once(tmp_path):
    asked = []

    def in_blocks(variables):
        asked.append(list(variables))
        return {"EAST_URL"}

    webhook = "kind: webhook\n      url_env: EAST_URL\n      secret_env: EAST_SECRET"
    file = new_project(tmp_path, LAUNCH.replace("kind: console", webhook)).file
    signs = [sign for sign in file_signs(file, {}, in_blocks) if sign.subject == "file.channel.screen"]
    assert asked == [["EAST_URL", "EAST_SECRET"]]
    assert signs[0].what == "EAST_URL is not set here, and the Prefect Secret Block east-url stands in for it"
    assert [sign.state for sign in signs] == ["ok", "problem"]
    assert signs[1].remedy.endswith("or make the Prefect Secret Block east-secret")


def launches(url, count):
    ledger = open_ledger(url)
    for number in range(count):
        begin(ledger, new(due=AT + timedelta(seconds=number)), edition=f"l{number}@2026-12-12")
    begin(ledger, new(due=AT), edition="rehearsed@2026-12-12", rehearsal=True)
    begin(ledger, new(due=AT), edition="over@2026-12-12")
    ledger.set_edition_state("over@2026-12-12", "aborted", now=NOW)
    return ledger


def test_launches_of_one_minute_are_counted_live_ones_under_way_only(tmp_path):
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    launches(url, 3)
    assert crowded_minutes(tmp_path / "ledger.db", now=NOW) == {AT: {f"l{number}@2026-12-12" for number in range(3)}}
    assert busiest(url, now=NOW) == 3
    assert busiest(url, now=AT + timedelta(hours=1)) == 0


def test_a_ledger_that_cannot_be_read_crowds_nothing(tmp_path):
    (tmp_path / "ledger.db").write_text("no database")
    assert crowded_minutes(tmp_path / "ledger.db", now=NOW) == {}
    assert crowded_minutes(tmp_path / "nowhere.db", now=NOW) == {}
    assert not (tmp_path / "nowhere.db").exists()


@pytest.mark.parametrize(("count", "warns"), [(CEILING - 1, False), (CEILING, True)])
def test_check_warns_before_more_launches_share_a_minute_than_sqlite_carries(tmp_path, monkeypatch, count, warns):
    monkeypatch.delenv("DRUMROLL_LEDGER", raising=False)
    project = new_project(tmp_path)
    [minute, *_] = sorted({step.due for step in project.check().plan.steps})
    ledger = open_ledger(f"sqlite:///{tmp_path / '.drumroll' / 'ledger.db'}")
    for number in range(count):
        begin(ledger, new(due=minute), edition=f"l{number}@2026-12-12")
    rules = [each["rule"] for each in json.loads(drumroll("check", project.file, "--json").out)["files"][0]["findings"]]
    assert ("launch/crowd" in rules) is warns


def test_the_command_exits_1_with_a_problem_and_says_all_in_json(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ran = drumroll("doctor", "--json")
    document = json.loads(ran.out)
    assert ran.code == 1
    assert document["ok"] is False
    assert document["signs"][-1] == {
        "subject": "project.folders",
        "state": "problem",
        "what": f"{tmp_path}: no project directory: no folder from here upwards holds templates/",
        "remedy": "run the command inside a Drumroll project, or keep launch files in its configs/",
    }


def test_a_file_that_is_not_there_is_a_usage_error():
    ran = drumroll("doctor", "nowhere.yaml")
    assert (ran.code, ran.err) == (2, "error: nowhere.yaml: no such file\n")
