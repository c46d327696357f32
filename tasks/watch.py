"""One round of the watch: runs without a process, then each edition, then the boards.

The ledger's work is done in a thread, so that a round can go on beside launches in one event loop.
"""

from asyncio import to_thread
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.filters import ArtifactCollectionFilter, ArtifactCollectionFilterKey
from prefect.exceptions import PrefectException

from drumroll.clock import current_clock
from drumroll.errors import DrumrollError, SourceError
from drumroll.ledger.ledger import Ledger
from drumroll.ledger.model import Alarm
from drumroll.operate.alarms import IN_THE_LEDGER, OF_A_ROUND, OF_RUNS, ONLY_THE_WATCH, alarms
from drumroll.operate.board import edition_board
from drumroll.operate.edition import Where
from drumroll.operate.following import follow
from drumroll.operate.story import log
from drumroll.operate.watching import lately_ended, ledger_of, recover, running, sync
from tasks.alarming import Bell
from tasks.credentials import blocks_stand_in
from tasks.held_steps import tend_questions
from tasks.requeue import SECOND_LOOK, tend_runs
from tasks.show import artifact_key

_MOST = 200  # Prefect's API gives no more at a time


async def watch_once(
    ledger: str | None = None, project: str | None = None, *, look_again: timedelta = SECOND_LOOK
) -> dict[str, int]:
    """For every edition under way: how many alarms are open once its runs, deliveries and board are seen to.

    Needs no flow run around it, only Prefect's API; when that does not answer, editions are looked after all the same.
    What is wrong with one leaves the others alone. Raises LedgerError when the ledger itself cannot be read.
    """
    store = await to_thread(ledger_of, ledger, project)
    editions = await to_thread(running, ledger, project)
    of_runs = await _tend(store, editions, look_again)
    await _ask(store, editions, {"ledger": ledger, "project": project})
    bell, boards, opened = Bell(), dict[str, str](), dict[str, int]()
    for where in editions:
        try:
            opened[where.edition], boards[where.edition] = await look_after(where, of_runs, bell)
        except Exception as error:  # noqa: BLE001 - one edition's trouble, of whatever kind, leaves the others alone
            opened[where.edition] = await _call_for_help(where, error, bell)
    await to_thread(_forget_ended, store, editions)
    for where in await to_thread(lately_ended, ledger, project, now=current_clock().now()):
        if where.edition not in opened:
            await _follow(where)
            boards |= await _last_board(where)
    await _show(boards)
    return opened


async def look_after(where: Where, of_runs: Sequence[Alarm] | None, bell: Bell) -> tuple[int, str]:
    """One edition: engagement in, dead deliveries settled, taps noticed, alarms told; how many are open, and its board.

    `of_runs` is what is wrong with flow runs, of any edition; None when that is not known.
    """
    found = [alarm for care in (_sync, _recover, _follow) if (alarm := await care(where)) is not None]
    found += await to_thread(alarms, where, now=current_clock().now())
    kinds: Collection[str] = IN_THE_LEDGER | OF_A_ROUND
    if of_runs is not None:
        found += [alarm for alarm in of_runs if alarm.edition == where.edition]
        kinds |= OF_RUNS
    standing = await bell.ring(where, found, kinds=kinds)
    return len(standing), await to_thread(edition_board, where, standing, now=current_clock().now())


async def _tend(store: Ledger, editions: Sequence[Where], look_again: timedelta) -> list[Alarm] | None:
    try:
        return await tend_runs(store, editions, look_again=look_again)
    except (DrumrollError, PrefectException, httpx.HTTPError) as error:
        log.warning("the launches' flow runs: %s", error or type(error).__name__)
        return None
    except Exception:  # noqa: BLE001 - one run's trouble, of whatever kind, leaves the editions alone
        log.exception("the launches' flow runs could not be looked after")
        return None


