"""How long a peer takes to answer: ``GET /raftkv/peer/ping/v1``, with the hello of every stream."""

import time
from collections.abc import Sequence
from typing import Final

from aiohttp import web

from raftkv.errors import PeerUnavailable
from raftkv.net.handshake import Refused, check_hello, read_hello
from raftkv.net.local import Local
from raftkv.net.requests import PeerRequests

PING_PATH: Final = "/raftkv/peer/ping/v1"


def answer_ping(request: web.BaseRequest, local: Local) -> web.Response:
    """Return the answer to a peer of this cluster, or a refusal with its reason."""
    try:
        hello = read_hello(request.headers)
        check_hello(hello, local.cluster_id, local.member_id)
    except Refused as refused:
        return web.Response(status=refused.status, text=refused.reason)
    return web.Response(headers=local.hello(hello.source).headers())


async def ping(requests: PeerRequests, peer: int, urls: Sequence[str], seconds: float) -> float:
    """Return the seconds from a question to its answer, all that happens on the way included.

    Raises PeerUnavailable, also for a peer of an older version, which knows no such question.
    """
    begin = time.perf_counter()  # finer than the event loop's clock
    async with requests.answered(peer, urls, PING_PATH, seconds) as response:
        if response.status != 200:
            raise PeerUnavailable(f"member {peer:x} answers no pings: its version is older")
        return time.perf_counter() - begin
