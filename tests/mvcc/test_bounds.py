"""The three forms of a range, and unions of ranges."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from raftkv.mvcc.bounds import BoundsSet, bounds

KEYS = st.binary(max_size=2)
RANGES = st.tuples(KEYS, st.none() | KEYS)


def inside(key: bytes, start: bytes, end: bytes | None) -> bool:
    return key >= start and (end is None or key < end)


def test_the_three_forms() -> None:
    assert bounds(b"a", b"") == (b"a", b"a\x00")
    assert bounds(b"a", b"\x00") == (b"a", None)
    assert bounds(b"a", b"c") == (b"a", b"c")


@given(st.lists(RANGES, max_size=8), st.lists(RANGES, max_size=8), KEYS)
def test_a_union_holds_what_any_of_its_ranges_holds(
    ranges: list[tuple[bytes, bytes | None]], more: list[tuple[bytes, bytes | None]], key: bytes
) -> None:
    union, other = BoundsSet(), BoundsSet()
    for start, end in ranges:
        union.add(start, end)
    for start, end in more:
        other.add(start, end)
    union.update(other)
    for probe in (key, *(start for start, _ in ranges), *(end for _, end in more if end is not None)):
        assert (probe in union) == any(inside(probe, start, end) for start, end in ranges + more)


@given(st.lists(RANGES, max_size=8))
def test_the_ranges_of_a_union_are_disjoint_and_ascending(ranges: list[tuple[bytes, bytes | None]]) -> None:
    union = BoundsSet()
    for start, end in ranges:
        union.add(start, end)
    flat = list(union.ranges())
    for (_, end), (start, _) in pairwise(flat):
        assert end is not None
        assert end < start
