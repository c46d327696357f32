"""`drumroll doctor FILE --channels`: which credentials are good and which groups can be reached; nothing is sent."""

import asyncio
import json
import time

import pytest

from drumroll.channels.base import SendError
from drumroll.channels.registry import KINDS
from drumroll.channels.telegram import TelegramChannel
from drumroll.doctor.channels import AT_ONCE, MOST_GROUPS, channel_signs
from drumroll.launchfile.load import load_launch
from drumroll.operate.open_channels import standing_in
from tests.doubles.slack import SlackDouble
from tests.doubles.telegram import TelegramDouble
from tests.launch_files import LAUNCH, drumroll, new_project


@pytest.fixture(autouse=True)
def surroundings(monkeypatch, tmp_path):
    monkeypatch.delenv("DRUMROLL_LEDGER", raising=False)
    monkeypatch.setenv("DRUMROLL_PRIVATE_HOSTS", "127.0.0.1")
    monkeypatch.setenv("BOT_TOKEN", "123:ABC")
    monkeypatch.chdir(tmp_path)


def launch_file(root, api, groups=("-1001",), staff=(), kind="telegram"):
    text = LAUNCH.replace("kind: console", f"kind: {kind}\n      token_env: BOT_TOKEN\n      api: {api}")
    east = "    - {id: east, name: East, channel: screen}\n"
    assert east in text
    lines = [f"    - {{id: g{n}, name: G{n}, channel: screen, address: '{at}'}}\n" for n, at in enumerate(groups)]
    ours = [f"    - {{id: s{n}, name: S{n}, channel: screen, address: '{at}'}}\n" for n, at in enumerate(staff)]
    text = text.replace(east, "".join(lines)).replace("to: [east]", "to: [g0]")
    return new_project(
        root, text.replace("  segments:\n", f"  staff_groups:\n{''.join(ours)}  segments:\n") if ours else text
    ).file


async def asked(file, **more):
    launch, _ = load_launch(file)
    lines = []
    signs = await channel_signs(launch, str(file.parent.parent), tell=lines.append, **more)
    return {sign.subject: sign for sign in signs}, signs, lines


async def test_a_channel_and_each_of_its_groups_and_staff_groups_have_a_sign_and_nothing_is_sent(tmp_path):
    async with TelegramDouble(chats=(-1001, -1002)) as double:
        file = launch_file(tmp_path, double.url, groups=("-1001", "-1009"), staff=("-1002",))
        found, _, _ = await asked(file)
        assert (double.seen, double.requests) == ([], 0)
    assert {name: (sign.state, sign.what) for name, sign in found.items()} == {
        "channel.screen": ("ok", "@drum_bot"),
        "channel.screen.g0": ("ok", "the bot is administrator there"),
        "channel.screen.g1": ("problem", 'group "G1": Telegram answered 400 (Bad Request: chat not found)'),
        "channel.screen.s0": ("ok", "the bot is administrator there"),
        "channel.by_hand": ("ok", "it opens"),
    }
    assert found["channel.screen.g1"].remedy == "see whether the group's address is right and the bot is a member"


async def test_a_revoked_token_is_not_tried_on_every_group(tmp_path):
    async with SlackDouble(token="xoxb-other") as double:
        file = launch_file(tmp_path, f"{double.url}/api", groups=["C0001"] * 9, kind="slack")
        _, signs, _ = await asked(file)
    ours = [(sign.subject, sign.state) for sign in signs if sign.subject.startswith("channel.screen")]
    assert ours == [
        ("channel.screen", "problem"),
        ("channel.screen.g0", "problem"),
        ("channel.screen", "warning"),
    ]
    assert signs[2].what == "8 more groups were not asked after that"


async def test_a_variable_that_is_not_set_is_a_problem_of_its_channel_alone(tmp_path, monkeypatch):
    monkeypatch.delenv("BOT_TOKEN")
    found, _, _ = await asked(launch_file(tmp_path, "https://telegram.example"))
    assert found.keys() == {"channel.screen", "channel.by_hand"}
    sign = found["channel.screen"]
    assert (sign.state, sign.what) == ("problem", "environment variable BOT_TOKEN is not set")
    assert "bot-token" in sign.remedy


async def test_a_block_stands_in(tmp_path, monkeypatch):
    monkeypatch.delenv("BOT_TOKEN")

    async def values(variables, within):
        return {"BOT_TOKEN": "123:ABC"}

    async with TelegramDouble() as double:
        with standing_in(values):
            found, _, _ = await asked(launch_file(tmp_path, double.url))
    assert found["channel.screen.g0"].state == "ok"


