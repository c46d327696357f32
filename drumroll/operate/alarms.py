"""What is wrong with an edition, each kind a small function over the ledger; quiet as long as things go their way."""

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

from drumroll.ledger.ledger import Ledger
from drumroll.ledger.model import Alarm, DeliveryRow, EditionRow, GateCheckRow
from drumroll.metrics.leaving import LEAST, WINDOW, spikes, windows
from drumroll.operate.duties import OVERDUE, Duty, duties_of
from drumroll.operate.edition import Where
from drumroll.operate.reading import post_of, reading_of
from drumroll.operate.story import awaited
from drumroll.operate.waking import coming_beat
from drumroll.plan.model import Plan, PlannedStep
from drumroll.words.phrases import LOCALES, short_label

SILENCE = timedelta(minutes=15)
"""How long after a planned announcement nothing may have reached anybody: a shorter stop is caught up (lateness.py)."""
LONG_HELD = timedelta(hours=1)
"""How long a gate may wait for a person before others are called."""
LEAVES_FOR = timedelta(hours=24)
"""How long after an announcement the leaves that it caused are still worth acting on."""


@dataclass(frozen=True)
class Look:
    """One edition at `now`; what several kinds ask for is read once."""

    edition: EditionRow
    plan: Plan
    ledger: Ledger
    now: datetime

    @cached_property
    def checks(self) -> dict[str, GateCheckRow]:
        """The latest reading of every gate that was read, by phase."""
        return {check.phase: check for check in self.ledger.checks(self.edition.id)}

    @cached_property
    def duties(self) -> Mapping[str, Duty]:
        """What each channel asks of a person, where it asks something."""
        return duties_of(self.plan)

    @cached_property
    def reached(self) -> list[str]:
        """The phases up to the first whose gate has not let the launch through."""
        names: list[str] = [phase.name for phase in self.plan.phases]
        return names[: sum(map(self._has_passed, names)) + 1]

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many deliveries are in each state that has some."""
        return self.ledger.counts(self.edition.id)

    @cached_property
    def is_paused(self) -> bool:
        """Whether a person holds it back: then it is late on purpose."""
        return self.ledger.brake(self.edition.id) is not None

    def rows(self, state: str) -> Iterator[DeliveryRow]:
        """The deliveries in `state` of the phases reached: what lies behind a gate waits for it, not for us."""
        if state not in self.counts:
            return iter(())
        found = self.ledger.deliveries(self.edition.id, state=state)  # type: ignore[arg-type]
        return (row for row in found if row.phase in self.reached)

    def waiting(self, *, taps: bool, after: Callable[[Duty], timedelta]) -> Iterator[DeliveryRow]:
        """What awaits a person's tap, or their hands, for longer than `after` its instant."""
        theirs = {name: after(duty) for name, duty in self.duties.items() if duty.taps == taps}
        late = (row for row in self.rows("awaiting") if row.channel in theirs)
        return (row for row in late if self.now - row.due_at > theirs[row.channel])

    def per_step(self, kind: str, rows: Iterable[DeliveryRow], says: str, remedy: str) -> Iterator[Alarm]:
        """One alarm a step of `rows`; `says` and `remedy` take `{step}`, `{due}`, `{many}`, `{by}`, `{to}`."""
        of_step: dict[tuple[datetime, str, int], list[DeliveryRow]] = {}
        for row in rows:
            of_step.setdefault((row.due_at, row.step, row.occurrence), []).append(row)
        for (due, step, occurrence), found in sorted(of_step.items(), key=lambda each: each[0]):
            many = f"{len(found)} {'delivery' if len(found) == 1 else 'deliveries'}"
            duties = [self.duties[row.channel] for row in found if row.channel in self.duties]
            by = ", ".join(sorted({duty.who for duty in duties if duty.who}))
            to = ", ".join(sorted({duty.escalates_to for duty in duties if duty.escalates_to}))
            words = {"step": self.name(step), "due": self.local(due), "many": many, "edition": self.quoted, "id": step}
            words |= {"by": f" by {by}" if by else "", "to": to}
            yield self.alarm(kind, f"{step}/{occurrence}", says.format(**words), remedy.format(**words))

    def alarm(self, kind: str, subject: str, what: str, remedy: str) -> Alarm:
        """An alarm of this edition."""
        return Alarm(self.edition.id, kind, subject, what, remedy)

    def name(self, step: str) -> str:
        """A step as people know it: `【公告07】 week-plan`, `hello`."""
        number = self.plan.kinds().get(step, (None, None))[1]
        return f"{short_label(LOCALES[self.plan.launch.locale], number)} {step}".strip()

    def local(self, at: datetime) -> str:
        """`Sat 2026-12-12 23:00 Asia/Taipei`."""
        zone = self.plan.launch.timezone
        return f"{at.astimezone(ZoneInfo(zone)):%a %Y-%m-%d %H:%M} {zone}"

    @property
    def quoted(self) -> str:
        """The edition's name as a shell takes it."""
        return shlex.quote(self.edition.id)

    def _has_passed(self, phase: str) -> bool:
        check = self.checks.get(phase)
        return check is not None and check.latched and check.verdict == "pass"


