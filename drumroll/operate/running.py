"""An edition under way as a change of its plan sees it: what has begun, what went out, what members were told."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from drumroll.errors import DrumrollError
from drumroll.ledger.changes import PlanVersionRow
from drumroll.ledger.ledger import Ledger
from drumroll.ledger.model import DeliveryRow, EditionRow, WordingRow
from drumroll.operate.beats import planned_step
from drumroll.operate.edition import capabilities_of
from drumroll.plan.model import Plan, PlannedStep
from drumroll.plan.promises import Spoken, Value
from drumroll.plan.rebase import is_correction
from drumroll.plan.reread import Read
from drumroll.plan.said import Said
from drumroll.words.render import Words, WordsError

_WENT_OUT = frozenset({"sent", "awaiting", "unknown", "sending"})
_MOST = 8  # plans kept ready to read: the few versions of an edition, on the old and the new schedule


@dataclass(frozen=True)
class Running:
    """One edition at one look. `versions` are all its plans with their rows, the last one is what it runs.

    `begun` are ids of steps of which something went out, was tried or was decided about; `over` are phases whose gate
    has spoken for good, `passed` those it let pass. `read` renders steps of any plan.
    """

    ledger: Ledger
    edition: EditionRow
    versions: tuple[tuple[PlanVersionRow, Plan], ...]
    rows: tuple[DeliveryRow, ...]
    begun: frozenset[str]
    over: frozenset[str]
    passed: frozenset[str]
    read: Read

    @property
    def plan(self) -> Plan:
        """The plan it runs."""
        return self.versions[-1][1]

    @property
    def version(self) -> PlanVersionRow:
        """That plan's row in the ledger."""
        return self.versions[-1][0]


class Reader:
    """Reads steps of plans; the last few are kept prepared."""

    def __init__(self) -> None:
        self._words: dict[int, Words] = {}

    def __call__(self, plan: Plan, step: PlannedStep, at: datetime) -> tuple[str, tuple[Said, ...]] | None:
        words = self._words.get(id(plan))  # which keeps the plan, so that its id stays its own
        if words is None:
            while len(self._words) >= _MOST:
                del self._words[next(iter(self._words))]
            words = self._words[id(plan)] = Words(plan)
        try:
            reading = words.read(step, now=at)
        except WordsError:
            return None
        return reading.text, reading.said


def look(ledger: Ledger, edition: str) -> Running:
    """The edition as it stands now. DrumrollError when it is over: nothing of it can be changed any more."""
    row = ledger.edition(edition)
    if row.state in {"done", "aborted"}:
        raise DrumrollError(f"is {row.state}", where=row.id, remedy="begin another edition with --opens")
    # The plan first: what begins after this look is then seen as begun, or found out when the change is written.
    versions = tuple((each, Plan.model_validate_json(each.document)) for each in ledger.plan_versions(row.id))
    plan = versions[-1][1]
    rows = tuple(ledger.deliveries(row.id))
    said = {wording.step for wording in ledger.wordings(row.id)}
    begun = {each.step for each in rows if _has_begun(each)}
    settled = said | {each.step for each in rows if each.member is not None}
    begun |= {step.id for step in plan.steps if step.segment is not None and step.id in settled}
    checks = [ledger.last_check(row.id, phase.name) for phase in plan.phases]
    latched = [check for check in checks if check is not None and check.latched]
    return Running(
        ledger=ledger,
        edition=row,
        versions=versions,
        rows=rows,
        begun=frozenset(begun),
        over=frozenset(check.phase for check in latched),
        passed=frozenset(check.phase for check in latched if check.verdict == "pass"),
        read=Reader(),
    )


def edition_of(ledger: Ledger, launch: str, *, preferred: str = "") -> EditionRow:
    """The launch's edition under way: the preferred one, else the newest. DrumrollError when none is."""
    under_way = [row for row in ledger.editions() if row.launch == launch and row.state in {"running", "held"}]
    if not under_way:
        remedy = "begin one with `drumroll run`, or give its ledger with --ledger"
        raise DrumrollError(f"no edition of {launch} is under way", where=ledger.store.where, remedy=remedy)
    return next((row for row in under_way if row.id == preferred), under_way[-1])


def _has_begun(row: DeliveryRow) -> bool:
    """A row that is due again has begun as well: it was tried, or a person released it."""
    return row.state not in {"due", "cancelled"} or row.token > 0 or row.fire_at > row.due_at


