"""Reading CSV and JSON Lines."""

import json
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drumroll.activity import Event, Person
from drumroll.errors import SourceError
from drumroll.sources.base import Export
from drumroll.sources.registry import source_for

UTC_ZONE = ZoneInfo("UTC")
DATA = Path(__file__).parent / "data"
HEADER = "at,member,kind,group,id,name,reply_to,staff,bot"


def read_csv(path, zone=UTC_ZONE):
    return source_for("csv").read(path, zone=zone)


def read_jsonl(path, zone=UTC_ZONE):
    return source_for("jsonl").read(path, zone=zone)


@pytest.fixture
def csv_file(tmp_path):
    def write(content, name="vip.csv"):
        file = tmp_path / name
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file

    return write


def ids(export):
    return [event.id for event in export.events]


def test_a_table_becomes_people_and_events():
    export = read_csv(DATA / "vip.csv")
    assert list(export.people) == [
        Person("ann", "安"),
        Person("bob", 'Bob, "the" first\nof two'),
        Person("host", "Host", is_staff=True),
        Person("relay", is_bot=True),
    ]
    assert list(export.events) == [
        Event("csv", "m1", "message", datetime(2026, 1, 5, 9, tzinfo=UTC), "vip", "host"),
        Event("csv", "r1", "reaction", datetime(2026, 1, 5, 9, 0, 30, tzinfo=UTC), "vip", "ann", "m1"),
        Event("csv", "m2", "message", datetime(2026, 1, 5, 9, 1, tzinfo=UTC), "vip", "bob", "m1"),
        Event("csv", "m3", "message", datetime(2026, 1, 5, 9, 2, tzinfo=UTC), "other", "relay"),
    ]


def test_json_lines_say_the_same_as_the_table():
    table, lines = read_csv(DATA / "vip.csv"), read_jsonl(DATA / "vip.jsonl")
    assert lines.people == table.people
    assert [(e.id, e.kind, e.at, e.group, e.member, e.reply_to) for e in lines.events] == [
        (e.id, e.kind, e.at, e.group, e.member, e.reply_to) for e in table.events
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_delimiter_is_found(csv_file, delimiter):
    export = read_csv(csv_file("member,at,note\nann,1767571200,x\n".replace(",", delimiter)))
    assert [(event.member, event.at) for event in export.events] == [("ann", datetime(2026, 1, 5, tzinfo=UTC))]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_every_unicode_encoding_with_its_mark_reads(csv_file, encoding):
    export = read_csv(csv_file("at,member,name\n1767571200,小美,林小美\n".encode(encoding)))
    assert list(export.people) == [Person("小美", "林小美")]


def test_mixed_line_ends_and_blank_lines_are_no_matter(csv_file):
    export = read_csv(csv_file("at,member\r\n1767571200,a\n\n1767571201,b\r1767571202,c"))
    assert [event.member for event in export.events] == ["a", "b", "c"]


def test_a_header_alone_is_an_empty_export(csv_file):
    assert read_csv(csv_file(HEADER + "\n")).events == ()


def test_columns_may_be_written_in_capitals_and_others_are_ignored(csv_file):
    export = read_csv(csv_file("At, Member ,text\n1767571200,a,{{ 7*7 }}\n"))
    assert [event.member for event in export.events] == ["a"]


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("2026-01-05T09:00:00Z", "Asia/Taipei", "2026-01-05T09:00:00+00:00"),
        ("2026-01-05T09:00:00+08:00", "UTC", "2026-01-05T01:00:00+00:00"),
        ("2026-01-05 09:00", "Asia/Taipei", "2026-01-05T01:00:00+00:00"),
        ("2026-01-05 09:00", "UTC", "2026-01-05T09:00:00+00:00"),
        ("1767571200", "Asia/Taipei", "2026-01-05T00:00:00+00:00"),
        ("1767571200.1234567", "UTC", "2026-01-05T00:00:00.123456+00:00"),
        ("2026-10-25 02:30", "Europe/Berlin", "2026-10-25T00:30:00+00:00"),  # twice that night: the first
    ],
)
def test_times_become_utc(csv_file, text, zone, expected):
    export = read_csv(csv_file(f"at,member\n{text},a\n"), ZoneInfo(zone))
    assert export.events[0].at.isoformat() == expected


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("yesterday", "is not a time"),
        ("5/1/2026 9:00", "is not a time"),
        ("2026-02-30", "is not a time"),
        ("1767571200000", "looks like milliseconds"),
        ("20260105", "not a time in seconds"),
        ("2026-03-29 02:30", "does not exist in Europe/Berlin"),
        ("0001-01-01T00:00:00+14:00", "outside the years"),
    ],
)
def test_a_bad_time_is_refused_with_its_line(csv_file, text, what):
    with pytest.raises(SourceError, match=rf"vip\.csv:3: at: .*{what}.*; write"):
        read_csv(csv_file(f"at,member\n1767571200,a\n{text},a\n"), ZoneInfo("Europe/Berlin"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r":1: the file is empty"),
        ("\n\n", r":1: the file is empty"),
        ("att,member\n1,a\n", r':1: no column "at"; did you mean "att"'),
        ("at,user\n1,a\n", r':1: no column "member"; found only: at, user'),
        ("at,member,groups\n1767571200,a,b\n", r':1: unknown column "groups"; did you mean "group"\?'),
        ("at,member,at\n1,a,1\n", r':1: two columns are called "at"'),
        ("at,member,kind\n1767571200,a,mesage\n", r':2: unknown kind "mesage"; did you mean "message"\?'),
        ("at,member,kind\n1767571200,a,zzz\n", r':2: unknown kind "zzz"; known kinds: message, '),
        ("at,member\n1767571200,\n", r':2: "member" is empty'),
        ("at,member,staff\n1767571200,a,maybe\n", r':2: staff: "maybe" is neither true nor false'),
        ('at,member\n1767571200,a\n1767571201,"b\nc\nd\n', r":3: a quote opens here and never closes; .*cut off"),
        ('at,member\n1767571200,"a"b\n', r":2: not a CSV record"),
        ("at,member,kind\n1767571200,a,join\n1767571201,b", r":3: 2 fields where the header has 3; .*cut off"),
        ("at,member,kind\n1767571200,a\n1767571201,b,join\n", r":2: 2 fields .*; write the empty fields too"),
        ("at,member\n1767571200,a,b\n", r":2: 3 fields where the header has 2; put quotes"),
        ("at,member,id\n1767571200,a,x\n1767571201,a,x\n", r':3: id "x" is already that of another event in line 2'),
    ],
)
def test_a_broken_table_is_refused_with_line_and_remedy(csv_file, content, message):
    with pytest.raises(SourceError, match=rf"vip\.csv{message}"):
        read_csv(csv_file(content))


