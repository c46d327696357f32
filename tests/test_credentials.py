"""What stands in for environment variables that are not set: Prefect's Secret Blocks, and nothing else keeps values."""

import asyncio
import logging
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest

from drumroll.channels.credentials import block_name
from drumroll.clock import VirtualClock
from drumroll.errors import DrumrollError
from drumroll.ledger.ledger import default_url
from drumroll.operate.edition import Where, begin
from drumroll.operate.open_channels import OpenChannels, standing_in, try_channels
from tests.driver import drive
from tests.launch_files import LAUNCH, drumroll, new_project
from tests.webhook_sink import WebhookSink

CHANNELS = """\
    screen:
      kind: webhook
      url_env: EAST_URL
    other:
      kind: webhook
      url_env: WEST_URL
"""
VALUE = "https://hooks.example/hush"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A launch whose two groups are reached by two webhooks, neither of whose variables is set."""
    monkeypatch.chdir(tmp_path)
    for name in ("DRUMROLL_LEDGER", "EAST_URL", "WEST_URL"):
        monkeypatch.delenv(name, raising=False)
    text = LAUNCH.replace("    screen:\n      kind: console\n", CHANNELS)
    return new_project(tmp_path, text.replace("name: West, channel: by_hand", "name: West, channel: other"))


@pytest.fixture
def plan(project):
    return project.plan()


class Safe:
    """Something that stands in: `holds` by variable; notes what it was `asked` for, and within how many seconds."""

    def __init__(self, **holds: str) -> None:
        self.holds = holds
        self.asked: list[tuple[list[str], float]] = []
        self.away = False

    async def values(self, variables, within):
        self.asked.append((list(variables), within.total_seconds()))
        if self.away:
            raise DrumrollError("does not answer within 2 s", where="http://prefect.example")
        return {name: value for name, value in self.holds.items() if name in variables}


@pytest.mark.parametrize(
    ("variable", "block"), [("TELEGRAM_TOKEN", "telegram-token"), ("_Token2_", "token2"), ("A__B", "a--b")]
)
def test_a_block_is_named_like_its_variable_as_prefect_lets_it(variable, block):
    assert block_name(variable) == block


async def test_what_stands_in_opens_a_channel_whose_variable_is_not_set(plan):
    safe = Safe(EAST_URL=VALUE, WEST_URL=VALUE)
    with standing_in(safe.values):
        await try_channels(plan, ".")
    assert safe.asked == [(["EAST_URL", "WEST_URL"], 20)]


async def test_nobody_is_asked_while_all_variables_are_set(plan, monkeypatch):
    safe = Safe()
    for name in ("EAST_URL", "WEST_URL"):
        monkeypatch.setenv(name, VALUE)
    with standing_in(safe.values):
        await try_channels(plan, ".")
    assert safe.asked == []


async def test_the_environment_wins(plan, monkeypatch):
    safe = Safe(EAST_URL="https://block.example", WEST_URL="https://block.example")
    monkeypatch.setenv("EAST_URL", "https://environment.example")
    channels = OpenChannels(plan, ".")
    with standing_in(safe.values):
        said = [await (await channels.get(name)).verify(None) for name in ("screen", "other")]
    await channels.close()
    assert [each.partition(":")[0] for each in said] == ["environment.example", "block.example"]
    assert [variables for variables, _ in safe.asked] == [["WEST_URL"]]


async def test_a_channel_with_its_variables_opens_while_what_stands_in_for_others_does_not_answer(plan, monkeypatch):
    safe = Safe()
    safe.away = True
    monkeypatch.setenv("EAST_URL", VALUE)
    channels = OpenChannels(plan, ".")
    with standing_in(safe.values):
        with pytest.raises(DrumrollError) as caught:
            await channels.get("other")
        await channels.get("screen")
    await channels.close()
    assert str(caught.value) == (
        'channel "other": environment variable WEST_URL is not set, and whether the Prefect Secret Block west-url '
        "stands in for it cannot be told: http://prefect.example: does not answer within 2 s"
    )


async def test_what_does_not_answer_holds_a_step_up_once(plan):
    safe = Safe()
    safe.away = True
    channels = OpenChannels(plan, ".")
    with standing_in(safe.values):
        for name in ("screen", "other", "screen"):
            with pytest.raises(DrumrollError, match="cannot be told"):
                await channels.get(name)
    assert [within for _, within in safe.asked] == [2]


async def test_a_changed_block_counts_for_whoever_opens_the_channels_next(plan):
    safe, said = Safe(WEST_URL="https://old.example"), []
    with standing_in(safe.values):
        for _ in range(2):
            channels = OpenChannels(plan, ".")
            said.append(await (await channels.get("other")).verify(None))
            await channels.close()
            safe.holds = {"WEST_URL": "https://new.example"}
    assert [each.partition(":")[0] for each in said] == ["old.example", "new.example"]


async def test_without_either_the_remedy_names_variable_and_block(plan):
    with standing_in(Safe(WEST_URL=VALUE).values), pytest.raises(DrumrollError) as caught:
        await try_channels(plan, ".")
    assert "EAST_URL is not set; set it, or make a Prefect Secret Block named east-url" in str(caught.value)


async def test_a_stand_in_that_is_no_good_is_refused_without_its_value(plan):
    with standing_in(Safe(EAST_URL="hush hush", WEST_URL=VALUE).values), pytest.raises(DrumrollError) as caught:
        await try_channels(plan, ".")
    assert "EAST_URL" in str(caught.value)
    assert "hush" not in str(caught.value) + repr(caught.value.__context__)


async def test_outside_nothing_stands_in(plan):
    safe = Safe(EAST_URL=VALUE, WEST_URL=VALUE)
    with standing_in(safe.values):
        pass
    with pytest.raises(DrumrollError, match="is not set"):
        await try_channels(plan, ".")
    assert safe.asked == []


async def test_the_ledger_never_sees_what_stood_in(project, plan, caplog):
    caplog.set_level(logging.DEBUG)
    where = Where(plan.edition, default_url(project.root), str(project.root))
    begin(plan, ledger=where.open(), rehearsal=False, now=plan.phases[0].starts)
    async with WebhookSink() as sink:
        url = f"{sink.url}/CANARY"
        with standing_in(Safe(EAST_URL=url, WEST_URL=url).values):
            await drive(where, "recruit", VirtualClock(plan.phases[0].starts), beats=1)
        assert len(sink.data) == 2
    with sqlite3.connect(where.open().store.path) as database:
        assert "CANARY" not in "\n".join(database.iterdump())
    where.open().close()
    assert "CANARY" not in caplog.text


# The Blocks themselves.


@pytest.fixture
async def client(prefect_api):
    from prefect.client.orchestration import get_client

    async with get_client() as client:
        yield client


class TestBlocks:
    pytestmark = [pytest.mark.prefect, pytest.mark.xdist_group("prefect")]

    @pytest.fixture(autouse=True)
    def forgetful(self, monkeypatch):
        import tasks.credentials

        monkeypatch.setattr(tasks.credentials, "_lately", {})

    async def saved(self, name, value):
        from prefect.blocks.system import Secret

        await Secret(value=value).asave(name, overwrite=True)

    async def read(self, *variables, seconds=5.0):
        from tasks.credentials import blocks

        return await blocks(variables, timedelta(seconds=seconds))

    async def test_a_secret_block_is_read_as_a_variable_would_hold_it(self, client):
        await self.saved("credit-token", "123456")
        await self.saved("credit-robots", {"room-1": "https://hooks.example/房"})
        assert await self.read("CREDIT_TOKEN", "CREDIT_ROBOTS", "CREDIT_NOWHERE") == {
            "CREDIT_TOKEN": "123456",
            "CREDIT_ROBOTS": '{"room-1": "https://hooks.example/房"}',
        }

    async def test_a_rotated_block_is_read_anew(self, client):
        for value in ("old", "new"):
            await self.saved("credit-rotated", value)
            assert await self.read("CREDIT_ROTATED") == {"CREDIT_ROTATED": value}

    async def test_what_was_read_shortly_before_counts_while_the_server_is_away(self, client, monkeypatch):
        import tasks.credentials
        from tasks.remote import AwayError

        await self.saved("credit-kept", "hush")
        await self.read("CREDIT_KEPT")
        gone = "http://127.0.0.1:9/api"
        kept = {(gone, name): one for (_, name), one in tasks.credentials._lately.items()}
        monkeypatch.setattr(tasks.credentials, "_lately", kept)
        with using(gone):
            assert await self.read("CREDIT_KEPT", seconds=0.2) == {"CREDIT_KEPT": "hush"}
            with pytest.raises(AwayError, match="Prefect's server") as caught:
                await self.read("CREDIT_KEPT", "CREDIT_OTHER", seconds=0.2)
            monkeypatch.setattr(tasks.credentials, "_MEMORY", -1.0)
            with pytest.raises(AwayError):
                await self.read("CREDIT_KEPT", seconds=0.2)
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None

    async def test_an_answer_that_is_none_is_not_quoted(self, client, monkeypatch, caplog):
        import traceback

        from prefect.client.orchestration import PrefectClient

        from tasks.remote import AwayError

        async def strange(self, name, slug):
            raise ValueError("1 validation error for BlockDocument, input_value='CANARY'")

        monkeypatch.setattr(PrefectClient, "read_block_document_by_name", strange)
        with pytest.raises(AwayError) as caught:
            await self.read("CREDIT_ODD")
        assert "CANARY" not in "".join(traceback.format_exception(caught.value)) + caplog.text

    async def test_a_step_is_announced_with_a_blocks_value_and_prefect_keeps_none_of_it(self, client, project, plan):
        from prefect import flow

        from drumroll.operate.beats import next_beat
        from drumroll.operate.wording import make_ready
        from tasks.announce import announce
        from tasks.credentials import blocks_stand_in

        @flow(name="credentials", log_prints=True)
        async def speaks(where: Where) -> str:
            with blocks_stand_in():
                await try_channels(where.plan(), where.project)
            beat = next_beat(where, "recruit", now=where.plan().steps[0].due)
            return await announce(where, make_ready(where, beat, now=beat.at))

        where = Where(plan.edition, default_url(project.root), str(project.root))
        begin(plan, ledger=where.open(), rehearsal=False, now=plan.phases[0].starts)
        async with WebhookSink() as sink:
            for name in ("east-url", "west-url"):
                await self.saved(name, f"{sink.url}/CANARY")
            with standing_at(plan.steps[0].due):
                assert await speaks(where) == "2 sent"
            assert len(sink.data) == 2
        where.open().close()
        kept = b"".join(path.read_bytes() for path in database_of_prefect())
        assert b"announce welcome" in kept
        assert b"CANARY" not in kept

    async def test_the_command_reads_blocks_of_the_users_server(self, client, project, monkeypatch):
        from drumroll.cli.remote import blocks_of

        monkeypatch.setenv("PREFECT_API_URL", str(client.api_url))
        await self.saved("credit-command", "hush")
        values = blocks_of(Path(__file__).parents[1])
        assert await values(["CREDIT_COMMAND"], timedelta(seconds=5)) == {"CREDIT_COMMAND": "hush"}


def using(api):
    from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    return temporary_settings({PREFECT_API_URL: api, PREFECT_CLIENT_MAX_RETRIES: 0})


def standing_at(now):
    from drumroll.clock import using_clock

    return using_clock(VirtualClock(now))


def database_of_prefect():
    """The files of the test server's database; Blocks are encrypted in them."""
    from prefect.settings import get_current_settings

    url = get_current_settings().server.database.connection_url.get_secret_value()
    database = Path(url.partition(":///")[2])
    return sorted(database.parent.glob(f"{database.name}*"))


def test_the_command_without_a_server_has_no_blocks(project, monkeypatch):
    from drumroll.cli import remote

    monkeypatch.setattr(remote, "remote", lambda project: None)
    assert asyncio.run(remote.blocks_of(project.root)(["EAST_URL"], timedelta(seconds=1))) == {}


def test_a_test_send_is_refused_without_either(project):
    project.change(
        "  segments:\n", "  staff_groups:\n    - {id: lab, name: Lab, channel: other, address: lab}\n  segments:\n"
    )
    ran = drumroll("test-send", project.file, "terms", "--to", "lab", "--by", "Ann")
    assert (ran.code, "make a Prefect Secret Block named west-url" in ran.err) == (1, True)
