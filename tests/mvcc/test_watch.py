"""Watchers of one store: who is told what, when, and at what cost."""

import sys

from raftkv.mvcc.bounds import bounds
from raftkv.mvcc.machine import Machine
from raftkv.mvcc.versions import KEY, MOD
from raftkv.mvcc.watch import STEP, Watches
from raftkv.schema.kv import CompactionRequest, DeleteRangeRequest, PutRequest, TxnRequest
from tests.mvcc.requests import EVERYTHING, put
from tests.mvcc.watchers import Recorder, settle

ALL = bounds(b"\x00", b"\x00")


def machine_with(*keys: bytes) -> tuple[Machine, Watches]:
    machine = Machine()
    for key in keys:
        machine.store.put(PutRequest(key, b"v"))
    return machine, Watches(machine)


def watch(
    watches: Watches, start: int, key: bytes = b"\x00", end: bytes = b"\x00", room: int = 9
) -> Recorder:
    watcher = Recorder(bounds(key, end), start, room=room)
    watches.add(watcher)
    return watcher


def test_live_replies_hold_one_revision_and_history_up_to_a_thousand() -> None:
    machine, watches = machine_with(*[b"k"] * 1500)
    watcher = watch(watches, 2)
    settle(watches, watcher)
    assert [len(changes.versions) for changes in watcher.replies] == [1000, 500]
    assert [changes.revision for changes in watcher.replies] == [1501, 1501]
    machine.store.put(PutRequest(b"a"))
    machine.store.txn(TxnRequest(success=[put(b"c"), put(b"b")]))
    settle(watches, watcher)
    live = [(c.revision, [v[KEY] for v in c.versions]) for c in watcher.replies[2:]]
    assert live == [(1502, [b"a"]), (1503, [b"c", b"b"])]


def test_a_reply_from_history_is_bounded_in_bytes() -> None:
    machine, watches = machine_with()
    for _ in range(6):
        machine.store.put(PutRequest(b"k", bytes(400_000)))
    watcher = watch(watches, 1)
    settle(watches, watcher)
    assert [len(changes.versions) for changes in watcher.replies] == [3, 3]


def test_a_revision_of_very_many_changes_comes_whole_and_is_looked_at_in_slices() -> None:
    machine, watches = machine_with()
    for number in range(5000):
        machine.store.put(PutRequest(b"%d" % number))
    live = watch(watches, machine.store.revision + 1)
    machine.store.delete_range(DeleteRangeRequest(**EVERYTHING))
    late = watch(watches, machine.store.revision)
    steps = 0
    while watches.step(STEP):
        steps += 1
    assert steps >= 4
    settle(watches, live, late)
    assert [len(changes.versions) for changes in live.replies + late.replies] == [5000, 5000]


def test_who_has_no_room_reads_the_rest_from_history_and_holds_up_nobody() -> None:
    machine, watches = machine_with()
    slow, quick = watch(watches, 2, room=2), watch(watches, 2)
    for _ in range(5):
        machine.store.put(PutRequest(b"k"))
    settle(watches, quick)
    assert quick.live_revisions == [2, 3, 4, 5, 6]
    assert (slow.live_revisions, slow.live, slow.is_behind) == ([2, 3], False, True)
    settle(watches, slow)
    assert (slow.revisions, slow.live) == ([2, 3, 4, 5, 6], True)
    assert [len(changes.versions) for changes in slow.replies] == [1, 1, 3]


def test_a_slow_watcher_does_not_hold_up_compaction_and_is_told_that_it_lost() -> None:
    machine, watches = machine_with()
    slow = watch(watches, 2, room=1)
    for _ in range(5):
        machine.store.put(PutRequest(b"k"))
    watches.step()
    machine.store.compact(CompactionRequest(5))
    while machine.store.compact_step(100):
        pass
    assert machine.store.compacted_physically() == 5
    settle(watches, slow)
    assert (slow.revisions, slow.compacted) == ([2], True)