def not_yet_posted(running: Running, *, now: datetime) -> list[DeliveryRow]:
    """Handed to a person ahead of its instant, which is still to come: nobody has read it, and it can be reworded.

    Not what a platform holds until somebody's tap: it would stay there beside its new wording.
    """
    can = capabilities_of(running.plan)
    by_hand = {name for name in can if not can[name].unattended and not can[name].tracks}
    return [row for row in running.rows if row.state == "awaiting" and row.due_at > now and row.channel in by_hand]


def to_hand_over_again(running: Running, plan: Plan, *, now: datetime) -> list[DeliveryRow]:
    """What was handed over ahead of time in words that `plan`, which is to follow, would put differently."""
    early = not_yet_posted(running, now=now)
    texts = {each.sha: each.text for each in running.ledger.wordings(running.edition.id)} if early else {}
    again: dict[tuple[str, int, str | None], bool] = {}
    for row in early:
        key = (row.step, row.occurrence, row.wording)
        if key not in again:
            step = planned_step(plan, running.ledger, running.edition.id, row.step, row.occurrence)
            reading = running.read(plan, step, row.due_at)
            again[key] = reading is None or reading[0] != texts.get(row.wording or "")
    return [row for row in early if again[row.step, row.occurrence, row.wording]]


def texts_sent(running: Running, *, now: datetime) -> list[Spoken]:
    """Every text that went out by `now`, with what it said that comes from the plan, in the order they were sent.

    A hand-off whose instant is still to come has not gone out.
    """
    early = {row.key for row in not_yet_posted(running, now=now)}
    wordings = {(each.step, each.occurrence, each.sha): each for each in running.ledger.wordings(running.edition.id)}
    sent: dict[tuple[str, int, str], list[DeliveryRow]] = {}
    for row in running.rows:
        if row.state in _WENT_OUT and row.wording is not None and row.key not in early:
            sent.setdefault((row.step, row.occurrence, row.wording), []).append(row)
    texts = (_spoken(running, wordings[key], rows) for key, rows in sent.items() if key in wordings)
    return sorted((text for text in texts if text is not None), key=lambda text: text.sent_at)


def _spoken(running: Running, wording: WordingRow, rows: Sequence[DeliveryRow]) -> Spoken | None:
    found = next(_readings(running, wording, rows[0].due_at), None)
    if found is None:
        return None
    plan, step, as_of, said = found
    return Spoken(
        key=f"{wording.step}/{wording.occurrence}/{wording.sha[:8]}",
        plan=plan,
        step=step,
        as_of=as_of,
        label=Words(plan).short_label(step),
        groups=tuple(dict.fromkeys(row.group for row in rows)),
        sent_at=min(_told_at(row) for row in [row for row in rows if row.state == "sent"] or rows),
        said=said,
        read_by=max(row.due_at for row in rows),
    )


def _told_at(row: DeliveryRow) -> datetime:
    return row.sent_at or row.updated_at or row.due_at


def _readings(
    running: Running, wording: WordingRow, due: datetime
) -> Iterator[tuple[Plan, PlannedStep, datetime, tuple[Said, ...]]]:
    """Readings of the step, the one that gives the very words first.

    Which plan a text was rendered from, and as of which instant, the ledger does not say: it is the newest plan of
    then, as of the planned instant or, when it was late, of the rendering; but two may have met within a second.
    """
    newest_of_then = sorted(
        running.versions, key=lambda each: (each[0].created_at > wording.rendered_at, -each[0].version)
    )
    fallback = None
    for _, plan in newest_of_then:
        try:
            step = planned_step(plan, running.ledger, running.edition.id, wording.step, wording.occurrence)
        except (KeyError, IndexError):  # this version has no such step, or its gate had not asked for it
            continue
        for as_of in dict.fromkeys((due, wording.rendered_at)):
            reading = running.read(plan, step, as_of)
            if reading is None:
                continue
            if reading[0] == wording.text:
                yield plan, step, as_of, reading[1]
                return
            fallback = fallback or (plan, step, as_of, reading[1])
    if fallback is not None:
        yield fallback


def told_by_corrections(running: Running) -> dict[str, Value]:
    """What corrections that went out have said since, by the key of the saying; the newest one's word counts."""
    out = {row.step: row.sent_at or row.due_at for row in running.rows if row.state in _WENT_OUT}
    sent = [step for step in running.plan.steps if is_correction(step) and step.id in out]
    told: dict[str, Value] = {}
    for step in sorted(sent, key=lambda step: out[step.id]):
        told |= notes_of(step)
    return told


def notes_of(correction: PlannedStep) -> Mapping[str, Value]:
    """What a correction says, by the key of the saying that it corrects; see `noted`."""
    told = {key: Value(at=at) for key, at in correction.moments.items()}
    return told | {key: Value(words=str(words) or None) for key, words in correction.vars.items()}