async def _call_for_help(where: Where, error: Exception, bell: Bell) -> int:
    log.error("%s could not be looked after", where.edition, exc_info=error, extra={"edition": where.edition})
    what = f"the watch cannot look after it ({type(error).__name__})"
    alarm = Alarm(where.edition, "watch", "edition", what, "see why in the log of the watch")
    try:
        return len(await bell.ring(where, [alarm], kinds=()))
    except DrumrollError:  # the ledger itself: that is in the log, and the next round tries again
        return 1


async def _ask(store: Ledger, editions: Sequence[Where], given: Mapping[str, str | None]) -> None:
    try:
        await tend_questions(store, editions, given)
    except (DrumrollError, PrefectException, httpx.HTTPError) as error:
        log.warning("the questions about held steps: %s", error or type(error).__name__)
    except Exception:  # noqa: BLE001 - one question's trouble, of whatever kind, leaves the editions alone
        log.exception("the questions about held steps could not be looked after")


async def _sync(where: Where) -> Alarm | None:
    try:
        await to_thread(sync, where)
    except SourceError as error:
        # Only where: what stands there may be a member's.
        what, remedy = f"a source cannot be read ({error.where})", "see why with `drumroll ingest KIND PATH --dry-run`"
        return Alarm(where.edition, "source", "sources", what, remedy)
    return None


async def _recover(where: Where) -> Alarm | None:
    try:
        with blocks_stand_in():
            await recover(where, current_clock())
    except DrumrollError as error:
        what = f"deliveries that a dead process left cannot be settled: {error.message}"
        return Alarm(where.edition, "watch", "recover", what, error.remedy or "the next round tries again")
    return None


async def _follow(where: Where) -> Alarm | None:
    try:
        with blocks_stand_in():
            found = await follow(where, current_clock())
    except Exception as error:  # noqa: BLE001 - what a platform cannot be asked now, the next round asks
        log.warning(
            "%s: what waits for a tap: %s", where.edition, type(error).__name__, extra={"edition": where.edition}
        )
        return None
    if not found.trouble:
        return None
    for why in found.trouble.values():
        log.warning("%s: what waits for a tap: %s", where.edition, why, extra={"edition": where.edition})
    what = f"it is not known who has confirmed what waits for a tap on {', '.join(sorted(found.trouble))}"
    return Alarm(where.edition, "watch", "follow", what, "see why in the log of the watch")


def _forget_ended(store: Ledger, editions: Sequence[Where]) -> None:
    """What was wrong with an edition that is over is nobody's alarm any more."""
    under_way = {where.edition for where in editions}
    for edition in {row.edition for row in store.open_alarms()} - under_way:
        store.raise_alarms(edition, [], kinds=IN_THE_LEDGER | ONLY_THE_WATCH, now=current_clock().now())


async def _last_board(where: Where) -> dict[str, str]:
    try:
        return {where.edition: await to_thread(edition_board, where, (), now=current_clock().now())}
    except Exception:  # noqa: BLE001 - nor does the picture of one that is over
        log.exception("the board of %s cannot be made", where.edition, extra={"edition": where.edition})
        return {}


async def _show(boards: Mapping[str, str]) -> None:
    """The boards that say something new, as artifacts."""
    wanted = {artifact_key("board", edition): board for edition, board in boards.items()}
    try:
        async with get_client() as client:
            shown = await _shown(client, list(wanted))
            for key in [key for key, board in wanted.items() if shown.get(key) != board]:
                await client.create_artifact(ArtifactCreate(key=key, type="markdown", data=wanted[key]))
    except (PrefectException, httpx.HTTPError) as error:
        log.warning("the boards: %s", error or type(error).__name__)


async def _shown(client: PrefectClient, keys: Sequence[str]) -> dict[str, object]:
    found: dict[str, object] = {}
    for start in range(0, len(keys), _MOST):
        ours = ArtifactCollectionFilter(key=ArtifactCollectionFilterKey(any_=list(keys[start : start + _MOST])))
        latest = await client.read_latest_artifacts(artifact_filter=ours, limit=_MOST)
        found |= {each.key: each.data for each in latest}
    return found
