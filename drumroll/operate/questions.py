"""What a person is asked when a launch cannot go on by itself, and what their answer does to the ledger."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from textwrap import shorten
from zoneinfo import ZoneInfo

from drumroll.errors import LedgerError
from drumroll.gates import RECHECK, ThresholdResult
from drumroll.ledger.model import Choice, DeliveryRow
from drumroll.operate.aborting import abort_edition
from drumroll.operate.approval import staff_names
from drumroll.operate.beats import next_leftover, planned_step, standing_verdict
from drumroll.operate.braking import held_back
from drumroll.operate.edition import Where
from drumroll.operate.gating import Decided, decide
from drumroll.plan.model import Plan
from drumroll.words.phrases import LOCALES, short_label

CONTINUE, EXTEND, ABORT = "continue", "extend", "abort"
SEND, SKIP, ABORT_LAUNCH = "send now", "skip", "abort the launch"
_VERDICTS: dict[str, Decided] = {CONTINUE: "pass", EXTEND: "extend", ABORT: "abort"}
_RESOLVED: dict[str, Choice] = {SEND: "resend", SKIP: "skip"}
PATIENCE = timedelta(minutes=15)
"""What is on its way when a gate holds gets this long before a person is asked."""
_MOST = 250  # characters of a title; all of it stands in the text


@dataclass(frozen=True, slots=True)
class Question:
    """One thing to decide.

    `key`, in `[a-z0-9-]`, tells it from every other question of its flow run. `title` is one line, `text` Markdown.
    `choices` has what may be chosen, and what that does. `names` are those who may answer; anybody when it is empty.
    """

    key: str
    title: str
    text: str
    choices: Mapping[str, str]
    names: Sequence[str]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a person said, as they wrote it."""

    choice: str
    reason: str
    name: str


def refusal(question: Question, answer: Answer) -> str | None:
    """Why `answer` does not count, for the person who gave it; None when it does."""
    if answer.choice not in question.choices:
        return f"this can no longer be chosen; choose {' or '.join(question.choices)}"
    if not answer.reason.strip():
        return "a decision goes on record: say why"
    if not answer.name.strip():
        return "a decision goes on record: say who decides"
    if question.names and answer.name.strip() not in question.names:
        return f"the launch wants a name of its staff: {', '.join(question.names)}"
    return None


def gate_key(phase: str, attempt: int) -> str:
    """The key of the question about one reading of a gate."""
    return f"gate-{phase.replace('_', '-')}-{attempt}"


def gate_of(key: str) -> tuple[str, int]:
    """The phase and the reading that a key is about."""
    named, _, attempt = key.rpartition("-")
    return named.removeprefix("gate-").replace("-", "_"), int(attempt)


def gate_question(where: Where, phase: str, *, now: datetime) -> Question | None:
    """What to ask about the gate of `phase` at `now`; None when it does not wait for a person."""
    check, plan = where.open().last_check(where.edition, phase), where.plan()
    over = where.open().edition(where.edition).ended_at is not None
    if over or check is None or check.verdict != "hold":
        return None
    snapshot = json.loads(check.snapshot)
    results = [ThresholdResult(**result) for result in snapshot["results"]]
    unmet = "; ".join(result.sentence() for result in results if not result.met) or snapshot["reason"]
    seen = [f"- {_code(result.sentence())}" for result in results]
    text = [f"The gate of **{phase}** holds. What it saw on {_local(plan, check.checked_at)}:", "", *seen, ""]
    text.append(f"Its verdict: {_code(snapshot['reason'])}")
    choices = _gate_choices(plan, phase, now)
    decide = "|".join(_VERDICTS[choice] for choice in choices)
    command = f"drumroll gate {where.edition} {phase} --decide {decide} --by NAME --reason TEXT"
    return Question(
        key=gate_key(phase, check.attempt),
        title=shorten(f"the gate of {phase} holds: {unmet}", _MOST, placeholder=" …"),
        text="\n".join([*text, "", *_listed(choices), "", f"Or, on the command line: {_code(command)}"]),
        choices=choices,
        names=_who(plan),
    )


def take_gate_answer(where: Where, phase: str, attempt: int, answer: Answer, *, now: datetime) -> None:
    """Record the decision about that reading of the gate; DrumrollError when somebody else was faster."""
    by, reason = answer.name.strip(), answer.reason.strip()
    decide(where, phase, _VERDICTS[answer.choice], by=by, reason=reason, now=now, attempt=attempt)


def stands(where: Where, phase: str, attempt: int, answer: Answer) -> bool:
    """Whether `answer` is what was decided about that reading of the gate."""
    row = next((row for row in where.open().checks(where.edition, phase) if row.attempt == attempt + 1), None)
    if row is None or row.verdict != _VERDICTS.get(answer.choice):
        return False
    seen = json.loads(row.snapshot)
    return (seen.get("decided_by"), seen.get("reason")) == (answer.name.strip(), answer.reason.strip())


