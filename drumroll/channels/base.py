"""What every channel promises: one small class per platform, typed errors, receipts."""

from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from drumroll.capability import Capability
from drumroll.errors import DrumrollError


@dataclass(frozen=True, slots=True)
class Recipient:
    """Where a message goes: a group, or one member of it (`member` set)."""

    group: str
    group_name: str
    address: str | None = None
    member: str | None = None
    member_name: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One finished text for one recipient.

    `key` is derived from the delivery key and is the same on every attempt: platforms that honour a key get it.
    `due` and `sent_at` are ISO 8601 UTC strings of the planned instant and of this attempt; `number` is the
    announcement's number or None.
    """

    key: str
    edition: str
    step: str
    occurrence: int
    number: int | None
    due: str
    sent_at: str
    recipient: Recipient
    text: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """The platform's word that it took the message. `awaiting`: a person still has to act."""

    message_id: str | None = None
    state: Literal["sent", "awaiting"] = "sent"


class SendError(DrumrollError):
    """A send that did not succeed.

    `permanent`: do not try again. `transient`: certainly not delivered, try again after `retry_after` seconds (None:
    the sender's own backoff). `ambiguous`: it may have arrived (a broken connection or a timeout after the request
    went out); never blindly repeated. A `transient` one that is `doubtful` may have arrived too, but the platform
    honours the key: the same message is sent again until its answer comes. Never put a secret or a URL with one into
    the message.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: Literal["permanent", "transient", "ambiguous"],
        retry_after: float | None = None,
        doubtful: bool = False,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.retry_after = retry_after
        self.doubtful = doubtful


@dataclass(frozen=True, slots=True)
class ChannelContext:
    """What a channel may know of its surroundings: the project directory and the environment (secrets)."""

    project: str
    environ: dict[str, str] = field(default_factory=dict, repr=False)


@runtime_checkable
class Channel(Protocol):
    """One configured way into groups. Built once per run, opened before the first send, closed after the last."""

    capability: Capability

    def __init__(self, name: str, options: Any, context: ChannelContext) -> None: ...

    async def open(self) -> None:
        """Acquire what sending needs (a connection pool, a file). Raises DrumrollError where a secret is missing."""
        ...

    async def send(self, message: Message) -> Receipt:
        """Hand one message over. Raises SendError."""
        ...

    async def look_up(self, key: str) -> Receipt | None:
        """Whether the message with this key arrived; only called when `capability.look_up`."""
        ...

    async def close(self) -> None:
        """Release everything; safe to call twice."""
        ...
