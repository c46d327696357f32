"""Ending an edition before its time, by a person's word."""

from datetime import datetime

from drumroll.errors import DrumrollError
from drumroll.ledger.ledger import Ledger

SUBJECT = "launch"  # of the decision


def abort_edition(ledger: Ledger, edition: str, *, by: str, reason: str, now: datetime) -> int | None:
    """End the edition as `aborted`, with who and why on record, and cancel what is due; how many deliveries that were.

    What is on its way gets its answer: its engine finds the edition aborted within seconds, and ends. None when it was
    aborted before, which changes nothing; DrumrollError when it is done.
    """
    row = ledger.edition(edition)
    if row.state == "done":
        raise DrumrollError("is done: there is nothing left to abort", where=row.id)
    # In this order: a command that dies in between leaves nothing that the same command does not finish.
    if row.state != "aborted":
        ledger.decide(row.id, SUBJECT, "abort", by=by, reason=reason, now=now)
        ledger.set_edition_state(row.id, "aborted", now=now)
    cancelled = ledger.set_aside(row.id, None, None, to="cancelled", reason="the launch was aborted", now=now)
    return None if row.state == "aborted" else cancelled
