"""Bugs of the simulator itself: each is told by a test (rows H of the catalogue)."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from raftkv.sim.draw import DEFAULT_KINDS, _Faults, draw_scenario, profile_named
from raftkv.sim.driver import Driver
from raftkv.sim.mutants.report import HARNESS
from raftkv.sim.run import run_scenario
from raftkv.sim.scenario import Fault
from tests.sim.test_draw import test_each_kind_can_be_drawn_alone_and_happens as each_kind_happens

ROOT = Path(__file__).parent.parent.parent
SOME = {kind: 1.0 for kind in DEFAULT_KINDS if kind in ("weather", "pause", "slow disk", "clock")}


def every_fault_that_is_drawn_is_fired() -> None:
    scenario = draw_scenario(1, replace(profile_named("default"), kinds=SOME))
    result = run_scenario(scenario)
    fired = {name: count for name, count in result.marks.items() if name.startswith("fault ")}
    assert fired == Counter(f"fault {fault.kind}" for fault in scenario.faults)


def test_a_kind_of_fault_that_is_never_drawn_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """H3: the scheduler has nothing to say for a kind."""

    def nothing(_: _Faults, _at: float) -> Iterator[Fault]:
        return iter(())

    each_kind_happens("weather")
    monkeypatch.setattr(_Faults, "_weather", nothing)
    with pytest.raises(AssertionError):
        each_kind_happens("weather")


def test_a_fault_that_is_drawn_and_never_fired_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """H3: the scheduler loses what was drawn; the marks that it leaves tell."""
    let_happen = Driver.let_happen

    def but_no_weather(self: Driver, fault: Fault) -> None:
        if fault.kind != "weather":
            let_happen(self, fault)

    every_fault_that_is_drawn_is_fired()
    monkeypatch.setattr(Driver, "let_happen", but_no_weather)
    with pytest.raises(AssertionError):
        every_fault_that_is_drawn_is_fired()


def test_the_page_names_tests_that_are_there() -> None:
    assert [row.id for row in HARNESS] == ["H1", "H2", "H3", "H4"]
    for row in HARNESS:
        for place in row.tests:
            file, _, name = place.partition("::")
            assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8"), place
