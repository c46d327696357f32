"""Channels that are opened for a test and closed after it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from drumroll.channels.base import Channel, ChannelContext
from drumroll.channels.registry import channel_class, parse_options


@asynccontextmanager
async def opened(kind: str, environ: Mapping[str, str], **options: Any) -> AsyncIterator[Channel]:
    """The channel `main` of this kind; loopback is allowed, as an operator would for doubles."""
    context = ChannelContext(".", {"DRUMROLL_PRIVATE_HOSTS": "127.0.0.1"} | dict(environ))
    channel = channel_class(kind)("main", parse_options(kind, options), context)
    await channel.open()
    try:
        yield channel
    finally:
        await channel.close()


def least(kind: str) -> dict[str, Any]:
    """The options that a kind cannot do without."""
    if kind == "webhook":
        return {"url": "https://bridge.example"}
    known = {"host": "smtp.example.org", "from": "news@example.org", "api": "https://matrix.example.org"}
    fields = channel_class(kind).Options.model_fields
    required = [field.alias or name for name, field in fields.items() if field.is_required()]
    return {name: known.get(name, "NAME") for name in required}
