"""Platform rates, daily and monthly caps must be able to carry the schedule."""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from drumroll.plan.model import PlannedStep
from drumroll.suspense.audiences import Audience, audiences, named
from drumroll.suspense.rule import Breach, Edit, Rule, Subject
from drumroll.suspense.waking import MINUTE, local, waking_of

_PUNCTUAL = MINUTE  # as in operate/lateness.py: up to a minute after its instant a message is on time


@dataclass(slots=True)
class Outflow:
    """When messages leave a channel that takes at most `per_minute` in any 60 seconds, first come, first served.

    The k-th message leaves a minute after the (k - per_minute)-th, or when it is due. `recent` holds when the last
    `per_minute` messages left, as (instant, how many), in order.
    """

    per_minute: int
    recent: deque[tuple[datetime, int]] = field(default_factory=deque)

    def send(self, at: datetime, messages: int) -> tuple[datetime, datetime]:
        """Send `messages` (> 0) due `at` (never earlier than those before); when the first and the last of them leave.

        Once a full minute's worth is out, the rest repeats its pattern minute by minute: the cost does not grow with
        the number of messages.
        """
        minutes, rest = divmod(messages - 1, self.per_minute)
        first = self._send(at, min(messages, self.per_minute))
        if minutes:
            pattern = MINUTE * (minutes - 1)
            self.recent = deque((left + pattern, count) for left, count in self.recent)
            self._send(at, rest + 1)
        return first, self.recent[-1][0]

    def copy(self) -> "Outflow":
        """Another one in the same state."""
        return Outflow(self.per_minute, self.recent.copy())

    def _send(self, at: datetime, messages: int) -> datetime:
        """Send at most `per_minute` messages; when the first leaves."""
        free = self.per_minute - sum(count for _, count in self.recent)
        sent = deque([(at, min(free, messages))] if free else ())
        left = messages - free
        while left > 0:
            before, count = self.recent.popleft()
            if count > left:
                self.recent.appendleft((before, count - left))
            sent.append((max(at, before + MINUTE), min(count, left)))
            left -= count
        self.recent += sent
        return sent[0][0]


def _minute(subject: Subject) -> Iterator[Breach]:
    for channel, capability in subject.capabilities.items():
        if capability.per_minute is None:
            continue
        outflow = Outflow(capability.per_minute)
        for step, messages in _addressed(subject, channel):
            before, at = outflow.copy(), step.due - capability.lead
            first, last = outflow.send(at, messages)
            if first - at > _PUNCTUAL or last - at > _allowed(step):
                place = (*subject.places[step.id], "at")
                what = _too_slow(channel, outflow.per_minute, messages, step, first - at, last - at)
                yield Breach(place, what, _faster(subject, before, step, messages, capability.lead))


def _addressed(subject: Subject, channel: str) -> Iterator[tuple[PlannedStep, int]]:
    """The steps with messages for groups on `channel`, and how many. Members of a segment are counted by nobody yet."""
    counts: dict[tuple[str, ...], int] = {}
    for step in subject.plan.steps:
        if step.groups not in counts:
            counts[step.groups] = sum(subject.channel_of[group] == channel for group in step.groups)
        if step.segment is None and counts[step.groups]:
            yield step, counts[step.groups]


def _allowed(step: PlannedStep) -> timedelta:
    """How late its last message may leave: what comes later is skipped, or held for a person."""
    return _PUNCTUAL if step.on_late in {"skip", "hold"} else max(step.max_late, _PUNCTUAL)


