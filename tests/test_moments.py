"""Moments as people say them: `T-2h`, `D-1 23:00`, `2026-12-11 23:00`, and the hours that clocks skip or repeat."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from drumroll.launchfile.fields import Duration, parse_duration, write_duration
from drumroll.moments import MomentError, instant

TAIPEI, BERLIN, NEW_YORK = ZoneInfo("Asia/Taipei"), ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
OPENS = datetime(2026, 12, 12, 4, tzinfo=UTC)  # noon in Taipei


def at(text: str, zone: ZoneInfo = TAIPEI, opens: datetime | None = OPENS) -> str:
    return instant(text, zone=zone, opens=opens).isoformat()


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("T", "2026-12-12T04:00:00+00:00"),
        ("T-2h", "2026-12-12T02:00:00+00:00"),
        ("T+30m", "2026-12-12T04:30:00+00:00"),
        ("T-1d12h", "2026-12-10T16:00:00+00:00"),
        ("T+1d2h3m4s", "2026-12-13T06:03:04+00:00"),
        ("D 12:00", "2026-12-12T04:00:00+00:00"),
        ("D-1 23:00", "2026-12-11T15:00:00+00:00"),
        ("D+2 20:00", "2026-12-14T12:00:00+00:00"),
        ("D-0 9:05", "2026-12-12T01:05:00+00:00"),
        ("D-1 23:00:30", "2026-12-11T15:00:30+00:00"),
        ("2026-12-11 23:00", "2026-12-11T15:00:00+00:00"),
        ("2026-12-11T23:00", "2026-12-11T15:00:00+00:00"),
        ("  T-2h ", "2026-12-12T02:00:00+00:00"),
    ],
)
def test_every_form_means_one_instant(text, utc):
    assert at(text) == utc


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("soon", '"soon" is not a moment; write "T-2h", "D-1 23:00" or "2026-12-11 23:00"'),
        ("t-2h", '"t-2h" is not a moment; '),
        ("T-2", '"T-2" is not a moment; '),
        ("T-2h30", '"T-2h30" is not a moment; '),
        ("T -2h", '"T -2h" is not a moment; '),
        ("T-", '"T-" has no length; '),
        ("D-1", '"D-1" is not a moment; '),
        ("D-1 24:00", '"D-1 24:00" is no time of day: hour must be in 0..23'),
        ("D-1 23:60", '"D-1 23:60" is no time of day: minute must be in 0..59'),
        ("D-1 23:00 first", '"D-1 23:00 first" happens only once in Asia/Taipei; remove "first"'),
        ("2026-13-01 10:00", '"2026-13-01 10:00" is no date: month must be in 1..12'),
        ("2026-02-29 10:00", '"2026-02-29 10:00" is no date: day is out of range for month'),
        ("0001-01-01 00:00", '"0001-01-01 00:00" is not in this age; write a year from 2000 to 2199'),
        ("2026-12-11", '"2026-12-11" is not a moment; '),
        ("T-٣h", '"T-٣h" is not a moment; '),
    ],
)
def test_what_means_no_instant_is_refused_in_words(text, message):
    with pytest.raises(MomentError) as raised:
        at(text)
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize("text", ["T-2h", "D-1 23:00", "T"])
def test_an_opening_must_be_absolute(text):
    with pytest.raises(MomentError, match=f'"{text}" is not an absolute local time; write it like'):
        at(text, opens=None)


def test_a_day_is_counted_from_the_openings_local_date():
    late = datetime(2026, 12, 11, 17, tzinfo=UTC)  # the 12th already, in Taipei
    assert at("D 01:00", opens=late) == "2026-12-11T17:00:00+00:00"


def test_elapsed_time_ignores_clock_changes_and_wall_time_follows_them():
    opens = datetime(2027, 3, 28, 10, tzinfo=UTC)  # noon in Berlin, on the day clocks went forward
    assert at("T-1d", BERLIN, opens) == "2027-03-27T10:00:00+00:00"
    assert at("D-1 12:00", BERLIN, opens) == "2027-03-27T11:00:00+00:00"


@pytest.mark.parametrize("text", ["2027-03-28 02:00", "2027-03-28 02:30", "2027-03-28 02:59:59"])
def test_a_wall_time_in_a_gap_does_not_exist(text):
    with pytest.raises(MomentError) as raised:
        at(text, BERLIN)
    assert str(raised.value) == (
        f'"{text}" does not exist in Europe/Berlin: clocks go forward over it; choose another time'
    )


@pytest.mark.parametrize("text", ["2027-03-28 01:59:59", "2027-03-28 03:00"])
def test_the_edges_of_a_gap_exist(text):
    assert at(text, BERLIN)


def test_naming_an_hour_of_a_gap_does_not_make_it_exist():
    with pytest.raises(MomentError, match="does not exist in America/New_York"):
        at("2027-03-14 02:30 second", NEW_YORK)


def test_a_wall_time_in_a_fold_must_say_which():
    with pytest.raises(MomentError) as raised:
        at("2027-11-07 01:30", NEW_YORK)
    assert str(raised.value) == (
        '"2027-11-07 01:30" happens twice in America/New_York: clocks go back; add "first" or "second"'
    )


@pytest.mark.parametrize(("which", "utc"), [("first", "05:30"), ("second", "06:30")])
def test_first_and_second_are_an_hour_apart(which, utc):
    assert at(f"2027-11-07 01:30 {which}", NEW_YORK) == f"2027-11-07T{utc}:00+00:00"


@given(st.integers(1, 60 * 60 * 24 * 365).map(lambda seconds: timedelta(seconds=seconds)))
def test_a_duration_that_is_written_reads_back(length):
    assert parse_duration(write_duration(length)) == length
    assert instant(f"T-{write_duration(length)}", zone=TAIPEI, opens=OPENS) == OPENS - length


@pytest.mark.parametrize("text", ["", "1", "h", "1h1d", "-1h", "1.5h", "1 h", "٣h", "999999d", 5, None, True])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValidationError, match="is not a duration; write days, hours, minutes, seconds"):
        TypeAdapter(Duration).validate_python(text)


def test_nothing_at_all_is_a_duration_too():
    assert write_duration(timedelta(0)) == "0s"
    assert parse_duration("0s") == timedelta(0)


@given(st.text("TD+-0123456789:dhms firstsecond", max_size=24))
def test_any_text_is_a_moment_or_refused(text):
    try:
        told = f'"{text.strip()}" {instant(text, zone=BERLIN, opens=OPENS):%Z}'
    except MomentError as error:
        told = str(error)
    assert told.startswith(f'"{text.strip()}" ')
