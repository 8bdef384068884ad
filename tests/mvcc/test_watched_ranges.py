"""Many ranges, and which of them hold a key."""

from hypothesis import given, settings
from hypothesis import strategies as st

from raftkv.mvcc.bounds import Bounds
from raftkv.mvcc.watched_ranges import WatchedRanges

KEYS = st.binary(max_size=2)
BOUNDS = st.tuples(KEYS, KEYS | st.none()).filter(lambda b: b[1] is None or b[0] < b[1])


@settings(max_examples=60, deadline=None)
@given(
    added=st.lists(BOUNDS, unique=True, max_size=300),
    removed=st.sets(st.integers(0, 299)),
    keys=st.lists(KEYS, min_size=1),
)
def test_the_ranges_that_hold_a_key_are_found(
    added: list[Bounds], removed: set[int], keys: list[bytes]
) -> None:
    ranges: WatchedRanges[int] = WatchedRanges()
    kept = dict(enumerate(added))
    for number, bounds in kept.items():
        ranges.add(bounds, number)
    for number in removed & set(kept):
        ranges.remove(kept.pop(number))
    assert len(ranges) == len(kept)
    assert [ranges.get(bounds) for bounds in kept.values()] == list(kept) == ranges.values()
    for key in [*keys, *(bounds[0] for bounds in added)]:
        holding = [n for n, (start, end) in kept.items() if start <= key and (end is None or key < end)]
        assert sorted(ranges.holding(key)) == holding


def test_a_range_that_is_gone_can_come_back() -> None:
    ranges: WatchedRanges[str] = WatchedRanges()
    for value in ("first", "second"):
        ranges.add((b"a", None), value)
        assert ranges.holding(b"b") == [value]
        ranges.remove((b"a", None))
        assert (len(ranges), ranges.holding(b"b"), ranges.get((b"a", None))) == (0, [], None)


def test_ranges_with_the_same_start_are_not_looked_through_one_by_one() -> None:
    """A stream with ten thousand of them held the loop for half a second when it was closed."""
    compared = 0

    class Counted(bytes):
        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return bytes.__eq__(self, other)  # type: ignore[arg-type]

        __hash__ = bytes.__hash__

    ranges: WatchedRanges[int] = WatchedRanges()
    for number in range(5000):
        ranges.add((Counted(b"a"), b"b%05d" % number), number)
    compared = 0
    ranges.remove((b"a", b"b02500"))
    ranges.add((Counted(b"a"), b"b02500"), 2500)
    assert 0 < compared < 100