def _too_slow(channel: str, rate: int, messages: int, step: PlannedStep, first: timedelta, last: timedelta) -> str:
    needed = _minutes(timedelta(minutes=(messages - 1) // rate))
    many = "1 message" if rate == 1 else f"{rate} messages"
    what = f"channel {channel} takes {many} a minute, and the {messages} of this step need {needed}; "
    if first > _PUNCTUAL:
        return f"{what}it starts {_minutes(first)} late, because what comes before it is still going out"
    return f"{what}the last one leaves {_minutes(last)} late, and the step allows {_minutes(_allowed(step))}"


def _faster(subject: Subject, before: Outflow, step: PlannedStep, messages: int, lead: timedelta) -> str:
    at, allowed = step.due - lead, _allowed(step)
    if Outflow(before.per_minute).send(at, messages)[1] - at > allowed:
        late = "`max_late`" if step.on_late in {"send", "rerender"} else "`on_late: rerender` and `max_late`"
        return f"split its groups over several steps with `to:` or over several channels, or allow more with {late}"
    at = max(at, _whole_minute(before.recent[-1][0]))
    first, last = before.copy().send(at, messages)
    if first - at > _PUNCTUAL or last - at > allowed:
        at += MINUTE
    free = waking_of(subject).first_allowed(at + lead)
    return f"the earliest time for it is {local(free, subject.zone)}"


def _whole_minute(at: datetime) -> datetime:
    """`at`, or the next whole minute."""
    down = at.replace(second=0, microsecond=0)
    return down if down == at else down + MINUTE


def _minutes(span: timedelta) -> str:
    minutes = -(-span // MINUTE)
    return f"{minutes} minute{'' if minutes == 1 else 's'}"


@dataclass(frozen=True, slots=True)
class _Span:
    """What a cap counts by: `first` gives the first day of the span that a day is in, `next` that of the next one."""

    noun: str
    written: str
    first: Callable[[date], date]
    next: Callable[[date], date]


_DAY = _Span("day", "on {:%a %Y-%m-%d}", lambda day: day, lambda day: day + timedelta(days=1))
_MONTH = _Span(
    "month",
    "in {:%B %Y}",
    lambda day: day.replace(day=1),
    lambda day: (day.replace(day=1) + timedelta(days=31)).replace(day=1),
)


def _daily(subject: Subject) -> Iterator[Breach]:
    caps = {name: can.daily_cap for name, can in subject.capabilities.items() if can.daily_cap is not None}
    yield from _capped(subject, caps, _DAY)


def _monthly(subject: Subject) -> Iterator[Breach]:
    caps = {name: can.monthly_cap for name, can in subject.capabilities.items() if can.monthly_cap is not None}
    yield from _capped(subject, caps, _MONTH)


def _capped(subject: Subject, caps: Mapping[str, int], span: _Span) -> Iterator[Breach]:
    spans = {step.id: span.first(step.due.astimezone(subject.zone).date()) for step in subject.plan.steps}
    full: dict[tuple[str, str], list[tuple[list[str], Counter[date]]]] = {}
    for audience in audiences(subject.plan.steps) if caps else ():
        counts = Counter(spans[step.id] for step in audience.steps)
        for channel in dict.fromkeys(subject.channel_of[group] for group in audience.groups):
            if channel not in caps:
                continue
            groups = [group for group in audience.groups if subject.channel_of[group] == channel]
            for step in _beyond(audience, caps[channel], spans):
                full.setdefault((step.id, channel), []).append((groups, counts))
    for (step_id, channel), found in full.items():
        starts, cap = spans[step_id], caps[channel]
        most = max(counts[starts] for _, counts in found)
        what = (
            f"is message {cap + 1} of {most} {span.written.format(starts)} for "
            f"{named([group for groups, _ in found for group in groups])}; channel {channel} takes {cap} a {span.noun}"
        )
        room = span.next(starts)
        while any(counts[room] >= cap for _, counts in found):
            room = span.next(room)
        opens = datetime.combine(room, time.fromisoformat(subject.launch.quiet_hours.ends), tzinfo=subject.zone)
        move = f"move this one: the earliest time for it is {_real(opens, subject.zone)}"
        yield Breach((*subject.places[step_id], "at"), what, f"leave one out that {span.noun}, or {move}")


def _beyond(audience: Audience, cap: int, spans: Mapping[str, date]) -> Iterator[PlannedStep]:
    """In each span that has more than `cap` messages, the first one too many."""
    seen: Counter[date] = Counter()
    for step in audience.steps:
        seen[spans[step.id]] += 1
        if seen[spans[step.id]] == cap + 1:
            yield step


def _real(at: datetime, zone: ZoneInfo) -> str:
    """A wall-clock time that the zone skips is said as the clocks show it."""
    return local(at.astimezone(UTC), zone)


MINUTE_RATE = Rule(
    id="rates/minute",
    title="Every platform's rate can carry the schedule",
    reason=(
        "A robot that may send twenty messages a minute reaches the hundredth group after four; what is due meanwhile "
        "waits. A countdown that waits is skipped, and a link that waits opens late in the last group. Every step's "
        "last message must leave within what the step allows (`max_late`; a minute where `on_late` skips or holds), "
        "and no step may start more than a minute late."
    ),
    check=_minute,
    example=(
        Edit(
            "      kind: console ",
            "      url: https://bridge.example\n      per_minute: 1\n      kind: webhook ",
        ),
        Edit("      channel: by_hand", "      channel: screen"),
        Edit('at: "D 15:00"', 'at: "D 12:00"'),
    ),
)
DAILY_CAP = Rule(
    id="rates/daily",
    title="No group gets more messages a day than its platform takes",
    reason=(
        "Platforms refuse what is beyond the cap, and the day's last message is the one that matters most. Counts what "
        "goes to the whole group by local day; a gate's remedies come on top, so leave room for them."
    ),
    check=_daily,
    example=(Edit("      kind: hand_off  ", "      daily_cap: 2\n      kind: hand_off  "),),
)
MONTHLY_CAP = Rule(
    id="rates/monthly",
    title="No group gets more messages a month than its platform takes",
    reason=(
        "A customer group of WeCom takes as many mass messages in a calendar month as that has days, whoever sent "
        "them, and nobody lifts the limit on the opening day. Counts what goes to the whole group by local month; a "
        "gate's remedies, and what other launches send there, come on top."
    ),
    check=_monthly,
    example=(
        Edit(
            "      kind: console ",
            "      corp_id_env: WECOM_CORP\n      secret_env: WECOM_SECRET\n      sender: mei\n"
            "      daily_cap: 9\n      monthly_cap: 9\n      kind: wecom_customer_group ",
        ),
    ),
)
RULES = (MINUTE_RATE, DAILY_CAP, MONTHLY_CAP)
