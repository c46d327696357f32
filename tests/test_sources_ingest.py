"""`drumroll ingest`: counting an export, and taking it into a real ledger."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from drumroll.cli.ingest import ingest
from drumroll.clock import VirtualClock, using_clock
from drumroll.errors import LedgerError, SourceError, UsageError
from drumroll.launchfile.models import Launch
from drumroll.ledger.ledger import open_ledger
from drumroll.plan.model import Plan

DATA = Path(__file__).parent / "data"
SLACK = str(DATA / "slack-small")


OPENS = datetime(2026, 1, 10, tzinfo=UTC)
LAUNCH = {
    "drumroll": 1,
    "name": "demo",
    "title": "Demo",
    "locale": "en",
    "timezone": "UTC",
    "opens": "2026-01-10 00:00",
    "product": {"name": "Phone", "promise": "learns", "result": "you learn", "price": 1, "currency": "TWD"},
    "team": {"name": "Team", "staff": [{"name": "Mei", "role": "host", "ids": ["U01"]}]},
    "community": {
        "channels": {"hand": {"kind": "console"}},
        "groups": [{"id": name, "name": name, "channel": "hand"} for name in ("vip", "new")],
    },
    "phases": {"recruit": {"goal": "people", "starts": "T-5d", "ends": "T"}},
}


@pytest.fixture(autouse=True)
def _after_the_exports():
    with using_clock(VirtualClock(OPENS + timedelta(days=30))):
        yield


@pytest.fixture
def ledger_url(tmp_path):
    """A ledger that knows demo@2026-01-10 with the groups vip and new; Mei (U01) is staff."""
    launch = Launch.model_validate(LAUNCH)
    plan = Plan(
        schema_version=1,
        edition="demo@2026-01-10",
        opens=OPENS,
        launch=launch,
        phases=(),
        steps=(),
        templates={},
        hash="0",
    )
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    with_plan = {"plan_hash": plan.hash, "document": plan.model_dump_json(), "deliveries": []}
    ledger = open_ledger(url)
    ledger.begin(plan.edition, launch="demo", title="Demo", opens_at=OPENS, rehearsal=False, now=OPENS, **with_plan)
    yield url
    ledger.close()


def run(*arguments):
    return CliRunner().invoke(ingest, list(arguments), catch_exceptions=False, standalone_mode=True)


def test_a_dry_run_prints_the_summary_alone():
    result = run("slack", SLACK, "--dry-run", "--json")
    assert result.exit_code == 0
    assert result.stderr == ""
    assert json.loads(result.stdout) == {
        "messages": 11,
        "authors": 6,
        "joins": 3,
        "leaves": 1,
        "reactions": 4,
        "first": "2026-01-05T23:59:59Z",
        "last": "2026-01-06T00:21:40Z",
        "active_days": 2,
        "daily": {"2026-01-05": [2, 1], "2026-01-06": [9, 6]},
    }


def test_a_dry_run_with_a_map_counts_what_would_be_taken_in_and_names_the_rest_on_stderr():
    result = run("slack", SLACK, "--dry-run", "--json", "--map", "lounge=vip")
    counted = json.loads(result.stdout)
    assert (counted["messages"], counted["joins"], counted["leaves"]) == (1, 1, 1)
    assert "general" in result.stderr


def test_a_dry_run_for_people_shows_the_numbers_the_bots_and_the_channels():
    shown = run("slack", SLACK, "--dry-run").stdout
    words = {line[:18].strip(): line[18:].strip() for line in shown.splitlines()}
    assert words["messages"] == "11"
    assert words["messages by bots"] == "4 (in no metric)"
    assert words["channels"] == "general, lounge"


def test_the_zone_moves_local_times_only(tmp_path):
    file = tmp_path / "vip.csv"
    file.write_text("at,member\n2026-01-05 03:00,a\n2026-01-05T03:00:00Z,b\n")
    counted = json.loads(run("csv", str(file), "--dry-run", "--json", "--timezone", "Asia/Taipei").stdout)
    assert counted["daily"] == {"2026-01-04": [1, 1], "2026-01-05": [1, 1]}


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--group", "vip"], "--launch is missing"),
        (["--launch", "demo"], "--group is missing"),
        (["--dry-run", "--map", "general"], "is not channel=group"),
        (["--dry-run", "--map", "a=x", "--map", "a=y"], 'mapped to "x" and to "y"'),
        (["--dry-run", "--timezone", "Mars/Base"], "unknown time zone"),
    ],
)
def test_a_wrong_call_exits_with_2_and_says_why(arguments, word):
    result = run("slack", SLACK, *arguments)
    assert result.exit_code == 2
    assert word in " ".join(result.stderr.split())


def test_a_missing_path_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="no such file or folder") as caught:
        run("csv", str(tmp_path / "nothing.csv"), "--dry-run")
    assert caught.value.exit_code == 2


def test_the_kind_is_looked_at_before_the_path(tmp_path):
    with pytest.raises(UsageError, match='unknown source kind "slak"; did you mean "slack"') as caught:
        run("slak", str(tmp_path / "nothing"), "--dry-run")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("now", "warning"),
    [
        (datetime(2026, 1, 6, 12, tzinfo=UTC), ""),
        (
            datetime(2026, 1, 5, 0, 10, tzinfo=UTC),
            "4 events lie in the future, the last at 2026-01-07T00:01:40Z; is the time zone right?\n",
        ),
    ],
)
def test_events_of_the_future_are_taken_in_with_a_warning(ledger_url, now, warning):
    with using_clock(VirtualClock(now)):
        result = run("slack", SLACK, "--launch", "demo", "--group", "vip", "--ledger", ledger_url, "--json")
    assert result.stderr == warning
    assert json.loads(result.stdout)["new"] == 19


def test_an_export_that_cannot_be_read_is_a_finding():
    with pytest.raises(SourceError) as caught:
        run("csv", SLACK, "--dry-run")
    assert caught.value.exit_code == 1


def take_in(url, *arguments):
    return run("slack", SLACK, "--launch", "demo", "--ledger", url, *arguments)


def test_an_export_is_taken_in_and_counted_by_group(ledger_url):
    result = take_in(ledger_url, "--map", "general=vip", "--map", "lounge=new", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {
        "launch": "demo@2026-01-10",
        "taken": 19,
        "new": 19,
        "known": 0,
        "groups": {"vip": 16, "new": 3},
    }
    events, _ = open_ledger(ledger_url).activity("demo@2026-01-10", until=OPENS)
    assert len(events) == 19
    assert {event.group for event in events} == {"vip", "new"}


def test_the_same_export_again_adds_nothing(ledger_url):
    take_in(ledger_url, "--group", "vip")
    again = json.loads(take_in(ledger_url, "--group", "vip", "--json").stdout)
    assert (again["taken"], again["new"], again["known"]) == (19, 0, 19)


def test_a_registered_staff_id_is_marked_as_staff(ledger_url):
    take_in(ledger_url, "--group", "vip")
    _, people = open_ledger(ledger_url).activity("demo@2026-01-10", until=OPENS)
    assert [person.id for person in people.values() if person.is_staff] == ["U01"]
    assert people["B77"].is_bot


def test_people_read_what_was_taken_in(ledger_url):
    result = take_in(ledger_url, "--map", "lounge=new")
    assert result.stdout == "demo@2026-01-10: 3 events read, 3 new, 0 already known\nby group: new 3\n"
    assert result.stderr == "left out, because --map does not name them: general\n"


def test_a_group_that_the_launch_does_not_have_is_refused_and_nothing_is_taken_in(ledger_url):
    with pytest.raises(UsageError, match='demo@2026-01-10 has no group "vipp"; did you mean "vip"'):
        take_in(ledger_url, "--map", "general=new", "--group", "vipp")
    assert open_ledger(ledger_url).activity("demo@2026-01-10", until=OPENS) == ([], {})


def test_an_unknown_launch_is_refused(ledger_url):
    with pytest.raises(LedgerError, match="dmo"):
        run("slack", SLACK, "--launch", "dmo", "--group", "vip", "--ledger", ledger_url)
