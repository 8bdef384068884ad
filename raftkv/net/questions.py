"""Questions from node to node: ``POST /raftkv/peer/ask/v1`` with the hello of every stream.

Body and answer are bytes that only the nodes understand (``raftkv.node.questions``).
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from aiohttp import web

from raftkv.errors import PeerUnavailable
from raftkv.net.handshake import Refused, check_hello, read_hello
from raftkv.net.local import Local
from raftkv.net.requests import PeerRequests
from raftkv.node.transport import Receiver

ASK_PATH: Final = "/raftkv/peer/ask/v1"

MAX_QUESTION_BYTES: Final = 64 * 1024
MAX_ANSWER_BYTES: Final = 16 * 1024 * 1024

MAX_QUESTIONS: Final = 2048
"""Questions being answered at a time; bounds what strangers can make the node do."""


class QuestionServer:
    """The answering side; counts what is under way."""

    def __init__(self, local: Local) -> None:
        self._local = local
        self._under_way = 0

    async def answer(self, request: web.BaseRequest, receiver: Receiver | None) -> web.Response:
        """Return the node's answer, or a refusal with its reason; without a ``receiver`` there is no node."""
        try:
            hello = read_hello(request.headers)
            check_hello(hello, self._local.cluster_id, self._local.member_id)
            if receiver is None:
                raise Refused(503, "this member is starting or stopping", hello.source)
            if self._under_way >= MAX_QUESTIONS:
                raise Refused(503, f"{MAX_QUESTIONS} questions are being answered already", hello.source)
            self._under_way += 1
            try:
                question = await _read_question(request, self._local.timing.stall)
                answer = await receiver.answer(question)
            finally:
                self._under_way -= 1
        except Refused as refused:
            return web.Response(status=refused.status, text=refused.reason)
        headers = self._local.hello(hello.source).headers()
        return web.Response(body=answer, headers=headers, content_type="application/octet-stream")


async def _read_question(request: web.BaseRequest, seconds: float) -> bytes:
    length = request.content_length
    if length is None or not 0 < length <= MAX_QUESTION_BYTES:
        raise Refused(413, f"a question has a length, of 1 to {MAX_QUESTION_BYTES} bytes")
    try:
        async with asyncio.timeout(seconds):
            return await request.content.readexactly(length)
    except (TimeoutError, asyncio.IncompleteReadError):
        raise Refused(408, f"the question did not come within {seconds} s") from None


async def ask(
    requests: PeerRequests, peer: int, urls: Sequence[str], question: bytes, seconds: float
) -> bytes:
    """Bring a peer's answer; raises PeerUnavailable: whether it heard the question is not known then."""
    async with requests.answered(peer, urls, ASK_PATH, seconds, question) as response:
        if response.status != 200:
            raise PeerUnavailable(f"member {peer:x} answers no questions: its version is older")
        length = response.content_length
        if length is None or length > MAX_ANSWER_BYTES:
            raise PeerUnavailable(f"member {peer:x}: an answer of {length} bytes")
        return await response.content.readexactly(length)
