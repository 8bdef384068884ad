"""The read barrier: a read passes only on an answer to a question asked after it, by this start."""

import asyncio

import pytest

from raftkv.errors import NoLeader, RequestTimedOut
from raftkv.node.barrier import RETRY_TICKS, ReadBarrier
from raftkv.raft import ReadState


class Asked:
    """A barrier whose questions are kept in ``contexts``; there may be no leader to ask."""

    def __init__(self, boot: int = 1, timeout: float = 60.0) -> None:
        self.contexts: list[int] = []
        self.leaderless = False
        self.barrier = ReadBarrier(asyncio.get_running_loop(), boot, timeout, self.ask, self.wake)

    def ask(self, context: int) -> None:
        if self.leaderless:
            raise NoLeader("none")
        self.contexts.append(context)

    def wake(self) -> None:
        self.barrier.start()

    async def read(self) -> "asyncio.Task[None]":
        task = asyncio.create_task(self.barrier.passed())
        await asyncio.sleep(0)
        self.barrier.start()
        return task


async def passed(task: "asyncio.Task[None]") -> bool:
    await asyncio.sleep(0)
    return task.done()


async def test_a_read_waits_for_its_index_to_be_applied() -> None:
    asked = Asked()
    read = await asked.read()
    asked.barrier.take(ReadState(asked.contexts[0], 7), applied_index=6)
    assert not await passed(read)
    asked.barrier.release(7)
    await read


async def test_a_read_that_comes_during_a_round_waits_for_the_next() -> None:
    asked = Asked()
    first = await asked.read()
    second = await asked.read()
    asked.barrier.take(ReadState(asked.contexts[0], 7), applied_index=7)
    await first
    assert not await passed(second)
    asked.barrier.take(ReadState(asked.contexts[1], 7), applied_index=7)
    await second


async def test_an_answer_to_an_earlier_start_of_the_member_answers_nothing() -> None:
    """It may come late, and its index may be behind what was acknowledged meanwhile."""
    earlier, later = Asked(boot=1), Asked(boot=2)
    await earlier.read()
    read = await later.read()
    assert earlier.contexts[0] != later.contexts[0]
    later.barrier.take(ReadState(earlier.contexts[0], 1), applied_index=9)
    assert not await passed(read)
    read.cancel()


async def test_an_answer_to_a_question_asked_again_is_of_no_use() -> None:
    asked = Asked()
    read = await asked.read()
    asked.barrier.ask_again()
    asked.barrier.take(ReadState(asked.contexts[0], 1), applied_index=9)
    assert not await passed(read)
    asked.barrier.take(ReadState(asked.contexts[1], 9), applied_index=9)
    await read


async def test_a_round_without_an_answer_is_asked_again_after_some_ticks() -> None:
    asked = Asked()
    read = await asked.read()
    for _ in range(RETRY_TICKS):
        asked.barrier.tick()
    assert len(asked.contexts) == 2
    asked.barrier.take(ReadState(asked.contexts[1], 1), applied_index=1)
    await read


async def test_without_a_leader_the_question_is_asked_once_there_is_one() -> None:
    asked = Asked()
    asked.leaderless = True
    read = await asked.read()
    assert asked.contexts == []
    asked.leaderless = False
    asked.barrier.ask_again()
    asked.barrier.take(ReadState(asked.contexts[0], 1), applied_index=1)
    await read


async def test_a_read_that_waits_too_long_is_told_so() -> None:
    asked = Asked(timeout=-1.0)
    read = await asked.read()
    asked.barrier.tick()
    with pytest.raises(RequestTimedOut):
        await read


async def test_rounds_without_an_answer_and_reads_that_time_out_are_counted() -> None:
    asked = Asked(timeout=0.0)
    read = await asked.read()
    asked.barrier.tick()
    with pytest.raises(RequestTimedOut):
        await read
    assert (asked.barrier.slow, asked.barrier.failed) == (0, 1)
    patient = Asked()
    read = await patient.read()
    for _ in range(3 * RETRY_TICKS):
        patient.barrier.tick()
    assert (patient.barrier.slow, patient.barrier.failed) == (3, 0)
    patient.barrier.take(ReadState(patient.contexts[-1], 1), applied_index=1)
    await read
