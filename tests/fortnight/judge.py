"""What became of it: the flow run, its phases, the ledger and the sink's own log must tell the same story."""

import json
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

from drumroll.ledger.ledger import Ledger, open_ledger
from drumroll.ledger.model import DeliveryRow
from drumroll.plan.model import Plan
from tests.chaos.account import WRONG, Taken, account, promised
from tests.fortnight.compress import HELD
from tests.fortnight.drive import Fortnight, Stroke
from tests.fortnight.pages import NAME, REASON

KILLS, RESTARTS = 3, 1
_BEFORE, _AFTER = timedelta(seconds=15), timedelta(seconds=45)  # of a kill: what falls due then may be late


def judge(fortnight: Fortnight, run: dict[str, Any]) -> dict[str, Any]:
    """The account; `wrong` has a sentence for each thing that is not as it must be."""
    ledger = open_ledger(fortnight.ledger)
    [edition] = ledger.editions()
    plan = Plan.model_validate_json(ledger.plan_document(edition.id))
    wanted = {"flow_runs": {"parent_flow_run_id": {"any_": [run["id"]]}}, "sort": "START_TIME_ASC"}
    phases = fortnight.server.ask("flow_runs/filter", wanted)
    rows = ledger.deliveries(edition.id)
    books = _books(plan, ledger, rows, fortnight.log)
    gates = {phase.name: [check.verdict for check in ledger.checks(edition.id, phase.name)] for phase in plan.phases}
    wrong = [
        *_of_runs(fortnight, run, phases, [phase.name for phase in plan.phases]),
        *_of_decision(ledger, edition.id),
        *(f"{len(books[name])} {name}: {', '.join(books[name][:5])}" for name in WRONG if books[name]),
        *(f"no time came for this: {what}" for what in fortnight.left),
    ]
    if edition.state != "done":
        wrong.append(f"the edition is {edition.state}")
    if unsettled := [row.key for row in rows if row.state not in {"sent", "skipped"}]:
        wrong.append(f"{len(unsettled)} neither sent nor skipped: {', '.join(unsettled[:5])}")
    return {
        "edition": edition.id,
        "minutes": fortnight.minutes,
        "worker": fortnight.worker,
        "steps": len(plan.steps),
        "numbered": sum(step.number is not None for step in plan.steps),
        "deliveries": dict(Counter(row.state for row in rows)),
        "skipped": sorted({f"{row.step}: {row.error}" for row in rows if row.state == "skipped"}),
        **{name: len(books[name]) for name in WRONG},
        "gates": gates,
        "flow_runs": len(fortnight.server.runs()),
        "run_count": run["run_count"],
        "state": run["state"]["name"],
        "waits_without_a_process": fortnight.server.states(run["id"]).count("Waiting"),
        "phases": {phase["name"].split(" · ")[0]: phase["state"]["name"] for phase in phases},
        "strokes": [f"{stroke.at:%H:%M:%S} {stroke.what}" for stroke in fortnight.strokes],
        "lateness_ms": _lateness(rows, plan, fortnight.strokes),
        "wrong": wrong,
    }


def _of_runs(
    fortnight: Fortnight, run: dict[str, Any], phases: Sequence[dict[str, Any]], planned: Sequence[str]
) -> list[str]:
    wrong = []
    if (runs := len(fortnight.server.runs())) != 1:
        wrong.append(f"{runs} flow runs of the launch")
    if (run["state"]["name"], run["run_count"]) != ("Completed", 1):
        wrong.append(f"the flow run is {run['state']['name']} with run count {run['run_count']}")
    if (names := sorted(phase["name"].split(" · ")[0] for phase in phases)) != sorted(planned):
        wrong.append(f"its phases are {', '.join(names)}")
    wrong += [f"{each['name']} is {each['state']['name']}" for each in phases if each["state"]["name"] != "Completed"]
    done = Counter("killed" in stroke.what for stroke in fortnight.strokes)
    if (done[True], done[False]) != (KILLS, RESTARTS):
        wrong.append(f"{done[True]} kills of the worker and {done[False]} restarts of the server")
    return wrong


def _of_decision(ledger: Ledger, edition: str) -> list[str]:
    made = [row for row in ledger.decisions(edition) if row.subject == f"gate {HELD}"]
    if [(row.choice, row.by, row.reason) for row in made] == [("pass", NAME, REASON)]:
        return []
    return [f"decisions about the gate of {HELD}: {[(row.choice, row.by) for row in made]}"]


def _books(plan: Plan, ledger: Ledger, rows: Sequence[DeliveryRow], log: Path) -> dict[str, list[str]]:
    """Keys of what is wrong, by kind. Who is in a segment, only the ledger knows: those are promised as it has them."""
    remedies: dict[str, int] = {
        phase.name: sum(check.verdict == "remedy" for check in ledger.checks(plan.edition, phase.name))
        for phase in plan.phases
    }
    promise = promised(plan, {}, remedies) | {row.key for row in rows if row.member is not None}
    taken = [Taken.of(json.loads(line)) for line in log.read_text().splitlines()]
    found = account(plan, promise, rows, taken)
    return {name: getattr(found, name) for name in WRONG}


def _lateness(rows: Sequence[DeliveryRow], plan: Plan, strokes: Sequence[Stroke]) -> dict[str, Any]:
    by_hand = {name for name, spec in plan.launch.community.channels.items() if spec.kind == "hand_off"}
    ours = [row for row in rows if row.channel not in by_hand and row.state == "sent" and row.lateness_ms is not None]
    kills = [stroke.at for stroke in strokes if stroke.late]
    spared = [row for row in ours if not any(at - _BEFORE < row.due_at < at + _AFTER for at in kills)]
    late = {row.key: row.lateness_ms or 0 for row in spared}
    worst = max(spared, key=lambda row: row.lateness_ms or 0, default=None)
    return {
        "measured": len(spared),
        "near_a_kill": len(ours) - len(spared),
        "p50": round(median(late.values())) if late else None,
        "worst": worst and worst.lateness_ms,
        "worst_step": worst and worst.step,
        "worst_near_a_kill": max((row.lateness_ms or 0 for row in ours if row not in spared), default=None),
    }
