"""What the Prefect UI shows of a launch: an artifact for every gate and every phase."""

import re

import httpx
from prefect.artifacts import acreate_markdown_artifact
from prefect.exceptions import PrefectException

from drumroll.gates import Judgement
from drumroll.operate.board import phase_board
from drumroll.operate.edition import Where
from drumroll.operate.story import log


async def show_gate(where: Where, phase: str, judgement: Judgement) -> None:
    """The gate's verdict with every value it saw, as a Markdown artifact."""
    lines = [f"# Gate of {phase}: {judgement.verdict}", "", judgement.reason, ""]
    lines += [f"- {result.sentence()}" for result in judgement.results]
    await _show("\n".join(lines), artifact_key("gate", where.edition, phase))


async def show_phase(where: Where, phase: str) -> None:
    """What the phase has said so far, as a Markdown artifact."""
    await _show(phase_board(where, phase), artifact_key("phase", where.edition, phase))


async def _show(text: str, key: str) -> None:
    try:
        await acreate_markdown_artifact(text, key=key)
    except (httpx.HTTPError, PrefectException) as error:  # a launch does not fail for want of a picture of it
        log.warning("Prefect does not take the artifact %s: %s", key, error)


def artifact_key(*parts: str) -> str:
    """Prefect takes `[a-z0-9-]` in keys."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")
