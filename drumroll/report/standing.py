"""Where an edition stands: its phase, what is next, what needs a person. Read from the ledger alone."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from drumroll.launchfile.models import PHASES
from drumroll.ledger.ledger import Ledger
from drumroll.ledger.model import Alarm, AlarmRow, DeliveryRow, EditionRow
from drumroll.ledger.states import CHOICES, may
from drumroll.operate.alarms import ONLY_THE_WATCH, Look, cadence, leaves, past_due
from drumroll.operate.beats import standing_verdict
from drumroll.operate.duties import duties_of
from drumroll.plan.model import Plan
from drumroll.report.checks import checks_of
from drumroll.report.display import span

OPEN_QUESTIONS: tuple[Literal["held", "unknown", "failed"], ...] = ("held", "unknown", "failed")
LATE_RETRY = timedelta(minutes=5)  # what takes longer is no hiccup of the network


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that only a person can do, and the command that does it.

    `key` is the phase for a held `gate`, the kind and subject of an `alarm`, else the delivery's key. `hand-off` is one
    that is past its time, `retry` one that is tried again and again: the command only looks at those. That of an alarm
    says what to do in words.
    """

    what: Literal["gate", "held", "unknown", "failed", "retry", "hand-off", "alarm"]
    key: str
    why: str
    command: str

    @property
    def urgent(self) -> bool:
        """Whether `drumroll status` ends with exit code 1 for it: a held gate, an unknown or a failed delivery."""
        return self.what in {"gate", "unknown", "failed"}


@dataclass(frozen=True, slots=True)
class Upcoming:
    """The next step that leaves: its planned instant (UTC), and its number where it has one."""

    step: str
    number: int | None
    due: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """One edition at a glance. `planned` and `sent` count deliveries; `phase` is None once the edition has ended."""

    edition: EditionRow
    phase: str | None
    planned: int
    sent: int
    upcoming: Upcoming | None
    needs: tuple[Need, ...]


def as_of(ledger: Ledger, edition: EditionRow, *, now: datetime) -> datetime:
    """The instant that an edition is looked at from.

    An ended edition: its end, so that its numbers stay what they were. A rehearsal runs on a clock of its own: the
    last thing its ledger knows. Else `now`.
    """
    if edition.ended_at is not None:
        return edition.ended_at
    if not edition.rehearsal:
        return now
    read = [check.checked_at for check in ledger.checks(edition.id)]
    moved = [row.updated_at for row in ledger.deliveries(edition.id) if row.updated_at is not None]
    decided = [row.at for row in ledger.decisions(edition.id)]  # to stop before its end, too
    return max([edition.created_at, *read, *moved, *decided])


def standing(ledger: Ledger, plan: Plan, edition: EditionRow, *, now: datetime) -> Standing:
    """Where `edition` stands at `now` (see `as_of`)."""
    counts = ledger.counts(edition.id)
    return Standing(
        edition,
        _phase(ledger, plan, edition),
        planned=sum(counts.values()),
        sent=counts.get("sent", 0),
        upcoming=_upcoming(ledger, plan, edition, now=now),
        needs=tuple(needs(ledger, plan, edition, now=now)),
    )


