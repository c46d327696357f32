"""The channels of one edition, opened when they are first needed and closed together."""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from datetime import timedelta

from drumroll.channels.base import Channel, ChannelContext
from drumroll.channels.credentials import block_name, variables_of
from drumroll.channels.registry import channel_class, parse_options
from drumroll.errors import DrumrollError
from drumroll.launchfile.fields import Part
from drumroll.launchfile.models import Launch
from drumroll.plan.model import Plan

SOON = timedelta(seconds=2)
"""Longest wait for what stands in for variables where a message is about to go out: it is made ready 3 s before."""
PATIENTLY = timedelta(seconds=20)

StandIn = Callable[[Sequence[str], timedelta], Awaitable[Mapping[str, str]]]
"""The values of environment variables that are not set, as far as it has them, read anew within that time.

Raises DrumrollError when that cannot be told. It is only ever asked for variables that are not set.
"""

_stand_in: ContextVar[StandIn | None] = ContextVar("drumroll_stand_in", default=None)


@contextlib.contextmanager
def standing_in(values: StandIn) -> Iterator[None]:
    """Inside, `values` is asked for variables that a channel needs and that are not set in the environment."""
    mark = _stand_in.set(values)
    try:
        yield
    finally:
        _stand_in.reset(mark)


class OpenChannels:
    """Each channel is opened once, however many sends ask for it at the same time.

    What stands in for variables is asked once as well, for at most `within`, and forgotten with the channels: a secret
    that was changed counts for whoever opens them next.
    """

    def __init__(self, plan: Plan | Launch, project: str, *, within: timedelta = SOON) -> None:
        self.project = project
        launch = plan.launch if isinstance(plan, Plan) else plan
        self._specs = launch.community.channels
        self._context = ChannelContext(project, dict(os.environ))
        self._within = within
        self._stand_ins: Mapping[str, str] | None = None
        self._away: str | None = None
        self._opened: dict[str, Channel] = {}
        self._opening = asyncio.Lock()

    async def get(self, name: str) -> Channel:
        """The open channel `name`. DrumrollError when it cannot be opened; nothing was sent through it then."""
        if (opened := self._opened.get(name)) is not None:
            return opened
        async with self._opening:
            if name not in self._opened:
                spec = self._specs[name]
                options = parse_options(spec.kind, spec.options)
                channel = channel_class(spec.kind)(name, options, await self._context_for(name, options))
                await channel.open()
                self._opened[name] = channel
        return self._opened[name]

    async def close(self) -> None:
        """Close what was opened; safe to call twice."""
        while self._opened:
            _, channel = self._opened.popitem()
            await channel.close()

    async def _context_for(self, name: str, options: Part) -> ChannelContext:
        """The environment, and what stands in for those of the channel's variables that are not set in it."""
        missing = self._missing(options)
        if not missing or (ask := _stand_in.get()) is None:
            return self._context
        if self._stand_ins is None:
            await self._ask(ask)
        if self._away is not None:
            what = f"environment variable {missing[0]} is not set, and whether the Prefect Secret Block"
            what += f" {block_name(missing[0])} stands in for it cannot be told: {self._away}"
            raise DrumrollError(what, where=f'channel "{name}"')
        found = {variable: value for variable, value in (self._stand_ins or {}).items() if variable in missing}
        return ChannelContext(self.project, self._context.environ | found)

    async def _ask(self, ask: StandIn) -> None:
        """Once for all channels: one that does not answer holds a step up once, not once a channel."""
        wanted = dict.fromkeys(variable for options in self._options() for variable in self._missing(options))
        self._stand_ins = {}
        try:
            self._stand_ins = await ask(list(wanted), self._within)
        except DrumrollError as error:
            self._away = str(error)

    def _options(self) -> Iterator[Part]:
        for spec in self._specs.values():
            with contextlib.suppress(DrumrollError, ValueError):  # another channel's bad options are not ours to tell
                yield parse_options(spec.kind, spec.options)

    def _missing(self, options: Part) -> list[str]:
        return [variable for variable in variables_of(options) if not self._context.environ.get(variable)]


async def try_channels(plan: Plan, project: str) -> None:
    """Open every channel of the plan once. DrumrollError when one cannot work, before anything is sent."""
    channels = OpenChannels(plan, project, within=PATIENTLY)
    try:
        for name in sorted({group.channel for group in plan.launch.community.groups}):
            await channels.get(name)
    finally:
        await channels.close()
