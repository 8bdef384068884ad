"""Watchers against a list of all changes, under everything that may happen to them in any order."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raftkv.mvcc import watch_past
from raftkv.mvcc.bounds import bounds
from raftkv.mvcc.loading import MachineLoader
from raftkv.mvcc.machine import Machine
from raftkv.mvcc.versions import KEY, MOD, VERSION, Version
from raftkv.mvcc.watch import Watches
from raftkv.schema.kv import CompactionRequest
from tests.mvcc.model import inside
from tests.mvcc.snapshots import MEMBERS, Recorded, small_slices, some_request
from tests.mvcc.watchers import Recorder, settle

RANGES = [
    (b"a", b""), (b"b", b""), (b"\xff", b""), (b"a", b"b"), (b"a\x00", b"c"), (b"a", b"\x00"),
    (b"\x00", b"\x00"),
]  # fmt: skip
HIDES = [{}, {}, {}, {"hides_puts": True}, {"hides_deletes": True}]


class Watching(Recorder):
    """A recorder that knows what it should be told; ``needs`` is the revision it may be cancelled for."""

    def __init__(self, key: bytes, end: bytes, start: int, room: int, hides: dict[str, bool]) -> None:
        super().__init__(bounds(key, end), start, room=room, **hides)
        self.key, self.end, self.needs = key, end, start

    def wants(self, version: Version) -> bool:
        hidden = self.hides_puts if version[VERSION] else self.hides_deletes
        return version[MOD] >= self.start_revision and inside(version[KEY], self.key, self.end) and not hidden


class World:
    """A member that lags behind a leader, is sent snapshots by it, and has watchers."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.leader = Recorded()
        self.member = Machine()
        self.member.apply_configuration(1, MEMBERS)
        self.watches = Watches(self.member)
        self.changes: list[Version] = []
        self.watchers: list[Watching] = []
        self.replaced: list[MachineLoader] = []
        self.steps = {
            self.write: 12, self.apply: 6, self.compact: 1, self.remove_compacted: 6, self.install: 2,
            self.watch: 4, self.step: 8, self.read: 12, self.remove: 1,
        }  # fmt: skip

    def run(self, length: int) -> None:
        for action in self.random.choices(list(self.steps), list(self.steps.values()), k=length):
            action()
            self.check()
        self.end()

    def write(self) -> None:
        store = self.leader.machine.store
        for _ in range(self.random.choice([1, 1, 5])):
            before = store.revision
            self.leader.apply(some_request(self.random, self.leader.machine))
            self.changes += store.table.changes.read((before + 1, 0), store.revision, 1000)

    def apply(self) -> None:
        behind = self.leader.machine.applied_index - self.member.applied_index
        self.leader.catch_up(self.member, self.member.applied_index + self.random.randint(0, behind))

    def compact(self) -> None:
        self.leader.apply(CompactionRequest(self.leader.machine.store.revision))

    def remove_compacted(self) -> None:
        for _ in range(self.random.randrange(4)):
            self.member.store.compact_step(self.random.randint(1, 4))

    def install(self) -> None:
        if self.member.applied_index == self.leader.machine.applied_index:
            return
        loader = MachineLoader()
        with small_slices(self.random.randint(1, 4)):
            cut = self.leader.machine.cut()
            for block in cut.blocks():
                loader.add(block.part, block.version, block.data)
            cut.close()
        while loader.finish_step():
            pass
        self.member.adopt(loader)
        self.replaced.append(loader)

    def watch(self) -> None:
        start = self.member.store.revision + 1 - self.random.choice([-12, -2, 0, 0, 1, 2, 4, 9])
        if self.random.random() < 0.3:
            start = self.member.store.compact_revision
        key, end = self.random.choice(RANGES)
        room, hides = self.random.choice([0, 1, 2, 9]), self.random.choice(HIDES)
        watcher = Watching(key, end, max(1, start), room, hides)
        self.watchers.append(watcher)
        self.watches.add(watcher)

    def step(self) -> None:
        more = self.watches.step(self.random.choice([1, 2, 3, 1000]))
        assert more == self.watches.behind

    def read(self) -> None:
        if not self.watchers:
            return
        watcher = self.random.choice(self.watchers)
        if self.random.random() < 0.3:
            watcher.drain()
            return
        was = watcher.compacted
        watcher.catch_up(self.watches, self.random.choice([1, 2, 3, 1000]))
        if watcher.compacted and not was:
            assert watcher.needs < self.member.store.compact_revision, "cancelled, and all was there"

    def remove(self) -> None:
        if self.watchers:
            watcher = self.watchers.pop(self.random.randrange(len(self.watchers)))
            self.watches.remove(watcher)

    def check(self) -> None:
        """What was told is a beginning of what should be, and no revision is cut."""
        delivered = self.watches.delivered
        assert delivered <= self.member.store.revision
        for watcher in self.watchers:
            expected = [version for version in self.changes if watcher.wants(version)]
            told = watcher.told + [v for changes in watcher.waiting for v in changes.versions]
            assert told == expected[: len(told)]
            assert len(told) in (0, len(expected)) or expected[len(told)][MOD] > told[-1][MOD], "cut in two"
            for changes in watcher.waiting:
                assert {version[MOD] for version in changes.versions} == {changes.revision}
            for changes in watcher.replies:
                assert len({version[MOD] for version in changes.versions}) <= watch_past.MAX_REVISIONS
                assert changes.versions[-1][MOD] <= changes.revision
            if told:
                watcher.needs = max(watcher.needs, told[-1][MOD] + 1)
            if watcher.live:
                assert len(told) >= sum(version[MOD] <= delivered for version in expected)
                watcher.needs = max(watcher.needs, delivered + 1)

    def end(self) -> None:
        """Let all catch up: then everybody has all, and nothing is held any more."""
        self.leader.catch_up(self.member, self.leader.machine.applied_index)
        settle(self.watches, *self.watchers, budget=3)
        self.check()
        for watcher in self.watchers:
            expected = [version for version in self.changes if watcher.wants(version)]
            assert watcher.compacted or watcher.told == expected, "something was lost"
            self.watches.remove(watcher)
        stores = [self.member.store, *(loader.content.store for loader in self.replaced)]
        assert not any(store._compactor.pinned for store in stores)


@settings(max_examples=250, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_every_watcher_is_told_the_true_changes_in_order(seed: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("raftkv.mvcc.watch_past.MAX_REVISIONS", 3)
        World(Random(seed)).run(80)
