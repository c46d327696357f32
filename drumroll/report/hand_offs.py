"""What people must post by hand: who, where, when, and the words to copy.

Nobody can post early what they have not got: nothing is previewed from behind a gate that has not passed, and no text
that tells a fact (the order link, the price) before the step that reveals it has gone out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from drumroll.launchfile.method import MomentValue
from drumroll.ledger.ledger import Ledger
from drumroll.ledger.model import DeliveryRow
from drumroll.operate.beats import planned_step
from drumroll.operate.duties import duties_of
from drumroll.plan.model import Plan, PlannedStep
from drumroll.report.standing import current_phase, resolve_command
from drumroll.words.phrases import LOCALES, label
from drumroll.words.render import Words, WordsError

DAY = timedelta(hours=24)
_TOLD = frozenset({"sent", "awaiting"})


@dataclass(frozen=True, slots=True)
class HandOff:
    """One text for a person to post.

    `state`: `awaiting` has been handed over, `due` is still to come and its text a preview, `held` needs a decision by
    `command` (else None) and has no text. `note` says why there is no text. `poster` is the staff member named for the
    channel, `member` and `member_name` whom a direct message is for. `overdue` is 0 for all but `awaiting`. What a
    platform holds until it is confirmed there has a note instead of a text: posted by hand it would go out twice.
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
    note: str | None
    command: str | None


def hand_offs(ledger: Ledger, plan: Plan, *, now: datetime, within: timedelta | None = DAY) -> list[HandOff]:
    """The edition's open hand-offs in order of time: all that wait or are held, and those planned `within` from now.

    `within` None: all of the phase that the edition is in. What lies behind a gate that has not passed is left out.
    """
    desk = _Desk(ledger, plan, now)
    return sorted(map(desk.item, desk.rows(within)), key=lambda item: (item.due, item.key))


class _Desk:
    """One edition's hand-offs; texts and names are looked up once."""

    def __init__(self, ledger: Ledger, plan: Plan, now: datetime) -> None:
        self._ledger, self._plan, self._now = ledger, plan, now
        self._groups = {group.id: group for group in plan.launch.community.groups}
        self._duties = duties_of(plan)
        self._steps = {step.id: step for step in plan.steps}
        self._words = Words(plan)
        self._previews: dict[tuple[str, int], tuple[str | None, str | None]] = {}
        self._untold = _untold_facts(ledger, plan)
        self._names: dict[str, str] | None = None

    def rows(self, within: timedelta | None) -> Iterator[DeliveryRow]:
        yield from self._ledger.deliveries(self._plan.edition, state="awaiting")
        by_hand = self._duties
        if not by_hand:
            return
        held = self._ledger.deliveries(self._plan.edition, state="held")
        yield from (row for row in held if row.channel in by_hand)
        reached = self._reached()
        for state in ("due", "retry"):
            for row in self._ledger.deliveries(self._plan.edition, state=state):
                soon = within is None or row.due_at <= self._now + within
                if row.channel in by_hand and row.phase in reached and soon:
                    yield row

    def _reached(self) -> list[str]:
        """The phases up to the first whose gate has not passed."""
        names: list[str] = [phase.name for phase in self._plan.phases]
        current = current_phase(self._ledger, self._plan)
        return names if current is None else names[: names.index(current) + 1]

    def item(self, row: DeliveryRow) -> HandOff:
        group, step = self._groups.get(row.group), self._steps.get(row.step)
        number = step.number if step else None
        duty = self._duties.get(row.channel)
        awaiting, held = row.state == "awaiting", row.state == "held"
        text, note = (None, row.error or "is held") if held else self._said(row)
        return HandOff(
            key=row.key,
            edition=row.edition,
            step=row.step,
            number=number,
            label=label(LOCALES[self._plan.launch.locale], number),
            group=row.group,
            group_name=group.name if group else row.group,
            poster=duty.who if duty else None,
            member=row.member,
            member_name=self._name(row.member) if row.member else None,
            due=row.due_at,
            state=row.state if awaiting or held else "due",
            overdue=max(self._now - row.due_at, timedelta(0)) if awaiting else timedelta(0),
            text=text,
            note=note,
            command=resolve_command(row) if held else None,
        )

    def _said(self, row: DeliveryRow) -> tuple[str | None, str | None]:
        """The text and, in its place, why it is not shown."""
        duty = self._duties.get(row.channel)
        if duty is not None and duty.taps:
            return None, f"{duty.who or 'its sender'} confirms it in the platform's app; post nothing by hand"
        if row.state == "awaiting" and row.wording:
            return self._ledger.wording(row.wording), None
        key = (row.step, row.occurrence)
        if key not in self._previews:
            self._previews[key] = self._preview(planned_step(self._plan, self._ledger, self._plan.edition, *key))
        return self._previews[key]

    def _preview(self, step: PlannedStep) -> tuple[str | None, str | None]:
        try:
            reading = self._words.read(step, now=step.due)
        except WordsError as error:
            return None, f"its text cannot be shown yet: {error.message}"
        named = {said.about for said in reading.said}
        early = [
            fact
            for fact, value in self._untold.items()
            if fact in step.reveals or (value in named if isinstance(value, datetime) else value in reading.text)
        ]
        if early:
            return None, f"its text tells {', '.join(early)}, and is shown when it is handed over"
        return reading.text, None

    def _name(self, member: str) -> str:
        if self._names is None:
            # Only the people are wanted, not the events of weeks.
            _, people = self._ledger.activity(self._plan.edition, since=self._now, until=self._now)
            self._names = {person.id: person.name for person in people.values()}
        return self._names.get(member) or member


def _untold_facts(ledger: Ledger, plan: Plan) -> dict[str, str | datetime]:
    """The facts that steps reveal and that none of them has told anybody yet, with their values."""
    states = ledger.step_states(plan.edition)
    told = {fact for step in plan.steps if states.get((step.id, 1), {}).keys() & _TOLD for fact in step.reveals}
    revealed = {fact for step in plan.steps for fact in step.reveals}
    values = plan.launch.facts | plan.moments
    return {fact: value for fact in revealed - told if (value := values[fact]) and not isinstance(value, MomentValue)}
