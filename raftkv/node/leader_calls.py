"""Asking the leader, wherever it is: a client may ask any member for what only the leader knows or can do."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from raftkv.errors import LeaderMoving, NodeStopped, NoLeader, NotLeader, RaftKvError
from raftkv.node.questions import (
    Question,
    decode_answer,
    decode_question,
    encode_answer,
    encode_question,
    encode_refusal,
)
from raftkv.node.transport import Transport
from raftkv.raft import NO_NODE


class LeaderCalls:
    """One node's line to the leader, and its answers to the others while it leads.

    ``answer`` answers a question on this node and raises NotLeader where another one should.
    ``timeout`` and ``pause`` in seconds: how long to look for a leader, and how long to wait when the one
    asked turns out not to lead.
    """

    def __init__(
        self,
        member_id: int,
        transport: Transport,
        leader: Callable[[], int],
        answer: Callable[[Question], Awaitable[Any]],
        *,
        timeout: float,
        pause: float,
    ) -> None:
        self._member_id = member_id
        self._transport = transport
        self._leader = leader
        self._answer = answer
        self._timeout = timeout
        self._pause = pause
        self._changed = asyncio.Event()
        self._stopping = False

    def leader_changed(self) -> None:
        """Take note that another member leads now, or none."""
        self._changed.set()

    def stop(self) -> None:
        """Look for a leader no more."""
        self._stopping = True
        self._changed.set()

    async def ask(self, question: Question) -> Any:
        """Return the leader's answer; whoever says that another one leads has not acted on the question.

        Raises NoLeader (none was there in time: certainly not done), PeerUnavailable (outcome unknown),
        PeerProtocolError, NodeStopped, and what the leader raises.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + self._timeout
        while True:
            leader = await self._find_leader(until)
            try:
                if leader == self._member_id:
                    return await self._answer(question)
                seconds = until - loop.time()
                return decode_answer(await self._transport.ask(leader, encode_question(question), seconds))
            except (NotLeader, LeaderMoving):
                if loop.time() >= until:
                    raise NoLeader("whoever was asked did not lead") from None
                await asyncio.sleep(self._pause)

    async def serve(self, data: bytes) -> bytes:
        """Answer a question of another node; a refusal is an answer too."""
        try:
            return encode_answer(await self._answer(decode_question(data)))
        except RaftKvError as error:
            return encode_refusal(error)

    async def _find_leader(self, until: float) -> int:
        try:
            async with asyncio.timeout_at(until):
                while True:
                    if self._stopping:
                        raise NodeStopped("the member is stopping")
                    self._changed.clear()
                    if (leader := self._leader()) != NO_NODE:
                        return leader
                    await self._changed.wait()
        except TimeoutError:
            raise NoLeader("no leader was found in time") from None
