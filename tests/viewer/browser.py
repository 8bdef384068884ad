"""Looks at a page in a real browser: ``python -m tests.viewer.browser [PAGE.html] [--pictures FOLDER]``.

Without PAGE, at pages of made-up documents and of a simulated run that fails. Steps through with every key,
checks what is shown, in a wide and a narrow window, light and dark. An error or a warning of the browser,
or a request for anything beside the page, ends it with code 1. Needs ``chromium`` (apt-get install chromium).
Pictures are kept where ``--pictures`` says.
"""

import argparse
import asyncio
import base64
import contextlib
import itertools
import json
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp

from raftkv.raft import Consensus
from raftkv.sim.draw import draw_scenario, profile_named
from raftkv.sim.picture import write_page
from raftkv.viewer import render
from tests.raft.overrides import AnyLogWins
from tests.viewer.documents import evil, long, small
from tests.viewer.replay import states_after

PATIENCE = 60.0
"""Seconds for anything the browser is asked."""

WINDOWS = {"wide": (1280, 800), "narrow": (390, 844)}


class Browser:
    """One tab, spoken to in the DevTools protocol; ``complaints`` is what must stay empty."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.complaints: list[str] = []
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._loaded = asyncio.Event()

    async def listen(self) -> None:
        """Take in what the browser says, until it ends."""
        async for message in self._socket:
            data = json.loads(message.data)
            if "id" in data:
                self._answers.pop(data["id"]).set_result(data)
            else:
                self._hear(data["method"], data["params"])

    def _hear(self, method: str, params: dict[str, Any]) -> None:
        if method == "Page.loadEventFired":
            self._loaded.set()
        elif method == "Page.javascriptDialogOpening":
            self.complaints.append(f"a dialog: {params['message']}")
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(str(params["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.complaints.append(str(params["args"]))
        elif method == "Log.entryAdded":
            self.complaints.append(f"{params['entry']['level']}: {params['entry']['text']}")
        elif method == "Network.requestWillBeSent" and not params["request"]["url"].startswith("file:"):
            self.complaints.append(f"asks for {params['request']['url']}")

    async def call(self, method: str, **params: Any) -> Any:
        """Ask the browser for something."""
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": params})
        found = await asyncio.wait_for(answer, PATIENCE)
        assert "error" not in found, found
        return found["result"]

    async def run(self, script: str) -> Any:
        """Return what a script gives, once the page has painted what was asked before."""
        painted = (
            f"new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done({script}))))"
        )
        found = await self.call("Runtime.evaluate", expression=painted, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def open(self, page: Path, window: tuple[int, int], scheme: str) -> None:
        """Load a page and wait until it is there."""
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.call(f"{domain}.enable")
        width, height = window
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        await self.call("Emulation.setEmulatedMedia", features=features)
        self._loaded.clear()
        await self.call("Page.navigate", url=page.resolve().as_uri())
        await asyncio.wait_for(self._loaded.wait(), PATIENCE)

    async def press(self, key: str) -> int:
        """Press a key; return the step that is shown then."""
        text = {"text": key} if len(key) == 1 else {}
        await self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        await self.call("Input.dispatchKeyEvent", type="keyUp", key=key)
        return await self.step()

    async def step(self) -> int:
        """Return the number of the step that is shown."""
        return int(await self.run("document.body.dataset.step"))

    async def mouse(self, kind: str, place: tuple[float, float], **more: Any) -> None:
        """Do something with the mouse."""
        await self.call("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], **more)

    async def picture(self, path: Path) -> None:
        """Keep what the window shows."""
        found = await self.call("Page.captureScreenshot")
        path.write_bytes(base64.b64decode(found["data"]))


@contextlib.asynccontextmanager
async def browser(folder: Path) -> AsyncIterator[Browser]:
    """Start a browser without a window, with ``folder`` as its home; end it at the end."""
    program = shutil.which("chromium")
    if program is None:
        raise SystemExit("chromium is not there: apt-get install chromium")
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--remote-debugging-port=0",
        "--hide-scrollbars",
    ]
    process = await asyncio.create_subprocess_exec(
        program, *options, f"--user-data-dir={folder}", "about:blank", stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        address = await asyncio.wait_for(_address(process.stderr), PATIENCE)
        draining = asyncio.create_task(process.stderr.read())
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://{address}/json/list") as answer:
                tabs = await answer.json()
            tab = next(one for one in tabs if one["type"] == "page")
            async with session.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                found = Browser(socket)
                listening = asyncio.create_task(found.listen())
                yield found
                listening.cancel()
    finally:
        process.terminate()
        await process.wait()
    await draining


async def _address(output: asyncio.StreamReader) -> str:
    """Return host and port of the protocol, which the browser prints."""
    while line := (await output.readline()).decode():
        if "DevTools listening on ws://" in line:
            return line.partition("ws://")[2].partition("/")[0]
    raise SystemExit("the browser does not start")


# ---------------------------------------------------------------- what is tried


CELLS = """[...document.querySelectorAll('#log tbody tr')].map(row =>
    [...row.children].map(cell => cell.title || cell.textContent))"""
SPAN = "[...document.querySelectorAll('#picture .tick')].map(one => one.textContent).join()"
WIDER = "document.documentElement.scrollWidth - window.innerWidth"
ELEMENTS = "document.querySelectorAll('script').length + document.querySelectorAll('img').length"


async def step_through(tab: Browser, document: dict[str, Any]) -> None:
    """Use every key, and compare the logs with a replay of the document."""
    steps, failure = document["steps"], document["failure"]
    stops = [
        number
        for number, step in enumerate(steps)
        if step.get("weight", 1) > 0 or (failure and failure["step"] == number)
    ]
    assert await tab.step() == (failure["step"] if failure else 0)
    assert await tab.press("Home") == stops[0]
    for stop in stops[1:30]:
        assert await tab.press("ArrowRight") == stop
        await compare_logs(tab, document, stop)
    assert await tab.press("End") == stops[-1]
    await compare_logs(tab, document, stops[-1])
    assert await tab.press("ArrowRight") == stops[-1]
    for stop in stops[::-1][1:30]:
        assert await tab.press("ArrowLeft") == stop
        await compare_logs(tab, document, stop)
    await jump(tab, document, stops)
    if failure:
        assert await tab.press("f") == failure["step"]
        assert failure["detail"] in await tab.run("document.getElementById('verdict').textContent")
        assert "failed" in await tab.run("document.getElementById('what').className")


async def jump(tab: Browser, document: dict[str, Any], stops: list[int]) -> None:
    """Go from one thing that matters to the next and back."""
    big = [stop for stop in stops if document["steps"][stop].get("weight", 1) >= 2]
    await tab.press("Home")
    for stop in [stop for stop in big if stop > stops[0]][:20]:
        assert await tab.press("PageDown") == stop
    await tab.press("End")
    for stop in [stop for stop in big[::-1] if stop < stops[-1]][:20]:
        assert await tab.press("PageUp") == stop


async def compare_logs(tab: Browser, document: dict[str, Any], step: int) -> None:
    """Hold the table of logs against a replay."""
    states = states_after(document, step)
    rows = await tab.run(CELLS)
    shown = {row[0].split()[-1]: row[1:] for row in rows if row[0] != "\u2026"}
    for index in (int(text) for text in shown):
        for lane, state in enumerate(states):
            entry, cell = state["log"].get(index), shown[str(index)][lane]
            if entry is None:
                assert cell in ("", "in the snapshot", "given up", "not kept here"), (step, index, lane, cell)
            else:
                _, term, kind, text = entry
                expected = f"index {index}, term {term}, {kind}" + (f": {text}" if text else "")
                assert cell == expected, (step, index, lane, cell, expected)
    last = max(state["last"] for state in states)
    assert not last or str(last) in shown


async def zoom_and_drag(tab: Browser) -> None:
    """See that keys, wheel, drag and click change the stretch of time, and the step."""
    width, top = await tab.run(
        "(r => [r.width, r.top])(document.getElementById('picture').getBoundingClientRect())"
    )
    middle = (width / 2, top + 60)
    seen = [await tab.run(SPAN)]
    for key in ("0", "+", "+", "+", "-"):
        await tab.press(key)
        seen.append(await tab.run(SPAN))
    assert len(set(seen)) > 2, seen
    before = await tab.run(SPAN)
    await tab.mouse("mouseWheel", middle, deltaX=0, deltaY=-400)
    zoomed = await tab.run(SPAN)
    assert zoomed != before
    await tab.press("0")
    await tab.press("+")
    before = await tab.run("document.querySelector('#picture .tick').getAttribute('x')")
    await tab.mouse("mousePressed", middle, button="left", clickCount=1)
    for way in (20, 60, -90):
        await tab.mouse("mouseMoved", (middle[0] + way, middle[1]), button="left", buttons=1)
    await tab.mouse("mouseReleased", (middle[0] - 90, middle[1]), button="left", clickCount=1)
    after = await tab.run("document.querySelector('#picture .tick').getAttribute('x')")
    assert after != before
    await tab.press("Home")
    await tab.press("0")
    await tab.mouse("mousePressed", (width - 30, top + 50), button="left", clickCount=1)
    await tab.mouse("mouseReleased", (width - 30, top + 50), button="left", clickCount=1)
    assert await tab.step() > 0


async def look_at(tab: Browser, page: Path, pictures: Path | None) -> None:
    """Do all with one page in one window after the other."""
    text = page.read_text(encoding="ascii")
    data = text.partition('<script type="application/json" id="trace">')[2].partition("</script>")[0]
    document = json.loads(data)
    for name, window in WINDOWS.items():
        for scheme in ("light", "dark"):
            await tab.open(page, window, scheme)
            if pictures is not None:
                await tab.picture(pictures / f"{page.stem}-{name}-{scheme}.png")
            assert await tab.run(WIDER) <= 0, "the page is wider than the window"
        await step_through(tab, document)
        await zoom_and_drag(tab)
        await tab.run("document.getElementById('beats').click()")
        await tab.press("Home")
        assert await tab.press("ArrowRight") == 1
        assert await tab.run(ELEMENTS) == 2
    assert tab.complaints == [], tab.complaints
    sys.stdout.write(f"{page.name}: {len(document['steps'])} steps, {len(text)} bytes: fine\n")


def _lax(*arguments: Any, **options: Any) -> Consensus:
    return AnyLogWins(*arguments, **options)


def example_pages(folder: Path) -> list[Path]:
    """Write pages of made-up documents and of a simulated run that fails."""
    documents = {"small": small(), "evil": evil(), "long": long(60)}
    pages = []
    for name, document in documents.items():
        pages.append(folder / f"{name}.html")
        pages[-1].write_text(render(document), encoding="ascii")
    for seed in range(20):
        pages_of_run = folder / "failing.html"
        result = write_page(draw_scenario(seed, profile_named("default")), pages_of_run, _lax)
        if "RuleViolated" in result.detail:
            return [*pages, pages_of_run]
    raise SystemExit("no seed fails")


LookAt = Callable[[Browser, Path, Path | None], Awaitable[None]]
"""Looks at one page; keeps pictures in a folder if one is given."""


async def look_at_all(look: LookAt, pages: list[Path], home: Path, pictures: Path | None) -> None:
    """Look at one page after the other."""
    async with browser(home) as tab:
        for page in pages:
            await look(tab, page, pictures)


def run(description: str, look: LookAt, examples: Callable[[Path], list[Path]] | None = None) -> None:
    """Look at the pages that the command names; ``examples`` makes some in a folder where it names none."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("pages", nargs="*" if examples else "+", type=Path)
    parser.add_argument("--pictures", type=Path, help="folder for what the windows show")
    arguments = parser.parse_args()
    if arguments.pictures is not None:
        arguments.pictures.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pages = arguments.pages or (examples(folder) if examples else [])
        asyncio.run(look_at_all(look, pages, folder / "home", arguments.pictures))


if __name__ == "__main__":
    run(str(__doc__).partition("\n")[0], look_at, example_pages)
