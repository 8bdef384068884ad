from datetime import UTC, datetime

import pytest

from raftkv.faults.clock import ClockEffects, FaultyClock
from raftkv.faults.orders import ClockFault


class Clocks:
    wall = 1e9
    elapsed = 50.0

    def __init__(self) -> None:
        self.faulty = FaultyClock(lambda: self.wall, lambda: self.elapsed)

    def let_pass(self, seconds: float) -> None:
        self.wall += seconds
        self.elapsed += seconds


def test_without_a_fault_it_is_right() -> None:
    clocks = Clocks()
    clocks.let_pass(7)
    assert clocks.faulty.time() == 1e9 + 7
    assert clocks.faulty.now() == datetime(2001, 9, 9, 1, 46, 47, tzinfo=UTC)
    assert clocks.faulty.effects == ClockEffects()


def test_it_jumps_at_once_and_drifts_on() -> None:
    clocks = Clocks()
    clocks.let_pass(10)
    clocks.faulty.set(ClockFault(jump_ms=-5000, drift_ppm=200_000))
    assert clocks.faulty.time() == 1e9 + 5
    clocks.let_pass(10)
    assert clocks.faulty.time() == 1e9 + 20 - 5 + 2
    assert clocks.faulty.offset_ms == pytest.approx(-3000)
    assert clocks.faulty.effects == ClockEffects(reads=2, largest_offset_ms=5000)
    clocks.faulty.set(ClockFault(drift_ppm=-1_000_000))  # it stands still
    at = clocks.faulty.time()
    clocks.let_pass(3600)
    assert clocks.faulty.time() == at
    clocks.faulty.set(ClockFault())
    assert clocks.faulty.time() == clocks.wall
