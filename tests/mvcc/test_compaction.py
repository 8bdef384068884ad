"""Compaction: what it forbids at once, and what it removes with time."""

import pytest

from raftkv import errors
from raftkv.mvcc.store import Store
from raftkv.mvcc.versions import KEY, MOD, VERSION
from raftkv.schema.kv import CompactionRequest, DeleteRangeRequest, PutRequest, RangeRequest, TxnRequest
from tests.mvcc.requests import EVERYTHING, compact, delete, keys_of, nested, put, store_with


def kept(store: Store) -> int:
    """Return how many versions the store holds, by the bytes they are counted with."""
    total = sum(len(entry) if isinstance(entry, list) else 1 for entry in store.table.walk(b"", None))
    return total


def test_a_never_compacted_store_stands_at_minus_1_and_can_be_compacted_to_0_once() -> None:
    store = Store()
    assert store.compact_revision == -1
    with pytest.raises(errors.Compacted):
        store.compact(CompactionRequest(-1))
    assert store.compact(CompactionRequest(0)).header.revision == 1
    assert store.compact_revision == 0
    with pytest.raises(errors.Compacted):
        store.compact(CompactionRequest(0))
    assert not store.compact_step(10)
    assert store.compacted_physically() == 0


def test_a_compaction_must_go_forward_and_not_beyond_the_current_revision() -> None:
    store = store_with(b"a", b"a", b"a")
    store.compact(CompactionRequest(3))
    for revision in (2, 3):
        with pytest.raises(errors.Compacted):
            store.compact(CompactionRequest(revision))
    with pytest.raises(errors.FutureRevision):
        store.compact(CompactionRequest(5))
    assert store.compact(CompactionRequest(4)).header.revision == 4


def test_reads_are_forbidden_before_anything_is_removed() -> None:
    store = store_with(b"a", b"a", b"a")
    store.compact(CompactionRequest(3))
    assert kept(store) == 3
    with pytest.raises(errors.Compacted):
        store.range(RangeRequest(b"a", revision=2))
    assert store.compacted_physically() == -1


def test_compaction_does_not_move_the_revision() -> None:
    store = store_with(b"a", b"a")
    compact(store, 2)
    assert store.revision == 3


def test_the_newest_version_at_or_below_the_revision_is_kept_and_all_above() -> None:
    store = store_with(b"a", b"a", b"b", b"a", b"a")
    compact(store, 4)
    assert kept(store) == 4
    for revision, expected in ((4, 3), (5, 5), (6, 6)):
        assert store.range(RangeRequest(b"a", revision=revision)).kvs[0].mod_revision == expected
    assert store.range(RangeRequest(b"b", revision=4)).kvs[0].mod_revision == 4


def test_a_version_alone_is_kept_however_old() -> None:
    store = store_with(b"old", *[b"hot"] * 50)
    for revision in (10, 20, store.revision):
        compact(store, revision)
    assert store.range(RangeRequest(b"old")).kvs[0].mod_revision == 2
    assert kept(store) == 2


def test_a_deletion_at_or_below_the_revision_goes_with_its_key() -> None:
    store = store_with(b"a", b"b")
    store.delete_range(DeleteRangeRequest(b"a"))
    compact(store, 4)
    assert kept(store) == 1
    assert keys_of(store.range(RangeRequest(**EVERYTHING, revision=4))) == [b"b"]
    assert store.range(RangeRequest(**EVERYTHING, count_only=True)).count == 1


def test_a_deletion_followed_by_a_new_life_goes_and_the_new_life_stays() -> None:
    store = store_with(b"a")
    store.delete_range(DeleteRangeRequest(b"a"))
    store.put(PutRequest(b"a", b"again"))
    compact(store, 3)
    assert kept(store) == 1
    assert store.range(RangeRequest(b"a", revision=3)).kvs == []
    assert store.range(RangeRequest(b"a", revision=4)).kvs[0].version == 1


def test_a_deletion_above_the_revision_stays_with_what_it_deleted() -> None:
    store = store_with(b"a", b"b")
    store.delete_range(DeleteRangeRequest(b"a"))
    compact(store, 3)
    assert keys_of(store.range(RangeRequest(**EVERYTHING, revision=3))) == [b"a", b"b"]
    assert keys_of(store.range(RangeRequest(**EVERYTHING, revision=4))) == [b"b"]


