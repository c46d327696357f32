"""What the Prefect UI shows of a launch: an artifact for every gate and every phase."""

import re

from prefect.artifacts import acreate_markdown_artifact

from drumroll.gates import Judgement
from drumroll.operate.board import phase_board
from drumroll.operate.edition import Where


async def show_gate(where: Where, phase: str, judgement: Judgement) -> None:
    """The gate's verdict with every value it saw, as a Markdown artifact."""
    lines = [f"# Gate of {phase}: {judgement.verdict}", "", judgement.reason, ""]
    lines += [f"- {result.sentence()}" for result in judgement.results]
    await acreate_markdown_artifact("\n".join(lines), key=artifact_key("gate", where.edition, phase))


async def show_phase(where: Where, phase: str) -> None:
    """What the phase has said so far, as a Markdown artifact."""
    await acreate_markdown_artifact(phase_board(where, phase), key=artifact_key("phase", where.edition, phase))


def artifact_key(*parts: str) -> str:
    """Prefect takes `[a-z0-9-]` in keys."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")
