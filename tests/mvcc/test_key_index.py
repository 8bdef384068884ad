"""The ordered map of keys against a sorted list, and the log of changes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raftkv.mvcc import key_index, versions
from raftkv.mvcc.key_index import KeyIndex, after
from raftkv.mvcc.versions import ChangeLog, Version, deletion

KEYS = st.binary(max_size=2)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of few, so that a few keys split and empty them."""
    monkeypatch.setattr(key_index, "_BLOCK", 3)
    monkeypatch.setattr(versions, "_BLOCK", 3)


def same(index: KeyIndex[int], model: dict[bytes, int], start: bytes, end: bytes | None, limit: int) -> None:
    inside = [key for key in sorted(model) if key >= start and (end is None or key < end)]
    assert index.slice(start, end, limit) == [model[key] for key in inside][:limit]
    assert index.count(start, end) == len(inside)
    assert len(index) == len(model)
    assert index.get(start) == model.get(start)


@settings(max_examples=200, deadline=None)
@given(
    bulk=st.sets(KEYS),
    steps=st.lists(st.tuples(KEYS, st.booleans())),
    start=KEYS,
    end=st.none() | KEYS,
    limit=st.integers(1, 12),
)
def test_any_order_of_adding_and_removing(
    bulk: set[bytes], steps: list[tuple[bytes, bool]], start: bytes, end: bytes | None, limit: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(key_index, "_BLOCK", 3)
        model = {key: number for number, key in enumerate(sorted(bulk))}
        index = KeyIndex(sorted(model.items()))
        for number, (key, removes) in enumerate(steps):
            if key not in model:
                index.add(key, number)
                model[key] = number
            elif removes:
                index.remove(key)
                del model[key]
            else:
                index.replace(key, -number)
                model[key] = -number
            same(index, model, start, end, limit)
        same(index, model, b"", None, 10_000)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("step", [1, -1])
def test_ascending_and_descending_loads(step: int) -> None:
    keys = [b"%03d" % number for number in range(50)][::step]
    index: KeyIndex[bytes] = KeyIndex()
    for key in keys:
        index.add(key, key)
    assert index.slice(b"", None, 100) == sorted(keys)
    for key in keys:
        index.remove(key)
    assert (len(index), index.slice(b"", None, 100)) == (0, [])


@pytest.mark.usefixtures("small_blocks")
def test_misuse_is_noticed() -> None:
    index = KeyIndex((b"%d" % number, number) for number in range(8))
    for call in (lambda: index.remove(b"11"), lambda: index.replace(b"11", 0), lambda: index.add(b"3", 0)):
        with pytest.raises(AssertionError):
            call()


@given(KEYS, KEYS)
def test_after_is_the_very_next_key(key: bytes, other: bytes) -> None:
    assert key < after(key)
    assert not key < other < after(key)


@pytest.mark.usefixtures("small_blocks")
def test_changes_are_read_from_a_position_up_to_a_revision() -> None:
    log = ChangeLog()
    changes: list[Version] = [deletion(revision, sub, b"k") for revision in range(2, 9) for sub in range(2)]
    assert log.read((0, 0), 100, 10) == []
    for change in changes:
        log.append(change)
    assert log.read((0, 0), 100, 100) == changes
    assert log.read((4, 1), 6, 100) == [change for change in changes if (4, 1) <= change[:2] <= (6, 1)]
    assert log.read((4, 1), 100, 4) == [change for change in changes if change[:2] >= (4, 1)][:4]
    assert log.read((8, 2), 100, 4) == []


@pytest.mark.usefixtures("small_blocks")
def test_old_changes_are_dropped_in_bounded_portions() -> None:
    log = ChangeLog()
    for revision in range(2, 22):
        log.append(deletion(revision, 0, b"k"))
    dropped = [log.drop_before(12, 4) for _ in range(4)]
    assert dropped == [4, 4, 2, 0]
    assert [change[0] for change in log.read((0, 0), 100, 100)] == list(range(12, 22))
    log.drop_before(100, 100)
    assert len(log) == 0
    log.append(deletion(30, 0, b"k"))
    assert len(log.read((0, 0), 100, 100)) == 1


@settings(max_examples=200, deadline=None)
@given(
    before=st.lists(st.tuples(KEYS, st.booleans()), max_size=80),
    between=st.lists(st.tuples(KEYS, st.booleans()), max_size=30),
    blocks=st.integers(2, 5),
)
def test_repacking_fills_the_blocks_and_changes_no_answer(
    before: list[tuple[bytes, bool]], between: list[tuple[bytes, bool]], blocks: int
) -> None:
    """Also with keys added and removed between two steps; blocks that nobody touched since are full."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(key_index, "_BLOCK", 3)
        index: KeyIndex[int] = KeyIndex()
        model: dict[bytes, int] = {}
        change(index, model, before)
        place: bytes | None = b""
        pending = list(between)
        while place is not None:
            place = index.repack(place, blocks)
            change(index, model, pending[:1])
            del pending[:1]
            same(index, model, b"", None, 1000)
        place, calls = b"", 0
        while place is not None:
            place = index.repack(place, blocks)
            calls += 1
        same(index, model, b"", None, 1000)
        assert all(len(block) == 3 for block in index._keys[:-1])
        assert calls <= len(model) + 1


def change(index: KeyIndex[int], model: dict[bytes, int], steps: list[tuple[bytes, bool]]) -> None:
    for key, wanted in steps:
        if wanted and key not in model:
            index.add(key, len(model))
            model[key] = len(model)
        elif not wanted and key in model:
            index.remove(key)
            del model[key]
