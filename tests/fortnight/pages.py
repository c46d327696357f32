"""What a person does in the Prefect UI while the launch runs: look at its run, and answer the form of a held gate."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.fortnight.browser import Page, labelled

ZONE = "Asia/Taipei"
CHOICE, REASON, NAME = "continue", "大家玩得正熱，人數慢慢來；照原定時間往下走", "阿澄"
_TEXTAREA = "[...document.querySelectorAll('[role=dialog] textarea')][{number}]"


@dataclass
class Desk:
    """A person at the Prefect UI of one run. Pictures go to `pictures`, if anywhere."""

    page: Page
    ui: str
    run: str
    pictures: Path | None

    async def sit_down(self) -> None:
        """Open the page of the run, its clock in the launch's own zone."""
        await self.page.call("Emulation.setTimezoneOverride", timezoneId=ZONE)
        await self._open(f"runs/flow-run/{self.run}", ["Job Variables"])

    async def look_at_wait(self) -> None:
        """What it waits for, on its own page; its phases, in the list of runs: Prefect hides them on that page."""
        await self._look("live-waiting.png", f"runs/flow-run/{self.run}?tab=Details", ["Waiting", "State Message"], 720)
        await self._look("live-phases.png", "runs?range=past-hour", ["aftercare ·", "recruit ·", "launch ·"], 1280)

    async def look_at_end(self) -> None:
        """The run, its phases in time and as a list."""
        await self._look("live-finished.png", f"runs/flow-run/{self.run}?tab=SubflowRuns", ["5 Subflow runs"], 1180, 6)

    async def answer(self) -> None:
        """Open the form, fill it in, submit it. Nothing but clicks and keys."""
        page = self.page
        await page.size(1180)
        await self._open(f"runs/flow-run/{self.run}?tab=SubflowRuns", ["Suspended"])
        await page.click(labelled("Open menu"))
        await page.click(labelled("Resume"))
        await page.click(labelled("Select Decision"))
        await page.click(labelled(CHOICE))
        for number, text in enumerate((REASON, NAME)):
            await page.write(_TEXTAREA.format(number=number), text)
        await asyncio.sleep(0.5)
        await self._keep("live-form.png")
        for _ in range(5):  # Prefect's server on SQLite may be too busy to take it: a person clicks again
            await page.click(labelled("Resume"))
            with suppress(TimeoutError):
                await page.until("!document.querySelector('[role=dialog]')", 8)
                return
        raise TimeoutError("the form is not taken")

    async def _look(self, name: str, path: str, words: Sequence[str], height: int, seconds: float = 1) -> None:
        """A picture of a page that says all `words`, after the seconds that its graphs need to move into place."""
        if self.pictures is not None:
            await self.page.size(height)
            await self._open(path, words)
            await asyncio.sleep(seconds)
            await self._keep(name)

    async def _keep(self, name: str) -> None:
        if self.pictures is not None:
            _write(self.pictures / name, await self.page.picture())

    async def _open(self, path: str, words: Sequence[str]) -> None:
        await self.page.open(f"{self.ui}/v2/{path}")
        await self.page.until(f"{json.dumps(words)}.every(words => document.body.innerText.includes(words))")


def _write(path: Path, picture: bytes) -> None:
    path.write_bytes(picture)
