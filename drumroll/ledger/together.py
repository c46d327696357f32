"""What several editions claim at one instant, in two statements on PostgreSQL instead of two for each of them.

With a transaction each, the last of many launches would wait for all the others; see `python -m benchmarks lateness`.
"""

from collections.abc import Sequence

import orjson
from sqlalchemy import Connection

from drumroll.ledger.lean import from_driver
from drumroll.ledger.model import Claim
from drumroll.ledger.sending import TAKEN, Wanted, claimed
from drumroll.ledger.tables import delivery


def claim_together(connection: Connection, wanted: Sequence[Wanted]) -> list[list[Claim]]:
    """For each of them, in order, what `claim` would take of the deliveries that were never tried.

    Only for PostgreSQL, for one channel and one plan version each, and for what nobody has released.
    """
    rows = [
        {
            "n": n,
            "edition": each.edition,
            "step": each.step,
            "occurrence": each.occurrence,
            "channel": each.channel,
            "version": each.plan_version,
            "most": each.limit,
            "now": each.now,
            "until": each.now + each.lease,
            "wording": each.wording,
        }
        for n, each in enumerate(wanted)
    ]
    read = from_driver(delivery.c.due_at.type, connection.dialect)
    found: list[list[Claim]] = [[] for _ in wanted]
    for n, *row in connection.exec_driver_sql(_TAKE, {"wanted": orjson.dumps(rows).decode()}):
        each = wanted[n]
        found[n].append(claimed(row, each.edition, each.step, each.occurrence, read))
    for claims in found:
        claims.sort(key=lambda claim: (claim.due_at, claim.id))
    return found


_TAKE = f"""
WITH wanted AS (
    SELECT * FROM json_to_recordset(%(wanted)s::json) AS asked(
        n int, edition text, step text, occurrence int, channel text, version int, most int, now timestamptz,
        until timestamptz, wording text)
), picked AS (
    SELECT wanted.*, first.id AS number
    FROM wanted JOIN edition ON edition.id = wanted.edition AND edition.plan_version = wanted.version
    CROSS JOIN LATERAL (
        SELECT id FROM delivery
        WHERE delivery.edition = wanted.edition AND delivery.step = wanted.step
            AND delivery.occurrence = wanted.occurrence AND delivery.channel = wanted.channel
            AND delivery.state = 'due' AND delivery.fire_at <= wanted.now AND delivery.fire_at <= delivery.due_at
        ORDER BY fire_at, due_at, id LIMIT wanted.most FOR UPDATE SKIP LOCKED
    ) AS first
)
UPDATE delivery SET state = 'sending', token = token + 1, attempts = attempts + 1, lease_until = picked.until,
    retry_at = NULL, updated_at = picked.now, wording = coalesce(picked.wording, delivery.wording)
FROM picked WHERE delivery.id = picked.number AND delivery.state = 'due'
RETURNING picked.n, {", ".join(str(column) for column in TAKEN)}
"""  # noqa: S608 - column names of ours, no value
