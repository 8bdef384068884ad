"""The client for asyncio."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self, Unpack

from raftkv.client import ops
from raftkv.client.cluster import Cluster
from raftkv.client.election import Election
from raftkv.client.endpoint import Endpoints
from raftkv.client.hold import Held, Holding
from raftkv.client.http import Http
from raftkv.client.keys import Text, as_bytes, prefix_of, range_of
from raftkv.client.lease import Granting, Leases
from raftkv.client.lock import lock
from raftkv.client.ops import PutOptions, RangeOptions
from raftkv.client.results import Deleted, Found, Written, deleted, found, revision_of, written
from raftkv.client.txn import Txn
from raftkv.client.watch import Watch
from raftkv.schema.kv import (
    CompactionRequest,
    CompactionResponse,
    DeleteRangeResponse,
    KeyValue,
    PutResponse,
    RangeResponse,
    RequestOp,
)
from raftkv.schema.watch import FilterType, WatchCreateRequest


class Client:
    """A client of one cluster, raftkv's or etcd's, over the JSON gateway: ``async with Client([...])``.

    ``endpoints``: client URLs of members. Each call goes to the one that answered last, and on to the next
    when a member is gone or can't serve. ``timeout``: seconds for one call with all its attempts. Keys and
    values are bytes, or texts that are taken as UTF-8; what comes back is bytes.

    Every call raises

    - ``Refused`` (or one of its classes: Compacted, LeaseNotFound, ...) with the server's own error;
    - ``Unreachable`` when no endpoint could be connected to: nothing was sent;
    - ``OutcomeUnknown`` for a write that may have happened, or may still: it is never sent again;
    - ``NoAnswer`` for a read that nobody answered;
    - ``WrongAnswer`` when what answers is no member.
    """

    def __init__(self, endpoints: Sequence[str], *, timeout: float = 10.0) -> None:
        self._http = Http(Endpoints(endpoints), timeout)
        self._leases = Leases(self._http)
        self.cluster = Cluster(self._http)
        """Its members."""

    async def __aenter__(self) -> Self:
        await self._http.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections. Leases are kept alive no longer, and end by themselves."""
        await self._leases.close()
        await self._http.close()

    async def get(self, key: Text, *, revision: int = 0, serializable: bool = False) -> KeyValue | None:
        """Read one key; None when it is not there.

        ``revision``: as of then, 0 = now. ``serializable``: whatever the member has, perhaps old.
        """
        answer = await self._range(ops.get(key, revision=revision, serializable=serializable))
        return answer.kvs[0] if answer.kvs else None

    async def get_range(self, start: Text, end: Text | None = None, **options: Unpack[RangeOptions]) -> Found:
        """Read the keys in [start, end), without an end all from ``start`` on."""
        return await self._range(ops.get_range(start, end, **options))

    async def get_prefix(self, prefix: Text, **options: Unpack[RangeOptions]) -> Found:
        """Read the keys that begin with ``prefix``."""
        return await self._range(ops.get_prefix(prefix, **options))

    async def put(self, key: Text, value: Text = b"", **options: Unpack[PutOptions]) -> Written:
        """Write one key."""
        request = ops.put(key, value, **options).request_put
        return written(await self._http.call("/v3/kv/put", request, PutResponse, repeatable=False))

    async def delete(self, key: Text, *, prev_kv: bool = False) -> Deleted:
        """Delete one key."""
        return await self._delete(ops.delete(key, prev_kv=prev_kv))

    async def delete_range(self, start: Text, end: Text | None = None, *, prev_kv: bool = False) -> Deleted:
        """Delete the keys in [start, end), without an end all from ``start`` on."""
        return await self._delete(ops.delete_range(start, end, prev_kv=prev_kv))

    async def delete_prefix(self, prefix: Text, *, prev_kv: bool = False) -> Deleted:
        """Delete the keys that begin with ``prefix``."""
        return await self._delete(ops.delete_prefix(prefix, prev_kv=prev_kv))

    def txn(self) -> Txn:
        """Begin a txn; nothing is sent before its ``commit``."""
        return Txn(self._http)

    async def compact(self, revision: int, *, physical: bool = False) -> int:
        """Let history before ``revision`` go; return the current revision.

        ``physical``: return when it is gone on the member that is asked. Raises Compacted when it was before.
        """
        request = CompactionRequest(revision=revision, physical=physical)
        reply = await self._http.call("/v3/kv/compaction", request, CompactionResponse, repeatable=False)
        return revision_of(reply.header)

    def watch(
        self,
        key: Text,
        end: Text | None = None,
        *,
        prefix: bool = False,
        start_revision: int = 0,
        prev_kv: bool = False,
        filters: Sequence[FilterType] = (),
    ) -> Watch:
        """Return the changes of a key, of [key, end), or of all keys that begin with ``key``.

        ``start_revision``: the first one wanted, 0 = those after the watch has begun. ``prev_kv``: with the
        pairs before. ``filters``: kinds of events to leave out.
        """
        first, last = as_bytes(key), b""
        if prefix:
            first, last = prefix_of(key)
        elif end is not None:
            first, last = range_of(key, end)
        request = WatchCreateRequest(
            key=first, range_end=last, start_revision=start_revision, prev_kv=prev_kv, filters=list(filters)
        )
        return Watch(self._http, request)

    def lease(self, ttl: int, *, lease_id: int = 0) -> Granting:
        """Make a lease of ``ttl`` seconds, kept alive in the background: ``await`` it or ``async with`` it.

        ``lease_id`` 0: the server picks one. The server may grant more seconds than were asked for.
        """
        return Granting(self._leases, ttl, lease_id)

    def lock(self, name: Text, *, ttl: int = 10) -> Holding[Held]:
        """Return a lock: ``async with`` it, and the block runs while nobody else holds it.

        ``ttl``: seconds after which others may take it when this client is not heard of any more.
        """
        return lock(self._http, self._leases, as_bytes(name), ttl)

    def election(self, name: Text) -> Election:
        """Return the election of this name."""
        return Election(self._http, self._leases, name)

    async def _range(self, op: RequestOp) -> Found:
        request = op.request_range
        return found(await self._http.call("/v3/kv/range", request, RangeResponse, repeatable=True))

    async def _delete(self, op: RequestOp) -> Deleted:
        request, path = op.request_delete_range, "/v3/kv/deleterange"
        return deleted(await self._http.call(path, request, DeleteRangeResponse, repeatable=False))