def awaits_answer(where: Where, *, now: datetime) -> bool:
    """Whether the edition can do nothing by itself until a person decides about a gate."""
    for phase in where.plan().phases:
        verdict = standing_verdict(where.open(), where.edition, phase.name)
        if verdict == "hold":
            leftover = next_leftover(where, phase.name, now=now, within=PATIENCE)
            return leftover is None or held_back(where) is not None
        if verdict != "pass":
            return False
    return False


def held(where: Where, step: str, occurrence: int) -> list[DeliveryRow]:
    """The deliveries of a step that wait for a person's word, in the order they were planned."""
    rows = where.open().deliveries(where.edition, state="held", step=step)
    return [row for row in rows if row.occurrence == occurrence]


def held_steps(where: Where) -> list[tuple[str, int]]:
    """The steps of an edition under way, with their occurrences, of which something is held."""
    if where.open().edition(where.edition).ended_at is not None:
        return []
    rows = where.open().deliveries(where.edition, state="held")
    return list(dict.fromkeys((row.step, row.occurrence) for row in rows))


def step_question(where: Where, step: str, occurrence: int) -> Question | None:
    """What to ask about a held step; None when nothing of it is held, or its edition is over."""
    rows, plan = held(where, step, occurrence), where.plan()
    if not rows or where.open().edition(where.edition).ended_at is not None:
        return None
    planned = planned_step(plan, where.open(), where.edition, step, occurrence)
    label = short_label(LOCALES[plan.launch.locale], planned.number) or step
    reasons = list(dict.fromkeys(row.error or "a person decides" for row in rows))
    groups = ", ".join(sorted({row.group for row in rows}))
    to = "1 delivery" if len(rows) == 1 else f"{len(rows)} deliveries"
    choices = {
        SEND: f"{to} to {groups} at once, with the words as of then",
        SKIP: "it is never sent, and the launch goes on without it",
        ABORT_LAUNCH: "what is still due is cancelled, nothing more is sent, and the edition cannot be taken up again",
    }
    text = [f"**{label}** ({_code(step)}), planned for {_local(plan, rows[0].due_at)}, waits: {to} to {groups}.", ""]
    text += [f"- {_code(reason)}" for reason in reasons]
    command = f"drumroll resolve KEY --as resend|skip --by NAME --reason TEXT` for each of `{_listing(where, step)}"
    return Question(
        key="held",
        title=shorten(f"{label} is held: {reasons[0]}", _MOST, placeholder=" …"),
        text="\n".join([*text, "", *_listed(choices), "", f"Or, on the command line: `{command}`"]),
        choices=choices,
        names=_who(plan),
    )


def take_step_answer(where: Where, step: str, occurrence: int, answer: Answer, *, now: datetime) -> int:
    """Resolve every delivery of the step that is still held, each with its decision; how many.

    What somebody else has settled meanwhile stays as they settled it. To abort ends the edition, and returns how many
    deliveries that cancelled.
    """
    ledger, by, reason = where.open(), answer.name.strip(), answer.reason.strip()
    rows = held(where, step, occurrence)
    if answer.choice == ABORT_LAUNCH:
        return abort_edition(ledger, where.edition, by=by, reason=reason, now=now) or 0
    settled = 0
    for row in rows:
        try:
            ledger.resolve(row.key, _RESOLVED[answer.choice], by=by, reason=reason, now=now)
            settled += 1
        except LedgerError:
            if ledger.delivery(row.key).state == "held":
                raise
    return settled


def _who(plan: Plan) -> list[str]:
    return staff_names(plan) if plan.launch.approval == "required" else []


def _gate_choices(plan: Plan, phase: str, now: datetime) -> dict[str, str]:
    """An extension uses the slack that the file declares; without any left there is none to choose."""
    planned = plan.phase(phase)
    names: list[str] = [each.name for each in plan.phases]
    after = names[names.index(phase) + 1 :]
    choices = {CONTINUE: f"the gate passes and {after[0]} begins" if after else "the gate passes; the launch is done"}
    gate = plan.launch.phases[planned.name].gate
    if now < planned.latest:
        hours = ((gate.recheck if gate else None) or RECHECK).total_seconds() / 3600
        until = _local(plan, planned.latest)
        choices[EXTEND] = f"the gate is read again after {hours:.3g} h at most; its slack lasts until {until}"
    choices[ABORT] = "the launch ends here: what is still due is cancelled, and nothing more is sent"
    return choices


def _local(plan: Plan, at: datetime) -> str:
    return f"{at.astimezone(ZoneInfo(plan.launch.timezone)):%a %m-%d %H:%M} {plan.launch.timezone}"


def _listed(choices: Mapping[str, str]) -> list[str]:
    return [f"- **{choice}**: {what}" for choice, what in choices.items()]


def _listing(where: Where, step: str) -> str:
    return f"drumroll deliveries {where.edition} --state held --step {step}"


def _code(text: str) -> str:
    """`text` as it is: in code, neither Markdown nor HTML means anything."""
    return f"`{' '.join(text.replace('`', chr(39)).split())}`"
