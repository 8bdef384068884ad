"""The simulator's clients do all that the workloads have, and what is wrong with it is seen."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from raftkv.mvcc.parts import pack_block
from raftkv.mvcc.store import Store
from raftkv.mvcc.store_dump import CHANGES, VERSIONS
from raftkv.node.expiry import Expiry
from raftkv.schema.kv import TxnRequest
from raftkv.service import KvService
from raftkv.service.recipes import Queue
from raftkv.service.watch import WatchStream
from raftkv.sim import edits
from raftkv.sim.checks import snapshot_digest
from raftkv.sim.clients import slack_of, workload_of
from raftkv.sim.draw import OTHER_WORKLOADS, WORKLOADS, draw_scenario, profile_named
from raftkv.sim.run import Result, run_scenario
from raftkv.sim.scenario import Fault, Heal, Operation, Scenario, format_scenario, parse_scenario
from raftkv.workloads import NAMES

SHORT = 5.0
"""When a short run heals."""


def short(seed: int, name: str, *, faults: bool = True) -> Scenario:
    """Return the first seconds of a seed's scenario."""
    scenario = draw_scenario(seed, profile_named(name))
    assert scenario.heal is not None
    return replace(
        scenario,
        faults=tuple(fault for fault in scenario.faults if fault.at < SHORT) if faults else (),
        operations=tuple(one for one in scenario.operations if one.at < SHORT),
        heal=Heal(SHORT, scenario.heal.core),
    )


def run(seed: int, name: str, *, faults: bool = True) -> Result:
    return run_scenario(short(seed, name, faults=faults))


def test_half_of_the_default_seeds_are_about_keys_and_all_others_have_their_share() -> None:
    assert WORKLOADS.count("kv") * 2 == len(WORKLOADS)
    assert set(WORKLOADS) == set(NAMES) - {"unfenced"}
    drawn = {draw_scenario(seed, profile_named("default")).workload for seed in range(150)}
    assert drawn == set(WORKLOADS)


def test_the_usual_workload_draws_as_if_there_were_no_others() -> None:
    seeds = [seed for seed in range(12) if draw_scenario(seed, profile_named("default")).workload == "kv"]
    assert len(seeds) > 3
    for seed in seeds:
        default, keys = (draw_scenario(seed, profile_named(name)) for name in ("default", "kv"))
        assert default == keys


@pytest.mark.parametrize("name", OTHER_WORKLOADS)
def test_a_workload_passes_and_is_the_same_each_time(name: str) -> None:
    one, other = run(2, name), run(2, name)
    assert one.check == "", one.detail
    assert (one.digest, one.completed) == (other.digest, other.completed)
    assert one.completed > 20


@pytest.mark.parametrize("name", NAMES)
def test_a_scenario_with_its_workload_can_be_written_down(name: str) -> None:
    scenario = short(3, name)
    assert scenario.workload == name
    assert parse_scenario(format_scenario(scenario)) == scenario
    assert ("workload" in format_scenario(scenario)) is (name != "kv")
    assert workload_of(scenario).name == name


def test_a_lock_without_fencing_fails_and_says_so() -> None:
    found = [run(seed, "unfenced") for seed in range(4)]
    assert any(one.check in ("overlap", "lost-update") for one in found), [one.detail for one in found]


def test_a_run_nobody_can_prepare_for_ends_all_the_same() -> None:
    """The clients of a bank without accounts do nothing."""
    operations = (Operation(1.0, "c1", "n1", ("read",)),)
    faults = tuple(Fault(0.06, "crash", (f"n{number}", "all")) for number in (1, 2, 3))
    scenario = Scenario(workload="bank", operations=operations, faults=faults, heal=Heal(3.0, ("n1", "n2")))
    assert run_scenario(scenario).check == ""


def test_names_are_changed_behind_the_name_of_the_part() -> None:
    operation = Operation(1.0, "c1", "n1", ("kv", "scan", "k1", "k2"))
    mixed = Scenario(workload="mixed", operations=(operation,))
    (renamed,) = edits.with_names(mixed, {"k2": "k1", "kv": "odd"}).operations
    assert renamed.words == ("kv", "scan", "k1")


def test_the_clocks_of_a_scenario_bound_how_early_a_lease_may_end() -> None:
    def with_faults(*faults: Fault) -> float:
        return slack_of(Scenario(faults=faults))

    assert with_faults() == 0
    assert with_faults(Fault(1, "jump", ("n1", "1.5")), Fault(2, "jump", ("n2", "10"))) == 11.5
    assert with_faults(Fault(1, "drift", ("n1", "0.9"))) == 0
    assert with_faults(Fault(1, "drift", ("n1", "1.1"))) == pytest.approx(4 * (1 - 1 / 1.1))


# ---------------------------------------------------------------- bugs


def wrong_checks(name: str, seeds: range = range(3)) -> set[str]:
    found = {run(seed, name, faults=False).check for seed in seeds}
    return found - {""}


def test_a_watch_that_loses_an_event_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    take: Callable[..., bool] = WatchStream.take

    def forgetful(self: WatchStream, watch: Any, changes: Any) -> bool:
        return changes.revision % 5 == 0 or take(self, watch, changes)

    monkeypatch.setattr(WatchStream, "take", forgetful)
    assert wrong_checks("watch") & {"reliable", "resumable", "converged", "bookmarkable"}
    assert wrong_checks("mixed")


def test_guards_that_are_ignored_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    txn = KvService.txn

    async def unguarded(self: KvService, request: TxnRequest) -> Any:
        return await txn(self, replace(request, compare=[]))

    monkeypatch.setattr(KvService, "txn", unguarded)
    for name in ("append", "register", "counter"):
        assert wrong_checks(name)


def test_a_lock_for_everybody_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    async def first_of_all(self: Queue, place: Any) -> Any:
        return (await self._look(place))._replace(older=None)

    monkeypatch.setattr(Queue, "wait_for_front", first_of_all)
    assert wrong_checks("lock") & {"exclusion", "fencing"}
    assert wrong_checks("election")


def test_leases_that_never_end_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    start = Expiry._start
    monkeypatch.setattr(Expiry, "_start", lambda self, lease, seconds: start(self, lease, seconds + 100))
    assert wrong_checks("lease")


def test_leases_that_end_too_early_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    start = Expiry._start
    monkeypatch.setattr(Expiry, "_start", lambda self, lease, seconds: start(self, lease, seconds * 0.3))
    assert wrong_checks("lease")


def test_a_snapshot_is_what_it_holds_however_its_blocks_were_cut() -> None:
    """Keys that come while the store is dumped take room in a step, so that its blocks end elsewhere."""

    def digest(*blocks: bytes) -> bytes:
        return snapshot_digest(None, [(Store.name, 1, block) for block in blocks])

    one, other = (2, 0, 2, 1, 0, b"a", b"x"), (3, 0, 3, 1, 0, b"b", b"y")
    whole = digest(pack_block(VERSIONS, [one, other]))
    assert (
        digest(pack_block(VERSIONS, [one]), pack_block(VERSIONS, []), pack_block(VERSIONS, [other])) == whole
    )
    assert digest(pack_block(VERSIONS, [other, one])) != whole
    assert digest(pack_block(VERSIONS, [one]), pack_block(CHANGES, [other])) != whole
    assert digest(pack_block(VERSIONS, [one])) != whole
