"""Many runs: which ones, and what is said of all together."""

from pathlib import Path

import pytest

from raftkv.chaos.figures import Wanted
from raftkv.chaos.matrix import HEADER, Result, as_markdown, cells, rows, worst
from raftkv.chaos.order import Order
from raftkv.chaos.record import RunVerdict
from raftkv.chaos.runner import found_one, judge
from raftkv.errors import ConfigError
from raftkv.workloads import NAMES
from tests.chaos.records import a_record


def test_all_workloads_but_the_unfenced_lock_under_each_group_and_all() -> None:
    found = cells("all", "each", "raftkv")
    workloads = {cell.workload for cell in found}
    assert workloads == set(NAMES) - {"unfenced"}
    groups = {cell.faults for cell in found}
    assert groups >= {"kill", "pause", "partition", "disk", "clock", "all"}
    assert len(found) == len(workloads) * len(groups)


def test_a_system_gets_the_groups_that_it_can_have() -> None:
    assert "disk" not in {cell.faults for cell in cells("kv", "each", "etcd")}
    assert {cell.faults for cell in cells("kv", "each", "external")} == {"client-links", "all"}


def test_workloads_and_groups_can_be_named() -> None:
    assert [tuple(cell) for cell in cells("unfenced,kv", "kill,pause", "raftkv")] == [
        ("unfenced", "kill"), ("unfenced", "pause"), ("kv", "kill"), ("kv", "pause"),
    ]  # fmt: skip
    with pytest.raises(ConfigError, match="nothing"):
        cells("nothing", "kill", "raftkv")
    with pytest.raises(ConfigError, match="etcd can't have faults of the group disk"):
        cells("kv", "kill,disk", "etcd")


def test_the_worst_verdict_is_that_of_all() -> None:
    passed, weak, error, failed = (RunVerdict(name) for name in ("passed", "weak", "error", "failed"))
    assert worst([passed, weak, passed]) is weak
    assert worst([weak, error]) is error
    assert worst([error, failed, passed]) is failed
    assert worst([passed]) is passed
    assert worst([]) is weak


def test_each_run_has_a_row() -> None:
    record = a_record()
    record.findings.append(found_one("crashes", "crash", "n1 ended | by itself\nlast words"))
    judge(record, Wanted((), 4.0, "register"))
    order = Order("raftkv", 3, "register", "kill", 4.0, 7, Path("run"))
    [row] = rows([Result(order, record)])
    assert row[:3] == ("register", "kill", "failed")
    assert row[-1] == "crashes"
    table = as_markdown([Result(order, record)])
    assert all(line.count("|") == len(HEADER) + 1 for line in table.splitlines())
