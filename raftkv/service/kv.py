"""etcd's KV service: range, put, deleterange, txn, compaction.

Writes go through the log. Linearizable reads wait for a read barrier and are then answered from this
member's own store; serializable ones are answered at once and may be stale. No step holds the event loop
for long: a range is read in slices, at the revision it was opened at.
"""

import asyncio
from contextlib import ExitStack

from raftkv.mvcc import validate
from raftkv.mvcc.scan import RangeScan
from raftkv.mvcc.store import Store
from raftkv.mvcc.txn import TxnPlan, is_read_only, is_serializable
from raftkv.node.node import Node
from raftkv.schema.kv import (
    CompactionRequest,
    CompactionResponse,
    DeleteRangeRequest,
    DeleteRangeResponse,
    PutRequest,
    PutResponse,
    RangeRequest,
    RangeResponse,
    ResponseHeader,
    ResponseOp,
    TxnRequest,
    TxnResponse,
)
from raftkv.service.header import complete
from raftkv.service.limits import check_message, check_proposal

RANGE_SLICE_KEYS = 1000
"""Keys looked at between two turns of the event loop: one to two milliseconds."""

COMPACTION_POLL_SECONDS = 0.005
"""How often a physical compaction looks whether the removal is done."""


class KvService:
    """The key-value calls of one member.

    Every method raises RequestError (refused, nothing done), RequestTimedOut and NodeStopped (outcome
    unknown), NoSpace and TooManyRequests (certainly not done).
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._max_request_bytes = node.config.max_request_bytes
        self._max_txn_ops = node.config.max_txn_ops

    @property
    def _store(self) -> Store:
        """The store as it is now: a snapshot that is installed brings another one."""
        return self._node.machine.store

    async def range(self, request: RangeRequest) -> RangeResponse:
        """Read one key or a range of keys."""
        check_message(request, self._max_request_bytes)
        validate.check_range(request)
        if not request.serializable:
            await self._node.read_barrier()
        with self._store.open_range(request) as scan:
            response = await _finish(scan)
        complete(response.header, self._node)
        return response

    async def put(self, request: PutRequest) -> PutResponse:
        """Write one key."""
        size = check_message(request, self._max_request_bytes)
        if not self._node.quota.admits(request):
            await self._node.quota.refuse()
        validate.check_put(request)
        check_proposal(size, self._max_request_bytes)
        response: PutResponse = await self._node.propose(request)
        complete(response.header, self._node)
        return response

    async def delete_range(self, request: DeleteRangeRequest) -> DeleteRangeResponse:
        """Delete one key or a range of keys."""
        size = check_message(request, self._max_request_bytes)
        validate.check_delete_range(request)
        check_proposal(size, self._max_request_bytes)
        response: DeleteRangeResponse = await self._node.propose(request)
        complete(response.header, self._node)
        return response

    async def txn(self, request: TxnRequest) -> TxnResponse:
        """Run a transaction; one that only reads does not go through the log."""
        size = check_message(request, self._max_request_bytes)
        if not self._node.quota.admits(request):
            await self._node.quota.refuse()
        validate.check_txn(request, self._max_txn_ops)
        if is_read_only(request):
            if not is_serializable(request):
                await self._node.read_barrier()
            response = await self._read_txn(request)
        else:
            check_proposal(size, self._max_request_bytes)
            response = await self._node.propose(request)
        complete(response.header, self._node)
        return response

    async def compact(self, request: CompactionRequest) -> CompactionResponse:
        """Let history below a revision go; ``physical`` waits until it is gone on this member."""
        check_message(request, self._max_request_bytes)
        validate.check_compaction(request)
        response: CompactionResponse = await self._node.propose(request)
        if request.physical:
            await self._removed(request.revision)
        complete(response.header, self._node)
        return response

    async def _read_txn(self, request: TxnRequest) -> TxnResponse:
        """Answer a txn of plain ranges as of this moment, reading in slices."""
        plan = TxnPlan(self._store.table, request)
        response = TxnResponse(ResponseHeader(revision=self._store.revision), plan.succeeded)
        with ExitStack() as pinned:
            # all opened before any is read: one that can't be read fails the txn, and all see one state
            reads = [op.request_range for op in plan.operations if op.request_range is not None]
            scans = [pinned.enter_context(self._store.open_range(read)) for read in reads]
            for scan in scans:
                response.responses.append(ResponseOp(response_range=await _finish(scan)))
        return response

    async def _removed(self, revision: int) -> None:
        while True:
            if self._store.compacted_physically() >= revision:
                return
            await asyncio.sleep(COMPACTION_POLL_SECONDS)


async def _finish(scan: RangeScan) -> RangeResponse:
    """Read in slices; the event loop gets a turn between two of them."""
    while True:
        if scan.step(RANGE_SLICE_KEYS):
            return scan.response()
        await asyncio.sleep(0)
