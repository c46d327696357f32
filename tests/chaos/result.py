"""The verdict on a storm: the accounts of all its editions in one, and what must not be in it."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drumroll.ledger.ledger import Ledger
from drumroll.plan.model import Plan
from tests.chaos.account import WRONG, Account, Taken, account, promised
from tests.chaos.editing import rewritten
from tests.chaos.notes import noted


@dataclass(frozen=True)
class Story:
    """One edition that is over. `members`: who gets the messages to single members, by group. `doubtful`: how many rows
    may be in doubt because an engine stopped; None when a wrong clock made leases end early, as often as it liked."""

    edition: str
    members: Mapping[str, Iterable[str]]
    doubtful: int | None
    finished: bool


def verdict(
    stories: Sequence[Story],
    ledger: Ledger,
    logs: Iterable[Path],
    notes: Path,
    *,
    kills: int,
    more: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """The figures of all editions; `wrong` names what must not be, `details` the deliveries behind it.

    `more` are counts of the driver's own that must be zero as well.
    """
    taken = [Taken.of(json.loads(line)) for log in logs for line in log.read_text().splitlines()]
    by_edition: dict[str, list[Taken]] = {story.edition: [] for story in stories}
    whole, excess, altered = Account(), 0, list[str]()
    for each in taken:
        edition = each.delivery.partition("/")[0]
        by_edition.get(edition, whole.phantom).append(each if edition in by_edition else each.delivery)  # type: ignore[arg-type]
    for story in stories:
        found = _account(story, ledger, by_edition[story.edition], altered)
        whole.add(found)
        if story.doubtful is not None:
            excess += max(0, len(found.unknown_by_stop) - story.doubtful)
    said = noted(notes)
    what = Counter(note["what"] for note in said)
    figures = {
        "planned": whole.planned,
        "sent": whole.sent,
        **{name: len(getattr(whole, name)) for name in (*WRONG, "unknown")},
        "kills": kills,
        "unknown_after_stops": len(whole.unknown_by_stop),
        "unknown_in_excess": excess,
        "rewritten": len(altered),
        "unfenced": what["unfenced"],
        "fenced": what["fenced"],
        "stepped_aside": what["stepped aside"],
        "broken": what["broken"],
        "unfinished": sum(not story.finished for story in stories),
        "launches": len(stories),
        "states": dict(whole.states),
        "killed_at": dict(Counter(note["words"] for note in said if note["what"] == "kill")),
    } | dict(more or {})
    checked = (*WRONG, "unknown_in_excess", "rewritten", "unfenced", "broken", "unfinished", *(more or {}))
    words = {
        name: [note["words"] for note in said if note["what"] == name]
        for name in ("unfenced", "broken", "refused", "applied", "not applied")
    }
    details = {name: getattr(whole, name) for name in (*WRONG, "unknown")} | {"rewritten": altered} | words
    details["unfinished"] = [story.edition for story in stories if not story.finished]
    return figures | {"wrong": [name for name in checked if figures[name]], "details": details}


def _account(story: Story, ledger: Ledger, taken: Sequence[Taken], altered: list[str]) -> Account:
    """Of one edition, by the plan that it ended with."""
    if story.edition not in {row.id for row in ledger.editions()}:
        return Account(lost=[story.edition], phantom=[each.delivery for each in taken])
    versions = ledger.plan_versions(story.edition)
    plans = [Plan.model_validate_json(version.document) for version in versions]
    rows = ledger.deliveries(story.edition)
    altered += rewritten(plans, [version.created_at.timestamp() for version in versions], rows)
    remedies = Counter(check.phase for check in ledger.checks(story.edition) if check.verdict == "remedy")
    promise = promised(plans[-1], story.members, remedies)
    taken_out = {step.id for step in plans[-1].retired}
    promise |= {row.key for row in rows if row.step in taken_out}
    return account(plans[-1], promise, rows, taken)
