"""Alarms reach people: a line in the log, a Prefect event, and whatever DRUMROLL_ALARM_URL names."""

import asyncio
import logging
import os
from collections.abc import Collection, Sequence

from prefect.events import emit_event

from drumroll.clock import current_clock
from drumroll.ledger.model import Alarm, AlarmRow
from drumroll.operate.edition import Where
from drumroll.operate.story import log

SETTING = "DRUMROLL_ALARM_URL"
EVENT = "drumroll.alarm"
_LINES = 10
_MESSAGES = 20  # in one round: when everything is down, whoever reads the first twenty knows
_PATIENCE = 30.0  # seconds


class Bell:
    """Tells the alarms of one round of the watch: one message an edition, none after one that did not get through."""

    def __init__(self) -> None:
        self._left = _MESSAGES

    async def ring(self, where: Where, found: Sequence[Alarm], *, kinds: Collection[str]) -> list[AlarmRow]:
        """Keep what was `found` of these `kinds`, tell what people have not heard of; the alarms that are open."""
        ledger, now = where.open(), current_clock().now()
        for alarm in ledger.raise_alarms(where.edition, found, kinds=kinds, now=now):
            log.warning("%s: %s; %s", alarm.edition, alarm.what, alarm.remedy, extra={"edition": alarm.edition})
            _emit(alarm)
        if self._left > 0 and (claimed := ledger.claim_alarms(where.edition, now=now)):
            got_through = await notify(f"Drumroll: {where.edition}", lines(claimed))
            ledger.tell_alarms(claimed, at=now if got_through else None)
            self._left = self._left - 1 if got_through else 0
        return ledger.open_alarms(where.edition)


def lines(alarms: Sequence[AlarmRow]) -> str:
    """What is wrong and what to do about it, ten lines at most."""
    said = [f"- {alarm.what}; {alarm.remedy}" for alarm in alarms[:_LINES]]
    more = len(alarms) - len(said)
    return "\n".join([*said, f"and {more} more"] if more else said)


async def notify(title: str, body: str) -> bool:
    """Whether somebody named in DRUMROLL_ALARM_URL was told; True as well when nobody is named.

    Several addresses stand beside each other with spaces or commas between them; what they look like, Apprise says:
    https://github.com/caronc/apprise/wiki. They are secrets: nothing that is logged here holds one.
    """
    if not (addresses := os.environ.get(SETTING, "").strip()):
        return True
    try:
        async with asyncio.timeout(_PATIENCE):
            results = await _notify_each(addresses, title, body)
    except Exception as error:  # noqa: BLE001 - whatever a plugin raises may hold its address; only the kind is safe
        results = [type(error).__name__]
    for why in results:
        if why:
            log.warning("%s: an alarm did not get through (%s)", SETTING, why)
    return "" in results


async def _notify_each(addresses: str, title: str, body: str) -> list[str]:
    """For each address why it was not told; "" when it was."""
    import apprise  # noqa: PLC0415 - takes its time, and is seldom needed

    for name in ("apprise", "urllib3"):  # they log addresses, and the secret is in the address
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    targets = apprise.Apprise()
    results = [] if targets.add(addresses) else ["an address is none that Apprise knows"]
    plain = {"body": body, "title": title, "notify_type": apprise.NotifyType.WARNING, "body_format": "text"}
    told = await asyncio.gather(*(apprise.Apprise(target).async_notify(**plain) for target in targets))
    return [
        *results,
        *("" if got_it else f"{target.service_name}" for target, got_it in zip(targets, told, strict=True)),
    ]


def _emit(alarm: AlarmRow) -> None:
    resource = {"prefect.resource.id": f"drumroll.edition.{alarm.edition}", "prefect.resource.name": alarm.edition}
    payload = {"kind": alarm.kind, "subject": alarm.subject, "what": alarm.what, "remedy": alarm.remedy}
    emit_event(EVENT, resource=resource, payload=payload)