def past_due(look: Look) -> Iterator[Alarm]:
    """Deliveries whose instant has passed and that nobody has taken up."""
    moment = look.ledger.next_moment(look.edition.id, look.reached, now=look.now)
    if look.is_paused or moment is None or look.now - moment.at <= OVERDUE:
        return
    late = (row for row in look.rows("due") if look.now - max(row.due_at, row.fire_at) > OVERDUE)
    yield from look.per_step(
        "past-due",
        late,
        "{step} was due {due}; {many} not taken up",
        "see with `drumroll status {edition}` who runs it; is a worker running?",
    )


def retrying(look: Look) -> Iterator[Alarm]:
    """Deliveries that are tried again and again, past their instant."""
    late = (row for row in look.rows("retry") if look.now - row.due_at > OVERDUE)
    yield from look.per_step(
        "retry",
        late,
        "{step} was due {due}; {many} could not be sent so far",
        "see why with `drumroll deliveries {edition} --state retry`",
    )


def hand_offs(look: Look) -> Iterator[Alarm]:
    """What somebody was to post by hand and has not ticked off."""
    yield from look.per_step(
        "hand-off",
        look.waiting(taps=False, after=lambda duty: duty.overdue_after),
        "{step} was to be posted by hand{by} {due}; {many} not ticked off",
        "post what `drumroll today {edition}` shows, and tick it off",
    )


def escalations(look: Look) -> Iterator[Alarm]:
    """What has waited for so long that another person is to see to it."""
    yield from look.per_step(
        "escalation",
        look.waiting(taps=False, after=lambda duty: duty.escalates_after if duty.escalates_to else timedelta.max),
        "{to}: {step} was to be posted by hand{by} {due}, and {many} still not ticked off",
        "see to it: post what `drumroll today {edition}` shows, and tick it off",
    )


def taps(look: Look) -> Iterator[Alarm]:
    """What a platform holds until somebody confirms it there."""
    yield from look.per_step(
        "tap",
        look.waiting(taps=True, after=lambda duty: duty.overdue_after),
        "{step} was due {due}; {many} not confirmed{by}",
        "have it confirmed in the platform's app; do not post it by hand, or it goes out twice",
    )


def open_questions(look: Look) -> Iterator[Alarm]:
    """Deliveries that only a person can settle."""
    for state, says in (
        ("unknown", "it is not known whether {many} of {step}, due {due}, arrived"),
        ("held", "{step}, due {due}, is held: {many} waiting for a person"),
        ("failed", "{step}, due {due}, failed for good: {many}"),
    ):
        remedy = "answer what `drumroll status {edition}` asks"
        yield from look.per_step(state, look.rows(state), says, remedy)


def cadence(look: Look) -> Iterator[Alarm]:
    """No announcement reached anybody for longer than the plan's own rhythm: the series has gone silent."""
    if look.is_paused or look.edition.state != "running":
        return
    last, upcoming = _last_said(look)
    if upcoming is None or look.now - upcoming.due <= SILENCE:
        return
    since = (
        "nothing has reached anybody yet" if last is None else f"nothing has reached anybody since {look.name(last.id)}"
    )
    yield look.alarm(
        "cadence",
        upcoming.id,
        f"{since}, though {look.name(upcoming.id)} was planned for {look.local(upcoming.due)}",
        f"see why with `drumroll deliveries {look.quoted} --step {upcoming.id}`",
    )


def copied(look: Look) -> Iterator[Alarm]:
    """A ledger that was restored, moved or failed over: every launch on it stands still until somebody confirms it."""
    if look.ledger.is_copy():
        remedy = "see what was sent since, then run `drumroll db confirm --by NAME`"
        yield look.alarm("copy", "ledger", "nothing is sent: its ledger is a copy, and nobody has confirmed it", remedy)


