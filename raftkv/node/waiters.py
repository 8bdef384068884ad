"""Requests of this member's clients that wait for their own entry to be applied.

A waiter is found by its request id and never by a log index: the entry at an index may turn out to be
another leader's. Deadlines are all equally far away, so the oldest waiter is always the next to expire.
"""

from asyncio import AbstractEventLoop, Future
from collections.abc import Iterator
from typing import Any

from raftkv.errors import NodeStopped, RequestTimedOut
from raftkv.mvcc.commands import RequestId
from raftkv.mvcc.machine import Applied


class Waiter:
    """One proposal under way. ``proposed`` is False while no leader was there to take it.

    ``asked_at``: when it was proposed last, on the loop's clock. One without ``data`` is never proposed
    again: a change of the members, which its request id does not keep from happening twice.
    """

    __slots__ = ("asked_at", "data", "deadline", "future", "proposed", "sequence")

    def __init__(self, sequence: int, data: bytes, deadline: float, future: "Future[Any]") -> None:
        self.sequence = sequence
        self.data = data
        self.deadline = deadline
        self.future = future
        self.proposed = False
        self.asked_at = 0.0


class Waiters:
    """The proposals of one start of one member, in the order they were made."""

    def __init__(self, member_id: int, boot: int, loop: AbstractEventLoop, timeout: float) -> None:
        self._member_id = member_id
        self._boot = boot
        self._loop = loop
        self._timeout = timeout
        self._sequence = 0
        self._open: dict[int, Waiter] = {}
        self.waiting_bytes = 0

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Waiter]:
        return iter(list(self._open.values()))

    def next_id(self) -> RequestId:
        """Return an id that no other request of any member at any time has."""
        self._sequence += 1
        return RequestId(self._member_id, self._boot, self._sequence)

    def open(self, request_id: RequestId, data: bytes) -> Waiter:
        """Start to wait for the request; its answer or its error ends up in ``future``."""
        deadline = self._loop.time() + self._timeout
        waiter = Waiter(request_id.sequence, data, deadline, self._loop.create_future())
        self._open[request_id.sequence] = waiter
        self.waiting_bytes += len(data)
        return waiter

    def close(self, waiter: Waiter) -> None:
        """Stop waiting (the client went away); what was proposed may still happen."""
        if self._open.pop(waiter.sequence, None) is not None:
            self.waiting_bytes -= len(waiter.data)

    def resolve(self, applied: Applied) -> None:
        """Answer the waiter of an applied command, if it is one of ours and still waits."""
        request_id = applied.request_id
        if request_id.member != self._member_id or request_id.boot != self._boot:
            return
        waiter = self._open.get(request_id.sequence)
        if waiter is None:
            return
        self.close(waiter)
        if waiter.future.done():
            return
        if applied.duplicate:
            # Older than the window of remembered ids: whether it happened is not known any more.
            waiter.future.set_exception(RequestTimedOut("outcome no longer known"))
        elif applied.error is not None:
            waiter.future.set_exception(applied.error)
        else:
            waiter.future.set_result(applied.response)

    def expire(self) -> None:
        """Answer "timed out" to those whose time is over; their outcome is unknown."""
        now = self._loop.time()
        while self._open:
            waiter = next(iter(self._open.values()))
            if waiter.deadline > now:
                return
            self.close(waiter)
            if not waiter.future.done():
                waiter.future.set_exception(RequestTimedOut("no answer in time"))

    def stop(self) -> None:
        """Answer everybody that the node stops."""
        for waiter in self:
            self.close(waiter)
            if not waiter.future.done():
                waiter.future.set_exception(NodeStopped("the member is stopping"))
