import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from raftkv.sim.loop import SimLoop

Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture
def run() -> Iterator[Run]:
    """Runs a coroutine in virtual time: waiting takes none, and what it took is exact."""
    loop = SimLoop()
    asyncio.set_event_loop(loop)
    yield loop.run_until_complete
    asyncio.set_event_loop(None)
    loop.close()
