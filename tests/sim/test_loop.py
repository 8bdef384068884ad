"""The loop on a virtual clock: order, clocks, pauses, and members that end at any instant."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from raftkv.sim import loop as loop_module
from raftkv.sim.loop import Deadlock, Incarnation, Livelock, SimLoop, bury


@pytest.fixture
def loop() -> Iterator[SimLoop]:
    one = SimLoop()
    asyncio.set_event_loop(one)
    yield one
    asyncio.set_event_loop(None)
    one.close()


def clock_of(loop: SimLoop, seen: list[Any], name: str, *waits: float) -> Coroutine[Any, Any, None]:
    async def work() -> None:
        for wait in waits:
            await asyncio.sleep(wait)
            seen.append((name, round(loop.time(), 6)))

    return work()


def test_time_passes_only_when_nobody_has_anything_to_do(loop: SimLoop) -> None:
    seen: list[Any] = []

    async def busy() -> None:
        for _ in range(1000):
            await asyncio.sleep(0)
        seen.append(loop.now)
        await asyncio.sleep(86_400)
        seen.append(loop.now)

    loop.run_until_complete(busy())
    assert seen == [0.0, 86_400.0]


def test_callbacks_run_in_order_and_timers_by_time_and_then_in_the_order_they_were_set(loop: SimLoop) -> None:
    seen: list[str] = []
    loop.call_later(2, seen.append, "later")
    loop.call_later(1, seen.append, "first of two")
    loop.call_later(1, seen.append, "second of two")
    loop.call_soon(seen.append, "at once")
    loop.call_soon(seen.append, "then")
    loop.run_until_complete(asyncio.sleep(3))
    assert seen == ["at once", "then", "first of two", "second of two", "later"]


def test_a_timer_in_the_past_runs_after_what_is_due_already(loop: SimLoop) -> None:
    seen: list[str] = []

    async def work() -> None:
        await asyncio.sleep(1)
        loop.call_at(0.5, seen.append, "late")
        loop.call_soon(seen.append, "due")
        await asyncio.sleep(0.1)
        assert loop.now == 1.1

    loop.run_until_complete(work())
    assert seen == ["due", "late"]


def test_what_is_cancelled_does_not_run(loop: SimLoop) -> None:
    seen: list[str] = []
    timer, soon = loop.call_later(1, seen.append, "timer"), loop.call_soon(seen.append, "soon")
    assert timer.when() == 1.0 and not timer.cancelled()
    timer.cancel()
    soon.cancel()
    assert timer.cancelled()
    loop.run_until_complete(asyncio.sleep(2))
    assert seen == []


def test_timeouts_and_cancellation_work_as_on_any_loop(loop: SimLoop) -> None:
    async def work() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3):
                await asyncio.Event().wait()
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(2))
            sleeper = group.create_task(asyncio.sleep(100))
            await asyncio.sleep(1)
            sleeper.cancel()
        return loop.now

    assert loop.run_until_complete(work()) == 5.0


def test_a_member_has_a_clock_that_drifts_and_an_offset(loop: SimLoop) -> None:
    seen: list[Any] = []
    fast = Incarnation("fast", drift=2.0, offset=100.0)
    loop.spawn(fast, clock_of(loop, seen, "fast", 4, 4), "work")
    loop.run_until_complete(clock_of(loop, seen, "world", 3, 2))
    assert seen == [("fast", 104.0), ("world", 3.0), ("fast", 108.0), ("world", 5.0)]


def test_a_drift_changes_the_pace_and_not_the_time_shown(loop: SimLoop) -> None:
    one = Incarnation("one", drift=1.1, offset=3.0)
    shown = one.local(10.0)
    one.set_drift(0.5, 10.0)
    assert one.local(10.0) == pytest.approx(shown)
    assert one.local(12.0) == pytest.approx(shown + 1.0)
    assert one.true(one.local(17.0)) == pytest.approx(17.0)


def test_a_paused_member_does_nothing_and_then_everything_that_came_meanwhile(loop: SimLoop) -> None:
    seen: list[Any] = []
    one = Incarnation("one")
    loop.spawn(one, clock_of(loop, seen, "one", 1, 1, 1), "work")

    async def world() -> None:
        await asyncio.sleep(1.5)
        loop.pause(one)
        await asyncio.sleep(5)
        assert seen == [("one", 1.0)]
        loop.resume(one)
        await asyncio.sleep(5)

    loop.run_until_complete(world())
    assert seen == [("one", 1.0), ("one", 6.5), ("one", 7.5)]


@pytest.mark.parametrize("end", ["end", "pause then end"])
def test_of_a_member_that_ended_nothing_runs_any_more_not_even_finally(loop: SimLoop, end: str) -> None:
    seen: list[Any] = []
    one = Incarnation("one")

    async def work() -> None:
        try:
            await asyncio.sleep(2)
            seen.append("went on")
        finally:
            seen.append("finally")

    async def world() -> None:
        loop.spawn(one, work(), "work")
        await asyncio.sleep(1)
        if end != "end":
            loop.pause(one)
            await asyncio.sleep(5)  # its timer came, and waits for it to be resumed
        loop.end(one)
        loop.resume(one)
        await asyncio.sleep(5)

    loop.run_until_complete(world())
    assert seen == []
    bury(one)
    assert seen == ["finally"], "its last words, when nothing listens any more"
    assert one.tasks == {}


def test_the_end_of_a_member_takes_back_what_it_was_about_to_do(loop: SimLoop) -> None:
    """Callbacks that were due in the same round are its too, and the world's timers are not."""
    seen: list[str] = []
    one = Incarnation("one")

    async def work() -> None:
        loop.call_soon(seen.append, "soon")
        loop.call_later(1, seen.append, "later")
        loop.call_world_at(loop.now + 1, seen.append, "in the world's name")
        loop.call_soon(loop.end, one)
        loop.call_soon(seen.append, "too late")
        await asyncio.sleep(0)

    loop.spawn(one, work(), "work")
    loop.run_until_complete(asyncio.sleep(3))
    assert seen == ["soon", "in the world's name"]
    bury(one)


