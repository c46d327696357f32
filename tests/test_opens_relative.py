"""`--opens "+14d 12:00"`: an opening counted from the day of the call, for cron and for whoever starts a launch."""

import json
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from drumroll.check import check_file
from drumroll.errors import UsageError
from drumroll.ledger.ledger import default_url, open_ledger
from drumroll.moments import MomentError, opening_from
from drumroll.operate.opening import open_edition
from tests.launch_files import LAUNCH, drumroll, new_project

TAIPEI, BERLIN, NEW_YORK = ZoneInfo("Asia/Taipei"), ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
CALLED = datetime(2026, 12, 31, 17, tzinfo=UTC)  # New Year's Day already, in Taipei


@pytest.mark.parametrize(
    ("text", "zone", "absolute"),
    [
        ("+14d 12:00", TAIPEI, "2027-01-15 12:00"),
        ("+14d 12:00", NEW_YORK, "2027-01-14 12:00"),
        ("+0d 9:05:30", TAIPEI, "2027-01-01 9:05:30"),
        (" +1d 02:30 second ", TAIPEI, "2027-01-02 02:30 second"),
        ("2027-01-16 12:00", TAIPEI, "2027-01-16 12:00"),
        ("T-2h", TAIPEI, "T-2h"),
    ],
)
def test_days_count_from_the_local_day_of_the_call_and_all_else_stays_as_it_is(text, zone, absolute):
    assert opening_from(text, zone=zone, called=CALLED) == absolute


@pytest.mark.parametrize(
    "text", ["+14d", "+14 12:00", "+2w 12:00", "+14d12:00", "+1000d 12:00", "+14d noon", "+٣d 12:00", "+"]
)
def test_what_is_no_number_of_days_and_a_time_is_refused_in_words(text):
    with pytest.raises(MomentError) as raised:
        opening_from(text, zone=TAIPEI, called=CALLED)
    assert str(raised.value) == f'"{text}" is no opening; write "+14d 12:00": 14 days ahead, at that local time'


def test_a_time_that_the_clocks_skip_on_that_day_is_an_error_that_names_the_day(tmp_path):
    file = new_project(tmp_path, LAUNCH.replace("Asia/Taipei", "Europe/Berlin")).file
    with pytest.raises(UsageError) as raised:
        check_file(file, opens="+14d 02:30", called=datetime(2027, 3, 14, 9, tzinfo=UTC))
    assert str(raised.value) == (
        '--opens "+14d 02:30": "2027-03-28 02:30" does not exist in Europe/Berlin: clocks go forward over it; '
        "choose another time"
    )


def test_a_launch_file_itself_takes_no_counted_opening(tmp_path):
    file = new_project(tmp_path, LAUNCH.replace('"2027-01-16 12:00"', '"+14d 12:00"')).file
    [finding] = [finding for finding in check_file(file).errors if finding.path == "opens"]
    assert '"+14d 12:00" is not an absolute local time' in finding.what


def test_the_plan_is_the_same_as_with_the_day_written_out(tmp_path):
    file = new_project(tmp_path).file
    counted = check_file(file, opens="+14d 12:00", called=CALLED)
    written = check_file(file, opens="2027-01-15 12:00")
    assert counted.plan == written.plan
    assert counted.opens == "2027-01-15 12:00"


def test_plan_check_and_the_command_take_it(tmp_path):
    file = new_project(tmp_path).file
    planned = json.loads(drumroll("plan", file, "--opens", "+400d 12:00", "--json").out)
    checked = json.loads(drumroll("check", file, "--opens", "+400d 12:00", "--json").out)
    assert checked["files"][0]["edition"] == planned["edition"]
    assert planned["opens"].endswith("T04:00:00Z")


async def test_each_call_begins_an_edition_of_its_own_and_a_repeated_one_goes_on_with_it(tmp_path):
    project = new_project(tmp_path)
    ledger = default_url(tmp_path)
    calls = [datetime(2030, month, 1, 1, tzinfo=UTC) for month in (1, 2, 2)]
    begun = [await open_edition(project.file, opens="+14d 12:00", called=called, ledger=ledger) for called in calls]
    assert [where.edition for where in begun] == ["kettle@2030-01-15", "kettle@2030-02-15", "kettle@2030-02-15"]
    assert {row.id for row in open_ledger(ledger).editions()} == {"kettle@2030-01-15", "kettle@2030-02-15"}