def test_big5_is_refused_with_line_offset_and_remedy(csv_file):
    data = b"at,member\n1767571200,a\n1767571201," + "小美\n".encode("big5")
    with pytest.raises(SourceError, match=r"vip\.csv:3: not UTF-8: byte 0xa4 at offset 34; save the file as UTF-8"):
        read_csv(csv_file(data))


def test_a_cut_off_utf16_file_is_refused_with_its_line(csv_file):
    with pytest.raises(SourceError, match=r"vip\.csv:2: not UTF-16"):
        read_csv(csv_file("at,member\n1767571200,a".encode("utf-16")[:-1]))


def test_utf16_without_its_mark_is_recognised(csv_file):
    with pytest.raises(SourceError, match="UTF-16 without a byte order mark"):
        read_csv(csv_file("at,member\n1767571200,a\n".encode("utf-16-le")))


def test_a_folder_in_place_of_a_file_is_refused(tmp_path):
    with pytest.raises(SourceError, match="is a folder"):
        read_csv(tmp_path)


def test_reading_a_file_again_names_every_row_as_before(csv_file):
    rows = "at,member\n1767571200,a\n1767571200,a\n1767571201,b\n"
    first, again = read_csv(csv_file(rows)), read_csv(csv_file(rows, "vip-2.csv"))
    assert ids(first) == ids(again)
    assert len(set(ids(first))) == 3


def test_a_grown_file_only_adds_ids(csv_file):
    rows = "at,member\n1767571200,a\n1767571200,a\n"
    before = set(ids(read_csv(csv_file(rows))))
    after = set(ids(read_csv(csv_file(rows + "1767571200,a\n1767571300,b\n"))))
    assert before < after
    assert len(after) == 4


