"""etcd's Lock service: a mutex by name, held for as long as a lease lives."""

from raftkv.errors import SessionExpired
from raftkv.schema.kv import DeleteRangeRequest
from raftkv.schema.lock import LockRequest, LockResponse, UnlockRequest, UnlockResponse
from raftkv.service.kv import KvService
from raftkv.service.lease import LeaseService
from raftkv.service.recipes import Events, Queue, lease_or_new


class LockService:
    """The lock calls of one member."""

    def __init__(self, kv: KvService, leases: LeaseService, events: Events) -> None:
        self._kv = kv
        self._leases = leases
        self._events = events

    async def lock(self, request: LockRequest) -> LockResponse:
        """Return when the lock is held; at once if this lease holds it.

        Raises SessionExpired (the lease ended while it waited) and what kv and lease calls raise.
        """
        lease = await lease_or_new(request.lease, self._leases)
        queue = Queue(request.name, self._kv, self._events)
        place = await queue.enter(lease, b"")
        front = await queue.wait_for_front(place)
        if not front.stands:
            raise SessionExpired
        return LockResponse(front.header, place.key)

    async def unlock(self, request: UnlockRequest) -> UnlockResponse:
        """Delete the key that stands for the lock; one that is not there is no error."""
        response = await self._kv.delete_range(DeleteRangeRequest(request.key))
        return UnlockResponse(response.header)
