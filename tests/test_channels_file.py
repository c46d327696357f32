"""The file channel: the same bytes, after every kind of accident."""
# ruff: noqa: ASYNC220, ASYNC240 - a test may block its own loop

import asyncio
import contextlib
import errno
import fcntl
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drumroll.channels import jsonl_file
from drumroll.channels.base import ChannelContext, SendError
from drumroll.channels.jsonl_file import FileChannel
from tests.channel_messages import message, to_member


def channel_at(path: Path) -> FileChannel:
    return FileChannel("log", FileChannel.Options(path=path.name), ChannelContext(str(path.parent)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sent.jsonl"


def keys(path: Path) -> list[str]:
    return [json.loads(line)["key"] for line in path.read_text().splitlines()]


async def test_a_line_has_the_documented_keys_in_their_order(path: Path):
    await channel_at(path).send(to_member())
    assert path.read_text() == (
        '{"key": "drm_0001", "edition": "demo@2026-12-12", "step": "eve", "occurrence": 0, "number": 3, '
        '"due": "2026-12-11T15:00:00Z", "sent_at": "2026-12-11T15:00:00.120Z", "group": "taipei", "member": "u-7", '
        '"text": "Tonight at eight."}\n'
    )


async def test_an_absolute_path_is_taken_as_it_is(tmp_path: Path):
    target = tmp_path / "elsewhere" / "x.jsonl"
    channel = FileChannel("log", FileChannel.Options(path=str(target)), ChannelContext("/nonexistent"))
    await channel.send(message())
    assert keys(target) == ["drm_0001"]


async def test_a_new_run_keeps_what_is_there_and_knows_it(path: Path):
    await channel_at(path).send(message("drm_1"))
    later = channel_at(path)
    await later.open()
    assert (await later.look_up("drm_1", message().recipient)) is not None
    await later.send(message("drm_1"))
    await later.send(message("drm_2"))
    assert keys(path) == ["drm_1", "drm_2"]


async def test_a_half_written_last_line_is_cut_off_wherever_it_broke(path: Path):
    await channel_at(path).send(message("drm_1", "第一"))
    whole = path.read_bytes()
    await channel_at(path).send(message("drm_2", "第二 👩🏽‍🚀"))
    both = path.read_bytes()
    for end in range(len(whole) + 1, len(both)):
        path.write_bytes(both[:end])
        channel = channel_at(path)
        await channel.open()
        assert path.read_bytes() == whole
        assert await channel.look_up("drm_2", message().recipient) is None


async def test_another_files_text_is_never_cut_off(path: Path):
    path.write_text("dear diary")
    with pytest.raises(SendError, match="line 1 is not a message of Drumroll; name another path") as caught:
        await channel_at(path).open()
    assert caught.value.kind == "permanent"
    assert path.read_text() == "dear diary"


@pytest.mark.parametrize("line", ['{"name": "x"}', "[1]", '{"key": 7}', "null", "[" * 100_000])
async def test_a_foreign_line_is_refused_with_its_number(path: Path, line: str):
    await channel_at(path).send(message("drm_1"))
    with path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(SendError, match="line 2 is not a message"):
        await channel_at(path).send(message("drm_2"))


async def test_two_open_channels_see_each_others_keys(path: Path):
    one, two = channel_at(path), channel_at(path)
    await one.open()
    await two.open()
    await asyncio.gather(*(channel.send(message(f"drm_{n}")) for n in range(50) for channel in (one, two)))
    assert sorted(keys(path)) == sorted(f"drm_{n}" for n in range(50))


async def test_a_file_moved_away_is_begun_anew(path: Path):
    channel = channel_at(path)
    await channel.send(message("drm_1"))
    path.rename(path.with_suffix(".old"))
    await channel.send(message("drm_2"))
    assert keys(path) == ["drm_2"]
    assert await channel.look_up("drm_1", message().recipient) is None


async def test_a_file_emptied_by_hand_is_read_anew(path: Path):
    channel = channel_at(path)
    await channel.send(message("drm_1"))
    path.write_text("")
    assert await channel.look_up("drm_1", message().recipient) is None
    await channel.send(message("drm_1"))
    assert keys(path) == ["drm_1"]


async def test_a_folder_is_no_file(tmp_path: Path):
    with pytest.raises(SendError, match="a folder; name a file in it") as caught:
        await FileChannel("log", FileChannel.Options(path="."), ChannelContext(str(tmp_path))).open()
    assert caught.value.kind == "permanent"


@pytest.mark.parametrize("special", ["/dev/null", "/dev/full"])
async def test_a_device_is_no_file(special: str):
    with pytest.raises(SendError, match="not a regular file; name another path"):
        await FileChannel("log", FileChannel.Options(path=special), ChannelContext(".")).open()


async def test_a_pipe_is_refused_rather_than_waited_for(path: Path):
    os.mkfifo(path)
    with pytest.raises(SendError, match="not a regular file"):
        await asyncio.wait_for(channel_at(path).open(), 2)


async def test_a_file_in_the_folders_place_is_named(tmp_path: Path):
    (tmp_path / "out").write_text("")
    channel = FileChannel("log", FileChannel.Options(path="out/x.jsonl"), ChannelContext(str(tmp_path)))
    with pytest.raises(SendError, match=r"out/x\.jsonl: cannot be written") as caught:
        await channel.open()
    assert caught.value.kind == "permanent"


async def test_a_read_only_file_is_a_permanent_error(path: Path):
    path.touch(mode=0o444)
    with _unprivileged(), pytest.raises(SendError, match=r"Permission denied.*make it writable") as caught:
        await channel_at(path).send(message())
    assert caught.value.kind == "permanent"


async def test_a_full_disk_leaves_no_half_line_and_may_be_tried_again(path: Path):
    channel = channel_at(path)
    await channel.send(message("drm_1"))
    before = path.read_bytes()
    with _room_for(len(before) + 20), pytest.raises(SendError, match="no room left; free some space") as caught:
        await channel.send(message("drm_2"))
    assert caught.value.kind == "transient"
    assert path.read_bytes() == before
    await channel.send(message("drm_2"))
    assert keys(path) == ["drm_1", "drm_2"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
async def test_what_may_pass_is_transient(path: Path, monkeypatch, code: int):
    """No disk is really full here, so the system call is made to say so."""
    channel = channel_at(path)
    await channel.open()

    def refuse(*_):
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(jsonl_file.os, "write", refuse)
        with pytest.raises(SendError) as caught:
            await channel.send(message())
    assert caught.value.kind == "transient"
    assert path.read_bytes() == b""


async def test_a_lock_that_is_never_released_is_named(path: Path, monkeypatch):
    channel = channel_at(path)
    await channel.open()
    monkeypatch.setattr(channel, "capability", jsonl_file.Capability(timeout=0.05))
    with path.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(SendError, match="another process has kept it locked") as caught:
            await channel.send(message())
    assert caught.value.kind == "transient"


async def test_a_killed_writers_returned_sends_are_all_there_once(path: Path):
    writer = """if True:
        import asyncio, sys
        from tests.channel_messages import message
        from tests.test_channels_file import Path, channel_at
        async def main():
            channel = channel_at(Path(sys.argv[1]))
            await channel.open()
            for n in range(1_000_000):
                await channel.send(message(f"drm_{n}", "text " * 200))
                print(n, flush=True)
        asyncio.run(main())
    """
    returned = -1
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", writer, str(path)], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(returned + 50):
                returned = max(returned, int(process.stdout.readline()))
            process.send_signal(signal.SIGKILL)
            returned = max([returned, *(int(line) for line in process.stdout if line.endswith("\n"))])
    await channel_at(path).open()
    found = keys(path)
    assert found == [f"drm_{n}" for n in range(len(found))]
    assert len(found) > returned


def test_processes_that_write_at_once_write_each_key_once(path: Path):
    writer = """if True:
        import asyncio, sys
        from tests.channel_messages import message
        from tests.test_channels_file import Path, channel_at
        async def main():
            channel = channel_at(Path(sys.argv[1]))
            input()
            for n in range(400):
                await channel.send(message(f"drm_{n}", "text " * 200))
        asyncio.run(main())
    """
    command = [sys.executable, "-c", writer, str(path)]
    writers = [subprocess.Popen(command, stdin=subprocess.PIPE, text=True) for _ in range(2)]
    for process in writers:
        process.stdin.write("go\n")
        process.stdin.close()
    assert [process.wait() for process in writers] == [0, 0]
    assert keys(path) == [f"drm_{n}" for n in range(400)]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=5))
def test_any_text_comes_back_as_it_went_in(tmp_path: Path, texts: list[str]):
    path = tmp_path / "any.jsonl"
    path.unlink(missing_ok=True)

    async def send_all() -> None:
        channel = channel_at(path)
        await channel.open()
        for n, text in enumerate(texts):
            await channel.send(message(f"drm_{n}", text))

    asyncio.run(send_all())
    assert [json.loads(line)["text"] for line in path.read_bytes().decode().splitlines()] == texts


async def test_the_same_run_writes_the_same_bytes(tmp_path: Path):
    files = [tmp_path / name for name in ("a.jsonl", "b.jsonl")]
    for path in files:
        channel = channel_at(path)
        for n in range(5):
            await channel.send(message(f"drm_{n}", f"第{n}天\u2028", number=None if n % 2 else n))
    assert files[0].read_bytes() == files[1].read_bytes()


@contextlib.contextmanager
def _unprivileged():
    """Root may write anything, so for a moment we are somebody else."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        if user == 0:
            os.seteuid(0)


@contextlib.contextmanager
def _room_for(size: int):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