def test_reading_under_another_zone_does_not_make_new_events(csv_file):
    file = csv_file("at,member\n2026-01-05 09:00,a\n")
    assert ids(read_csv(file)) == ids(read_csv(file, ZoneInfo("Asia/Taipei")))


def test_the_same_row_twice_with_the_same_id_is_one_event(csv_file):
    assert ids(read_csv(csv_file("at,member,id\n1767571200,a,x\n1767571200,a,x\n"))) == ["x"]


def test_a_staff_mark_in_one_row_holds_for_the_person(csv_file):
    export = read_csv(
        csv_file(
            "at,member,staff,name\n1,h,,\n".replace("1,", "1767571200,") + "1767571201,h,yes,Host\n1767571202,h,no,\n"
        )
    )
    assert list(export.people) == [Person("h", "Host", is_staff=True)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"at":1767571200,"member":"a"}\n{"at":17675', r":2: the last line breaks off; export it again"),
        ('{"at":1767571200,"member":"a"}\n{oops}\n', r":2: not JSON .*; write one object per line"),
        ('[{"at":1767571200,"member":"a"}]\n', r":1: not an object but a list"),
        ("42\n", r":1: not an object but a number"),
        ('{"at":1767571200,"membr":"a"}\n', r':1: no field "member"; did you mean "membr"'),
        ('{"at":1767571200,"member":["a"]}\n', r':1: "member" is a list'),
        ('{"at":true,"member":"a"}\n', r':1: "at" is true or false'),
        ('{"at":NaN,"member":"a"}\n', r':1: at: "nan" is not a time'),
        ('{"at":1767571200,"member":null}\n', r':1: "member" is empty'),
        ('{"at":1767571200,"member":"a\\u0000b"}\n', r':1: "member" holds a character that is not text'),
        ('{"at":1767571200,"member":"a\\ud800"}\n', r':1: "member" holds a character that is not text'),
        ('{"at":1767571200,"member":"a","kind":"jion"}\n', r':1: unknown kind "jion"; did you mean "join"\?'),
        ("[" * 200_000 + "\n", r":1: not JSON"),
    ],
)
def test_broken_json_lines_are_refused_with_line_and_remedy(csv_file, content, message):
    with pytest.raises(SourceError, match=rf"vip\.jsonl{message}"):
        read_jsonl(csv_file(content, "vip.jsonl"))


def test_a_line_separator_inside_a_json_string_does_not_end_the_line(csv_file):
    content = json.dumps({"at": 1767571200.5, "member": 7, "name": "a\u2028b", "bot": True}, ensure_ascii=False)
    export = read_jsonl(csv_file(content, "vip.jsonl"))
    assert list(export.people) == [Person("7", "a\u2028b", is_bot=True)]
    assert export.events[0].at == datetime(2026, 1, 5, 0, 0, 0, 500_000, tzinfo=UTC)


def test_an_empty_json_lines_file_is_an_empty_export(csv_file):
    assert read_jsonl(csv_file("", "vip.jsonl")).events == ()


@pytest.mark.parametrize("kind", ["csv", "jsonl", "slack"])
def test_every_registered_kind_has_a_reader(kind):
    assert callable(source_for(kind).read)


def test_an_unknown_kind_gets_a_suggestion():
    with pytest.raises(SourceError, match='unknown source kind "slak"; did you mean "slack"'):
        source_for("slak")


_PIECES = st.sampled_from(
    [
        "at,member\n",
        '{"at":',
        "1767571200",
        ",",
        ";",
        '"',
        "\n",
        "\r",
        "a",
        "小",
        "{}",
        "[",
        "\x00",
        "null",
        ":",
        "-",
        "T",
        "9" * 30,
    ]
)
_TEXTS = st.lists(_PIECES, max_size=30).map(lambda pieces: "".join(pieces).encode())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.one_of(_TEXTS, _TEXTS.map(lambda text: b"at,member\n" + text), st.binary(max_size=60)))
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_whatever_the_bytes_an_export_is_read_whole_or_refused(tmp_path, kind, data):
    file = tmp_path / "any"
    file.write_bytes(data)
    refusal, export = None, Export((), ())
    try:
        export = source_for(kind).read(file, zone=UTC_ZONE)
    except SourceError as error:
        refusal = str(error)
    assert refusal is None or refusal.startswith(str(file))
    assert {event.member for event in export.events} == {person.id for person in export.people}
