"""Watch streams through everything that can happen to a member at once, held against what was written.

Whatever comes in between (compactions, snapshots, slow clients, cancellations), each watch is told every
change of its range once, in order and by whole revisions, and no progress is told of what is still to come.
"""

import asyncio
from collections.abc import Callable
from random import Random

import pytest

from raftkv.errors import RequestError
from raftkv.mvcc import watch_past
from raftkv.mvcc.bounds import bounds
from raftkv.mvcc.loading import MachineLoader
from raftkv.mvcc.machine import Machine
from raftkv.mvcc.versions import KEY, MOD, VERSION
from raftkv.mvcc.watch import Watches
from raftkv.node.config import Config
from raftkv.schema.kv import CompactionRequest, DeleteRangeRequest, PutRequest, TxnRequest
from raftkv.schema.watch import EventType, FilterType, WatchResponse
from raftkv.service import watch as watch_module
from tests.mvcc.requests import delete, put
from tests.mvcc.snapshots import MEMBERS
from tests.service.fake_node import FakeNode
from tests.service.test_watch import PROGRESS, Client, cancel, create

KEYS = [b"a", b"ab", b"b", b"c"]
RANGES = [(b"a", b""), (b"b", b""), (b"a", b"b"), (b"\0", b"\0"), (b"a", b"c"), (b"b", b"\0")]
FILTERS: list[list[FilterType]] = [[], [], [], [FilterType.NOPUT], [FilterType.NODELETE]]

Write = Callable[[Machine], object]
Told = tuple[int, bytes, bool]


class Seen:
    """What a client knows of one watch; ``claimed`` is the revision of which it was told that it is over."""

    def __init__(self, key: bytes, end: bytes, start: int, filters: list[FilterType]) -> None:
        self.start, self._end = bounds(key, end)
        self.next = start
        self._filters = filters
        self.is_created = False
        self.is_over = False
        self.claimed = 0

    def wants(self, change: Told) -> bool:
        _, key, is_put = change
        hidden = FilterType.NOPUT if is_put else FilterType.NODELETE
        return self.start <= key and (self._end is None or key < self._end) and hidden not in self._filters