def held_gates(look: Look) -> Iterator[Alarm]:
    """A gate that has waited for a person for long."""
    for phase, check in look.checks.items():
        if check.verdict == "hold" and look.now - check.checked_at > LONG_HELD:
            yield look.alarm(
                "gate",
                phase,
                f"the gate of {phase} has waited for a person since {look.local(check.checked_at)}",
                f"decide with `drumroll gate {look.quoted} {phase} --decide pass|extend|abort --by NAME --reason TEXT`",
            )


def leaves(look: Look) -> Iterator[Alarm]:
    """An announcement after which more people left than the edition is used to (`drumroll.metrics.leaving`)."""
    since = look.now - LEAVES_FOR
    at = look.ledger.leaves(look.edition.id, since=since - WINDOW, until=look.now)
    if len(at) < LEAST:
        return
    # To read weeks of engagement takes its time: only when enough people left after one announcement.
    kinds = look.plan.kinds()
    rows = (row for row in look.ledger.deliveries(look.edition.id, state="sent") if row.member is None)
    posts = [post_of(row, kinds, at=row.sent_at or row.due_at) for row in rows]
    after = (sum(post.at <= left < until for left in at) for post, until in windows(posts, now=look.now))
    if max(after, default=0) < LEAST:
        return
    for spike in spikes(reading_of(look.ledger, look.plan, now=look.now), since=since):
        yield look.alarm(
            "leaves",
            spike.step,
            f"{spike.left} members left within {_span(spike.until - spike.since)} of {look.name(spike.step)}, "
            f"where {spike.expected:.1f} would be usual",
            "read it as a member would, and consider holding the next one",
        )


OF_RUNS = frozenset({"run", "stopped"})
"""Kinds that Prefect shows: a waiting run that no worker picks up, an edition that nobody runs."""
OF_A_ROUND = frozenset({"source", "watch"})
"""Kinds that a round of the watch comes upon: a source that cannot be read, an edition that cannot be looked after."""
ONLY_THE_WATCH = OF_RUNS | OF_A_ROUND
KINDS: dict[Callable[[Look], Iterator[Alarm]], tuple[str, ...]] = {
    past_due: ("past-due",),
    retrying: ("retry",),
    hand_offs: ("hand-off",),
    escalations: ("escalation",),
    taps: ("tap",),
    open_questions: ("unknown", "held", "failed"),
    cadence: ("cadence",),
    copied: ("copy",),
    held_gates: ("gate",),
    leaves: ("leaves",),
}
"""What is looked for in the ledger, and the kinds of alarm that it raises."""
IN_THE_LEDGER = frozenset(kind for kinds in KINDS.values() for kind in kinds)


def alarms(where: Where, *, now: datetime) -> list[Alarm]:
    """Everything in the ledger that a person should look at, at `now`."""
    ledger = where.open()
    look = Look(ledger.edition(where.edition), where.plan(), ledger, now)
    return [alarm for kind in KINDS for alarm in kind(look)]


def stopped(where: Where, *, now: datetime) -> Alarm | None:
    """What is lost when nobody runs the edition; None when it only waits for a person, or is over."""
    ledger = where.open()
    look = Look(ledger.edition(where.edition), where.plan(), ledger, now)
    if look.edition.ended_at is not None or any(check.verdict == "hold" for check in look.checks.values()):
        return None
    coming = coming_beat(where, now=now)
    what = "though it is not closed yet" if coming is None else f"and next is {awaited(where, coming[1], coming[0])}"
    remedy = "start its launch again, it goes on where it stopped: `drumroll start FILE`"
    return look.alarm("stopped", "run", f"nobody runs it, {what}", remedy)


def _last_said(look: Look) -> tuple[PlannedStep | None, PlannedStep | None]:
    """The last announcement that reached a group, and the one that the plan has after it, as far as it is reached."""
    states = look.ledger.step_states(look.edition.id)
    last: PlannedStep | None = None
    upcoming: PlannedStep | None = None
    for step in look.plan.steps:
        if step.segment is not None or step.phase not in look.reached:
            continue
        counts = states.get((step.id, 1), {})
        if counts.get("sent"):
            last, upcoming = step, None
        elif upcoming is None and counts.keys() - {"skipped", "cancelled"}:
            upcoming = step
    return last, upcoming


def _span(time: timedelta) -> str:
    minutes = max(1, round(time.total_seconds() / 60))
    return f"{minutes // 60} h" if minutes % 60 == 0 else f"{minutes} min"
