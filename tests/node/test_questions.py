"""Questions of one node to another: their bytes, and who answers them."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgpack
import pytest

from raftkv import errors
from raftkv.errors import NodeStopped, NoLeader, NotLeader, PeerUnavailable, RaftKvError
from raftkv.mvcc.commands import RequestId
from raftkv.mvcc.membership import ChangeOf, MemberChange, encode_change
from raftkv.node.leader_calls import LeaderCalls
from raftkv.node.questions import (
    ChangeMembers,
    KeepAlive,
    Question,
    TimeToLive,
    decode_answer,
    decode_question,
    encode_answer,
    encode_question,
    encode_refusal,
)
from raftkv.raft import ChangeKind
from tests.node.loopback import LoopbackCluster, info
from tests.node.test_members import ready_leader

QUESTION = ChangeMembers(ChangeKind.ADD_LEARNER, 2**64 - 1, b"\x00\xff")


@pytest.mark.parametrize("question", [QUESTION, KeepAlive(-(2**63)), TimeToLive(2**63 - 1)])
def test_a_question_is_what_was_asked(question: Question) -> None:
    decoded = decode_question(encode_question(question))
    assert (type(decoded), decoded) == (type(question), question)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        msgpack.packb(7),
        msgpack.packb([]),
        msgpack.packb([1, "grow", 2, b""]),
        msgpack.packb([2]),
        msgpack.packb([2, "7"]),
        msgpack.packb([3, 7, 7]),
    ],
)
def test_what_is_no_question_is_refused(data: bytes) -> None:
    with pytest.raises(errors.PeerProtocolError):
        decode_question(data)


def test_a_question_of_a_newer_version_is_not_capable() -> None:
    with pytest.raises(errors.NotCapable):
        decode_question(msgpack.packb([99, "whatever"]))


@pytest.mark.parametrize("value", [None, 0, -1, [1, [2]], b"bytes", "text"])
def test_an_answer_is_what_was_answered(value: Any) -> None:
    assert decode_answer(encode_answer(value)) == value


@pytest.mark.parametrize(
    "error",
    [
        NotLeader(7),
        errors.ChangeRefused("not now"),
        errors.LeaderMoving("to 3"),
        errors.NotCapable("old"),
        NoLeader(),
    ],
)
def test_a_refusal_is_raised_where_it_was_asked(error: RaftKvError) -> None:
    with pytest.raises(type(error)) as raised:
        decode_answer(encode_refusal(error))
    assert str(raised.value) == str(error)
    assert getattr(raised.value, "leader", None) == getattr(error, "leader", None)


def test_what_is_no_refusal_leaves_the_outcome_unknown() -> None:
    with pytest.raises(errors.RequestTimedOut, match="the disk burns"):
        decode_answer(encode_refusal(errors.StorageError("the disk burns")))


@pytest.mark.parametrize(
    "data", [b"", b"\x93\x01", msgpack.packb([2, 0]), msgpack.packb([1, "SystemExit", "x"])]
)
def test_what_is_no_answer_is_refused(data: bytes) -> None:
    with pytest.raises(errors.PeerProtocolError):
        decode_answer(data)


class Line:
    """A transport that only asks: one leader's answers in order, an exception is raised."""

    def __init__(self, *answers: bytes | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[int] = []

    async def ask(self, peer: int, question: bytes, seconds: float) -> bytes:
        self.asked.append(peer)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def nothing(question: Question) -> Any:
    raise AssertionError("asked the wrong node")


def calls(
    line: Line,
    leader: Callable[[], int],
    answer: Callable[[Question], Awaitable[Any]] = nothing,
    timeout: float = 20.0,
) -> LeaderCalls:
    return LeaderCalls(1, line, leader, answer, timeout=timeout, pause=0.001)  # type: ignore[arg-type]


async def test_who_leads_itself_asks_nobody() -> None:
    async def answer(question: Question) -> Any:
        return question

    assert await calls(Line(), lambda: 1, answer).ask(QUESTION) == QUESTION


async def test_who_turns_out_not_to_lead_is_asked_again_until_one_does() -> None:
    leaders = iter([2, 3, 2])
    line = Line(encode_refusal(NotLeader(3)), encode_refusal(errors.LeaderMoving("x")), encode_answer("done"))
    assert await calls(line, lambda: next(leaders)).ask(QUESTION) == "done"
    assert line.asked == [2, 3, 2]


async def test_a_question_that_may_have_been_heard_is_not_repeated() -> None:
    line = Line(PeerUnavailable("gone"), encode_answer("done"))
    with pytest.raises(PeerUnavailable):
        await calls(line, lambda: 2).ask(QUESTION)
    assert line.asked == [2]


async def test_a_question_that_may_be_repeated_is_asked_until_it_is_answered() -> None:
    leaders = iter([2, 3, 2, 3])
    line = Line(
        PeerUnavailable("gone"),
        encode_refusal(NotLeader(2)),
        encode_refusal(NodeStopped("stopping")),
        encode_answer("done"),
    )
    assert await calls(line, lambda: next(leaders)).ask_again(KeepAlive(7), 1.0) == "done"
    assert line.asked == [2, 3, 2, 3]


async def test_a_question_is_not_repeated_for_ever() -> None:
    for answer, raised in (
        (PeerUnavailable("gone"), errors.RequestTimedOut),
        (encode_refusal(NotLeader(2)), NoLeader),
    ):
        never = Line(*[answer] * 10_000)
        with pytest.raises(raised):
            await calls(never, lambda: 2, timeout=0.01).ask_again(KeepAlive(7), 1.0)


async def test_a_refusal_ends_a_question_that_may_be_repeated() -> None:
    line = Line(encode_refusal(errors.TooManyRequests("full")), encode_answer("done"))
    with pytest.raises(errors.TooManyRequests):
        await calls(line, lambda: 2).ask_again(KeepAlive(7), 1.0)


async def test_a_leader_is_waited_for() -> None:
    known = [0]
    line = Line(encode_answer("done"))
    asking = calls(line, lambda: known[0])
    asked = asyncio.create_task(asking.ask(QUESTION))
    await asyncio.sleep(0)
    assert not asked.done()
    asking.leader_changed()
    await asyncio.sleep(0)
    assert not asked.done() and line.asked == []
    known[0] = 2
    asking.leader_changed()
    assert await asked == "done"


async def test_without_a_leader_nothing_was_done() -> None:
    with pytest.raises(NoLeader):
        await calls(Line(), lambda: 0, timeout=0.01).ask(QUESTION)
    never = Line(*[encode_refusal(NotLeader(2))] * 10_000)
    with pytest.raises(NoLeader):
        await calls(never, lambda: 2, timeout=0.01).ask(QUESTION)


async def test_a_node_that_stops_looks_for_a_leader_no_more() -> None:
    asking = calls(Line(), lambda: 0)
    asked = asyncio.create_task(asking.ask(QUESTION))
    await asyncio.sleep(0)
    asking.stop()
    with pytest.raises(NodeStopped):
        await asked


async def test_a_change_that_contradicts_itself_never_reaches_the_log(tmp_path: Path) -> None:
    async with LoopbackCluster(tmp_path) as cluster:
        leader = await ready_leader(cluster)
        last = leader.status().log.last_index
        change = encode_change(MemberChange(RequestId(9, 9, 9), ChangeOf.ADD, info(4)))
        for question in (
            ChangeMembers(ChangeKind.ADD_VOTER, 4, b"nonsense"),
            ChangeMembers(ChangeKind.ADD_VOTER, 5, change),
            ChangeMembers(ChangeKind.REMOVE, 4, change),
        ):
            with pytest.raises(errors.RequestTimedOut, match="the leader failed"):
                decode_answer(await leader.answer(encode_question(question)))
        assert leader.status().log.last_index == last
