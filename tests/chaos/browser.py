"""Looks at reports in a real browser: ``python -m tests.chaos.browser PAGE.html... [--pictures FOLDER]``.

In a wide and a narrow window, light and dark: nothing is wider than the window, nothing is asked for beside
the page, and the browser has nothing to complain about. Needs ``chromium``.
"""

import sys
from pathlib import Path

from tests.viewer.browser import WIDER, WINDOWS, Browser, run

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


if __name__ == "__main__":
    run(str(__doc__).partition("\n")[0], look_at)
