"""Leases, kept alive in the background until they are revoked, lost, or the client is closed."""

import asyncio
from collections.abc import Generator
from types import TracebackType

from raftkv.client.http import Http
from raftkv.client.outcome import LeaseNotFound
from raftkv.client.rules import FIRST_WAIT
from raftkv.errors import RaftKvError
from raftkv.schema.lease import (
    LeaseGrantRequest,
    LeaseGrantResponse,
    LeaseKeepAliveRequest,
    LeaseKeepAliveResponse,
    LeaseRevokeRequest,
    LeaseRevokeResponse,
    LeaseTimeToLiveRequest,
    LeaseTimeToLiveResponse,
)

RENEWALS = 3
"""How often a lease is renewed in the time that it lasts, as etcd's own client does."""


class Lease:
    """A lease that is kept alive. Made by ``Client.lease``.

    ``id`` goes into ``put(..., lease=lease.id)``; ``ttl`` in seconds, as granted. ``lost`` is set when the
    lease is gone, or may be: it was not renewed for ``ttl`` seconds by this clock, counted from before the
    last renewal that worked was sent. So it is set before the server ends the lease, never after.
    """

    def __init__(self, http: Http, granted: LeaseGrantResponse, asked_at: float, *, picked: bool) -> None:
        self.id = granted.ID
        self.ttl = granted.TTL
        self.lost = asyncio.Event()
        self._http = http
        self._picked = picked  # the id was, by the server: no other lease gets it
        self._deadline = asked_at + granted.TTL
        self._keeper: asyncio.Task[None] | None = None

    def keep_alive(self) -> None:
        """Begin to renew the lease in the background."""
        assert self._keeper is None, "kept alive already"
        self._keeper = asyncio.get_running_loop().create_task(self._keep(), name=f"lease {self.id:x}")

    async def revoke(self) -> None:
        """End the lease; its keys are deleted. One that is gone already is no error.

        With an id of one's own it is a write like others, and may raise OutcomeUnknown.
        """
        await self.stop()
        await self._revoke(self._http.timeout)

    async def release(self) -> None:
        """End the lease if a member can be told, else let it run out: it is not kept alive any more."""
        await self.stop()
        try:
            await self._revoke(min(self.ttl, self._http.timeout))
        except RaftKvError:
            return

    async def stop(self) -> None:
        """Keep the lease alive no longer; it ends after at most ``ttl`` seconds. ``lost`` is set."""
        self.lost.set()
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)

    async def time_to_live(self, *, keys: bool = False) -> LeaseTimeToLiveResponse:
        """Ask how many seconds are left (-1: the lease is gone), and which keys hang on the lease."""
        request = LeaseTimeToLiveRequest(ID=self.id, keys=keys)
        return await self._http.call(
            "/v3/lease/timetolive", request, LeaseTimeToLiveResponse, repeatable=True
        )

    async def _revoke(self, seconds: float) -> None:
        request = LeaseRevokeRequest(ID=self.id)
        try:
            # again is as good as once, unless someone else may have a lease of this id by then
            await self._http.call(
                "/v3/lease/revoke", request, LeaseRevokeResponse, repeatable=self._picked, timeout=seconds
            )
        except LeaseNotFound:
            return

    async def _keep(self) -> None:
        clock = asyncio.get_running_loop().time
        now = self._deadline - self.ttl
        try:
            while not self.lost.is_set():
                due = now + max((self._deadline - now) / RENEWALS, FIRST_WAIT)
                await asyncio.sleep(max(min(due, self._deadline) - clock(), 0.0))
                now = clock()
                if now >= self._deadline or not await self._renew(now):
                    self.lost.set()
        finally:
            self.lost.set()  # nobody renews it any more, whatever the reason

    async def _renew(self, now: float) -> bool:
        """Renew once, trying for as long as the lease lasts; return False when it is gone."""
        request = LeaseKeepAliveRequest(ID=self.id)
        try:
            reply = await self._http.call(
                "/v3/lease/keepalive",
                request,
                LeaseKeepAliveResponse,
                repeatable=True,
                timeout=self._deadline - now,
                streamed=True,
            )
        except RaftKvError:
            return True  # tried again until the deadline says that it is lost
        self._deadline = now + reply.TTL
        return reply.TTL > 0


class Leases:
    """All leases of one client, ended with it."""

    def __init__(self, http: Http) -> None:
        self._http = http
        self._kept: list[Lease] = []

    async def grant(self, ttl: int, lease_id: int = 0) -> Lease:
        """Make a lease and keep it alive.

        When the server picks the id, an attempt in doubt is repeated: the lease that nobody knows of, if
        there is one, holds no key and runs out. With an id of one's own it is a write like others.
        """
        asked_at = asyncio.get_running_loop().time()
        request = LeaseGrantRequest(TTL=ttl, ID=lease_id)
        granted = await self._http.call(
            "/v3/lease/grant", request, LeaseGrantResponse, repeatable=lease_id == 0
        )
        lease = Lease(self._http, granted, asked_at, picked=lease_id == 0)
        self._kept = [kept for kept in self._kept if not kept.lost.is_set()]
        self._kept.append(lease)
        lease.keep_alive()
        return lease

    async def close(self) -> None:
        """Keep none alive any more. They are not revoked: they end by themselves."""
        for lease in self._kept:
            await lease.stop()
        self._kept = []


class Granting:
    """A lease to be: ``await`` it, or use it with ``async with``, at whose end it is revoked."""

    def __init__(self, leases: Leases, ttl: int, lease_id: int) -> None:
        self._leases = leases
        self._ttl = ttl
        self._id = lease_id
        self._lease: Lease | None = None

    def __await__(self) -> Generator[None, None, Lease]:
        return self._leases.grant(self._ttl, self._id).__await__()

    async def __aenter__(self) -> Lease:
        self._lease = await self
        return self._lease

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._lease is not None
        await self._lease.release()
