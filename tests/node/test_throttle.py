"""The bound on bytes a second, on a clock that only this test moves."""

import asyncio

import pytest

from raftkv.node.throttle import Throttle


class Clock:
    """Stands in for the loop: ``sleep`` notes how long somebody waits."""

    def __init__(self) -> None:
        self.now = 100.0
        self.waited: list[float] = []

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.waited.append(seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("raftkv.node.throttle.asyncio.get_running_loop", lambda: clock)
    monkeypatch.setattr("raftkv.node.throttle.asyncio.sleep", clock.sleep)
    return clock


def test_those_who_come_at_once_wait_their_turn(clock: Clock) -> None:
    throttle = Throttle(1000)

    async def take_three() -> None:
        for _ in range(3):
            await throttle.take(500)

    asyncio.run(take_three())
    assert clock.waited == [0.0, 0.5, 1.0]


def test_a_pause_saves_nothing_up(clock: Clock) -> None:
    throttle = Throttle(1000)

    async def take_later() -> None:
        await throttle.take(500)
        clock.now += 60
        await throttle.take(500)
        await throttle.take(500)

    asyncio.run(take_later())
    assert clock.waited == [0.0, 0.0, 0.5]