async def test_twenty_groups_of_a_channel_are_asked_about_unless_all_are_wanted(tmp_path):
    async with TelegramDouble() as double:
        file = launch_file(tmp_path, double.url, groups=["-1001"] * (MOST_GROUPS + 2))
        found, signs, _ = await asked(file)
        everyone, _, _ = await asked(file, every_group=True)
    assert sum(name.startswith("channel.screen.") for name in found) == MOST_GROUPS
    left = [(sign.state, sign.what, sign.remedy) for sign in signs if "not asked" in sign.what]
    assert left == [("warning", "2 more groups were not asked", "`--all-groups` asks about them too")]
    assert sum(name.startswith("channel.screen.") for name in everyone) == MOST_GROUPS + 2


class Watched(TelegramChannel):
    """Notes how many calls are under way at once; refuses for haste from the third group on, if told to."""

    now = most = calls = 0
    hasty = False

    async def verify(self, to):
        cls = type(self)
        cls.calls += 1
        cls.now += 1
        cls.most = max(cls.most, cls.now)
        await asyncio.sleep(0.005)
        cls.now -= 1
        if cls.hasty and cls.calls > 3:
            raise SendError('channel "screen": Telegram answered 429; it waits', kind="limited", retry_after=3)
        return "well"


@pytest.fixture
def watched(monkeypatch):
    monkeypatch.setattr(Watched, "most", 0)
    monkeypatch.setattr(Watched, "calls", 0)
    monkeypatch.setitem(KINDS, "telegram", f"{__name__}:Watched")
    return Watched


async def test_at_most_four_calls_are_under_way_at_once(tmp_path, watched):
    await asked(launch_file(tmp_path, "https://telegram.example", groups=["-1001"] * 12))
    assert (watched.most, watched.calls) == (AT_ONCE, 13)


async def test_a_platform_that_asks_for_a_pause_gets_it(tmp_path, watched, monkeypatch):
    monkeypatch.setattr(watched, "hasty", True)
    _, signs, _ = await asked(launch_file(tmp_path, "https://telegram.example", groups=["-1001"] * 12))
    assert watched.calls < 9
    assert {sign.state for sign in signs} == {"ok", "warning"}
    assert any("not asked after that" in sign.what and sign.remedy == "wait, then ask again" for sign in signs)


class Hanging(TelegramChannel):
    """Never answers, or breaks in a way of its own."""

    broken = False

    async def verify(self, to):
        if self.broken:
            raise RuntimeError("https://hooks.example/hush")
        await asyncio.sleep(60)
        return ""


@pytest.fixture
def hanging(monkeypatch):
    monkeypatch.setitem(KINDS, "telegram", f"{__name__}:Hanging")
    return Hanging


async def test_a_call_that_is_not_answered_ends(tmp_path, hanging):
    found, _, _ = await asked(launch_file(tmp_path, "https://telegram.example"), within=0.05)
    sign = found["channel.screen.g0"]
    assert (sign.state, sign.what) == ("problem", "gave no answer within 0.05 s")


async def test_what_takes_its_time_is_told(tmp_path, hanging, monkeypatch):
    monkeypatch.setattr("drumroll.doctor.channels._SPEAKS_UP", 0.02)
    _, _, lines = await asked(launch_file(tmp_path, "https://telegram.example"), within=0.07)
    assert lines[0] == "3 calls answered, waiting for channel.screen …"


async def test_a_strangers_exception_is_not_quoted(tmp_path, hanging, monkeypatch):
    monkeypatch.setattr(hanging, "broken", True)
    found, _, _ = await asked(launch_file(tmp_path, "https://telegram.example"))
    assert found["channel.screen"].what == "RuntimeError in the channel"


async def test_ctrl_c_closes_what_was_opened(tmp_path, hanging, monkeypatch):
    closed = []

    async def close(self):
        closed.append(self.name)

    monkeypatch.setattr(hanging, "close", close)
    asking = asyncio.create_task(asked(launch_file(tmp_path, "https://telegram.example")))
    await asyncio.sleep(0.05)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert closed == ["screen"]


def test_the_command_tells_channels_in_json_and_exits_with_1(tmp_path):
    file = launch_file(tmp_path, "http://127.0.0.1:9")
    began = time.monotonic()
    ran = drumroll("doctor", file, "--channels", "--json")
    signs = [sign for sign in json.loads(ran.out)["signs"] if sign["subject"].startswith("channel.")]
    assert (ran.code, time.monotonic() - began < 20) == (1, True)
    assert [(sign["subject"], sign["state"]) for sign in signs] == [
        ("channel.screen", "problem"),
        ("channel.screen.g0", "problem"),
        ("channel.by_hand", "ok"),
    ]
    assert "cannot be reached" in signs[0]["what"]
    assert "check" in signs[0]["remedy"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["--channels"], "--channels: whose channels?; name a launch file"), (["--all-groups"], "goes with --channels")],
)
def test_channels_belong_to_a_file(arguments, says):
    ran = drumroll("doctor", *arguments)
    assert (ran.code, says in ran.err) == (2, True), ran.err
