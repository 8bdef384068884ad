"""Transactions: guards, and what is done if they hold or not, all at one revision."""

from typing import Self

from raftkv.client.http import Http
from raftkv.client.results import Committed, committed
from raftkv.schema.kv import Compare, RequestOp, TxnRequest, TxnResponse


class Txn:
    """A txn in the making: ``await client.txn().when(...).then(...).otherwise(...).commit()``."""

    def __init__(self, http: Http) -> None:
        self._http = http
        self._request = TxnRequest()

    def when(self, *guards: Compare) -> Self:
        """Add guards, made by ``compare``. All have to hold; without any they do."""
        self._request.compare.extend(guards)
        return self

    def then(self, *ops: RequestOp) -> Self:
        """Add operations, made by ``ops``, for when the guards hold."""
        self._request.success.extend(ops)
        return self

    def otherwise(self, *ops: RequestOp) -> Self:
        """Add operations for when a guard does not hold."""
        self._request.failure.extend(ops)
        return self

    def as_op(self) -> RequestOp:
        """Return the txn as an operation of another one."""
        return RequestOp(request_txn=self._request)

    async def commit(self) -> Committed:
        """Send it. Raises OutcomeUnknown when it may have taken effect, unless it only reads."""
        ops = [*self._request.success, *self._request.failure]
        only_reads = all(op.request_range is not None for op in ops)
        reply = await self._http.call("/v3/kv/txn", self._request, TxnResponse, repeatable=only_reads)
        return committed(reply)
