"""Prefect's Secret Blocks stand in for environment variables that are not set: TELEGRAM_TOKEN, `telegram-token`.

The values are in this process's memory and nowhere else: no parameter, result, artifact or log line has them.
"""

import json
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import timedelta

from prefect.client.orchestration import PrefectClient
from prefect.exceptions import ObjectNotFound

from drumroll.channels.credentials import block_name
from drumroll.operate.open_channels import standing_in
from drumroll.operate.story import log
from tasks.remote import AwayError, configured, server

_TYPE = "secret"
_MEMORY = 120.0  # seconds: channels are tried a minute and a half before their moment
_lately: dict[tuple[str, str], tuple[float, str | None]] = {}


def blocks_stand_in() -> AbstractContextManager[None]:
    """Inside, channels find in Blocks what the environment does not have."""
    return standing_in(blocks)


async def blocks(variables: Sequence[str], within: timedelta) -> dict[str, str]:
    """The values of the Blocks named like these variables, of those that are there, as the server has them now.

    While it does not answer `within` that time, what it said in the last two minutes counts. Raises AwayError, without
    a value, when that is not enough.
    """
    if (api := configured()) is None:
        return {}
    try:
        found = await _read(variables, within)
    except AwayError as error:
        # Raised anew below: what lies behind this one may quote the Block.
        away = AwayError(error.message, where=error.where, remedy=error.remedy)
    else:
        now = time.monotonic()
        _lately.update({(api, variable): (now, value) for variable, value in found.items()})
        return _those_there(found)
    known = {variable: _lately.get((api, variable)) for variable in variables}
    since = time.monotonic() - _MEMORY
    fresh = {variable: one[1] for variable, one in known.items() if one is not None and one[0] >= since}
    if len(fresh) < len(known):
        raise away
    log.warning("%s: %s; the Secret Blocks read shortly before still count", away.where, away.message)
    return _those_there(fresh)


async def _read(variables: Sequence[str], within: timedelta) -> dict[str, str | None]:
    async with server(within) as client:
        return {variable: await _value(client, block_name(variable)) for variable in variables}


async def _value(client: PrefectClient, name: str) -> str | None:
    """What a variable of that name would hold. Not by `Secret.load`: its `get` makes a number of a token of digits."""
    try:
        document = await client.read_block_document_by_name(name, _TYPE)
    except ObjectNotFound:
        return None
    value = document.data.get("value")
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _those_there(found: dict[str, str | None]) -> dict[str, str]:
    return {variable: value for variable, value in found.items() if value}
