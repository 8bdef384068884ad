"""What the tests of cuts share: a machine under random work, and the comparison with a replay."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from random import Random

from raftkv.mvcc import store_dump
from raftkv.mvcc.commands import (
    CheckpointLeases,
    CommandRequest,
    ExpireLease,
    PublishMember,
    RequestId,
    encode_command,
)
from raftkv.mvcc.cut import MachineCut
from raftkv.mvcc.loading import MachineLoader
from raftkv.mvcc.machine import Machine
from raftkv.mvcc.membership import MemberInfo, encode_bootstrap
from raftkv.mvcc.parts import Block
from raftkv.mvcc.store import Store
from raftkv.mvcc.versions import MOD, Version
from raftkv.schema.kv import CompactionRequest, DeleteRangeRequest, PutRequest, RangeRequest, TxnRequest
from raftkv.schema.lease import LeaseCheckpoint, LeaseGrantRequest, LeaseRevokeRequest
from tests.mvcc.requests import EVERYTHING, delete, put

KEYS = [b"a", b"a\x00", b"ab", b"b", b"c", b"d", b"\xff"]
LEASES = [1, 2, 3, -(2**63), 2**63 - 1]
MEMBERS = encode_bootstrap([MemberInfo(5, "", ("http://a",), (), is_learner=False)])


@contextmanager
def small_slices(versions: int, block_bytes: int = 64) -> Iterator[None]:
    """Make every slice of a dump so small that much can happen between two."""
    before = store_dump._AT_ONCE, store_dump._BLOCK_BYTES
    store_dump._AT_ONCE, store_dump._BLOCK_BYTES = versions, block_bytes  # type: ignore[misc]
    try:
        yield
    finally:
        store_dump._AT_ONCE, store_dump._BLOCK_BYTES = before  # type: ignore[misc]


class Recorded:
    """A machine and every entry that was applied to it, so that any moment can be replayed."""

    def __init__(self) -> None:
        self.machine = Machine()
        self.machine.apply_configuration(1, MEMBERS)
        self.entries: list[bytes] = []
        self.sequence = 0

    def apply(self, request: CommandRequest, boot: int = 1) -> None:
        self.sequence += 1
        self.apply_data(encode_command(RequestId(5, boot, self.sequence), request))

    def apply_data(self, data: bytes) -> None:
        self.entries.append(data)
        self.machine.apply_command(1 + len(self.entries), data)

    def replayed(self, index: int) -> Machine:
        """Return a machine that has applied everything up to ``index``."""
        machine = Machine()
        machine.apply_configuration(1, MEMBERS)
        self.catch_up(machine, index)
        return machine

    def catch_up(self, machine: Machine, index: int) -> None:
        for number in range(machine.applied_index + 1, index + 1):
            machine.apply_command(number, self.entries[number - 2])


def load(blocks: Iterable[Block]) -> Machine:
    """Return a new machine with what was loaded."""
    loader = MachineLoader()
    for part, version, data in blocks:
        loader.add(part, version, data)
    while loader.finish_step():
        pass
    machine = Machine()
    machine.adopt(loader)
    return machine


def changes_from_compaction(store: Store) -> list[Version]:
    changes = store.table.changes.read((0, 0), store.revision, 1_000_000)
    return [change for change in changes if change[MOD] >= store.compact_revision]


def remove_all(store: Store) -> None:
    while store.compact_step(100):
        pass


def check_equal(loaded: Machine, replayed: Machine) -> None:
    """Compare everything that a client, a watcher or another member could ever see."""
    assert loaded.applied_index == replayed.applied_index
    assert loaded.store.revision == replayed.store.revision
    assert loaded.store.compact_revision == replayed.store.compact_revision
    assert loaded.digest() == replayed.digest()
    assert loaded.leases.ids() == replayed.leases.ids()
    for lease in LEASES:
        attached = loaded.store.table.attachments.keys_of(lease)
        assert attached == replayed.store.table.attachments.keys_of(lease)
    assert changes_from_compaction(loaded.store) == changes_from_compaction(replayed.store)
    for revision in range(max(1, loaded.store.compact_revision), loaded.store.revision + 1):
        request = RangeRequest(**EVERYTHING, revision=revision)
        assert loaded.store.range(request) == replayed.store.range(request)
    count = RangeRequest(**EVERYTHING, count_only=True)
    assert loaded.store.range(count) == replayed.store.range(count)


def check_loaded(cut: MachineCut, blocks: list[Block], run: Recorded) -> None:
    """Compare what was loaded with a replay: at the cut, and after both went on to the present."""
    replayed, loaded = run.replayed(cut.index), load(blocks)
    assert (cut.revision, cut.compact_revision) == (replayed.store.revision, replayed.store.compact_revision)
    assert cut.keys == replayed.store.live_keys == loaded.store.live_keys
    check_equal(loaded, replayed)
    for machine in (loaded, replayed):
        run.catch_up(machine, run.machine.applied_index)
    check_equal(loaded, replayed)
    for machine in (loaded, replayed):
        remove_all(machine.store)
    check_equal(loaded, replayed)
    assert loaded.store.size_in_use_bytes == replayed.store.size_in_use_bytes
    assert loaded.store.compacted_physically() == replayed.store.compacted_physically()


def some_request(random: Random, machine: Machine) -> CommandRequest:
    """Return one of everything that can be asked for."""
    key, revision = random.choice(KEYS), machine.store.revision
    match random.randrange(12):
        case 0 | 1 | 2 | 3:
            return PutRequest(key, random.randbytes(random.choice([0, 1, 40])))
        case 4:
            return DeleteRangeRequest(key)
        case 5:
            return DeleteRangeRequest(key, random.choice([b"", b"\x00", b"c"]))
        case 6:
            return TxnRequest(success=[delete(key, b"\x00"), put(key), put(b"z")])
        case 7:
            return TxnRequest(success=[put(key), delete(b"a", b"\x00")])
        case 8:
            return PublishMember(5, f"n{random.randrange(9)}", ["http://x"])
        case 9 | 10:
            return some_lease_request(random, machine, key)
    return CompactionRequest(random.randint(max(1, revision - 6), revision))


def some_lease_request(random: Random, machine: Machine, key: bytes) -> CommandRequest:
    lease = random.choice(machine.leases.ids() or [1])
    seen = random.choice([*[machine.applied_index] * 3, random.randrange(machine.applied_index + 1)])
    match random.randrange(4):
        case 0:
            return LeaseGrantRequest(random.randrange(1, 400), random.choice(LEASES))
        case 1:
            return random.choice([LeaseRevokeRequest(lease), ExpireLease(random.choice([0, 1]), lease, seen)])
        case 2:
            return CheckpointLeases(0, [LeaseCheckpoint(lease, random.randrange(400))], seen)
    return PutRequest(key, b"leased", lease)


def check_random_run(seed: int) -> int:
    """Cut a machine at a random place and go on with it between the slices; return how many there were."""
    random, run = Random(seed), Recorded()
    for _ in range(random.randrange(25)):
        run.apply(some_request(random, run.machine), boot=random.randrange(1, 7))
        run.machine.store.compact_step(random.randrange(1, 4))
    if random.random() < 0.3:  # the newest revision is then one of which nothing can be read
        run.apply(DeleteRangeRequest(**EVERYTHING))
        run.apply(CompactionRequest(run.machine.store.revision))
    with small_slices(random.choice([1, 2, 500])):
        cut = run.machine.cut()
        blocks = []
        for block in cut.blocks():
            blocks.append(block)
            for _ in range(random.randrange(3)):
                run.apply(some_request(random, run.machine))
            run.machine.store.compact_step(random.randrange(1, 4))
        cut.close()
    check_loaded(cut, blocks, run)
    return len(blocks)
