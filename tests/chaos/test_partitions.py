"""What the kinds of partitions leave whole."""

from random import Random

import pytest

from raftkv.chaos.faults import partitions
from raftkv.chaos.faults.partitions import Cut, Draw

NODES = ("n1", "n2", "n3", "n4", "n5")
ALL: tuple[Draw, ...] = (
    partitions.one_alone,
    partitions.leader_alone,
    partitions.halves,
    partitions.deaf,
    partitions.mute,
    partitions.bridge,
    partitions.ring,
)


def draws(draw: Draw, size: int) -> list[tuple[Cut, str]]:
    random, found = Random(7), []
    for _ in range(30):
        leader = random.choice(NODES[:size])
        found.append((draw(random, NODES[:size], leader), leader))
    return found


def hears(cut: Cut, node: str, size: int) -> set[str]:
    """Who is heard by a node, itself included."""
    return {other for other in NODES[:size] if other == node or (other, node) not in cut.ways}


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("draw", ALL)
def test_a_cut_is_among_the_nodes_and_cuts_something(draw: Draw, size: int) -> None:
    for cut, _ in draws(draw, size):
        assert cut.ways
        assert len(set(cut.ways)) == len(cut.ways)
        assert all(a != b and {a, b} <= set(NODES[:size]) for a, b in cut.ways)
        assert set(cut.targets) <= set(NODES[:size])


@pytest.mark.parametrize("size", [3, 5])
def test_who_is_alone_hears_nobody_and_is_heard_by_nobody(size: int) -> None:
    for cut, leader in draws(partitions.leader_alone, size):
        assert cut.targets == (leader,)
        assert hears(cut, leader, size) == {leader}
        assert all(
            hears(cut, other, size) == set(NODES[:size]) - {leader}
            for other in NODES[:size]
            if other != leader
        )


@pytest.mark.parametrize("size", [3, 5])
def test_halves_are_a_minority_and_a_majority(size: int) -> None:
    for cut, _ in draws(partitions.halves, size):
        small = set(cut.targets)
        assert len(small) == size // 2
        for node in NODES[:size]:
            assert hears(cut, node, size) == (small if node in small else set(NODES[:size]) - small)


@pytest.mark.parametrize("size", [3, 5])
def test_one_way_is_one_way(size: int) -> None:
    for cut, _ in draws(partitions.deaf, size):
        assert hears(cut, cut.targets[0], size) == {cut.targets[0]}
        assert all(cut.targets[0] in hears(cut, node, size) for node in NODES[:size])
    for cut, _ in draws(partitions.mute, size):
        assert hears(cut, cut.targets[0], size) == set(NODES[:size])
        assert sum(cut.targets[0] in hears(cut, node, size) for node in NODES[:size]) == 1


def test_a_bridge_is_reached_by_both_sides() -> None:
    for cut, _ in draws(partitions.bridge, 5):
        assert sorted(len(hears(cut, node, 5)) for node in NODES) == [3, 3, 3, 3, 5]


def test_the_leader_is_on_one_side_of_a_bridge() -> None:
    """In the middle it would reach everybody, and followers have nothing to say to each other."""
    for cut, leader in draws(partitions.bridge, 3):
        assert len(hears(cut, leader, 3)) == 2


def test_in_a_ring_of_five_each_hears_a_majority_and_no_two_the_same() -> None:
    for cut, _ in draws(partitions.ring, 5):
        heard = [frozenset(hears(cut, node, 5)) for node in NODES]
        assert [len(one) for one in heard] == [3] * 5
        assert len(set(heard)) == 5


def test_in_a_ring_of_three_each_hears_one_other() -> None:
    for cut, _ in draws(partitions.ring, 3):
        assert [len(hears(cut, node, 3)) for node in NODES[:3]] == [2] * 3