class Story:
    """A leader that writes, a member that follows it, and one stream on that."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.node = FakeNode(Config(experimental_watch_progress_notify_interval="100ms"))
        self.node.machine, self.leader = Machine(), Machine()
        for machine in (self.node.machine, self.leader):
            machine.apply_configuration(1, MEMBERS)
        self.node.watches = Watches(self.node.machine)
        self.client = Client(self.node)
        self.log: list[Write] = []
        self.applied = 0
        self.history: list[Told] = []
        self.watches: dict[int, Seen] = {}

    # ---------------------------------------------------------------- what happens

    def write(self) -> None:
        write, revision = self._draw(), self.leader.store.revision
        self.log.append(write)
        attempt(write, self.leader)
        changes = self.leader.store.table.changes.read((revision + 1, 0), revision + 1, 100)
        self.history += [(version[MOD], version[KEY], version[VERSION] > 0) for version in changes]

    def _draw(self) -> Write:
        random, store = self.random, self.leader.store
        match random.randrange(8):
            case 0 | 1 | 2:
                request = PutRequest(random.choice(KEYS), b"v")
                return lambda machine: machine.store.put(request)
            case 3 | 4:
                deletion = DeleteRangeRequest(*random.choice(RANGES))
                return lambda machine: machine.store.delete_range(deletion)
            case 5 | 6:
                keys = random.sample(KEYS, random.randint(1, 4))
                txn = TxnRequest(success=[put(key) if random.random() < 0.6 else delete(key) for key in keys])
                return lambda machine: machine.store.txn(txn)
            case _:
                compaction = CompactionRequest(max(1, store.revision - random.randrange(8)))
                return lambda machine: machine.store.compact(compaction)

    def follow(self) -> None:
        for write in self.log[self.applied : self.applied + self.random.randint(1, 6)]:
            attempt(write, self.node.machine)
            self.applied += 1

    def install(self) -> None:
        if self.applied == len(self.log):
            return
        self.leader.applied_index = len(self.log) + 1
        loader, cut = MachineLoader(), self.leader.cut()
        for block in cut.blocks():
            loader.add(block.part, block.version, block.data)
        cut.close()
        while loader.finish_step():
            pass
        self.node.machine.adopt(loader)
        self.applied = len(self.log)

    def watch(self) -> None:
        store, (key, end) = self.node.machine.store, self.random.choice(RANGES)
        near = store.revision + self.random.randint(-8, 6)
        start = self.random.choice([0, 0, max(1, near), max(1, store.compact_revision)])
        filters, number = self.random.choice(FILTERS), len(self.watches) + 1
        self.watches[number] = Seen(key, end, start, filters)
        notify = self.random.random() < 0.5
        self.client.send(create(key, end, start, watch_id=number, filters=filters, progress_notify=notify))

    def give_up(self) -> None:
        self.client.send(cancel(self.random.randint(1, len(self.watches) + 1)))

    def tidy(self) -> None:
        self.node.machine.store.compact_step(self.random.randint(1, 5))

    def tell(self) -> None:
        self.node.watches.step(self.random.randint(1, 4))

    def ask_for_progress(self) -> None:
        self.client.send(PROGRESS)

    # ---------------------------------------------------------------- what is told

    async def take(self) -> None:
        """Take all that comes; raises AssertionError."""
        while True:
            self.check((await self.client.take()).message(self.node.machine.store))

    def check(self, reply: WatchResponse) -> None:
        assert reply.header is not None
        if reply.watch_id == -1:
            for seen in self.watches.values():
                if seen.is_created and not seen.is_over:
                    seen.claimed = max(seen.claimed, reply.header.revision)
            return
        seen = self.watches[reply.watch_id]
        if reply.created:
            seen.is_created = True
            seen.next = seen.next or reply.header.revision + 1
        elif reply.canceled:
            seen.is_over = True
        elif not reply.events:
            seen.claimed = max(seen.claimed, reply.header.revision)
        else:
            found = [(e.kv.mod_revision, e.kv.key, e.type == EventType.PUT) for e in reply.events if e.kv]
            last = found[-1][0]
            assert not seen.is_over, "told behind its end"
            assert found[0][0] > seen.claimed, "told of what was claimed to be over"
            assert found == self.missing(seen, last)
            seen.next = last + 1

    def missing(self, seen: Seen, last: int) -> list[Told]:
        return [each for each in self.history if seen.next <= each[0] <= last and seen.wants(each)]


def attempt(write: Write, machine: Machine) -> None:
    try:
        write(machine)
    except RequestError:
        return  # the same on both


@pytest.mark.parametrize("seed", range(60))
async def test_every_watch_is_told_everything_once_whatever_happens(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("QUEUED_REPLIES", 4), ("PAST_WATCHES", 2), ("PAST_CHANGES", 3)):
        monkeypatch.setattr(watch_module, name, value)
    monkeypatch.setattr(watch_past, "MAX_REVISIONS", 4)
    story = Story(seed)
    steps = [story.write] * 9 + [story.watch, story.tidy, story.tell, story.follow] * 2
    steps += [story.install, story.give_up, story.ask_for_progress, story.follow]
    taking = asyncio.create_task(story.take())
    for _ in range(story.random.randint(50, 200)):
        story.random.choice(steps)()
        if story.random.random() < 0.2:
            for _ in range(story.random.randint(1, 30)):
                await asyncio.sleep(0)
    while story.applied < len(story.log):
        story.follow()
    for _ in range(300):
        story.tell()
        await asyncio.sleep(0)
    assert not taking.done() or taking.result()
    for seen in story.watches.values():
        assert seen.is_created
        assert seen.is_over or story.missing(seen, story.leader.store.revision) == []
    taking.cancel()
    await asyncio.wait({taking})
    await story.client.close()
    assert story.node.watches._live == 0
