"""What people must post by hand: who, where, when, and the words to copy."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from drumroll.ledger.ledger import Ledger
from drumroll.ledger.model import DeliveryRow
from drumroll.operate.beats import planned_step
from drumroll.operate.edition import capabilities_of
from drumroll.plan.model import Plan
from drumroll.words.phrases import LOCALES, label
from drumroll.words.render import Words, WordsError

DAY = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class HandOff:
    """One text for a person to post. `awaiting` has been handed over; `due` is still to come, its text a preview.

    `text` is None when a preview cannot be rendered. `poster` is the staff member named for the channel, `member` and
    `member_name` whom a direct message is for. `overdue` is 0 before its time.
    """

    key: str
    edition: str
    step: str
    number: int | None
    label: str
    group: str
    group_name: str
    poster: str | None
    member: str | None
    member_name: str | None
    due: datetime
    state: str
    overdue: timedelta
    text: str | None


def hand_offs(ledger: Ledger, plan: Plan, *, now: datetime, within: timedelta | None = DAY) -> list[HandOff]:
    """The edition's open hand-offs in order of time: all that wait, and those planned `within` from now (None: all)."""
    desk = _Desk(ledger, plan, now)
    return sorted(map(desk.item, desk.rows(within)), key=lambda item: (item.due, item.key))


class _Desk:
    """One edition's hand-offs; texts and names are looked up once."""

    def __init__(self, ledger: Ledger, plan: Plan, now: datetime) -> None:
        self._ledger, self._plan, self._now = ledger, plan, now
        self._groups = {group.id: group for group in plan.launch.community.groups}
        self._steps = {step.id: step for step in plan.steps}
        self._words = Words(plan)
        self._previews: dict[tuple[str, int], str | None] = {}
        self._names: dict[str, str] | None = None

    def rows(self, within: timedelta | None) -> Iterator[DeliveryRow]:
        yield from self._ledger.deliveries(self._plan.edition, state="awaiting")
        by_hand = {name for name, can in capabilities_of(self._plan).items() if not can.unattended}
        for state in ("due", "retry") if by_hand else ():
            for row in self._ledger.deliveries(self._plan.edition, state=state):
                if row.channel in by_hand and (within is None or row.due_at <= self._now + within):
                    yield row

    def item(self, row: DeliveryRow) -> HandOff:
        group, step = self._groups.get(row.group), self._steps.get(row.step)
        number = step.number if step else None
        channel = self._plan.launch.community.channels.get(row.channel)
        awaiting = row.state == "awaiting"
        return HandOff(
            key=row.key,
            edition=row.edition,
            step=row.step,
            number=number,
            label=label(LOCALES[self._plan.launch.locale], number),
            group=row.group,
            group_name=group.name if group else row.group,
            poster=channel.options.get("to") if channel else None,
            member=row.member,
            member_name=self._name(row.member) if row.member else None,
            due=row.due_at,
            state="awaiting" if awaiting else "due",
            overdue=max(self._now - row.due_at, timedelta(0)),
            text=self._ledger.wording(row.wording) if row.wording else self._preview(row),
        )

    def _preview(self, row: DeliveryRow) -> str | None:
        key = (row.step, row.occurrence)
        if key not in self._previews:
            try:
                step = planned_step(self._plan, self._ledger, self._plan.edition, *key)
                self._previews[key] = self._words.text(step, now=step.due)
            except WordsError:
                self._previews[key] = None
        return self._previews[key]

    def _name(self, member: str) -> str:
        if self._names is None:
            # Only the people are wanted, not the events of weeks.
            _, people = self._ledger.activity(self._plan.edition, since=self._now, until=self._now)
            self._names = {person.id: person.name for person in people.values()}
        return self._names.get(member) or member
