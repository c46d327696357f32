"""Registry, console and hand-off."""

import io
import subprocess
import sys
from datetime import timedelta

import pytest
from pydantic import ValidationError

from drumroll.channels.base import ChannelContext, SendError
from drumroll.channels.registry import KINDS, capability_for, channel_class, parse_options
from drumroll.errors import DrumrollError
from tests.channel_messages import message, to_member


def build(kind: str, **options):
    return channel_class(kind)("main", parse_options(kind, options), ChannelContext("."))


def test_an_unknown_kind_gets_the_nearest_known_one():
    with pytest.raises(DrumrollError, match=r'unknown channel kind "webhok"; did you mean "webhook"\?'):
        channel_class("webhok")


def test_a_kind_like_no_other_gets_the_whole_list():
    with pytest.raises(DrumrollError, match=f"the kinds are {', '.join(sorted(KINDS))}"):
        parse_options("zzz", {})


def test_a_kind_is_written_the_same_way_everywhere():
    assert [kind for kind in KINDS if not kind.isidentifier() or kind != kind.lower()] == []


def test_checking_loads_neither_aiohttp_nor_prefect():
    code = (
        "import sys; from drumroll.channels.registry import KINDS, capability_for, channel_class, parse_options\n"
        "for kind in KINDS: channel_class(kind)\n"
        "capability_for('webhook', parse_options('webhook', {'url': 'https://example.org/x'}))\n"
        "print([name for name in ('aiohttp', 'prefect', 'sqlmodel', 'jinja2') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


async def test_the_console_shows_number_group_and_step(capsys):
    await build("console").send(message())
    assert capsys.readouterr().out == "── 3 · 台北讀書會 · eve\nTonight at eight.\n\n"


async def test_the_console_shows_a_member_and_leaves_out_a_missing_number(capsys):
    await build("console").send(to_member(number=None))
    assert capsys.readouterr().out.startswith("── 台北讀書會 → 小美 · eve\n")


async def test_the_console_spells_out_what_a_terminal_would_obey(capsys):
    await build("console").send(message(text="\x1b]0;owned\x07\x9b2J\rgone\n\tkept"))
    assert capsys.readouterr().out.endswith("\\x1b]0;owned\\x07\\x9b2J\\x0dgone\n\tkept\n\n")


async def test_a_console_that_takes_only_ascii_names_the_remedy(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    with pytest.raises(SendError, match="takes only ascii; set PYTHONIOENCODING=utf-8") as caught:
        await build("console").send(message())
    assert caught.value.kind == "permanent"


def test_a_hand_off_needs_a_person_and_lead():
    capability = capability_for("hand_off", parse_options("hand_off", {}))
    assert (capability.unattended, capability.idempotent, capability.lead) == (False, True, timedelta(minutes=30))
    assert capability_for("hand_off", parse_options("hand_off", {"lead": "2h"})).lead == timedelta(hours=2)


def test_a_hand_off_reminds_after_ten_minutes_and_goes_to_another_after_thirty_where_one_is_named():
    options = parse_options("hand_off", {})
    assert (options.remind_after, options.escalate_after) == (timedelta(minutes=10), timedelta(minutes=30))
    assert options.escalate_to is None


def test_nobody_hears_of_a_hand_off_before_whoever_posts_it():
    with pytest.raises(ValidationError, match="escalate_after comes after remind_after"):
        parse_options("hand_off", {"remind_after": "1h", "escalate_to": "Ben"})


@pytest.mark.parametrize(
    "wrong", [{"lead": "soon"}, {"lead": timedelta(minutes=-1)}, {"to": ""}, {"max_bytes": 0}, {"remind_after": "0m"}]
)
def test_a_hand_off_refuses_senseless_options(wrong):
    with pytest.raises(ValidationError):
        parse_options("hand_off", wrong)
