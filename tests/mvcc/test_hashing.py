"""The checksum to compare members with: what it depends on, and what it does not."""

from itertools import pairwise
from random import Random
from zlib import crc32

import pytest

from raftkv import errors
from raftkv.mvcc.machine import Machine
from raftkv.mvcc.store import Store
from raftkv.schema.kv import CompactionRequest, DeleteRangeRequest, PutRequest, TxnRequest
from tests.mvcc.requests import delete, put, store_with
from tests.mvcc.snapshots import Recorded, load, small_slices, some_request


def hash_of(store: Store, revision: int = 0) -> tuple[int, int, int]:
    """Return the checksum, and the revision and compact revision that are told with it."""
    with store.open_hash(revision) as hashing:
        while hashing.step():
            pass
        return hashing.value, hashing.current, hashing.compact_revision


def sent(machine: Machine) -> Machine:
    """Return a machine that was sent the content of ``machine``."""
    cut = machine.cut()
    try:
        return load(cut.blocks())
    finally:
        cut.close()


def test_every_change_of_the_history_shows() -> None:
    """Also one that leaves the keys as they are: members must have come the same way."""
    stores = [store_with(b"a", b"b") for _ in range(6)]
    stores[1].put(PutRequest(b"c"))
    stores[2].put(PutRequest(b"a", b"a"))
    stores[3].delete_range(DeleteRangeRequest(b"b"))
    stores[4].txn(TxnRequest(success=[put(b"c", b""), put(b"d", b"")]))
    stores[5].txn(TxnRequest(success=[put(b"d", b""), put(b"c", b"")]))
    assert len({hash_of(store)[0] for store in stores}) == len(stores)


def test_an_older_revision_gives_what_it_gave_when_it_was_the_newest() -> None:
    store, told = Store(), []
    for key in (b"b", b"a", b"b", b"c"):
        store.put(PutRequest(key, b"v"))
        told.append(hash_of(store)[0])
    store.delete_range(DeleteRangeRequest(b"a", b"c"))
    assert [hash_of(store, revision)[0] for revision in range(2, 6)] == told
    assert hash_of(store) == hash_of(store, 6)
    assert hash_of(store, 3)[1:] == (6, -1)


def test_an_empty_store_has_a_checksum_too() -> None:
    assert hash_of(Store()) == hash_of(Store(), 1) == (crc32(b"raftkv"), 1, -1)


@pytest.mark.parametrize("physically", [False, True])
def test_revisions_up_to_the_compacted_one_and_after_the_current_one_are_refused(physically: bool) -> None:
    store = store_with(b"a", b"a", b"a")
    store.compact(CompactionRequest(3))
    while physically and store.compact_step(10):
        pass
    for revision in (1, 2, 3):
        with pytest.raises(errors.Compacted):
            store.open_hash(revision)
    with pytest.raises(errors.FutureRevision):
        store.open_hash(5)
    assert hash_of(store)[1:] == (4, 3)


def test_how_far_a_compaction_was_carried_out_does_not_show() -> None:
    store = store_with(*(b"%d" % (i % 7) for i in range(60)))
    store.txn(TxnRequest(success=[delete(b"3"), delete(b"4"), put(b"5", b"v")]))
    before = hash_of(store)
    store.compact(CompactionRequest(40))
    compacted = hash_of(store)
    assert compacted[0] != before[0]
    steps = 0
    while store.compact_step(3):
        steps += 1
        assert hash_of(store) == compacted
    assert steps > 5
    assert hash_of(store) == compacted


def test_writes_and_compactions_while_it_is_taken_do_not_show() -> None:
    store = store_with(*(b"%02d" % (i * 7 % 50) for i in range(200)))
    store.compact(CompactionRequest(60))
    wanted = hash_of(store)
    with small_slices(3), store.open_hash(0) as hashing:
        number = 0
        while hashing.step():
            number += 1
            store.put(PutRequest(b"%02d" % (number * 13 % 99)))
            store.delete_range(DeleteRangeRequest(b"%02d" % (number * 5 % 50)))
            store.compact(CompactionRequest(store.revision - 1))
            store.compact_step(50)
        assert number > 40
    assert (hashing.value, hashing.current, hashing.compact_revision) == wanted


def test_who_has_gone_leaves_nothing_to_wait_for() -> None:
    store = store_with(b"a", b"a", b"a")
    with store.open_hash(0) as hashing:
        hashing.step()
        store.compact(CompactionRequest(4))
        assert store.compact_step(10)
        assert store.compacted_physically() == -1
    assert not store.compact_step(10)


@pytest.mark.parametrize("seed", range(5))
def test_members_that_were_sent_a_snapshot_have_the_same(seed: int) -> None:
    random, run = Random(seed), Recorded()
    others: list[Machine] = []
    for number in range(120):
        run.apply(some_request(random, run.machine))
        if number % 40 == 20:
            others.append(sent(run.machine))
        for other in others:
            run.catch_up(other, run.machine.applied_index)
        if random.random() < 0.3:
            run.machine.store.compact_step(random.randrange(1, 20))
    everywhere = [run.replayed(run.machine.applied_index), run.machine, *others]
    newest, compacted = run.machine.store.revision, run.machine.store.compact_revision
    for revision in (0, *range(max(compacted, 0) + 1, newest + 1)):
        told = [hash_of(machine.store, revision) for machine in everywhere]
        assert all(one == other for one, other in pairwise(told))