def needs(ledger: Ledger, plan: Plan, edition: EditionRow, *, now: datetime) -> Iterator[Need]:
    """What waits for a person: held gates, open questions, late retries, hand-offs past their time, other alarms.

    An edition that has ended asks only about deliveries whose fate is open, hand-offs among them.
    """
    ended = edition.ended_at is not None
    for phase in () if ended else plan.phases:
        if standing_verdict(ledger, edition.id, phase.name) == "hold":
            why = checks_of(ledger, edition.id, phase.name)[-1].reason
            command = f"drumroll gate {shlex.quote(edition.id)} {phase.name} --decide pass --by NAME --reason TEXT"
            yield Need("gate", phase.name, why, command)
    for state in OPEN_QUESTIONS:
        for row in ledger.deliveries(edition.id, state=state):
            yield Need(state, row.key, row.error or f"is {state}", resolve_command(row))
    for row in () if ended else ledger.deliveries(edition.id, state="retry"):
        if row.retry_at is not None and now - row.due_at > LATE_RETRY:
            again = f"{row.retry_at.astimezone(ZoneInfo(plan.launch.timezone)):%H:%M}"
            why = f"{row.error or 'could not be sent'} (tried again at {again})"
            yield Need("retry", row.key, why, f"drumroll deliveries {shlex.quote(edition.id)} --state retry")
    yield from () if edition.state == "aborted" else _hand_offs(ledger, plan, edition, now=now)
    for alarm in () if ended or edition.rehearsal else _alarms(ledger, plan, edition, now=now):
        yield Need("alarm", f"{alarm.kind} {alarm.subject}", alarm.what, alarm.remedy)


def _hand_offs(ledger: Ledger, plan: Plan, edition: EditionRow, *, now: datetime) -> Iterator[Need]:
    duties = duties_of(plan)
    for row in ledger.deliveries(edition.id, state="awaiting"):
        if edition.ended_at is None and row.due_at >= now:
            continue  # one that has ended may have done so in the minute its last hand-off was due
        why, duty = f"overdue by {span((now - row.due_at).total_seconds())}", duties.get(row.channel)
        if duty is not None and duty.taps:  # to tick it off would only hide that nobody has got it
            why = f"{why}, not confirmed by {duty.who or 'its sender'}"
            yield Need("hand-off", row.key, why, f"drumroll today {shlex.quote(edition.id)}")
        else:
            yield Need("hand-off", row.key, why, done_command(row))


def _alarms(ledger: Ledger, plan: Plan, edition: EditionRow, *, now: datetime) -> list[Alarm | AlarmRow]:
    """What is wrong beside the other needs: read now where the ledger shows it, else as the watch last found it."""
    look = Look(edition, plan, ledger, now)
    seen = [alarm for kind in (past_due, cadence, leaves) for alarm in kind(look)]
    return [*seen, *(row for row in ledger.open_alarms(edition.id) if row.kind in ONLY_THE_WATCH)]


def resolve_command(row: DeliveryRow) -> str:
    """The command that answers an open question about a delivery, with the answers to choose from."""
    return f"drumroll resolve {shlex.quote(row.key)} --as {'|'.join(answers(row))} --by NAME --reason TEXT"


def answers(row: DeliveryRow) -> list[str]:
    """What a person may say of a delivery in its state: some of `sent`, `resend` and `skip`, or nothing."""
    return [choice for choice, state in CHOICES.items() if may("resolve", row.state, state)]


def current_phase(ledger: Ledger, plan: Plan) -> str | None:
    """The first phase whose gate has not passed; None when all have."""
    unfinished = (phase.name for phase in plan.phases if standing_verdict(ledger, plan.edition, phase.name) != "pass")
    return next(unfinished, None)


def done_command(row: DeliveryRow) -> str:
    """The command that ticks a hand-off off."""
    return f"drumroll done {shlex.quote(row.key)}"


def _phase(ledger: Ledger, plan: Plan, edition: EditionRow) -> str | None:
    return None if edition.ended_at is not None else current_phase(ledger, plan)


def _upcoming(ledger: Ledger, plan: Plan, edition: EditionRow, *, now: datetime) -> Upcoming | None:
    if edition.ended_at is not None:
        return None
    said = {wording.step for wording in ledger.wordings(edition.id)}
    # Steps to single members have no deliveries before their recipients are worked out.
    found = [
        Upcoming(step.id, step.number, step.due)
        for step in plan.steps
        if step.segment is not None and step.id not in said
    ]
    if (moment := ledger.next_moment(edition.id, PHASES, now=now)) is not None:
        numbers = {step.id: step.number for step in plan.steps}
        found.append(Upcoming(moment.step, numbers.get(moment.step), moment.due_at))
    return min(found, key=lambda each: each.due, default=None)
