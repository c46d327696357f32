"""Reading Slack's own export, from a folder and from a zip."""

import json
import shutil
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from drumroll.errors import SourceError
from drumroll.sources.registry import source_for

SMALL = Path(__file__).parent / "data" / "slack-small"


def read(path):
    return source_for("slack").read(path, zone=ZoneInfo("UTC"))


@pytest.fixture
def small():
    return read(SMALL)


@pytest.fixture
def copy(tmp_path):
    return Path(shutil.copytree(SMALL, tmp_path / "export"))


def messages(export):
    return [event for event in export.events if event.kind == "message"]


def by_id(export):
    return {event.id: event for event in export.events}


def people(export):
    return {person.id: person for person in export.people}


def zipped(folder, target, *, inside=""):
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*.json")):
            archive.write(file, f"{inside}{file.relative_to(folder)}")
    return target


def test_what_somebody_says_is_a_message_and_what_slack_notes_is_not(small):
    said = [event.id for event in messages(small) if event.group == "general"]
    assert said == [
        "C01/1767657599.999999",
        "C01/1767657600.000000",  # a reply in a thread
        "C01/1767657700.000000",  # thread_broadcast
        "C01/1767657800.000000",  # file_share
        "C01/1767657900.000000",  # file_comment
        "C01/1767658000.000000",  # me_message
        "C01/1767658100.000000",  # bot_message
        "C01/1767658200.000000",
        "C01/1767658300.000000",
        "C01/1767658900.000000",
    ]


def test_joins_and_leaves_of_public_and_private_channels_are_events(small):
    moves = [(event.kind, event.member, event.id) for event in small.events if event.kind in ("join", "leave")]
    assert moves == [
        ("join", "U01", "C01/1767571200.000100/join"),
        ("join", "U02", "C01/1767571200.000200/join"),
        ("join", "U03", "C02/1767744000.000000/join"),
        ("leave", "U03", "C02/1767744100.000000/leave"),
    ]


def test_every_user_and_emoji_of_a_line_is_one_reaction_also_on_a_join_but_not_on_a_file(small):
    reactions = {event.id: (event.member, event.reply_to) for event in small.events if event.kind == "reaction"}
    assert reactions == {
        "C01/1767571200.000100/reaction/wave/U02": ("U02", "C01/1767571200.000100"),
        "C01/1767657599.999999/reaction/+1/U02": ("U02", "C01/1767657599.999999"),
        "C01/1767657599.999999/reaction/heart/U02": ("U02", "C01/1767657599.999999"),
        "C01/1767657599.999999/reaction/heart/U03": ("U03", "C01/1767657599.999999"),
    }


def test_a_file_comment_without_a_user_belongs_to_the_comments_author(small):
    assert by_id(small)["C01/1767657900.000000"].member == "U02"


def test_a_null_bot_id_does_not_make_a_bot(small):
    author = by_id(small)["C01/1767657800.000000"].member
    assert author == "U01"
    assert people(small)["U01"].counts


@pytest.mark.parametrize(
    ("ts", "member"), [("1767658100", "B77"), ("1767658200", "U09"), ("1767658300", "B79"), ("1767658900", "USLACKBOT")]
)
def test_bots_messages_belong_to_bots(small, ts, member):
    assert by_id(small)[f"C01/{ts}.000000"].member == member
    assert people(small)[member].is_bot


def test_an_app_that_posts_in_a_persons_name_or_is_added_by_one_does_not_make_them_a_bot(small):
    assert people(small)["U02"].counts
    assert people(small)["U01"].counts


def test_a_reply_names_its_thread_and_the_thread_itself_replies_to_nothing(small):
    assert by_id(small)["C01/1767657600.000000"].reply_to == "C01/1767657599.999999"
    assert by_id(small)["C01/1767657599.999999"].reply_to is None


def test_times_are_exact_to_the_microsecond_and_in_order(small):
    assert by_id(small)["C01/1767657599.999999"].at == datetime(2026, 1, 5, 23, 59, 59, 999999, tzinfo=UTC)
    assert list(small.events) == sorted(small.events, key=lambda event: (event.at, event.id))


def test_the_same_ts_in_two_channels_is_two_messages(small):
    assert {"C01/1767657599.999999", "C02/1767657599.999999"} <= by_id(small).keys()


def test_groups_are_folder_names_and_the_source_is_slack(small):
    assert {event.group for event in small.events} == {"general", "lounge"}
    assert {event.source for event in small.events} == {"slack"}


def test_people_carry_the_name_that_others_see(small):
    names = {key: person.name for key, person in people(small).items()}
    assert (names["U01"], names["U02"], names["U03"], names["B79"]) == ("小美", "Bo Chen", "quiet", "Poster")


