"""Looks at reports in a real browser: ``python -m tests.chaos.browser PAGE.html... [--pictures FOLDER]``.

In a wide and a narrow window, light and dark: nothing is wider than the window, nothing is asked for beside
the page, and the browser has nothing to complain about. Needs ``chromium``.
"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tests.viewer.browser import WIDER, WINDOWS, Browser, browser

WHOLE = "document.documentElement.scrollHeight"
MARKS = "document.querySelectorAll('#picture rect').length"


async def look_at(tab: Browser, page: Path, pictures: Path | None) -> None:
    """Look at one page in each window, and use what it has to be used."""
    for name, window in WINDOWS.items():
        for scheme in ("light", "dark"):
            await tab.open(page, window, scheme)
            whole = await tab.run(WHOLE)
            await tab.open(page, (window[0], min(int(whole) + 20, 4000)), scheme)
            if pictures is not None:
                await tab.picture(pictures / f"{page.parent.name}-{page.stem}-{name}-{scheme}.png")
            assert await tab.run(WIDER) <= 0, "the page is wider than the window"
            assert await tab.run(MARKS) > 0
        left, top = await tab.run(
            "(r => [r.left + r.width / 2, r.top + 60])(picture.getBoundingClientRect())"
        )
        await tab.mouse("mouseMoved", (left, top))
        assert " ok, " in await tab.run("document.getElementById('readout').textContent")
        await tab.run("(s => { s.selectedIndex = 1; s.dispatchEvent(new Event('change')); })(kind)")
        assert await tab.run(MARKS) > 0
        assert await tab.run("document.querySelectorAll('script').length + document.images.length") == 2
    assert tab.complaints == [], tab.complaints
    sys.stdout.write(f"{page}: fine\n")


async def look_at_all(pages: list[Path], home: Path, pictures: Path | None) -> None:
    """Look at one page after the other."""
    async with browser(home) as tab:
        for page in pages:
            await look_at(tab, page, pictures)


def main() -> None:
    """Look at the pages that the command names."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pages", nargs="+", type=Path)
    parser.add_argument("--pictures", type=Path, help="folder for what the windows show")
    arguments = parser.parse_args()
    if arguments.pictures is not None:
        arguments.pictures.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        asyncio.run(look_at_all(arguments.pages, Path(name, "home"), arguments.pictures))


if __name__ == "__main__":
    main()
