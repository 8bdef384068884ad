"""Nodes that a fault is busy with are free again, however it goes."""

from collections.abc import Sequence
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from raftkv.chaos.errors import ChaosError, NotNow
from raftkv.chaos.faults.nodes import OfNodes
from raftkv.chaos.system import Effect


class Strikes(OfNodes):
    """Fails where it is told to: at its begin, at its end."""

    def __init__(self, *fails: str) -> None:
        super().__init__(first)
        self.fails = fails
        self.mended = 0

    async def _strike(self, random: Random) -> str:
        if "begin" in self.fails:
            raise ChaosError("half-way")
        return "struck"

    async def _mend(self) -> Sequence[Effect]:
        self.mended += 1
        if "end" in self.fails:
            raise ChaosError("it did not come back")
        return [Effect("nodes struck", 1)]


async def first(cluster: Any, random: Random) -> list[str]:
    return ["n1"]


def a_cluster() -> Any:
    return SimpleNamespace(claims=set(), by_name={"n1": None, "n2": None})


async def test_nobody_else_has_a_node_until_the_fault_is_over() -> None:
    cluster, fault = a_cluster(), Strikes()
    assert await fault.begin(cluster, Random(1)) == (("n1",), "struck")
    with pytest.raises(NotNow):
        await Strikes().begin(cluster, Random(1))
    assert cluster.claims == {"n1"}
    assert await fault.end() == [Effect("nodes struck", 1)]
    assert cluster.claims == set()


@pytest.mark.parametrize("fails", [("begin",), ("begin", "end")])
async def test_a_fault_that_fails_half_way_is_mended_and_lets_its_nodes_go(fails: tuple[str, ...]) -> None:
    cluster, fault = a_cluster(), Strikes(*fails)
    with pytest.raises(ChaosError):
        await fault.begin(cluster, Random(1))
    assert fault.mended == 1
    assert cluster.claims == set()


async def test_a_node_that_does_not_come_back_is_let_go_too() -> None:
    cluster, fault = a_cluster(), Strikes("end")
    await fault.begin(cluster, Random(1))
    with pytest.raises(ChaosError, match="come back"):
        await fault.end()
    assert cluster.claims == set()
