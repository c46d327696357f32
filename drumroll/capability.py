"""What a channel kind can do: read by the plan compiler, by `check` and by the sender."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Capability:
    """The rules of one channel.

    `max_bytes` counts UTF-8 bytes of the finished text (None: no limit). `idempotent`: the platform takes a key and
    honours it, so that a doubtful send may be repeated. `look_up`: the platform can say afterwards whether a key
    arrived. `unattended`: no person has to act. `direct`: a single member can be addressed, not only a group.
    `lead` is how long before its instant a message must leave us. `timeout` bounds one send, in seconds.
    `per_minute` is how many messages the channel's one credential may send in any 60 s, `daily_cap` how many one group
    may get on a local day (None: no limit).
    """

    max_bytes: int | None = None
    idempotent: bool = False
    look_up: bool = False
    unattended: bool = True
    direct: bool = False
    lead: timedelta = timedelta(0)
    timeout: float = 10.0
    concurrency: int = 32
    per_minute: int | None = None
    daily_cap: int | None = None
