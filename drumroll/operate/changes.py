"""Changing a running edition: what a new plan would do to it, why it may not, and doing it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

from drumroll.ledger.changes import PlanChange, RowMove
from drumroll.ledger.model import DecisionRow, DeliveryRow, NewDelivery
from drumroll.operate.edition import capabilities_of, deliveries_of, lead
from drumroll.operate.running import Running, notes_of, texts_sent, to_hand_over_again, told_by_corrections
from drumroll.plan.diff import Difference, diff
from drumroll.plan.model import Plan, PlannedStep, remedy_step_id, shown
from drumroll.plan.promises import BrokenPromise, broken_promises, values_of
from drumroll.plan.rebase import is_correction, rebase

_MAY_GO_ON = frozenset({"due", "retry", "held", "unknown", "failed"})  # what may still be sent, perhaps by a person


@dataclass(frozen=True)
class Proposal:
    """A new plan held against a running edition. `plan` is rebased on the one it runs; `at` is when this was so."""

    running: Running
    plan: Plan
    difference: Difference
    broken: tuple[BrokenPromise, ...]
    at: datetime


def propose(running: Running, new: Plan, *, now: datetime) -> Proposal:
    """What `new`, freshly compiled, would change. A correction that never went out and is wrong itself is dropped."""
    if running.edition.rehearsal:
        new = _rehearsed(running.plan, new)
    old, texts, told = running.plan, texts_sent(running, now=now), told_by_corrections(running)
    plan = rebase(old, new, running.begun, over=running.over)
    values = {
        f"{text.key}/{index}": value
        for text in texts
        for index, value in enumerate(values_of(text, plan, running.read))
    }
    waiting = [step for step in old.steps if is_correction(step) and step.id not in running.begun]
    wrong = [step for step in waiting if any(values.get(key, value) != value for key, value in notes_of(step).items())]
    if wrong:
        plan = rebase(old, new, running.begun, over=running.over, dropped={step.id for step in wrong})
    reopened = {key for step in wrong for key in notes_of(step)}
    broken = broken_promises(texts, old, plan, running.begun, running.read, now=now, told=told, reopened=reopened)
    difference = diff(old, plan, running.begun, running.read, over=running.over)
    return Proposal(running, plan, difference, tuple(broken), now)


def _rehearsed(old: Plan, new: Plan) -> Plan:
    """`new` with the channels that the rehearsal has in place of those that would send."""
    staged = old.launch.community.channels
    silent = next(iter(staged.values()))
    community = new.launch.community
    channels = {name: staged.get(name, silent) for name in community.channels}
    community = community.model_copy(update={"channels": channels, "sources": old.launch.community.sources})
    return new.model_copy(update={"launch": new.launch.model_copy(update={"community": community})})


def refusals(proposal: Proposal) -> list[str]:
    """Why this may not be done, one sentence each; none when it may."""
    return [
        *_structure(proposal),
        *_names_of_the_past(proposal),
        *_late(proposal),
        *_unreadable(proposal),
    ]


def _structure(proposal: Proposal) -> Iterator[str]:
    running, old, new = proposal.running, proposal.running.plan, proposal.plan
    for name in ("timezone", "locale"):  # what was said was said in these, and is read again in them
        was, becomes = getattr(old.launch, name), getattr(new.launch, name)
        if was != becomes:
            yield f"{name} would be {becomes}, and members were spoken to in {was}; put {was} back"
    if [phase.name for phase in old.phases] != [phase.name for phase in new.phases]:
        names = ", ".join(phase.name for phase in old.phases)
        yield f"the edition runs the phases {names}; put them back, a running launch keeps its phases"
    groups = {group.id for group in new.launch.community.groups}
    for group in sorted({row.group for row in running.rows if row.step in running.begun} - groups):
        yield f'group "{group}" was spoken to; keep it, and take it out of what is to come with `to:`'
    channels = new.launch.community.channels
    for channel in sorted({row.channel for row in running.rows if row.state == "sending"} - channels.keys()):
        yield f'a message is on its way through channel "{channel}"; keep the channel, or try again in a minute'
    asked = {row.step for row in running.rows if ".remedy." in row.step}
    known = {
        remedy_step_id(name, remedy)
        for name, phase in new.launch.phases.items()
        for remedy in (phase.gate.remedy if phase.gate else ())
    }
    for remedy in sorted(asked - known):
        yield f"the remedy {remedy} was asked for; put it back, its deliveries are in the ledger"


def _names_of_the_past(proposal: Proposal) -> Iterator[str]:
    running, old, new = proposal.running, proposal.running.plan, proposal.plan
    retired, before = {step.id for step in old.retired}, {step.id: step for step in old.steps}
    corrections = {step.id for step in old.steps if is_correction(step)}
    cancelled = {(row.step, row.recipient) for row in running.rows if row.state == "cancelled"}
    for step in new.steps:
        if step.id in running.begun or is_correction(step):
            continue
        if step.id in retired:
            yield f'"{step.id}" was taken out of this edition, which is final; give the step another id'
        elif step.id in corrections:
            yield f'"{step.id}" is the name of a correction; give the step another id'
        elif (was := before.get(step.id)) is not None and (was.segment is None) != (step.segment is None):
            yield f'"{step.id}" went to {"whole groups" if step.segment else "single members"}; give it another id'
        elif step.segment is None:
            for group in step.groups:
                if (step.id, group) in cancelled:
                    yield f'"{step.id}" to {group} was cancelled, which is final; give the step another id'


def _late(proposal: Proposal) -> Iterator[str]:
    old, new = proposal.running.plan, proposal.plan
    zone = ZoneInfo(new.launch.timezone)
    to_come = [*proposal.difference.added, *(moved.step for moved in proposal.difference.moved)]
    for step in to_come:
        if step.due <= proposal.at:
            yield f"{step.id} would be due {step.due.astimezone(zone):%a %Y-%m-%d %H:%M}, which has passed"
    if new.opens == old.opens:
        return
    opened = [step.id for step in old.steps if step.due >= old.opens and step.id in proposal.running.begun]
    if opened:
        yield f"it has opened: {opened[0]} has begun; move the steps to come in the file, and apply it"
    if new.opens <= proposal.at:
        yield "the new opening has passed"
    stood = {step.id: _side(step.due, old.opens) for step in old.steps if step.id not in proposal.running.begun}
    for step in new.steps:
        was, stands = stood.get(step.id), _side(step.due, new.opens)
        if was == stands or was is None or is_correction(step):
            continue
        yield (
            f"{step.id} stood {was} the opening and would be due {stands} it, {step.due.astimezone(zone):%a %H:%M}; "
            'write its `at` from the opening ("T", "T-2h", "T+3h") in the file, and apply that first'
        )


def _side(due: datetime, opens: datetime) -> str:
    """Where an instant stands to the opening: a link that came before it would sell what is not for sale yet."""
    return "at" if due == opens else "before" if due < opens else "after"


def _unreadable(proposal: Proposal) -> Iterator[str]:
    """The rules read the file's own plan; beside what has begun, a text may still have lost what it tells."""
    running, new = proposal.running, proposal.plan
    for step in new.steps:
        if step.id not in running.begun and running.read(new, step, step.due) is None:
            yield f"{step.id} cannot be rendered any more beside what has begun; correct its template or its facts"


