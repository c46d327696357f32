"""One attempt to deliver one claimed row, and what its outcome means for the ledger."""

import random
from datetime import datetime, timedelta

from drumroll import logs
from drumroll.attachments import attachments_of
from drumroll.channels.base import Attachment, Message, Receipt, Recipient, SendError
from drumroll.clock import Clock
from drumroll.errors import DrumrollError
from drumroll.ledger.ledger import Ledger
from drumroll.ledger.model import Claim, Settled, Settlement, idempotency_key
from drumroll.operate.lateness import PUNCTUAL
from drumroll.operate.open_channels import OpenChannels
from drumroll.operate.pacing import Pace
from drumroll.operate.wording import Ready
from drumroll.plan.model import Plan, PlannedStep

log = logs.logger("sending")

MAX_ATTEMPTS = 8
_FIRST_WAIT, _LONGEST_WAIT = 2.0, 300.0  # seconds; doubled after each attempt


class Attempts:
    """Sends one step's claimed rows and turns answers into settlements. `errors` collects what went wrong."""

    def __init__(
        self, ledger: Ledger, plan: Plan, step: PlannedStep, ready: Ready, clock: Clock, channels: OpenChannels
    ) -> None:
        self._step, self._ready, self._clock, self._channels = step, ready, clock, channels
        self._text = ledger.wording(ready.sha)
        self._plan = plan
        self._due: dict[datetime, str] = {}  # written once: all groups share an instant
        self._files: tuple[Attachment, ...] | None = None
        self._groups = {group.id: group for group in plan.launch.community.groups}
        self._names = _names(ledger, plan.edition, clock.now()) if step.segment else {}
        self.errors: dict[str, str] = {}
        self.paces: dict[str, Pace] = {}

    async def settle(self, claim: Claim, *, doubtful: bool = False) -> Settlement:
        """Send it and say how it ended; never raises. `doubtful`: an earlier attempt may have arrived."""
        try:
            channel = await self._channels.get(claim.channel)
            receipt = await channel.send(self._message(claim))
        except SendError as error:
            return self._after_error(claim, error, doubtful=doubtful)
        except DrumrollError as error:  # the channel could not be opened: nothing was sent
            return self._after_error(claim, SendError(str(error), kind="transient"), doubtful=doubtful)
        except Exception as error:  # a channel's own bug must not leave a row without a settlement
            # The type only: a stranger's exception may quote an address with a secret in it, or a member's words.
            name = type(error).__name__
            of = {"edition": claim.edition, "step": claim.step, "key": claim.key}
            log.error("channel %s failed unexpectedly: %s", claim.channel, name, extra=of)  # noqa: TRY400
            log.debug("channel %s", claim.channel, exc_info=error)
            broken = SendError(f"{name} in channel {claim.channel}", kind="ambiguous")
            return self._after_error(claim, broken, doubtful=doubtful)
        return self._after_receipt(claim, receipt)

    def _after_receipt(self, claim: Claim, receipt: Receipt) -> Settlement:
        return Settlement(
            claim, receipt.state, message_id=receipt.message_id, wording=self._ready.sha, sent_at=self._clock.now()
        )

    def _after_error(self, claim: Claim, error: SendError, *, doubtful: bool) -> Settlement:
        self.errors[claim.recipient] = why = str(error)
        sha, doubtful = self._ready.sha, doubtful or error.doubtful
        if error.kind == "ambiguous":
            return Settlement(claim, "unknown", wording=sha, error=why)
        if error.kind == "limited" and not doubtful and claim.channel in self.paces:
            until = self.no_later(self.paces[claim.channel].refused(error, self.recipient(claim)))
            return Settlement(claim, "retry", wording=sha, error=why, retry_at=until)
        if error.kind == "permanent" or claim.attempts >= MAX_ATTEMPTS:
            if error.kind != "permanent":
                why = f"{error} (gave up after {claim.attempts} attempts)"
            return Settlement(claim, "unknown" if doubtful else "failed", wording=sha, error=why)
        # A doubtful one stays `sending`: as `retry` it could be skipped or held, and the ledger would deny it.
        state: Settled = "sending" if doubtful else "retry"
        return Settlement(claim, state, wording=sha, error=why, retry_at=self._retry_at(claim, error))

    def _retry_at(self, claim: Claim, error: SendError) -> datetime:
        """As late as the platform asks, but no later than the lateness rule would set the row aside anyway."""
        now, soon = self._clock.now(), timedelta(seconds=_backoff(claim.attempts))
        wait = max(timedelta(seconds=error.retry_after or 0.0), soon)
        return max(self.no_later(now + wait), now + soon)

    def no_later(self, at: datetime) -> datetime:
        """`at`, or when the lateness rule would set the row aside anyway: a person is to hear of it then."""
        return min(at, max(self._step.due + self._step.max_late, self._clock.now()) + 2 * PUNCTUAL)

    def recipient(self, claim: Claim) -> Recipient:
        """Where the claimed row goes."""
        group = self._groups[claim.group]
        member_name = self._names.get(claim.member, claim.member) if claim.member else None
        return Recipient(group.id, group.name, group.address, claim.member, member_name)

    def _attached(self) -> tuple[Attachment, ...]:
        """The step's files, read once for all groups. SendError when one is not as it was approved."""
        if self._files is None:
            try:
                self._files = attachments_of(self._plan, self._step, self._channels.project)
            except DrumrollError as error:
                raise SendError(str(error), kind="permanent") from error
        return self._files

    def _message(self, claim: Claim) -> Message:
        return Message(
            key=idempotency_key(claim.key),
            edition=claim.edition,
            step=claim.step,
            occurrence=claim.occurrence,
            number=self._step.number,
            due=self._due.get(claim.due_at) or self._due.setdefault(claim.due_at, _iso(claim.due_at)),
            sent_at=_iso(self._clock.now()),
            recipient=self.recipient(claim),
            text=self._text,
            format=self._step.format,
            attachments=self._attached(),
            pin=self._step.pin,
            mention_all=self._step.mention_all,
        )


def _names(ledger: Ledger, edition: str, now: datetime) -> dict[str, str]:
    _, people = ledger.activity(edition, until=now)
    return {person.id: person.name or person.id for person in people.values()}


def _backoff(attempts: int) -> float:
    """Seconds: doubled after each attempt, capped, with full jitter in its upper half."""
    longest = min(_FIRST_WAIT * 2 ** (attempts - 1), _LONGEST_WAIT)
    return float(longest * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load, keeps no secret


def _iso(at: datetime) -> str:
    return f"{at.isoformat(timespec='seconds')[:19]}Z"
