"""Requests of their own to a peer, beside the stream: for snapshot files, and for questions to its node.

Each carries the hello of every stream, and so does its answer. Because each stands alone, a broken
connection costs one request.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiohttp

from raftkv.errors import PeerUnavailable
from raftkv.net.handshake import Refused, check_hello, printable, read_hello
from raftkv.net.local import Local


class PeerRequests:
    """The asking side: connections that stay open from one request to the next."""

    def __init__(self, local: Local) -> None:
        self._local = local
        self._tried = 0
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )

    @asynccontextmanager
    async def answered(
        self, peer: int, urls: Sequence[str], path: str, seconds: float, data: bytes | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request (POST when there is ``data``, else GET); yield its answer of status 200 or 404.

        The body is read inside the context, within the same ``seconds``. Raises PeerUnavailable, after
        which the next URL is next; whether the peer heard the request is not known then.
        """
        url = urls[self._tried % len(urls)]
        method = "GET" if data is None else "POST"
        headers = self._local.hello(peer).headers()
        try:
            async with (
                asyncio.timeout(seconds),
                self._session.request(
                    method, url + path, headers=headers, data=data, allow_redirects=False
                ) as response,
            ):
                await self._check(peer, url, response)
                yield response
        except PeerUnavailable:
            self._tried += 1
            raise
        except TimeoutError:
            self._tried += 1
            raise PeerUnavailable(f"{url}: no answer within {seconds} s") from None
        except (aiohttp.ClientError, asyncio.IncompleteReadError, OSError) as error:
            self._tried += 1
            raise PeerUnavailable(f"{url}: {printable(str(error) or type(error).__name__, 200)}") from error

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def _check(self, peer: int, url: str, response: aiohttp.ClientResponse) -> None:
        if response.status == 404:
            return
        if response.status != 200:
            reason = printable((await response.content.read(200)).decode("ascii", "replace"), 200)
            raise PeerUnavailable(f"{url} answered {response.status}: {reason}")
        try:
            hello = read_hello(response.headers)
            check_hello(hello, self._local.cluster_id, self._local.member_id)
        except Refused as refused:
            raise PeerUnavailable(f"{url}: {refused.reason}") from refused
        if hello.source != peer:
            raise PeerUnavailable(f"{url} is member {hello.source:x}, not {peer:x}")
