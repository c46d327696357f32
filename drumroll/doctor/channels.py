"""Whether the channels of a launch file get in, and into each of its groups, by calls that no member notices."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable, Collection, Iterator

from drumroll.channels.base import Channel, Recipient, SendError
from drumroll.doctor.sign import Sign, ok, problem, warning
from drumroll.errors import DrumrollError
from drumroll.launchfile.community import Group, StaffGroup
from drumroll.launchfile.models import Launch
from drumroll.operate.open_channels import PATIENTLY, OpenChannels

AT_ONCE = 4
MOST_GROUPS = 20
"""Of one channel; platforms count these calls as well."""
WITHIN = 30.0
"""Seconds that one call may take."""
_SPEAKS_UP = 2.0  # seconds


async def channel_signs(
    launch: Launch,
    project: str,
    *,
    every_group: bool = False,
    within: float = WITHIN,
    tell: Callable[[str], None],
) -> list[Sign]:
    """One sign for each channel, and one for each group that it leads into where its kind has anything to ask there.

    Nothing is sent. At most 4 calls at once, each for at most `within` seconds, at most 20 groups of a channel unless
    `every_group`. `tell` hears every two seconds what has not answered yet.
    """
    channels = OpenChannels(launch, project, within=PATIENTLY)
    asking = _Asking(within)
    try:
        async with _heard(asking, tell):
            rounds = [_Round(name, launch, asking, every_group=every_group) for name in launch.community.channels]
            for each in rounds:
                await each.open(channels)
            found = await asyncio.gather(*(each.signs() for each in rounds))
    finally:
        await channels.close()
    return [sign for signs in found for sign in signs]


class _Asking:
    """Calls that are under way, a few at once."""

    def __init__(self, within: float) -> None:
        self._within, self._room = within, asyncio.Semaphore(AT_ONCE)
        self.under_way: dict[str, None] = {}
        self.answered = 0

    @contextlib.asynccontextmanager
    async def call(self, subject: str) -> AsyncIterator[None]:
        async with self._room:
            self.under_way[subject] = None
            try:
                async with asyncio.timeout(self._within):
                    yield
            finally:
                del self.under_way[subject]
                self.answered += 1

    def sign_of(self, subject: str, error: Exception) -> Sign:
        """What went wrong, and what helps. Of a stranger's exception the type only: it may quote a secret."""
        if isinstance(error, TimeoutError):
            remedy = "see whether the platform can be reached from here"
            return problem(subject, f"gave no answer within {self._within:g} s", remedy)
        if not isinstance(error, DrumrollError):
            return problem(subject, f"{type(error).__name__} in the channel", "tell Drumroll's people")
        what, remedy = error.message, error.remedy
        if not remedy and "; " in what:  # as channels word what went wrong
            what, _, remedy = what.rpartition("; ")
        hasty = isinstance(error, SendError) and error.kind == "limited"
        return (warning if hasty else problem)(subject, re.sub('^channel "[^"]*": ', "", what), remedy)


class _Round:
    """One channel and its groups."""

    def __init__(self, name: str, launch: Launch, asking: _Asking, *, every_group: bool) -> None:
        self._name, self._subject, self._asking = name, f"channel.{name}", asking
        community = launch.community
        everyone: tuple[Group | StaffGroup, ...] = (*community.groups, *community.staff_groups)
        ours = [group for group in everyone if group.channel == name]
        self._groups = ours if every_group else ours[:MOST_GROUPS]
        self._left_out = len(ours) - len(self._groups)
        self._channel: Channel | None = None
        self._failed: Sign | None = None
        self._hasty = False

    async def open(self, channels: OpenChannels) -> None:
        """Open the channel; what hinders that is among its signs."""
        try:
            async with self._asking.call(self._subject):
                self._channel = await channels.get(self._name)
        except Exception as error:  # noqa: BLE001 - one channel's trouble, of whatever kind, leaves the others alone
            self._failed = self._asking.sign_of(self._subject, error)

    async def signs(self) -> list[Sign]:
        """The channel's sign, then its groups'."""
        if self._channel is None:
            assert self._failed is not None
            return [self._failed]
        signs = [await self._sign(self._channel, None)]
        if type(self._channel).verify is Channel.verify:
            return [sign for sign in signs if sign is not None]
        # A token that was revoked opens no group either: one more call tells, and twenty would be a nuisance.
        signs += [await self._sign(self._channel, group) for group in self._groups[:1]]
        if any(sign is not None and sign.state == "ok" for sign in signs):
            signs += await asyncio.gather(*(self._sign(self._channel, group) for group in self._groups[1:]))
        told = [sign for sign in signs if sign is not None]
        return [*told, *self._not_asked(1 + len(self._groups) - len(told)), *self._more()]

    async def _sign(self, channel: Channel, group: Group | StaffGroup | None) -> Sign | None:
        """What a call says; None where the platform has asked for a pause before it."""
        subject = self._subject if group is None else f"{self._subject}.{group.id}"
        to = None if group is None else Recipient(group.id, group.name, group.address)
        try:
            async with self._asking.call(subject):
                return None if self._hasty else ok(subject, await channel.verify(to))
        except Exception as error:  # noqa: BLE001 - as above
            self._hasty |= isinstance(error, SendError) and error.kind == "limited"
            return self._asking.sign_of(subject, error)

    def _not_asked(self, count: int) -> Iterator[Sign]:
        if count > 0:
            remedy = "wait, then ask again" if self._hasty else "mend what is said above, then ask again"
            yield warning(self._subject, f"{_groups(count)} not asked after that", remedy)

    def _more(self) -> Iterator[Sign]:
        if self._left_out:
            yield warning(self._subject, f"{_groups(self._left_out)} not asked", "`--all-groups` asks about them too")


def _groups(count: int) -> str:
    return f"{count} more group{'s were' if count > 1 else ' was'}"


@contextlib.asynccontextmanager
async def _heard(asking: _Asking, tell: Callable[[str], None]) -> AsyncIterator[None]:
    async def speak() -> None:
        while True:
            await asyncio.sleep(_SPEAKS_UP)
            tell(f"{asking.answered} calls answered, waiting for {_listed(asking.under_way)} …")

    speaking = asyncio.create_task(speak())
    try:
        yield
    finally:
        speaking.cancel()


def _listed(names: Collection[str]) -> str:
    return ", ".join(names) or "the next"
