"""What goes into the ledger and comes out of it: plain values, cheap to import, all times UTC-aware.

What each message of a fan-out makes anew is a named tuple: a frozen dataclass takes more than twice as long.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

from drumroll.errors import LedgerError

State = Literal["due", "held", "sending", "awaiting", "retry", "sent", "unknown", "failed", "skipped", "cancelled"]
EditionState = Literal["running", "held", "done", "aborted"]
Settled = Literal["sent", "awaiting", "retry", "sending", "failed", "unknown"]
Choice = Literal["sent", "resend", "skip"]


def recipient_of(group: str, member: str | None) -> str:
    """`group`, or `group/member` for one member of it."""
    return group if member is None else f"{group}/{member}"


def delivery_key(edition: str, step: str, occurrence: int, recipient: str) -> str:
    """`edition/step/occurrence/recipient`: the name of one delivery, the same in every plan version."""
    return f"{edition}/{step}/{occurrence}/{recipient}"


def split_key(key: str) -> tuple[str, str, int, str]:
    """The edition, step, occurrence and recipient of a key; LedgerError when `key` is not made like one."""
    edition, _, rest = key.partition("/")
    step, _, rest = rest.partition("/")
    occurrence, _, recipient = rest.partition("/")
    if not (edition and step and occurrence.isascii() and occurrence.isdecimal() and recipient):
        raise LedgerError(
            f'"{key}" is not a delivery key',
            remedy="write EDITION/STEP/OCCURRENCE/RECIPIENT, as `drumroll deliveries` lists them",
        )
    return edition, step, int(occurrence), recipient


def idempotency_key(key: str) -> str:
    """What a platform gets to recognise a repeated send: 36 characters, the same on every attempt of one delivery."""
    return "drm_" + hashlib.sha256(key.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """One message that is to go to one recipient.

    `due_at` is the planned instant, `fire_at` when it must leave us (the channel's lead before it), never later.
    `occurrence` counts the repeats of a remedy from 1.
    """

    step: str
    phase: str
    channel: str
    group: str
    due_at: datetime
    fire_at: datetime
    member: str | None = None
    occurrence: int = 1

    @property
    def recipient(self) -> str:
        """`group` or `group/member`."""
        return recipient_of(self.group, self.member)


@dataclass(frozen=True, slots=True)
class Moment:
    """The next instant at which the ledger wants something done.

    `why` is `due` (`at` is the rows' `fire_at`), `retry` (their `retry_at`) or `sending` (a lease that runs out).
    `due_at` is the planned instant, whatever became of it. A moment is of rows that a person released, or of rows that
    nobody did, never of both.
    """

    at: datetime
    step: str
    occurrence: int
    why: Literal["due", "retry", "sending"]
    due_at: datetime
    fire_at: datetime

    @property
    def released(self) -> bool:
        """Whether a person said `resend` after the planned instant: nothing else makes `fire_at` later than it."""
        return self.fire_at > self.due_at


class Claim(NamedTuple):
    """One delivery that this engine, and no other, may send until its lease ends.

    `token` fences: a settlement with an older one is refused. `attempts` counts this one too. `wording` is the hash of
    the text given to an attempt before, None on the first.
    """

    id: int
    key: str
    edition: str
    step: str
    occurrence: int
    recipient: str
    phase: str
    channel: str
    group: str
    member: str | None
    due_at: datetime
    fire_at: datetime
    token: int
    attempts: int
    wording: str | None

    @property
    def released(self) -> bool:
        """Whether a person asked to send it (again): nothing else fires after it is due."""
        return self.fire_at > self.due_at


class Settlement(NamedTuple):
    """How one claimed attempt ended.

    `sent_at` is when the platform took it (default: the moment of settling, for `sent` and `awaiting`). `retry_at` is
    required for `retry`, and for `sending`: still in doubt, to be asked again with the same key when that lease ends.
    `error` never holds a secret.
    """

    claim: Claim
    state: Settled
    message_id: str | None = None
    wording: str | None = None
    error: str | None = None
    retry_at: datetime | None = None
    sent_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """One delivery as it stands.

    `lateness_ms` is `sent_at - due_at` in milliseconds, negative when it left early, None when nobody measured it.
    `error` says what went wrong last, or why it was set aside; `updated_at` is None until something happened to it.
    """

    id: int
    edition: str
    step: str
    occurrence: int
    recipient: str
    phase: str
    channel: str
    group: str
    member: str | None
    due_at: datetime
    fire_at: datetime
    state: State
    token: int
    lease_until: datetime | None
    attempts: int
    retry_at: datetime | None
    wording: str | None
    message_id: str | None
    error: str | None
    sent_at: datetime | None
    lateness_ms: int | None
    updated_at: datetime | None

    @property
    def key(self) -> str:
        """`edition/step/occurrence/recipient`."""
        return delivery_key(self.edition, self.step, self.occurrence, self.recipient)


@dataclass(frozen=True, slots=True)
class EditionRow:
    """One run of a launch file. `ended_at` is set while it is `done` or `aborted`."""

    id: str
    launch: str
    title: str
    opens_at: datetime
    state: EditionState
    plan_version: int
    rehearsal: bool
    created_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class LeaseRow:
    """Which engine runs an edition, or ran it last.

    `owner` says it in words, `token` grows with every engine. `expires_at` moves on with each sign of life, and is None
    once the engine has released it.
    """

    edition: str
    owner: str
    token: int
    taken_at: datetime
    expires_at: datetime | None

    def is_live(self, now: datetime) -> bool:
        """Whether an engine holds it at `now`, as far as the ledger knows."""
        return self.expires_at is not None and self.expires_at > now


@dataclass(frozen=True, slots=True)
class WordingRow:
    """A text that a step said, once for all groups; `fire_at` is the instant it was rendered for, where known."""

    edition: str
    step: str
    occurrence: int
    sha: str
    text: str
    fire_at: datetime | None
    rendered_at: datetime


@dataclass(frozen=True, slots=True)
class GateCheckRow:
    """One reading of a gate: `snapshot` is the JSON of what it saw, `latched` whether the verdict stands for good."""

    edition: str
    phase: str
    attempt: int
    checked_at: datetime
    verdict: str
    latched: bool
    snapshot: str
    next_check_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """Who decided what, when and why."""

    edition: str
    subject: str
    choice: str
    by: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Alarm:
    """One thing that a person should look at: `what` is wrong with the edition, and the `remedy` or the command for it.

    `subject` tells two of a `kind` apart and stays the same while it lasts; `what` may change meanwhile. Nothing in it
    comes from a member.
    """

    edition: str
    kind: str
    subject: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.edition}: {self.what}; {self.remedy}"


@dataclass(frozen=True, slots=True)
class AlarmRow:
    """An alarm as the ledger keeps it: open until `cleared_at`; `told_at` is when people last heard of it."""

    id: int
    edition: str
    kind: str
    subject: str
    what: str
    remedy: str
    raised_at: datetime
    told_at: datetime | None
    cleared_at: datetime | None
