"""Which edition a launch's flow run is the run of, written on the run itself."""

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext
from prefect.types import KeyValueLabels

from drumroll.operate.edition import Where
from drumroll.operate.opening import find_edition

EDITION = "drumroll.edition"
LEDGER = "drumroll.ledger"
PROJECT = "drumroll.project"


async def sign(where: Where) -> None:
    """Write the edition on the flow run we are in: as labels for us, as a tag for people to search by.

    A run without a deployment ends with its process; nobody will ask it.
    """
    run = this_run()
    if run is None or run.deployment_id is None:
        return
    # The ledger by its address without a password, as messages show it: Prefect keeps what we write.
    labels: KeyValueLabels = {EDITION: where.edition, LEDGER: where.open().store.where, PROJECT: where.project}
    async with get_client() as client:
        await client.update_flow_run_labels(run.id, labels)
        await client.update_flow_run(run.id, tags=list({*run.tags, where.edition}))


def signed(ledger: str | None) -> Where | None:
    """The edition that the flow run we are in opened when it had a process before; None when it never had one."""
    run = this_run()
    if run is None or EDITION not in run.labels:
        return None
    return find_edition(str(run.labels[EDITION]), ledger=ledger, project=str(run.labels[PROJECT]))


def edition_of(run: FlowRun, *, ledger: str) -> str | None:
    """The edition that `run` is the run of; "" when it has opened none yet, None when that is in another ledger."""
    if EDITION not in run.labels:
        return ""
    return str(run.labels[EDITION]) if run.labels[LEDGER] == ledger else None


def this_run() -> FlowRun | None:
    """The flow run we are in; None outside of any."""
    context = FlowRunContext.get()
    return context.flow_run if context is not None else None
