"""The channels of one edition, opened when they are first needed and closed together."""

import asyncio
import os

from drumroll.channels.base import Channel, ChannelContext
from drumroll.channels.registry import channel_class, parse_options
from drumroll.plan.model import Plan


class OpenChannels:
    """Each channel is opened once, however many sends ask for it at the same time."""

    def __init__(self, plan: Plan, project: str) -> None:
        self.project = project
        self._specs = plan.launch.community.channels
        self._context = ChannelContext(project, dict(os.environ))
        self._opened: dict[str, Channel] = {}
        self._opening = asyncio.Lock()

    async def get(self, name: str) -> Channel:
        """The open channel `name`. DrumrollError when it cannot be opened; nothing was sent through it then."""
        if (opened := self._opened.get(name)) is not None:
            return opened
        async with self._opening:
            if name not in self._opened:
                spec = self._specs[name]
                channel = channel_class(spec.kind)(name, parse_options(spec.kind, spec.options), self._context)
                await channel.open()
                self._opened[name] = channel
        return self._opened[name]

    async def close(self) -> None:
        """Close what was opened; safe to call twice."""
        while self._opened:
            _, channel = self._opened.popitem()
            await channel.close()


async def try_channels(plan: Plan, project: str) -> None:
    """Open every channel of the plan once. DrumrollError when one cannot work, before anything is sent."""
    channels = OpenChannels(plan, project)
    try:
        for name in sorted({group.channel for group in plan.launch.community.groups}):
            await channels.get(name)
    finally:
        await channels.close()