def test_a_renamed_channel_keeps_its_ids(small, copy):
    (copy / "lounge").rename(copy / "salon")
    listed = json.loads((copy / "channels.json").read_text())
    listed[1]["name"] = "salon"
    (copy / "channels.json").write_text(json.dumps(listed))
    assert by_id(read(copy)).keys() == by_id(small).keys()


def test_without_users_and_channels_the_folders_alone_are_enough(small, copy):
    (copy / "users.json").unlink()
    (copy / "channels.json").unlink()
    export = read(copy)
    assert "general/1767657600.000000" in by_id(export)
    assert len(export.events) == len(small.events)


@pytest.mark.parametrize("inside", ["", "Our Workspace export/"])
def test_a_zip_reads_as_its_folder_does(small, tmp_path, inside):
    assert read(zipped(SMALL, tmp_path / "export.zip", inside=inside)) == small


def test_what_a_mac_adds_to_a_zip_is_ignored(small, tmp_path):
    target = zipped(SMALL, tmp_path / "export.zip", inside="export/")
    with zipfile.ZipFile(target, "a") as archive:
        archive.writestr("__MACOSX/export/general/2026-01-05.json", b"\x00\x05\x16\x07")
    assert read(target) == small


@pytest.mark.parametrize("name", ["../../etc/x.json", "/etc/x.json", "general\\..\\x.json", "C:/x.json"])
def test_a_zip_with_a_path_trick_is_refused(tmp_path, name):
    target = zipped(SMALL, tmp_path / "export.zip")
    with zipfile.ZipFile(target, "a") as archive:
        archive.writestr(name, "[]")
    with pytest.raises(SourceError, match="leaves the archive"):
        read(target)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path):
    target = zipped(SMALL, tmp_path / "export.zip")
    with zipfile.ZipFile(target, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("general/2026-01-08.json", b" " * (65 * 2**20))
    with pytest.raises(SourceError, match=r"2026-01-08\.json.*unpacks to more than 64 MiB"):
        read(target)


def test_a_cut_off_zip_is_refused(tmp_path):
    target = zipped(SMALL, tmp_path / "export.zip")
    target.write_bytes(target.read_bytes()[:-40])
    with pytest.raises(SourceError, match="not a whole zip"):
        read(target)


def test_a_damaged_member_of_a_zip_is_named(tmp_path):
    target = zipped(SMALL, tmp_path / "export.zip")
    data = bytearray(target.read_bytes())
    with zipfile.ZipFile(target) as archive:
        place = archive.getinfo("general/2026-01-06.json").header_offset
    data[place + 90 : place + 110] = bytes(20)
    target.write_bytes(data)
    with pytest.raises(SourceError, match=r"general/2026-01-06\.json: damaged"):
        read(target)


def test_a_cut_off_day_names_the_file(copy):
    day = copy / "general" / "2026-01-06.json"
    day.write_text(day.read_text()[:500])
    with pytest.raises(SourceError, match=r"general/2026-01-06\.json: not JSON .*export it again"):
        read(copy)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ({"user": "U01", "text": "no ts"}, "message 1: ts"),
        ({"user": "U01", "ts": "yesterday"}, "message 1: ts"),
        ({"ts": "1767658000.000001", "text": "nobody"}, "message 1: a line without a user"),
        ({"user": "U\ud800", "ts": "1767658000.000001"}, "not text"),
        ({"user": "U01", "ts": "1767658000.000001", "reactions": [{"name": "x"}]}, "reactions are not"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(copy, line, what):
    (copy / "general" / "2026-01-08.json").write_text(json.dumps([{"type": "message"} | line]))
    with pytest.raises(SourceError, match=rf"2026-01-08\.json: .*{what}"):
        read(copy)


@pytest.mark.parametrize("content", ['{"messages": []}', "[1, 2]", "[" * 200_000])
def test_a_day_that_is_no_list_of_messages_is_refused(copy, content):
    (copy / "general" / "2026-01-08.json").write_text(content)
    with pytest.raises(SourceError, match=r"2026-01-08\.json"):
        read(copy)


def test_a_folder_that_is_no_export_says_what_one_looks_like(tmp_path):
    with pytest.raises(SourceError, match="no day files here; a Slack export has one folder per channel"):
        read(tmp_path)


def test_a_file_that_is_no_zip_is_refused(tmp_path):
    file = tmp_path / "export.txt"
    file.write_text("hello")
    with pytest.raises(SourceError, match="not a folder and not a whole zip"):
        read(file)
