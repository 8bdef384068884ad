"""Asking the leader, wherever it is: a client may ask any member for what only the leader knows or can do."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from raftkv.errors import (
    LeaderMoving,
    NodeStopped,
    NoLeader,
    NotLeader,
    PeerUnavailable,
    RaftKvError,
    RequestTimedOut,
)
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
        until = asyncio.get_running_loop().time() + self._timeout
        while True:
            try:
                return await self._ask_once(question, until, self._timeout)
            except (NotLeader, LeaderMoving):
                await self._pause_before(until, NoLeader("whoever was asked did not lead"))

    async def ask_again(self, question: Question, patience: float) -> Any:
        """Return the leader's answer to a question that may be repeated, which is asked until there is one.

        Another member is asked after ``patience`` seconds if that leads by then. Raises NoLeader,
        RequestTimedOut, PeerProtocolError, NodeStopped, and what the leader raises.
        """
        until = asyncio.get_running_loop().time() + self._timeout
        while True:
            try:
                return await self._ask_once(question, until, patience)
            except (NotLeader, LeaderMoving):
                await self._pause_before(until, NoLeader("whoever was asked did not lead"))
            except (PeerUnavailable, RequestTimedOut):
                await self._pause_before(until, RequestTimedOut("the leader did not answer"))

    async def _ask_once(self, question: Question, until: float, patience: float) -> Any:
        leader = await self._find_leader(until)
        if leader == self._member_id:
            return await self._answer(question)
        seconds = min(patience, until - asyncio.get_running_loop().time())
        return decode_answer(await self._transport.ask(leader, encode_question(question), seconds))

    async def _pause_before(self, until: float, error: RaftKvError) -> None:
        """Wait a little before the next attempt; raise ``error`` when there is no time for one."""
        if asyncio.get_running_loop().time() >= until:
            raise error
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
