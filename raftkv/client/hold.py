"""What is held for as long as a lease lives: a lock, or the lead of an election.

An attempt in doubt (the member that waited on the client's behalf is gone, say) is not repeated with the
same lease: when that member notices, it deletes the key that the lease has, and a second attempt may by then
count on that key. So the lease is ended, whereupon the first attempt can do nothing any more, and the next
attempt has a lease of its own.
"""

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Generic, TypeVar

from raftkv.client import compare
from raftkv.client.lease import Lease, Leases
from raftkv.client.outcome import LeaseLost, LeaseNotFound, NoAnswer, OutcomeUnknown, Refused, WrongAnswer
from raftkv.client.rules import backoff, is_passing
from raftkv.errors import RaftKvError
from raftkv.schema.kv import Compare


class Held:
    """Something that is held: it stands as ``key`` in the store, which goes when ``lease`` ends."""

    def __init__(self, lease: Lease, key: bytes) -> None:
        self.lease = lease
        self.key = key

    @property
    def lost(self) -> asyncio.Event:
        """Set as soon as the lease may have ended, so that others may hold it now."""
        return self.lease.lost

    def is_held(self) -> Compare:
        """Return a guard for a txn: its writes take effect only while this is still held."""
        return compare.exists(self.key)

    async def release(self) -> None:
        """Give it up, at once if a member can be told, else when the lease runs out."""
        await self.lease.release()


H = TypeVar("H", bound=Held)


class Holding(Generic[H]):
    """Something to be held inside ``async with``; to enter takes as long as others hold it.

    ``ask`` asks for it once, with a lease. Limit the wait with ``asyncio.timeout``. For one block at a time:
    two tasks that want to exclude each other need one each.
    """

    def __init__(self, leases: Leases, ttl: int, ask: Callable[[Lease], Awaitable[H]]) -> None:
        self._leases = leases
        self._ttl = ttl
        self._ask = ask
        self._held: H | None = None
        self._is_wanted = False

    async def __aenter__(self) -> H:
        if self._is_wanted:
            raise RuntimeError("in use already; each block needs an object of its own")
        self._is_wanted = True
        try:
            self._held = await self._acquire()
        except BaseException:
            self._is_wanted = False
            raise
        return self._held

    async def _acquire(self) -> H:
        failures = 0
        while True:
            lease = await self._leases.grant(self._ttl)
            try:
                return await self._ask(lease)
            except RaftKvError as error:
                await lease.release()
                if not _is_worth_another_lease(error):
                    raise
                await asyncio.sleep(backoff(failures))
                failures += 1
            except BaseException:
                await lease.release()
                raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._held is not None
        held, self._held = self._held, None
        try:
            await held.release()
        finally:
            self._is_wanted = False


def _is_worth_another_lease(error: RaftKvError) -> bool:
    reason = error.__cause__ if isinstance(error, OutcomeUnknown) else error
    if isinstance(reason, Refused | NoAnswer | WrongAnswer) and is_passing(reason):
        return True
    return isinstance(reason, LeaseLost | LeaseNotFound)
