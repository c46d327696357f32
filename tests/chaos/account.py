"""The account after a storm: what the plans promised, what the ledger says, what the sinks took. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from drumroll.ledger.model import DeliveryRow, delivery_key, idempotency_key, recipient_of
from drumroll.operate.lateness import PUNCTUAL
from drumroll.plan.model import Plan, PlannedStep, remedy_step_id

NOT_SENT = frozenset({"due", "retry", "held", "skipped", "cancelled", "failed"})
"""States that say: nobody got it. A sink that took such a message proves the ledger wrong."""
UNFINISHED = frozenset({"due", "retry", "sending"})
BY_STOP = "the sender stopped before the answer came"
"""How the ledger words a row that became unknown because its engine died, not because of an answer."""

# A ruling is made before the words; the message leaves after them, and a frozen engine may stand between the two.
_STALE_GRACE = timedelta(seconds=15)


@dataclass(frozen=True)
class Taken:
    """One message that a sink took: the delivery's key, the key of the request, and when the engine thought it was."""

    delivery: str
    request: str
    step: str
    due: datetime
    sent_at: datetime

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> "Taken":
        """From a line of a sink's log."""
        data = entry["payload"]["data"]
        key = delivery_key(
            data["edition"], data["step"], data["occurrence"], recipient_of(data["group"], data["member"])
        )
        due, sent_at = datetime.fromisoformat(data["due"]), datetime.fromisoformat(data["sent_at"])
        return cls(key, str(entry["id"]), data["step"], due, sent_at)


@dataclass
class Account:
    """Keys of deliveries by what became of them; a list that must be empty has a name in `WRONG`."""

    planned: int = 0
    sent: int = 0
    lost: list[str] = field(default_factory=list)
    duplicate: list[str] = field(default_factory=list)
    phantom: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    unknown_by_stop: list[str] = field(default_factory=list)
    states: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Account") -> None:
        """Take another edition's account in."""
        self.planned += other.planned
        self.sent += other.sent
        self.states += other.states
        for name in ("lost", "duplicate", "phantom", "stale", "unknown", "unknown_by_stop"):
            getattr(self, name).extend(getattr(other, name))


WRONG = ("lost", "duplicate", "phantom", "stale")


def promised(plan: Plan, members: Mapping[str, Iterable[str]], remedies: Mapping[str, int]) -> set[str]:
    """Keys of everything the plan promises: its steps, those to `members` (by group), and each phase's remedies.

    `remedies` is how often the gate of a phase asked for help.
    """
    keys = set()
    for step in plan.steps:
        for group in step.groups:
            several = [None] if step.segment is None else members.get(group, ())
            keys |= {delivery_key(plan.edition, step.id, 1, recipient_of(group, member)) for member in several}
    for phase, times in remedies.items():
        gate = plan.launch.phases[plan.phase(phase).name].gate
        for remedy in gate.remedy if gate else ():
            step_id, groups = remedy_step_id(phase, remedy), remedy.to or plan.launch.group_ids()
            keys |= {delivery_key(plan.edition, step_id, n, group) for n in range(1, times + 1) for group in groups}
    return keys


def account(plan: Plan, promise: set[str], rows: Sequence[DeliveryRow], taken: Sequence[Taken]) -> Account:
    """Settle one edition's account.

    lost: promised, and neither sent nor written down as anything else that ends or waits for a person; or the ledger
    says sent and no sink took it. duplicate: taken twice, once for each time too many. phantom: taken, and no such
    delivery, or one of which the ledger says that nobody got it, or under another request key. stale: taken though its
    lateness forbade it by the sending engine's own clock.
    """
    by_hand = {name for name, spec in plan.launch.community.channels.items() if spec.kind == "hand_off"}
    ledger = {row.key: row for row in rows}
    counts = Counter(each.delivery for each in taken)
    result = Account(planned=len(promise), states=Counter(row.state for row in rows))
    result.sent = result.states["sent"]
    for key in sorted(promise | set(ledger)):
        row = ledger.get(key)
        never_arrived = row is not None and row.state == "sent" and row.channel not in by_hand and not counts[key]
        if row is None or row.state in UNFINISHED or never_arrived:
            result.lost.append(key)
    for each in taken:
        row = ledger.get(each.delivery)
        alien = each.delivery not in promise or each.request != idempotency_key(each.delivery)
        if alien or row is None or row.state in NOT_SENT:
            result.phantom.append(each.delivery)
        if each.step in plan_steps(plan) and _is_stale(plan.step(each.step), each):
            result.stale.append(each.delivery)
    result.duplicate = [key for key, times in counts.items() for _ in range(times - 1)]
    result.unknown = [row.key for row in rows if row.state == "unknown"]
    result.unknown_by_stop = [row.key for row in rows if row.state == "unknown" and BY_STOP in (row.error or "")]
    return result


def plan_steps(plan: Plan) -> frozenset[str]:
    """Ids of the planned steps; remedies have none of their own in the plan."""
    return frozenset(step.id for step in plan.steps)


def _is_stale(step: PlannedStep, taken: Taken) -> bool:
    now = taken.sent_at - _STALE_GRACE
    if step.counts_to is not None and step.counts_to <= now:
        return True
    late = now - taken.due
    return late > PUNCTUAL and (step.on_late in {"skip", "hold"} or late > step.max_late)
