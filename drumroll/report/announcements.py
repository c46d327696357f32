"""What was said, to whom, when: one entry for each step, in order of time."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from drumroll.ledger.ledger import Ledger
from drumroll.ledger.model import DeliveryRow
from drumroll.plan.model import Plan
from drumroll.report.figures import Lateness, lateness_of
from drumroll.words.phrases import LOCALES, label

_WAITS = frozenset({"held", "unknown", "failed", "awaiting"})


@dataclass(frozen=True, slots=True)
class Chip:
    """The state of one step in one group: `sent`, or `12 sent, 1 failed` for a step to single members."""

    group: str
    words: str
    settled: bool


@dataclass(frozen=True, slots=True)
class Announcement:
    """One step as it happened. `texts` are the wordings that went out: one, but for an edit between two attempts.

    `sent` is the first and the last instant of sending; `reasons` say why deliveries were set aside.
    """

    step: str
    occurrence: int
    number: int | None
    label: str
    kind: str
    phase: str
    topic: str | None
    segment: str | None
    due: datetime
    sent: tuple[datetime, datetime] | None
    lateness: Lateness | None
    texts: tuple[str, ...]
    chips: tuple[Chip, ...]
    reasons: tuple[str, ...]


def announcements(ledger: Ledger, plan: Plan, rows: Sequence[DeliveryRow]) -> list[Announcement]:
    """Every step of the plan (retired ones too) and remedy asked for, with what became of `rows`, its deliveries."""
    by_step: defaultdict[tuple[str, int], list[DeliveryRow]] = defaultdict(list)
    for row in rows:
        by_step[row.step, row.occurrence].append(row)
    planned = {step.id: step for step in (*plan.retired, *plan.steps)}
    kept = {(wording.step, wording.occurrence, wording.sha): wording.text for wording in ledger.wordings(plan.edition)}
    kinds = plan.kinds()
    found = []
    for step_id, occurrence in {(step, 1): None for step in planned} | dict.fromkeys(by_step):
        group, step = by_step[step_id, occurrence], planned.get(step_id)
        number = step.number if step else None
        shas = dict.fromkeys(row.wording for row in group if row.wording is not None)
        sent = [row.sent_at for row in group if row.state == "sent" and row.sent_at is not None]
        found.append(
            Announcement(
                step=step_id,
                occurrence=occurrence,
                number=number,
                label=label(LOCALES[plan.launch.locale], number),
                kind=kinds[step_id][0],
                phase=step.phase if step else group[0].phase,
                topic=step.topic if step else None,
                segment=step.segment if step else None,
                due=step.due if step else group[0].due_at,
                sent=(min(sent), max(sent)) if sent else None,
                lateness=lateness_of(group),
                texts=tuple(kept[step_id, occurrence, sha] for sha in shas if (step_id, occurrence, sha) in kept),
                chips=_chips(plan, group),
                reasons=tuple(dict.fromkeys(row.error for row in group if row.error and row.state != "sent")),
            )
        )
    return sorted(found, key=lambda each: each.due)


def _chips(plan: Plan, rows: Sequence[DeliveryRow]) -> tuple[Chip, ...]:
    chips = []
    for group in plan.launch.community.groups:
        states = Counter(row.state for row in rows if row.group == group.id)
        if not states:
            continue
        direct = any(row.member is not None for row in rows)
        words = ", ".join(f"{count} {state}" if direct else state for state, count in sorted(states.items()))
        chips.append(Chip(group.name, words, settled=not _WAITS & states.keys()))
    return tuple(chips)
