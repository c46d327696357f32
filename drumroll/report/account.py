"""An edition's whole account: everything its report tells, gathered once from the ledger."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from drumroll.ledger.ledger import Ledger
from drumroll.ledger.model import DecisionRow, DeliveryRow, EditionRow
from drumroll.metrics.integrity import Integrity, integrity
from drumroll.metrics.reading import Reading
from drumroll.metrics.registry import Value
from drumroll.operate.edition import capabilities_of
from drumroll.operate.reading import reading_of
from drumroll.plan.model import Plan
from drumroll.report.announcements import Announcement, announcements
from drumroll.report.checks import Check, checks_of
from drumroll.report.display import amount, interval
from drumroll.report.figures import Glance, Lateness, Stage, funnel, glance, lateness_of, measure_all
from drumroll.report.standing import Standing, as_of, standing


@dataclass(frozen=True, eq=False)
class Account:
    """One edition as its ledger tells it at `at` (see `as_of`). Each part is worked out when it is first asked for."""

    ledger: Ledger
    edition: EditionRow
    plan: Plan
    at: datetime

    @cached_property
    def rows(self) -> list[DeliveryRow]:
        """All deliveries in order of their planned instants."""
        return self.ledger.deliveries(self.edition.id)

    @cached_property
    def reading(self) -> Reading:
        """What members did."""
        return reading_of(self.ledger, self.plan, now=self.at)

    @cached_property
    def standing(self) -> Standing:
        """State, phase, next step, what needs a person."""
        return standing(self.ledger, self.plan, self.edition, now=self.at)

    @cached_property
    def glance(self) -> Glance:
        """Deliveries by state."""
        return glance(self.rows)

    @cached_property
    def lateness(self) -> tuple[Lateness | None, Lateness | None]:
        """Of what channels sent by themselves, and of what people posted by hand."""
        by_hand = {name for name, can in capabilities_of(self.plan).items() if not can.unattended}
        return (
            lateness_of([row for row in self.rows if row.channel not in by_hand]),
            lateness_of([row for row in self.rows if row.channel in by_hand]),
        )

    @cached_property
    def integrity(self) -> Integrity:
        """Whom the numbers leave out."""
        return integrity(self.reading)

    @cached_property
    def checks(self) -> list[Check]:
        """Every reading and decision of every gate."""
        return checks_of(self.ledger, self.edition.id)

    @cached_property
    def decisions(self) -> list[DecisionRow]:
        """The audit log."""
        return self.ledger.decisions(self.edition.id)

    @cached_property
    def announcements(self) -> list[Announcement]:
        """What was said."""
        return announcements(self.ledger, self.plan, self.rows)

    def funnel(self, group: str | None) -> Sequence[Stage]:
        """Joined → active → waitlisted → ordered."""
        return funnel(self.reading, group, until=self.at)

    def metrics(self, group: str | None) -> Sequence[Value]:
        """Every metric over the whole edition."""
        return measure_all(self.reading, group, until=self.at)

    def outcome(self) -> str:
        """What came of it so far, in one line."""
        joined, *_, ordered = self.funnel(None)
        people = f"{joined.people:,} people joined"
        if joined.people:
            sold, rate = ordered.of_joined, amount(ordered.of_joined.value, "share")
            people += f", {ordered.people:,} ordered ({rate}; 95% {interval(sold.lower, sold.upper, 'share')})"
        return f"{self._where_it_stands()}: {people}."

    def _where_it_stands(self) -> str:
        passed = {check.phase for check in self.checks if check.verdict == "pass"}
        gates = f"{len(passed)} of {len(self.plan.phases)} gates passed"
        match self.edition.state:
            case "done":
                return f"Done, {gates}"
            case "aborted":
                last = self.checks[-1].phase if self.checks else self.plan.phases[0].name
                return f"Aborted at the gate of {last}, {gates}"
            case "held":
                waiting = next((need.key for need in self.standing.needs if need.what == "gate"), None)
                return f"Held at the gate of {waiting}, {gates}" if waiting else f"Held, now decided, {gates}"
            case _:
                return f"Running, in {self.standing.phase}, {gates}" if self.standing.phase else f"Running, {gates}"


def account(ledger: Ledger, edition: EditionRow, plan: Plan, *, now: datetime) -> Account:
    """The account of `edition`, looked at from `now` or, when it has ended or was a rehearsal, from its own end."""
    return Account(ledger, edition, plan, as_of(ledger, edition, now=now))
