"""The quota: how large a member's data may grow, ``--quota-backend-bytes``.

The service asks before it proposes; a request that does not fit is refused, and the alarm NOSPACE is
raised for this member through the log, so that from then on every member refuses what grows
(``raftkv.mvcc.alarms``). A member whose own clients write nothing raises it too once what it applies has
passed its limit. As in etcd the size counted does not shrink when a compaction makes room inside: that
takes a defragmentation.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from raftkv.errors import NodeStopped, QuotaExceeded, RaftKvError
from raftkv.mvcc.alarms import growth_of
from raftkv.mvcc.machine import Machine
from raftkv.schema.maintenance import AlarmAction, AlarmRequest, AlarmType

WATCH_SECONDS = 0.5
"""How often a member looks whether what it applied has passed its limit."""


class Quota:
    """One member's limit. ``limit`` in bytes; below 0 there is none."""

    def __init__(
        self, limit: int, member_id: int, machine: Machine, propose: Callable[[Any], Awaitable[Any]]
    ) -> None:
        self._limit = limit
        self._member_id = member_id
        self._machine = machine
        self._propose = propose
        self._raising = asyncio.Lock()

    def admits(self, request: Any) -> bool:
        """Whether a request fits; one that can't make the data grow always does."""
        growth = growth_of(request)
        return growth == 0 or self._limit < 0 or self._machine.size_bytes + growth < self._limit

    async def refuse(self) -> None:
        """Raise the alarm for this member, then raise QuotaExceeded."""
        await self._raise_alarm()
        raise QuotaExceeded

    async def watch(self) -> None:
        """Raise the alarm when what was applied passes the limit; runs as long as the node does.

        Only after new puts or txns, so that an alarm cleared by hand stays clear until somebody writes.
        """
        seen = self._machine.store.writes
        while self._limit >= 0:
            await asyncio.sleep(WATCH_SECONDS)
            store = self._machine.store
            if store.writes != seen and self._machine.size_bytes >= self._limit:
                await self._raise_alarm()
            seen = store.writes

    async def _raise_alarm(self) -> None:
        """Raise the alarm once, however many ask; without a leader nobody can, and writes fail anyway."""
        async with self._raising:
            if self._machine.alarms.is_raised(AlarmType.NOSPACE, self._member_id):
                return
            request = AlarmRequest(AlarmAction.ACTIVATE, self._member_id, AlarmType.NOSPACE)
            try:
                await self._propose(request)
            except NodeStopped:
                raise
            except RaftKvError:
                return