def test_to_bury_ends_coroutines_that_do_not_want_to(loop: SimLoop) -> None:
    one = Incarnation("one")
    seen: list[str] = []

    async def stubborn() -> None:
        try:
            await asyncio.sleep(10)
        finally:
            seen.append("begins to clean up")
            await asyncio.sleep(10)
            seen.append("never")

    loop.spawn(one, stubborn(), "work")
    loop.run_until_complete(asyncio.sleep(1))
    loop.end(one)
    bury(one)
    assert seen == ["begins to clean up"]


def test_tasks_and_callbacks_inherit_whose_they_are(loop: SimLoop) -> None:
    seen: list[float] = []
    one = Incarnation("one", offset=50.0)

    async def child() -> None:
        await asyncio.sleep(1)
        seen.append(loop.time())

    async def parent() -> None:
        await asyncio.create_task(child())

    loop.spawn(one, parent(), "work")
    loop.run_until_complete(asyncio.sleep(2))
    assert seen == [51.0]
    assert len(one.tasks) == 2


def test_to_wait_for_what_cannot_happen_is_told(loop: SimLoop) -> None:
    with pytest.raises(Deadlock, match=r"after 2\.0"):
        loop.run_until_complete(after(2.0, lambda: asyncio.Event().wait()))


def test_to_keep_busy_without_letting_time_pass_is_told(
    loop: SimLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_module, "MAX_CALLBACKS_AN_INSTANT", 100)

    async def forever() -> None:
        while True:
            await asyncio.sleep(0)

    with pytest.raises(Livelock, match=r"at 1\.0"):
        loop.run_until_complete(after(1.0, forever))
    for task in asyncio.all_tasks(loop):
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001
        task.get_coro().close()  # type: ignore[union-attr]


def after(seconds: float, work: Callable[[], Coroutine[Any, Any, Any]]) -> Coroutine[Any, Any, None]:
    async def first() -> None:
        await asyncio.sleep(seconds)
        await work()

    return first()


def test_an_error_in_a_callback_is_kept_with_whose_it_was(loop: SimLoop) -> None:
    one = Incarnation("one")

    async def work() -> None:
        loop.call_soon(int, "no number")
        await asyncio.sleep(0)

    loop.spawn(one, work(), "work")
    loop.run_until_complete(asyncio.sleep(1))
    ((owner, context),) = loop.failures
    assert owner is one and isinstance(context["exception"], ValueError)


def test_there_are_no_threads(loop: SimLoop) -> None:
    with pytest.raises(AssertionError, match="thread"):
        loop.run_until_complete(asyncio.to_thread(len, ""))
