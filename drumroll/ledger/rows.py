"""Delivery rows of the database as the values that callers get."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement

from drumroll.errors import LedgerError
from drumroll.ledger.model import Claim, DeliveryRow, delivery_key
from drumroll.ledger.tables import delivery

DELIVERY = (
    delivery.c.id,
    delivery.c.edition,
    delivery.c.step,
    delivery.c.occurrence,
    delivery.c.recipient,
    delivery.c.phase,
    delivery.c.channel,
    delivery.c.group_id,
    delivery.c.member,
    delivery.c.due_at,
    delivery.c.fire_at,
    delivery.c.state,
    delivery.c.token,
    delivery.c.lease_until,
    delivery.c.attempts,
    delivery.c.retry_at,
    delivery.c.wording,
    delivery.c.message_id,
    delivery.c.error,
    delivery.c.sent_at,
    delivery.c.lateness_ms,
    delivery.c.updated_at,
)
"""The columns of a DeliveryRow, in the order of its fields."""

CLAIM = (*DELIVERY[:11], delivery.c.token, delivery.c.attempts, delivery.c.wording)
"""The columns of a Claim, in the order of its fields but for the key."""


def released_is(wanted: bool) -> ColumnElement[bool]:  # noqa: FBT001 - a condition's side, not a mode
    """The rows that a person's `resend` moved behind their planned instant, or else all others."""
    return delivery.c.fire_at > delivery.c.due_at if wanted else delivery.c.fire_at <= delivery.c.due_at


def delivery_row(row: Sequence[Any]) -> DeliveryRow:
    """A row of `DELIVERY`."""
    return DeliveryRow(*row)


def claim(row: Sequence[Any]) -> Claim:
    """A row of `CLAIM`."""
    number, edition, step, occurrence, recipient, *rest = row
    key = delivery_key(edition, step, occurrence, recipient)
    return Claim(number, key, edition, step, occurrence, recipient, *rest)


def lateness(sent_at: datetime, due_at: datetime) -> int:
    """Milliseconds from the planned instant to the sending, negative when it left early; LedgerError when naive."""
    if sent_at.utcoffset() is None:
        raise LedgerError("a time without a zone was refused", remedy="give UTC-aware datetimes")
    return round((sent_at - due_at).total_seconds() * 1000)
