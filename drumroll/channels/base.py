"""What every channel promises: one small class per platform, typed errors, receipts."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

from drumroll.capability import Capability, Format
from drumroll.errors import DrumrollError


class Recipient(NamedTuple):
    """Where a message goes: a group, or one member of it (`member` set)."""

    group: str
    group_name: str
    address: str | None = None
    member: str | None = None
    member_name: str | None = None


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes with a message: its bytes as they were approved, and the name that members see."""

    name: str
    content: bytes = field(repr=False)

    @property
    def is_image(self) -> bool:
        """Whether platforms show it as a picture."""
        return self.name.lower().endswith((".png", ".jpg", ".jpeg", ".gif"))


class Message(NamedTuple):
    """One finished text for one recipient.

    `key` is derived from the delivery key and is the same on every attempt: platforms that honour a key get it.
    `due` and `sent_at` are ISO 8601 UTC strings of the planned instant and of this attempt; `number` is the
    announcement's number or None. `format` says how the text is written: in `text` nothing is markup and nobody is
    mentioned, whatever stands in it. `pin` and `mention_all` are only set where the step asks for them.
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
    format: Format = "text"
    attachments: tuple[Attachment, ...] = ()
    pin: bool = False
    mention_all: bool = False


class Receipt(NamedTuple):
    """The platform's word that it took the message. `awaiting`: a person still has to act.

    `sent_at` is when it went out (UTC), where the platform says that afterwards.
    """

    message_id: str | None = None
    state: Literal["sent", "awaiting"] = "sent"
    sent_at: datetime | None = None


Kind = Literal["permanent", "transient", "limited", "ambiguous"]


class SendError(DrumrollError):
    """A send that did not succeed.

    `permanent`: do not try again. `transient`: certainly not delivered, try again after `retry_after` seconds (None:
    the sender's own backoff). `limited`: certainly not delivered, and nothing else of this credential (with `group`:
    to this group) will be before `retry_after` seconds are over (None: a minute). `ambiguous`: it may have arrived (a
    broken connection or a timeout after the request went out); never blindly repeated. A `transient` one that is
    `doubtful` may have arrived too, but the platform honours the key: the same message is sent again until its answer
    comes. Never put a secret or a URL with one into the message.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: Kind,
        retry_after: float | None = None,
        doubtful: bool = False,
        group: bool = False,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.group = group
        self.retry_after = retry_after
        self.doubtful = doubtful


@dataclass(frozen=True, slots=True)
class ChannelContext:
    """What a channel may know of its surroundings: the project directory and the environment (secrets)."""

    project: str
    environ: dict[str, str] = field(default_factory=dict, repr=False)


@runtime_checkable
class Channel(Protocol):
    """One configured way into groups. Built once per run, opened before the first send, closed after the last.

    Kinds inherit from it, for what only some of them can do.
    """

    capability: Capability

    def __init__(self, name: str, options: Any, context: ChannelContext) -> None: ...

    async def open(self) -> None:
        """Acquire what sending needs (a connection pool, a file). Raises DrumrollError where a secret is missing."""
        ...

    async def send(self, message: Message) -> Receipt:
        """Hand one message over. Raises SendError."""
        ...

    async def look_up(self, key: str, to: Recipient) -> Receipt | None:
        """Whether the message with this key arrived there; only called when `capability.look_up`."""
        ...

    async def follow(self, message_id: str, to: Recipient) -> Receipt | None:  # noqa: ARG002 - for those that track
        """What became of a message that awaits a tap: a receipt, or None while nobody knows. Raises SendError.

        A permanent one says that the message reached nobody and never will; trouble with asking is never permanent.
        Only called when `capability.tracks`.
        """
        return None

    async def remind(self, message_id: str, to: Recipient) -> None:
        """Have the platform remind whoever has not tapped yet; only called when `capability.tracks`.

        Raises SendError.
        """

    async def verify(self, to: Recipient | None) -> str:  # noqa: ARG002 - for those with a credential
        """Try the credential (None) or the way into one group by a call that no member notices.

        Returns what was found, in a few words. Raises DrumrollError with the remedy. Called when open.
        """
        return "it opens"

    def bucket(self, to: Recipient) -> str:  # noqa: ARG002 - for those with rates
        """Names the credential that pays for a message there: the same in every launch that uses it, and no secret."""
        return ""

    async def close(self) -> None:
        """Release everything; safe to call twice."""
        ...