def test_a_key_changed_twice_in_one_revision_is_compacted_to_its_last_state() -> None:
    store = store_with(b"a", b"b")
    store.txn(TxnRequest(success=[delete(b"b", b"\x00"), put(b"b", b"new")]))
    store.txn(TxnRequest(success=[nested([put(b"a", b"x")]), nested([delete(b"a")])]))
    compact(store, 5)
    assert [(kv.key, kv.value) for kv in store.range(RangeRequest(**EVERYTHING)).kvs] == [(b"b", b"new")]
    assert kept(store) == 1


def test_who_reads_on_from_the_compacted_revision_misses_no_change_of_it() -> None:
    """A deletion at that very revision is no state worth keeping, but a watcher from there must see it."""
    store = store_with(b"a", b"b")
    store.delete_range(DeleteRangeRequest(b"a", b"c"))
    store.put(PutRequest(b"c"))
    compact(store, 4)
    changes = store.table.changes.read((4, 0), store.revision, 100)
    assert [(c[MOD], c[KEY], c[VERSION]) for c in changes] == [(4, b"a", 0), (4, b"b", 0), (5, b"c", 1)]
    assert len(store.table.changes) == 3


def test_removal_goes_in_slices_and_reports_when_it_is_done() -> None:
    store = store_with(*[b"a", b"b"] * 100)
    store.compact(CompactionRequest(201))
    steps = 1
    while store.compact_step(10):
        steps += 1
        assert store.compacted_physically() == -1
    assert steps >= 20
    assert store.compacted_physically() == 201
    assert kept(store) == 2
    assert not store.compact_step(10)


@pytest.mark.parametrize("budget", [1, 2, 3, 4, 5])
def test_slices_that_end_inside_a_revision_miss_no_change_of_it(budget: int) -> None:
    store = store_with(b"a", b"b", b"c", b"d", b"e", b"f", b"g")
    compact(store, store.revision)  # so that the deletions alone remain to be walked
    store.delete_range(DeleteRangeRequest(b"a", b"\x00"))
    store.compact(CompactionRequest(store.revision))
    while store.compact_step(budget):
        pass
    assert kept(store) == 0


def test_writes_between_the_slices_are_not_touched() -> None:
    store = store_with(*[b"a", b"b"] * 20)
    store.compact(CompactionRequest(41))
    more = True
    while more:
        more = store.compact_step(3)
        store.put(PutRequest(b"a"))
    writes = store.revision - 41
    assert store.range(RangeRequest(b"a")).kvs[0].version == 20 + writes
    assert kept(store) == 2 + writes


def test_a_compaction_during_a_removal_is_carried_out_too() -> None:
    store = store_with(*[b"a", b"b"] * 50)
    store.compact(CompactionRequest(50))
    store.compact_step(10)
    compact(store, 101)
    assert kept(store) == 2
    assert store.compacted_physically() == 101


def test_a_very_long_history_of_one_key_is_removed_over_several_steps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("raftkv.mvcc.compaction._DROPPED_AT_ONCE", 10)
    store = store_with(*[b"hot"] * 95)
    store.compact(CompactionRequest(store.revision))
    store.compact_step(1000)
    assert kept(store) == 85
    while store.compact_step(1000):
        pass
    assert kept(store) == 1
    assert store.range(RangeRequest(b"hot")).kvs[0].version == 95


def test_long_histories_of_many_keys_share_what_one_step_may_drop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raftkv.mvcc.compaction._DROPPED_AT_ONCE", 10)
    store = store_with(*[b"a", b"b", b"c", b"d"] * 8)
    store.delete_range(DeleteRangeRequest(b"d"))
    store.compact(CompactionRequest(store.revision))
    left = []
    while store.compact_step(1000):
        left.append(kept(store))
    assert left == [23, 13, 3]
    assert keys_of(store.range(RangeRequest(**EVERYTHING))) == [b"a", b"b", b"c"]


def test_what_is_removed_is_no_longer_counted_in_the_size() -> None:
    store = store_with(b"a")
    alone = store.size_in_use_bytes
    for _ in range(10):
        store.put(PutRequest(b"a", b"a"))
    compact(store, store.revision)
    assert store.size_in_use_bytes == alone
    store.delete_range(DeleteRangeRequest(b"a"))
    compact(store, store.revision)
    assert (store.size_in_use_bytes, kept(store)) == (0, 0)
    assert (len(store.table.entries), len(store.table.deleted)) == (0, 0)
