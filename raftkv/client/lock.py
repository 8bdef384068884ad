"""Locks, through the servers' lock service: one holder at a time, in the order of asking."""

from raftkv.client.hold import Held, Holding
from raftkv.client.http import Http
from raftkv.client.lease import Lease, Leases
from raftkv.schema.lock import LockRequest, LockResponse


def lock(http: Http, leases: Leases, name: bytes, ttl: int) -> Holding[Held]:
    """Return a lock to be taken with ``async with``."""

    async def ask(lease: Lease) -> Held:
        request = LockRequest(name=name, lease=lease.id)
        reply = await http.wait("/v3/lock/lock", request, LockResponse, lease.lost)
        return Held(lease, reply.key)

    return Holding(leases, ttl, ask)
