"""A real browser, as a person sits before it: Chromium without a window, led over its DevTools protocol.

https://chromedevtools.github.io/devtools-protocol/
"""

import asyncio
import base64
import json
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.chaos.machine import kill_tree, wait

WIDTH, HEIGHT = 1400, 900
_FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
# What a person would call the element: its own words, or what is written beside it.
_FIND = """
(words => {
  const seen = e => e.getClientRects().length && getComputedStyle(e).visibility !== 'hidden';
  const own = e => [e.innerText, e.getAttribute('aria-label'), e.getAttribute('title')].map(t => (t || '').trim());
  const able = 'button, a, [role=button], [role=menuitem], [role=option], [role=combobox], [role=tab], textarea, input';
  return [...document.querySelectorAll(able)].filter(seen).reverse().find(e => own(e).includes(words));
})
"""


class Page:
    """One page of a browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._calls = socket, 0

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol; RuntimeError with what the browser says against it."""
        self._calls += 1
        await self._socket.send_json({"id": self._calls, "method": method, "params": parameters})
        while (said := await self._socket.receive_json(timeout=60)).get("id") != self._calls:
            pass  # events
        if "error" in said:
            raise RuntimeError(f"{method}: {said['error']['message']}")
        result: dict[str, Any] = said["result"]
        return result

    async def value(self, script: str) -> Any:
        """What a piece of JavaScript comes to; None also where the page is not there yet."""
        found = await self.call("Runtime.evaluate", expression=script, returnByValue=True)
        return None if "exceptionDetails" in found else found["result"].get("value")

    async def until(self, script: str, seconds: float = 30) -> Any:
        """What `script` comes to as soon as that is something; TimeoutError with what the page shows."""
        deadline = time.monotonic() + seconds
        while not (found := await self.value(script)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{script}\n{await self.value('document.body.innerText')}")
            await asyncio.sleep(0.2)
        return found

    async def size(self, height: int = HEIGHT) -> None:
        """Make the window that high, in pixels."""
        size = {"width": WIDTH, "height": height, "deviceScaleFactor": 1, "mobile": False}
        await self.call("Emulation.setDeviceMetricsOverride", **size)

    async def open(self, url: str) -> None:
        """Go there."""
        await self.call("Page.navigate", url=url)

    async def click(self, find: str, seconds: float = 30) -> None:
        """A click in the middle of the element that the script finds."""
        rect = f"(e => e && (e.scrollIntoView({{block: 'nearest'}}), e.getBoundingClientRect().toJSON()))({find})"
        at = await self.until(rect, seconds)
        await asyncio.sleep(0.3)  # menus slide
        at = await self.until(rect, seconds)
        where = {"x": at["x"] + at["width"] / 2, "y": at["y"] + at["height"] / 2, "button": "left", "clickCount": 1}
        for kind in ("mousePressed", "mouseReleased"):
            await self.call("Input.dispatchMouseEvent", type=kind, **where)

    async def write(self, find: str, text: str) -> None:
        """Click there and type, until it stands there: while a list closes, what is typed goes nowhere."""
        for _ in range(10):
            await self.click(find)
            await self.call("Input.insertText", text=text)
            if await self.value(f"({find}).value") == text:
                return
        raise TimeoutError(f"{find} does not take {text!r}")

    async def picture(self) -> bytes:
        """What the page shows now, as PNG."""
        return base64.b64decode((await self.call("Page.captureScreenshot", format="png"))["data"])


def labelled(words: str) -> str:
    """A script that finds what can be clicked and says exactly that."""
    return f"{_FIND}({json.dumps(words)})"


@contextmanager
def chromium(folder: Path) -> Iterator[str]:
    """A browser that keeps its things in `folder`; the address of its protocol. RuntimeError when there is none."""
    if (program := shutil.which("chromium") or shutil.which("google-chrome")) is None:
        raise RuntimeError("there is no browser; on Debian: apt install chromium")
    command = [program, *_FLAGS, f"--user-data-dir={folder}", "--remote-debugging-port=0", "about:blank"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    told = folder / "DevToolsActivePort"
    try:
        wait(lambda: told.exists() and told.read_text().count("\n") == 1, 60, "the browser is up")
        yield f"http://127.0.0.1:{told.read_text().splitlines()[0]}"
    finally:
        kill_tree(process)


@asynccontextmanager
async def page_of(address: str) -> AsyncIterator[Page]:
    """The first page of the browser at `address`."""
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{address}/json/list") as answer:
            first = next(each for each in await answer.json() if each["type"] == "page")
        async with session.ws_connect(first["webSocketDebuggerUrl"], max_msg_size=0) as socket:
            page = Page(socket)
            await page.size()
            yield page
