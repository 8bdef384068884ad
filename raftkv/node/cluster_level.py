"""The cluster's level at one node: what is not proposed yet, and how the leader raises it.

Members announce their level over the transport and not in the log: an older version could not read there
that others are newer. The leader counts those of its configuration. One that it does not reach right now
may be an older one that comes back, so the level is raised only while all are connected.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from raftkv.errors import NoSpace, NotCapable, NotLeader, ProposalDropped
from raftkv.mvcc.commands import CommandRequest, RaiseLevel, level_of
from raftkv.mvcc.level import LEVEL
from raftkv.mvcc.machine import Machine
from raftkv.node.transport import Transport
from raftkv.raft import Status

NOT_CONNECTED = 0


class ClusterLevel:
    """Looks every ``pause`` seconds whether the level can be raised, until it is this version's own.

    ``leads_in()``: the term that this node leads in, or NotLeader. ``propose`` appends a leader's own
    command to this node's log: who was counted is who gets it.
    """

    def __init__(
        self,
        machine: Machine,
        transport: Transport,
        *,
        status: Callable[[], Status],
        leads_in: Callable[[], int],
        propose: Callable[[RaiseLevel], None],
        pause: float,
    ) -> None:
        self._machine = machine
        self._transport = transport
        self._status = status
        self._leads_in = leads_in
        self._propose = propose
        self._pause = pause

    def check(self, request: CommandRequest) -> None:
        """Raise NotCapable for what some member may not understand."""
        needed, level = level_of(request), self._machine.level.number
        if needed > level:
            raise NotCapable(f"{type(request).__name__} needs level {needed}, the cluster is at {level}")

    async def run(self) -> None:
        """Raise the level as the leader, whenever all members have a higher one."""
        while self._machine.level.number < LEVEL:
            with suppress(NotLeader, ProposalDropped, NoSpace):  # then later
                self._raise()
            await asyncio.sleep(self._pause)

    def _raise(self) -> None:
        term, level = self._leads_in(), self._level_of_all()
        if level > self._machine.level.number:
            self._propose(RaiseLevel(term, level))

    def _level_of_all(self) -> int:
        status = self._status()
        levels = [LEVEL]
        for member in status.configuration.members:
            if member != status.node_id:
                connection = self._transport.connection(member)
                levels.append(NOT_CONNECTED if connection is None else connection.level)
        return min(levels)