def test_what_live_watchers_have_not_got_yet_survives_a_compaction() -> None:
    machine, watches = machine_with()
    watcher = watch(watches, 2)
    for _ in range(5):
        machine.store.put(PutRequest(b"k"))
    machine.store.compact(CompactionRequest(6))
    assert all(machine.store.compact_step(100) for _ in range(9)), "it waits"
    settle(watches, watcher)
    assert watcher.revisions == [2, 3, 4, 5, 6]
    while machine.store.compact_step(100):
        pass
    assert machine.store.compacted_physically() == 6


def test_history_begins_at_the_compact_revision_even_with_a_deletion() -> None:
    for key, end in ((b"k", b""), (b"k", b"l")):
        machine, watches = machine_with(b"k")
        machine.store.delete_range(DeleteRangeRequest(b"k"))
        machine.store.compact(CompactionRequest(3))
        while machine.store.compact_step(100):
            pass
        first, early = watch(watches, 3, key, end), watch(watches, 2, key, end)
        settle(watches, first, early)
        assert (first.revisions, first.compacted) == ([3], False)
        assert (early.revisions, early.compacted) == ([], True)


def test_a_watch_of_one_key_does_not_walk_over_the_changes_of_others() -> None:
    _, watches = machine_with(b"a", *[b"k"] * 3000, b"a")
    watcher = watch(watches, 1, b"a", b"")
    watcher.catch_up(watches)
    assert watcher.revisions == [2, 3003]


def test_a_future_start_is_waited_for() -> None:
    machine, watches = machine_with()
    watcher = watch(watches, 4, room=0)
    for _ in range(2):
        machine.store.put(PutRequest(b"k"))
    settle(watches, watcher)
    assert watcher.live, "it was told nothing yet"
    watcher.room = 9
    machine.store.put(PutRequest(b"k"))
    settle(watches, watcher)
    assert watcher.live_revisions == [4]


def test_many_watchers_of_a_revision_share_what_they_are_told_and_get_it_in_slices() -> None:
    machine, watches = machine_with()
    watchers = [watch(watches, 2, b"k", b"") for _ in range(500)]
    machine.store.put(PutRequest(b"k"))
    assert watches.step(200)
    assert 0 < sum(len(watcher.waiting) for watcher in watchers) < 500
    assert watches.delivered == 1, "not to all"
    while watches.step(200):
        pass
    assert watches.delivered == 2
    assert len({id(watcher.waiting[0]) for watcher in watchers}) == 1


def test_watchers_with_the_same_filter_share_what_they_are_told() -> None:
    """A deletion of very many keys is looked through once, and held once, whoever wants to hear of it."""
    machine, watches = machine_with(*[b"%d" % number for number in range(100)])
    filtered = []
    for hides in ({"hides_puts": True}, {"hides_deletes": True}, {"hides_puts": True, "hides_deletes": True}):
        for _ in range(20):
            filtered.append(Recorder(ALL, machine.store.revision + 1, **hides))
            watches.add(filtered[-1])
    machine.store.delete_range(DeleteRangeRequest(**EVERYTHING))
    settle(watches, *filtered)
    assert [len(watcher.told) for watcher in filtered] == [100] * 20 + [0] * 40
    assert len({id(changes) for watcher in filtered for changes in watcher.replies}) == 1


def test_a_change_is_not_held_against_every_watcher() -> None:
    """Among 10,000 watchers of keys and 10,000 of prefixes the few that are meant are found at once."""
    machine, watches = machine_with()
    watchers = []
    for number in range(10_000):
        watchers.append(watch(watches, 2, b"key/%05d" % number, b""))
        watchers.append(watch(watches, 2, b"dir/%05d/" % number, b"dir/%05d0" % number))
    looked = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal looked
        looked += 1

    for number in range(0, 10_000, 1000):
        machine.store.put(PutRequest(b"key/%05d" % number))
        machine.store.put(PutRequest(b"dir/%05d/x" % number))
    sys.setprofile(count)
    while watches.step():
        pass
    sys.setprofile(None)
    assert sorted(len(watcher.waiting) for watcher in watchers)[-20:] == [1] * 20
    assert sum(len(watcher.waiting) for watcher in watchers) == 20
    assert looked < 20 * 1000, "calls made for twenty changes"
    assert {version[MOD] for watcher in watchers for c in watcher.waiting for version in c.versions} == set(
        range(2, 22)
    )
