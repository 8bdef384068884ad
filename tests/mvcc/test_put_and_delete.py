"""Revisions, puts and deletes (the facts of etcd's KV service, one a test)."""

import pytest

from raftkv import errors
from raftkv.mvcc.store import Store
from raftkv.schema.kv import DeleteRangeRequest, KeyValue, PutRequest, RangeRequest
from tests.mvcc.requests import EVERYTHING, keys_of, store_with


def current(store: Store, key: bytes) -> KeyValue | None:
    kvs = store.range(RangeRequest(key)).kvs
    return kvs[0] if kvs else None


def test_an_empty_store_is_at_revision_1_and_the_first_write_makes_2() -> None:
    store = Store()
    assert store.revision == 1
    assert store.put(PutRequest(b"a", b"1")).header.revision == 2
    assert store.revision == 2


def test_every_put_counts_even_of_the_same_value() -> None:
    store = store_with(b"a", b"a")
    assert current(store, b"a") == KeyValue(b"a", create_revision=2, mod_revision=3, version=2, value=b"a")


def test_a_deletion_ends_a_life_and_the_next_put_starts_at_version_1() -> None:
    store = store_with(b"a", b"a")
    assert store.delete_range(DeleteRangeRequest(b"a")).header.revision == 4
    assert current(store, b"a") is None
    store.put(PutRequest(b"a", b"new"))
    assert current(store, b"a") == KeyValue(b"a", create_revision=5, mod_revision=5, version=1, value=b"new")


def test_deleting_nothing_leaves_the_revision() -> None:
    store = store_with(b"a")
    response = store.delete_range(DeleteRangeRequest(b"b", b"c", prev_kv=True))
    assert (response.deleted, response.prev_kvs, response.header.revision) == (0, [], 2)
    assert store.revision == 2


def test_deleting_a_deleted_key_deletes_nothing() -> None:
    store = store_with(b"a")
    store.delete_range(DeleteRangeRequest(b"a"))
    assert store.delete_range(DeleteRangeRequest(b"a")).deleted == 0
    assert store.revision == 3


def test_a_deleterange_deletes_all_its_keys_in_one_revision() -> None:
    store = store_with(b"a", b"b", b"c", b"d")
    response = store.delete_range(DeleteRangeRequest(b"b", b"d", prev_kv=True))
    assert response.deleted == 2
    assert [kv.key for kv in response.prev_kvs] == [b"b", b"c"]
    assert store.revision == 6
    assert keys_of(store.range(RangeRequest(**EVERYTHING))) == [b"a", b"d"]


def test_a_deleterange_of_a_key_at_or_above_its_end_deletes_nothing() -> None:
    store = store_with(b"a", b"b")
    assert store.delete_range(DeleteRangeRequest(b"b", b"a")).deleted == 0
    assert store.delete_range(DeleteRangeRequest(b"b", b"b")).deleted == 0


def test_a_deleterange_with_one_zero_byte_as_end_deletes_from_the_key_on() -> None:
    store = store_with(b"a", b"b", b"\xff\xff")
    assert store.delete_range(DeleteRangeRequest(b"b", b"\x00")).deleted == 2
    assert keys_of(store.range(RangeRequest(**EVERYTHING))) == [b"a"]


def test_prev_kv_is_the_pair_before_and_absent_for_a_new_key() -> None:
    store = Store()
    assert store.put(PutRequest(b"a", b"1", prev_kv=True)).prev_kv is None
    assert store.put(PutRequest(b"a", b"2", prev_kv=True)).prev_kv == KeyValue(b"a", 2, 2, 1, b"1")
    assert store.put(PutRequest(b"a", b"3")).prev_kv is None


def test_prev_kv_is_absent_after_a_deletion() -> None:
    store = store_with(b"a")
    store.delete_range(DeleteRangeRequest(b"a"))
    assert store.put(PutRequest(b"a", b"2", prev_kv=True)).prev_kv is None


def test_ignore_value_keeps_the_value_and_counts_as_a_put() -> None:
    store = store_with(b"a")
    store.put(PutRequest(b"a", ignore_value=True, ignore_lease=True))
    assert current(store, b"a") == KeyValue(b"a", create_revision=2, mod_revision=3, version=2, value=b"a")


@pytest.mark.parametrize("flags", [{"ignore_value": True}, {"ignore_lease": True}])
def test_ignore_flags_need_an_existing_key(flags: dict[str, bool]) -> None:
    store = store_with(b"gone")
    store.delete_range(DeleteRangeRequest(b"gone"))
    for key in (b"never", b"gone"):
        with pytest.raises(errors.KeyNotFound):
            store.put(PutRequest(key, **flags))
    assert store.revision == 3


def test_a_put_detaches_the_lease_unless_it_is_told_to_ignore_it() -> None:
    store = Store()
    store.table.append(None, (2, 0, 2, 1, 77, b"a", b"v"))
    store.revision = 2
    store.put(PutRequest(b"a", b"w", ignore_lease=True))
    assert current(store, b"a") == KeyValue(b"a", 2, 3, 2, b"w", lease=77)
    store.put(PutRequest(b"a", ignore_value=True))
    assert current(store, b"a") == KeyValue(b"a", 2, 4, 3, b"w", lease=0)


def test_an_unknown_lease_is_refused_and_nothing_written() -> None:
    store = store_with(b"a")
    with pytest.raises(errors.LeaseNotFound):
        store.put(PutRequest(b"a", b"2", lease=7))
    assert store.revision == 2
    assert current(store, b"a") == KeyValue(b"a", 2, 2, 1, b"a")


def test_an_unknown_lease_is_noticed_before_a_missing_key() -> None:
    with pytest.raises(errors.LeaseNotFound):
        Store().put(PutRequest(b"a", ignore_value=True, lease=7))


def test_size_grows_with_what_is_kept() -> None:
    store = Store()
    assert store.size_bytes == 0
    store.put(PutRequest(b"key", bytes(1000)))
    assert 1003 <= store.size_bytes <= 1200
    assert store.size_in_use_bytes == store.size_bytes
