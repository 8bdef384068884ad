"""Tasks of faults that go on until they are ended."""

import asyncio


async def ended(task: asyncio.Task[None]) -> None:
    """End a task and wait for it; raises what it had ended with before, which would be an own bug."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.result()