def enact(
    proposal: Proposal,
    plan: Plan,
    *,
    what: Literal["apply", "shift"],
    by: str,
    reason: str,
    no_correction: str | None = None,
    now: datetime,
) -> int:
    """Make `plan`, the proposal's with its correction if any, the edition's; returns its version. One transaction.

    Raises OvertakenError, having written nothing, when another change was faster or a step has begun since.
    """
    running, edition = proposal.running, proposal.running.edition.id
    decisions = [DecisionRow(edition, "plan", f"{what} {shown(plan.hash)}", by, reason, now)]
    if no_correction is not None:
        decisions.append(DecisionRow(edition, "correction", "none", by, no_correction, now))
    moved, cancelled, added = _outbox(running, plan)
    change = PlanChange(
        plan_hash=plan.hash,
        document=plan.model_dump_json(),
        title=plan.launch.title,
        opens_at=plan.opens,
        moved=moved,
        cancelled=cancelled,
        taken_back=to_hand_over_again(running, plan, now=now),
        reworded=_reworded(running, plan),
        added=added,
        unsaid=[step.id for step in running.plan.steps if step.segment is not None and step.id not in running.begun],
        reason=f"taken out of the plan by {by}" + (f": {reason}" if reason else ""),
        decisions=decisions,
    )
    return running.ledger.change_plan(edition, change, since=running.version, now=now)


def _reworded(running: Running, plan: Plan) -> list[DeliveryRow]:
    """What is due of steps that the change says otherwise: nobody may have claimed it since, in the old words."""
    old = {step.id: step for step in running.plan.steps}

    def is_other(step: PlannedStep) -> bool:
        was = old.get(step.id)
        alike = was is not None and was.model_copy(update={"follows_up": step.follows_up}) == step
        return not (alike and running.plan.templates.get(step.template) == plan.templates.get(step.template))

    other = {step.id for step in plan.steps if step.id not in running.begun and is_other(step)}
    return [row for row in running.rows if row.step in other and row.state == "due"]


def _outbox(running: Running, plan: Plan) -> tuple[list[RowMove], list[DeliveryRow], list[NewDelivery]]:
    """Which deliveries move, which are cancelled and which are new under `plan`."""
    capabilities = capabilities_of(plan)
    wanted = {
        (row.step, row.recipient): row
        for step in plan.steps
        if step.segment is None and step.id not in running.begun
        for row in deliveries_of(plan, step, capabilities)
    }
    ours = {step.id for step in (*running.plan.steps, *running.plan.retired)} - running.begun
    channels = {group.id: group.channel for group in plan.launch.community.groups}
    moved, cancelled = [], []
    for row in running.rows:
        new = wanted.pop((row.step, row.recipient), None)
        if new is not None and row.state == "due":
            moved.append(RowMove(row, new.phase, new.channel, new.due_at, new.fire_at))
        elif row.step in ours and row.state == "due":
            cancelled.append(row)
        elif row.state in _MAY_GO_ON and channels.get(row.group, row.channel) != row.channel:
            channel = channels[row.group]
            fire_at = row.fire_at if row.fire_at > row.due_at else row.due_at - lead(channel, capabilities)
            moved.append(RowMove(row, row.phase, channel, row.due_at, fire_at))
    real = [
        move
        for move in moved
        if (move.phase, move.channel, move.due_at, move.fire_at)
        != (move.row.phase, move.row.channel, move.row.due_at, move.row.fire_at)
    ]
    return real, cancelled, list(wanted.values())
