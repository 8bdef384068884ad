"""A bound on bytes a second, shared by all who take from it."""

import asyncio


class Throttle:
    """Lets ``rate`` bytes a second pass, first come, first served; a pause saves nothing up."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._free_at = 0.0

    async def take(self, size: int) -> None:
        """Return when ``size`` bytes may pass."""
        now = asyncio.get_running_loop().time()
        begins = max(now, self._free_at)
        self._free_at = begins + size / self._rate
        await asyncio.sleep(begins - now)
