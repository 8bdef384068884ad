"""Each request of a member is applied at most once."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raftkv.mvcc import sessions
from raftkv.mvcc.commands import RequestId
from raftkv.mvcc.sessions import BOOTS, WINDOW, Sessions


def admit(table: Sessions, *sequences: int, boot: int = 1, member: int = 1) -> list[bool]:
    return [table.admit(RequestId(member, boot, sequence)) for sequence in sequences]


def test_a_number_is_admitted_once() -> None:
    assert admit(Sessions(), 0, 1, 1, 0, 2) == [True, True, False, False, True]


def test_numbers_may_come_out_of_order_and_with_gaps() -> None:
    assert admit(Sessions(), 10, 3, 7, 3, 10, 9) == [True, True, True, False, False, True]


def test_members_and_boots_are_told_apart() -> None:
    table = Sessions()
    assert admit(table, 5) == [True]
    assert admit(table, 5, boot=2) == [True]
    assert admit(table, 5, member=2) == [True]
    assert admit(table, 5, boot=2) == [False]


def test_what_is_below_the_window_is_a_duplicate() -> None:
    table = Sessions()
    assert admit(table, WINDOW + 10) == [True]
    assert admit(table, 10, 11, 11) == [False, True, False]


def test_a_jump_beyond_the_window_forgets_nothing_it_should_know() -> None:
    table = Sessions()
    admit(table, 0, 1, 2)
    assert admit(table, 10 * WINDOW) == [True]
    assert admit(table, 2, 10 * WINDOW, 10 * WINDOW - 1, 10 * WINDOW - 1) == [False, False, True, False]


def test_the_newest_boots_are_kept_and_older_ones_are_duplicates() -> None:
    table = Sessions()
    for boot in range(1, BOOTS + 2):
        assert admit(table, 1, boot=boot) == [True]
    assert admit(table, 2, boot=1) == [False]
    assert admit(table, 2, boot=0) == [False]
    assert admit(table, 1, 2, boot=2) == [False, True]
    assert len(table.content()) == BOOTS


def test_an_older_boot_is_taken_while_there_is_room() -> None:
    table = Sessions()
    admit(table, 1, boot=9)
    assert admit(table, 1, 1, boot=3) == [True, False]


def test_content_depends_on_what_was_admitted_only() -> None:
    one, other = Sessions(), Sessions()
    admit(one, 1, 2, 3)
    admit(one, 1, member=7)
    admit(other, 1, member=7)
    admit(other, 3, 3, 1, 2, 1)
    assert one.content() == other.content()


@pytest.mark.parametrize("start", [0, WINDOW - 10, WINDOW + 7])
def test_numbers_skipped_after_a_full_window_are_admitted_when_they_arrive(start: int) -> None:
    """The places of the skipped numbers held other numbers one window before."""
    table = Sessions()
    assert all(admit(table, *range(start, start + WINDOW)))
    last = start + WINDOW - 1
    assert admit(table, last + 20) == [True]
    assert all(admit(table, *range(last + 1, last + 20)))
    assert not any(admit(table, *range(last - 100, last + 21)))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 3), st.integers(-9, 9)), max_size=60), st.integers(0, 9))
def test_any_arrival_order_follows_the_rule(arrivals: list[tuple[int, int]], start: int) -> None:
    """The rule said again with plain sets, for windows of 8 numbers and 2 boots."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sessions, "WINDOW", 8)
        patch.setattr(sessions, "BOOTS", 2)
        table = Sessions()
        boots: dict[int, set[int]] = {}
        newest = start
        for boot, distance in arrivals:
            sequence = max(newest + distance, 0)
            newest = max(newest, sequence)
            expected = boot in boots or len(boots) < 2 or boot > min(boots)
            if expected:
                if boot not in boots and len(boots) == 2:
                    del boots[min(boots)]
                seen = boots.setdefault(boot, set())
                expected = sequence not in seen and sequence > max(seen, default=-1) - 8
                if expected:
                    seen.add(sequence)
            assert table.admit(RequestId(1, boot, sequence)) is expected
