"""The report: one self-contained HTML file that tells what happened and why."""

from collections import Counter
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from drumroll.clock import current_clock
from drumroll.metrics.registry import METRICS
from drumroll.operate.edition import Where
from drumroll.report import display
from drumroll.report.account import Account, account
from drumroll.report.bars import asked, bar, measured
from drumroll.report.place import write_page
from drumroll.report.standing import OPEN_QUESTIONS, done_command, resolve_command
from drumroll.words.pages import render_page

TEMPLATE = "report.html.j2"
VERDICTS = {
    "pass": "passed",
    "extend": "extended",
    "remedy": "remedy sent",
    "hold": "held for a person",
    "abort": "aborted",
}
OUTCOMES = {
    "met": ("✓", "met"),
    "missed": ("✗", "missed"),
    "unclear": ("?", "not sure enough, so not met"),
}
_CHOICES_ABOUT_DELIVERIES = ("sent", "resend", "skip")


def account_of(where: Where, *, now: datetime | None = None) -> Account:
    """Everything the report of this edition tells; `now` defaults to the current clock's."""
    ledger = where.open()
    edition = ledger.edition(where.edition)
    return account(ledger, edition, where.plan(), now=now or current_clock().now())


def write_report(where: Where, out: Path | None = None, *, now: datetime | None = None) -> Path:
    """Write the report of an edition; returns its path.

    `out` defaults to `.drumroll/reports/<edition>.html` in the project; no other folder is created. Raises UsageError
    when the folder of `out` is not there, the report cannot be written or the page template is missing, WordsError when
    the template is broken.
    """
    html = report_html(account_of(where, now=now), Path(where.project))
    default = Path(where.project) / ".drumroll" / "reports" / f"{where.edition}.html"
    return write_page(html, out, default=default, what="the report")


def report_html(told: Account, project: Path) -> str:
    """The page itself, from the project's `templates/pages/report.html.j2`."""
    zone = ZoneInfo(told.plan.launch.timezone)
    groups = [(None, "Whole"), *((group.id, group.name) for group in told.plan.launch.community.groups)]
    return render_page(
        project,
        TEMPLATE,
        edition=told.edition,
        plan=told.plan,
        launch=told.plan.launch,
        at=told.at,
        outcome=told.outcome(),
        integrity=told.integrity.sentence(),
        standing=told.standing,
        glance=told.glance,
        lateness=told.lateness,
        groups=groups,
        gates=_gates(told),
        funnels=[(name, told.funnel(group)) for group, name in groups],
        metrics=_metrics(told, groups),
        said=told.announcements,
        questions=_questions(told),
        decisions=[each for each in told.decisions if each.choice in _CHOICES_ABOUT_DELIVERIES],
        ticked=Counter(each.by for each in told.decisions if each.choice == "done"),
        proofs=[each for each in told.decisions if each.choice == "done" and each.reason],
        local=lambda moment, **how: display.local(moment, zone, **how),
        show_lateness=display.lateness,
        span=display.span,
        amount=display.amount,
        interval=display.interval,
        bar=bar,
        asked=asked,
        measured=measured,
        verdicts=VERDICTS,
        outcomes=OUTCOMES,
        known_metrics=METRICS,
    )


def _gates(told: Account) -> list[dict[str, Any]]:
    return [
        {
            "phase": phase,
            "gate": told.plan.launch.phases[phase.name].gate,
            "checks": [check for check in told.checks if check.phase == phase.name],
        }
        for phase in told.plan.phases
    ]


def _metrics(told: Account, groups: list[tuple[str | None, str]]) -> list[dict[str, Any]]:
    columns = [told.metrics(group) for group, _ in groups]
    return [{"metric": METRICS[row[0].metric], "values": row} for row in zip(*columns, strict=True)]


def _questions(told: Account) -> list[dict[str, Any]]:
    """Deliveries whose fate a person must decide, and hand-offs that nobody has ticked off."""
    numbers = {each.step: each.label for each in told.announcements}
    names = {group.id: group.name for group in told.plan.launch.community.groups}
    waiting = [row for row in told.rows if row.state in OPEN_QUESTIONS or row.state == "awaiting"]
    return [
        {
            "row": row,
            "label": numbers.get(row.step, ""),
            "group": names.get(row.group, row.group),
            "command": done_command(row) if row.state == "awaiting" else resolve_command(row),
        }
        for row in waiting
    ]


def summary(told: Account) -> dict[str, Any]:
    """For JSON: what the head of the report says, in numbers."""
    automatic, by_hand = told.lateness
    return {
        "edition": told.edition.id,
        "launch": told.edition.launch,
        "title": told.edition.title,
        "state": told.edition.state,
        "rehearsal": told.edition.rehearsal,
        "plan": told.plan.hash,
        "outcome": told.outcome(),
        "integrity": asdict(told.integrity),
        "deliveries": asdict(told.glance),
        "lateness": {
            "automatic": asdict(automatic) if automatic else None,
            "by_hand": asdict(by_hand) if by_hand else None,
        },
    }
