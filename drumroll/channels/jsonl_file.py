"""Appends every message to a file of JSON lines: for rehearsals, dry runs and systems that read files.

A line is in the file once its send returned, also after the process is killed; a power cut may take the last seconds
(no fsync). Writers of several processes take turns by `flock`.
"""

import asyncio
import errno
import fcntl
import json
import os
import stat
import time
from pathlib import Path

from pydantic import Field

from drumroll.capability import Capability
from drumroll.channels.base import Channel, ChannelContext, Message, Receipt, Recipient, SendError
from drumroll.channels.text import as_record, check_can
from drumroll.launchfile.fields import Part, Text

_START = b'{"key": '
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# Legal in JSON, yet many line readers (str.splitlines among them) break there.
_LINE_BREAKS = {code: f"\\u{code:04x}" for code in (0x85, 0x2028, 0x2029)}


class FileChannel(Channel):
    """One line per message, in a fixed key order: the same run writes the same bytes.

    A key that is in the file already is not written again. Every send opens the file anew, so that it may be moved
    away or deleted in between; keys in a file that was moved away are forgotten.
    """

    class Options(Part):
        """Where the lines go."""

        path: Text = Field(description="The file, relative to the project directory; its folders are made.")

    @staticmethod
    def capability_for(options: Options) -> Capability:  # noqa: ARG004 - asked like every kind
        """The file can be searched for a key afterwards."""
        return Capability(look_up=True, direct=True)

    def __init__(self, name: str, options: Options, context: ChannelContext) -> None:
        self.name = name
        self.capability = self.capability_for(options)
        self._path = Path(context.project) / options.path
        self._keys: set[str] = set()
        self._lines = 0
        self._known: tuple[int, int, int] = (0, 0, 0)  # device, inode, bytes read so far

    async def open(self) -> None:
        """Make the file, read its keys, cut off a half-written last line. Raises SendError as `send` does."""
        os.close(await self._locked())

    async def send(self, message: Message) -> Receipt:
        """Append one line. Raises SendError: transient when there is no room, permanent when the path is no good."""
        check_can(message, self.capability, name=self.name)
        file = await self._locked()
        try:
            if message.key not in self._keys:
                self._append(file, message)
        except OSError as error:
            raise self._failure(error) from error
        finally:
            os.close(file)
        return Receipt(message_id=message.key)

    async def look_up(self, key: str, to: Recipient) -> Receipt | None:  # noqa: ARG002 - asked like every kind
        """The receipt of the message with this key, or None when it is not in the file. Raises SendError."""
        os.close(await self._locked())
        return Receipt(message_id=key) if key in self._keys else None

    async def close(self) -> None:
        """Nothing is held between sends."""

    def _append(self, file: int, message: Message) -> None:
        line = json.dumps(as_record(message), ensure_ascii=False).translate(_LINE_BREAKS).encode() + b"\n"
        device, inode, size = self._known
        try:
            rest = memoryview(line)
            while rest:
                rest = rest[os.write(file, rest) :]
        except OSError:
            os.ftruncate(file, size)
            raise
        self._keys.add(message.key)
        self._lines += 1
        self._known = (device, inode, size + len(line))

    async def _locked(self) -> int:
        """A descriptor of the file, locked and read to its end; closing it unlocks."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise self._failure(error) from error
        try:
            await self._lock(file)
            self._catch_up(file)
        except OSError as error:
            os.close(file)
            raise self._failure(error) from error
        except BaseException:
            os.close(file)
            raise
        return file

    async def _lock(self, file: int) -> None:
        deadline = time.monotonic() + self.capability.timeout
        while not _try_lock(file):
            if time.monotonic() > deadline:
                held = f"another process has kept it locked for {self.capability.timeout:g} s; end that process"
                raise self._error(held, transient=True)
            await asyncio.sleep(0.005)

    def _catch_up(self, file: int) -> None:
        """Read the keys that other processes, or runs before this one, have written since the last look."""
        now = os.fstat(file)
        if not stat.S_ISREG(now.st_mode):
            raise self._error("not a regular file; name another path")
        if self._known[:2] != (now.st_dev, now.st_ino) or now.st_size < self._known[2]:
            self._keys, self._lines, self._known = set(), 0, (now.st_dev, now.st_ino, 0)
        device, inode, read = self._known
        if now.st_size == read:
            return
        with os.fdopen(os.dup(file), "rb") as lines:
            lines.seek(read)
            for line in lines:
                if not line.endswith(b"\n"):
                    self._cut(file, line, read)
                    break
                self._keys.add(self._key_of(line))
                self._lines += 1
                read += len(line)
                self._known = (device, inode, read)

    def _cut(self, file: int, tail: bytes, start: int) -> None:
        """Drop a line whose writer was killed: we hold the lock, so nobody is still writing it."""
        if not (tail.startswith(_START) or _START.startswith(tail)):
            raise self._error(f"line {self._lines + 1} is not a message of Drumroll; name another path")
        os.ftruncate(file, start)

    def _key_of(self, line: bytes) -> str:
        try:
            key = json.loads(line)["key"]
        except (ValueError, TypeError, KeyError, RecursionError):
            key = None
        if not isinstance(key, str):
            raise self._error(f"line {self._lines + 1} is not a message of Drumroll; name another path")
        return key

    def _failure(self, error: OSError) -> SendError:
        if error.errno in _NO_ROOM:
            return self._error("no room left; free some space", transient=True)
        if isinstance(error, IsADirectoryError):
            return self._error("a folder; name a file in it")
        if isinstance(error, (PermissionError, FileExistsError, NotADirectoryError)) or error.errno == errno.EROFS:
            return self._error(f"cannot be written ({error.strerror}); make it writable or name another path")
        return self._error(f"{error.strerror}; see to the disk, or name another path", transient=True)

    def _error(self, problem: str, *, transient: bool = False) -> SendError:
        problem = f'channel "{self.name}": {self._path}: {problem}'
        return SendError(problem, kind="transient" if transient else "permanent")


def _try_lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
