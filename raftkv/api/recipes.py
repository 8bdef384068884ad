"""Locks and elections as calls: whatever fails in them is told as code 2, Unknown, with the text as it is.

etcd runs both through a client of its own inside the server, and what comes back from that has lost its code.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

from raftkv.api.status import CallFailed, status_of
from raftkv.errors import RaftKvError

Unary = Callable[[Any], Awaitable[Any]]
Stream = Callable[[Any], AsyncGenerator[Any, None]]


def recipe(call: Unary) -> Unary:
    """Return ``call`` with its errors as CallFailed."""

    async def answer(message: Any) -> Any:
        try:
            return await call(message)
        except RaftKvError as error:
            raise CallFailed(status_of(error).text) from error

    return answer


def recipe_stream(call: Stream) -> Stream:
    """Return ``call``, which answers with many messages, with its errors as CallFailed."""

    async def answer(message: Any) -> AsyncGenerator[Any, None]:
        try:
            async with aclosing(call(message)) as responses:
                async for response in responses:
                    yield response
        except RaftKvError as error:
            raise CallFailed(status_of(error).text) from error

    return answer
