"""A harness that starts processes through a guardian and then waits to be ended.

    python -m tests.chaos.harness LOG

It says what it started as a line of JSON: the guardian's folder, and the processes, of which the second one
stands still.
"""

import asyncio
import json
import signal
import sys
from pathlib import Path

from raftkv.chaos.guard import Guard

WAITING = "import time; print('up', flush=True); time.sleep(600)"
BECOMES = f"import os, sys; os.execv(sys.executable, [sys.executable, '-c', {WAITING!r}])"


async def main(log: Path) -> None:
    guard = await Guard.open()
    (guard.folder / "data").write_text("something")
    started = [
        await guard.start([sys.executable, "-c", code], log, {}) for code in (WAITING, WAITING, BECOMES)
    ]
    started[1].send(signal.SIGSTOP)
    sys.stdout.write(json.dumps({"folder": str(guard.folder), "started": started}) + "\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
