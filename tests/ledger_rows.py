"""Editions and deliveries that the ledger's tests start from."""

from datetime import UTC, datetime, timedelta

from drumroll.ledger.model import NewDelivery

NOW = datetime(2026, 12, 12, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
EDITION = "learning-phone@2026-12-12"


def new(step="welcome", group="g1", due=NOW, **changes):
    """One delivery to a group, in phase recruit unless told, firing when it is due."""
    values = {"phase": "recruit", "channel": "webhook", "due_at": due, "fire_at": due} | changes
    return NewDelivery(step=step, group=group, **values)


def begin(ledger, *deliveries, edition=EDITION, **changes):
    """Begin an edition with these deliveries."""
    values = {
        "launch": edition.partition("@")[0],
        "title": "學習手機首發",
        "opens_at": NOW,
        "plan_hash": "hash-1",
        "document": '{"version": 1}',
        "rehearsal": False,
        "now": NOW,
    } | changes
    return ledger.begin(edition, deliveries=deliveries, **values)


def take(ledger, step="welcome", now=NOW, limit=100, lease=MINUTE, **changes):
    """Claim what is due of the first occurrence of a step."""
    return ledger.claim(EDITION, step, 1, now=now, limit=limit, lease=lease, **changes)


def key(group="g1", step="welcome"):
    """The key of the delivery of `new(step, group)`."""
    return f"{EDITION}/{step}/1/{group}"
