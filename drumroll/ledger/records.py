"""What was said, what the gates saw, what people decided."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, insert, select

from drumroll.errors import LedgerError
from drumroll.ledger.model import DecisionRow, GateCheckRow, NewDelivery, WordingRow
from drumroll.ledger.outbox import insert_deliveries
from drumroll.ledger.store import LedgerPart
from drumroll.ledger.tables import decision as decisions_table
from drumroll.ledger.tables import gate_check
from drumroll.ledger.tables import wording as wordings_table

_WORDING = tuple(wordings_table.c[name] for name in WordingRow.__dataclass_fields__)
_CHECK = tuple(gate_check.c[name] for name in GateCheckRow.__dataclass_fields__)
_DECISION = tuple(decisions_table.c[name] for name in DecisionRow.__dataclass_fields__)


class Records(LedgerPart):
    """The record a report is written from; rows are added, never changed."""

    def keep_wording(
        self, edition: str, step: str, occurrence: int, text: str, *, now: datetime, fire_at: datetime | None = None
    ) -> str:
        """Keep a rendered text; returns its SHA-256 in hex. The same text again keeps the first rendering's time."""
        row = {
            "edition": edition,
            "step": step,
            "occurrence": occurrence,
            "sha": hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest(),
            "text": text,
            "fire_at": fire_at,
            "rendered_at": now,
        }
        with self._store.write() as connection:
            connection.execute(self._store.insert(wordings_table).values(row).on_conflict_do_nothing())
        return str(row["sha"])

    def wording(self, sha: str) -> str:
        """The text of that hash; LedgerError when nothing with it was said."""
        with self._store.read() as connection:
            found: str | None = connection.scalar(
                select(wordings_table.c.text).where(wordings_table.c.sha == sha).limit(1)
            )
        if found is None:
            raise LedgerError(f'no text with the hash "{sha}"', where=self._store.where, remedy="give all 64 digits")
        return found

    def wordings(self, edition: str) -> list[WordingRow]:
        """Everything the edition said, in the order it was rendered."""
        wanted = select(*_WORDING).where(wordings_table.c.edition == edition)
        in_order = wanted.order_by(wordings_table.c.rendered_at, wordings_table.c.step, wordings_table.c.occurrence)
        with self._store.read() as connection:
            return [WordingRow(*row) for row in connection.execute(in_order)]

    def keep_check(
        self, check: GateCheckRow, remedies: Sequence[NewDelivery] = (), decision: DecisionRow | None = None
    ) -> bool:
        """Add one reading of a gate, the deliveries its remedy asks for and the decision behind it, if any.

        One transaction, which does all of it only while the gate's latest attempt is the one before `check.attempt`
        (none before 1). Returns False, and writes nothing, when another engine or person was first.
        """
        of_gate = (gate_check.c.edition == check.edition, gate_check.c.phase == check.phase)
        latest = select(func.coalesce(func.max(gate_check.c.attempt), 0)).where(*of_gate)
        # On PostgreSQL two may see the same latest attempt; then the unique key lets one row in.
        new = self._store.insert(gate_check).values(_row(check)).on_conflict_do_nothing()
        with self._store.write() as connection:
            if connection.scalar(latest) != check.attempt - 1 or connection.execute(new).rowcount == 0:
                return False
            insert_deliveries(connection, check.edition, remedies)
            if decision is not None:
                connection.execute(insert(decisions_table).values(_row(decision)))
        return True

    def checks(self, edition: str, phase: str | None = None) -> list[GateCheckRow]:
        """Every reading of the edition's gates, or of one phase's, in the order they were taken."""
        with self._store.read() as connection:
            return [_check_row(row) for row in connection.execute(_checks(edition, phase).order_by(gate_check.c.id))]

    def last_check(self, edition: str, phase: str) -> GateCheckRow | None:
        """The latest reading of one gate; None when it was never read."""
        with self._store.read() as connection:
            row = connection.execute(_checks(edition, phase).order_by(gate_check.c.attempt.desc()).limit(1)).first()
        return _check_row(row) if row else None

    def decide(self, edition: str, subject: str, choice: str, *, by: str, reason: str, now: datetime) -> None:
        """Add to the audit log: who decided what about `subject` (a phase, a delivery key, …), and why."""
        row = DecisionRow(edition, subject, choice, by, reason, now)
        with self._store.write() as connection:
            connection.execute(insert(decisions_table).values(_row(row)))

    def decisions(self, edition: str, subject: str | None = None) -> list[DecisionRow]:
        """The audit log, or what was decided about one subject, the oldest first."""
        wanted = select(*_DECISION).where(decisions_table.c.edition == edition).order_by(decisions_table.c.id)
        if subject is not None:
            wanted = wanted.where(decisions_table.c.subject == subject)
        with self._store.read() as connection:
            return [DecisionRow(*row) for row in connection.execute(wanted)]


def _row(value: GateCheckRow | DecisionRow) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__dataclass_fields__}


def _check_row(row: Sequence[Any]) -> GateCheckRow:
    return GateCheckRow(*row)


def _checks(edition: str, phase: str | None) -> Select[Any]:
    wanted = select(*_CHECK).where(gate_check.c.edition == edition)
    return wanted if phase is None else wanted.where(gate_check.c.phase == phase)
