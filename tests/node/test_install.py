"""A leader's snapshot on a member that is too far behind: it arrives whole, or is brought again."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from raftkv.errors import PeerUnavailable, RequestTimedOut, StorageError
from raftkv.node import installer, snapshot_store
from raftkv.node.transport import SnapshotChunk
from raftkv.raft import ChangeKind, Write
from raftkv.raft.codec import decode_message
from raftkv.raft.messages import AppendEntriesReply
from raftkv.schema.kv import CompactionRequest, PutRequest, RangeRequest
from raftkv.storage.snapshot_format import SnapshotRef
from raftkv.storage.snapshots import snapshot_name
from raftkv.storage.wal import Wal
from raftkv.trace import SnapshotDamaged as DamageFound
from raftkv.trace import SnapshotFailed, SnapshotInstalled
from tests.node.loopback import LoopbackCluster, Network, info
from tests.node.simulated import SimulatedCluster
from tests.node.test_snapshots import flip, names, put_many, snapshot_names, values

CHUNK = 4096


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small chunks, no tail, and short pauses."""
    monkeypatch.setattr(snapshot_store, "CHUNK_BYTES", CHUNK)
    monkeypatch.setattr(installer, "RETRY_SECONDS", 0.001)
    monkeypatch.setattr(installer, "RETRY_SECONDS_MOST", 0.01)


def cluster_of(tmp_path: Path, size: int = 3) -> LoopbackCluster:
    return LoopbackCluster(tmp_path, size, snapshot_count=20)


async def cut_log(cluster: LoopbackCluster, member: int) -> None:
    """Take a snapshot and keep no entry before it."""
    node = cluster.node(member)
    await node.snapshot_now()
    snapshot = node.status().snapshot
    assert snapshot is not None
    node._core.compacted(snapshot, snapshot.index + 1)


async def leave_behind(cluster: LoopbackCluster, count: int = 300) -> tuple[int, int]:
    """Stop a follower and let the others cut what it lacks off their logs; return (leader, follower)."""
    leader = await cluster.leader()
    follower = next(m for m in cluster.ids if m != leader)
    await put_many(cluster.node(leader), 10, prefix=b"before")
    await cluster.converged()
    await cluster.node(follower).snapshot_now()
    last = cluster.node(follower).status().log.last_index
    await cluster.stop(follower)
    await put_many(cluster.node(leader), count, size=200)
    for member in sorted(cluster.running):
        node = cluster.node(member)
        await node.snapshot_now()
        while node.status().log.first_index <= last + 1:
            await put_many(cluster.node(leader), 30, prefix=b"more")
            await node.snapshot_now()
    return leader, follower


def installed(cluster: LoopbackCluster, member: int) -> list[SnapshotInstalled]:
    return [e for e in cluster.running[member].events if isinstance(e, SnapshotInstalled)]


def failed(cluster: LoopbackCluster, member: int) -> list[SnapshotFailed]:
    return [e for e in cluster.running[member].events if isinstance(e, SnapshotFailed)]


async def assert_equal(cluster: LoopbackCluster) -> None:
    await cluster.converged()
    assert len({running.node.machine.digest() for running in cluster.running.values()}) == 1


async def test_a_follower_that_is_behind_the_log_gets_a_snapshot_and_catches_up(tmp_path: Path) -> None:
    async with cluster_of(tmp_path) as cluster:
        leader, follower = await leave_behind(cluster)
        await cluster.node(leader).propose(CompactionRequest(revision=50))
        node = await cluster.start(follower)
        await put_many(cluster.node(leader), 100, prefix=b"meanwhile")
        await assert_equal(cluster)
        (event,) = installed(cluster, follower)
        assert event.source == leader
        assert node.status().snapshot is not None
        response = await node.propose(PutRequest(key=b"here", value=b"v"))
        assert response.header.revision == node.machine.store.revision
        assert len(node.machine.membership.members()) == 3


async def test_it_starts_again_from_what_it_installed(tmp_path: Path) -> None:
    async with cluster_of(tmp_path) as cluster:
        leader, follower = await leave_behind(cluster)
        await cluster.start(follower)
        await assert_equal(cluster)
        digest = cluster.node(leader).machine.digest()
        await cluster.stop(follower)
        await cluster.stop(leader)
        node = await cluster.start(follower)
        assert node.status().snapshot is not None
        await cluster.leader()
        await cluster.node(follower).read_barrier()
        await cluster.start(leader)
        await assert_equal(cluster)
        assert cluster.node(leader).machine.digest() == digest
        assert not installed(cluster, follower)


def lose_first_success(network: Network, member: int) -> list[AppendEntriesReply]:
    """Let the first message get lost in which ``member`` says what it holds; return it once it is."""
    deliver, lost = network.deliver, list[AppendEntriesReply]()

    def losing(frame: bytes, link: tuple[int, int]) -> None:
        message = decode_message(frame)
        if not lost and link[0] == member and isinstance(message, AppendEntriesReply) and message.success:
            lost.append(message)
        else:
            deliver(frame, link)

    network.deliver = losing  # type: ignore[method-assign]
    return lost


async def test_a_learner_whose_answer_to_the_snapshot_is_lost_is_not_offered_it_again(tmp_path: Path) -> None:
    """The snapshot tells it who its peers are: that ends its stream to the leader, and what waits there."""
    async with cluster_of(tmp_path) as cluster:
        leader = cluster.node(await cluster.leader())
        await put_many(leader, 100)
        await leader.read_barrier()
        await cut_log(cluster, leader.member_id)
        lost = lose_first_success(cluster.network, 4)
        await cluster.start(4)
        await leader.change_members(ChangeKind.ADD_LEARNER, info(4, is_learner=True))
        await assert_equal(cluster)
        (answer,), (event,) = lost, installed(cluster, 4)
        assert answer.index >= event.snapshot_index
        offered = [(offer.source, offer.term) for offer in cluster.network.offers]
        assert len(offered) == len(set(offered)), "waited until the leader gave the snapshot up"


async def test_files_that_the_installed_snapshot_replaced_go(tmp_path: Path) -> None:
    async with cluster_of(tmp_path) as cluster:
        _, follower = await leave_behind(cluster)
        node = await cluster.start(follower)
        while not installed(cluster, follower):
            await asyncio.sleep(0.001)
        (event,) = installed(cluster, follower)
        await assert_equal(cluster)
        while any(int(name[:16], 16) < event.snapshot_index for name in snapshot_names(cluster, follower)):
            await asyncio.sleep(0.001)
        assert all(ref.snapshot.index >= event.snapshot_index for ref in node._store.kept)


async def test_files_that_the_log_still_names_stay_until_it_has_forgotten_them(tmp_path: Path) -> None:
    """A crash before the log's new beginning is durable finds the old snapshot."""
    async with cluster_of(tmp_path) as cluster:
        _, follower = await leave_behind(cluster)
        (old,) = snapshot_names(cluster, follower)
        node = await cluster.start(follower)
        save, go_on = node.wal.save, asyncio.Event()

        async def held_up(writes: Sequence[Write], refs: Sequence[SnapshotRef] = ()) -> None:
            if any(write.snapshot is not None for write in writes):
                await go_on.wait()
            await save(writes, refs)

        node.wal.save = held_up  # type: ignore[method-assign]
        while not installed(cluster, follower):
            await asyncio.sleep(0.001)
        node._snapshotter.clean_up()
        await node._store.prune([])
        await asyncio.sleep(0.05)
        assert old in snapshot_names(cluster, follower)
        go_on.set()
        while old in snapshot_names(cluster, follower):
            await asyncio.sleep(0.001)
        await assert_equal(cluster)


async def test_an_empty_follower_gets_everything(tmp_path: Path) -> None:
    """It has the first entry of its log and nothing else."""
    async with cluster_of(tmp_path) as cluster:
        await cluster.stop(3)
        for path in sorted((tmp_path / "n3").rglob("*"), reverse=True):
            path.unlink() if path.is_file() else path.rmdir()
        leader = await cluster.leader()
        await put_many(cluster.node(leader), 200)
        for member in (1, 2):
            await cluster.node(member).snapshot_now()
        await cluster.start(3)
        await assert_equal(cluster)
        assert installed(cluster, 3)


async def test_several_followers_at_once_share_one_file(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, size=5) as cluster:
        leader = await cluster.leader()
        behind = [m for m in cluster.ids if m != leader][:2]
        for member in behind:
            await cluster.stop(member)
        await put_many(cluster.node(leader), 300, size=200)
        await cluster.node(leader).snapshot_now()
        for member in behind:
            await cluster.start(member)
        await assert_equal(cluster)
        events = [event for member in behind for event in installed(cluster, member)]
        assert [event.source for event in events] == [leader, leader]
        assert len({(event.snapshot_index, event.size) for event in events}) == 1


class Cuts:
    """Fails each chunk once, at the first attempt, and counts."""

    def __init__(self) -> None:
        self.seen: set[int] = set()

    def __call__(self, chunk: SnapshotChunk) -> SnapshotChunk:
        if chunk.offset not in self.seen:
            self.seen.add(chunk.offset)
            raise PeerUnavailable("the connection broke")
        return chunk


async def test_a_connection_that_breaks_at_every_chunk_costs_only_that_chunk(tmp_path: Path) -> None:
    async with cluster_of(tmp_path) as cluster:
        _, follower = await leave_behind(cluster)
        cuts = cluster.network.on_chunk = Cuts()
        await cluster.start(follower)
        await assert_equal(cluster)
        (event,) = installed(cluster, follower)
        offsets = [offset for _, _, offset in cluster.network.fetched]
        assert sorted(cuts.seen) == list(range(0, event.size, CHUNK))
        assert offsets == sorted([*cuts.seen, *cuts.seen])


async def test_a_chunk_that_arrives_damaged_is_never_installed(tmp_path: Path) -> None:
    """The first five attempts have a flipped bit somewhere; what is installed in the end is right."""
    async with cluster_of(tmp_path) as cluster:
        _, follower = await leave_behind(cluster)
        places = iter((20_000, 12_345, 5000, 4095, 3))
        place = next(places)

        def damage(chunk: SnapshotChunk) -> SnapshotChunk:
            nonlocal place
            if not chunk.offset <= place < chunk.offset + len(chunk.data):
                return chunk
            data = bytearray(chunk.data)
            data[place - chunk.offset] ^= 4
            place = next(places, -1)
            return chunk._replace(data=bytes(data))

        cluster.network.on_chunk = damage
        await cluster.start(follower)
        await assert_equal(cluster)
        assert len(installed(cluster, follower)) == 1
        assert len(failed(cluster, follower)) == 5
        assert place == -1


async def test_a_file_that_is_damaged_at_the_leader_gives_way_to_a_new_snapshot(tmp_path: Path) -> None:
    """The follower never installs it; asked for it again, the leader looks and takes another one."""
    async with cluster_of(tmp_path) as cluster:
        leader, follower = await leave_behind(cluster)
        path = tmp_path / f"n{leader}" / "snap" / snapshot_names(cluster, leader)[-1]
        flip(path, 20_000)
        await cluster.start(follower)
        await assert_equal(cluster)
        assert len(installed(cluster, follower)) == 1
        assert failed(cluster, follower)
        (told,) = [e for e in cluster.running[leader].events if isinstance(e, DamageFound)]
        assert (told.path, told.fallback_index) == (str(path), -1)
        assert path.with_name(path.name + ".damaged").exists()


@pytest.mark.parametrize("left", [None, 0, CHUNK, CHUNK + 1])
async def test_a_file_that_is_gone_or_cut_short_at_the_leader_gives_way_to_a_new_snapshot(
    tmp_path: Path, left: int | None
) -> None:
    """A leader that goes on offering what it can't send would leave the follower behind for ever."""
    async with cluster_of(tmp_path) as cluster:
        leader, follower = await leave_behind(cluster)
        path = tmp_path / f"n{leader}" / "snap" / snapshot_names(cluster, leader)[-1]
        if left is None:
            path.unlink()
        else:
            path.write_bytes(path.read_bytes()[:left])
        await cluster.start(follower)
        await assert_equal(cluster)
        assert len(installed(cluster, follower)) == 1 and failed(cluster, follower)
        (told,) = [e for e in cluster.running[leader].events if isinstance(e, DamageFound)]
        assert (told.path, told.fallback_index) == (str(path), -1)


async def test_an_arriving_file_goes_when_the_log_catches_up_without_it(tmp_path: Path) -> None:
    async with cluster_of(tmp_path) as cluster:
        _, follower = await leave_behind(cluster)
        reached, held = asyncio.Event(), True

        def hold(chunk: SnapshotChunk) -> SnapshotChunk:
            if chunk.offset >= 2 * CHUNK and held:
                reached.set()
                raise PeerUnavailable("held up")
            return chunk

        cluster.network.on_chunk = hold
        node = await cluster.start(follower)
        await reached.wait()
        assert [name for name in names(cluster, follower) if name.endswith(".part")]
        status = node._installer._status
        node._installer._status = lambda: status()._replace(commit_index=10**6)
        while [name for name in names(cluster, follower) if name.endswith(".part")]:
            await asyncio.sleep(0.001)
        node._installer._status, held = status, False
        await assert_equal(cluster)


async def test_without_room_for_the_file_the_follower_goes_on_and_tries_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(installer, "FULL_SECONDS", 0.01)
    async with SimulatedCluster(snapshot_count=20) as cluster:
        _, follower = await leave_behind(cluster)
        disk = cluster.disks[follower]
        await cluster.start(follower)
        disk.capacity = cluster.used(follower) + 3 * CHUNK
        while not failed(cluster, follower):
            await asyncio.sleep(0.001)
        assert "no room" in failed(cluster, follower)[0].reason
        assert not cluster.running[follower].ended
        assert not [path for path in disk.names if path.endswith(".part")]
        disk.capacity = None
        await assert_equal(cluster)
        assert len(installed(cluster, follower)) == 1


@pytest.mark.parametrize("action", ["create", "write", "sync", "rename"])
async def test_a_failing_disk_ends_a_follower_in_the_middle_of_an_install(action: str) -> None:
    async with SimulatedCluster(snapshot_count=20) as cluster:
        _, follower = await leave_behind(cluster)
        fault = StorageError(f"{action} failed: input/output error")
        cluster.disks[follower].fail_next(action, fault, ".part")
        await cluster.start(follower)
        while not cluster.running[follower].ended:
            await asyncio.sleep(0.001)
        reason = cluster.running[follower].reason()
        assert isinstance(reason, ExceptionGroup)
        assert reason.exceptions == (fault,)


async def test_a_chunk_of_another_file_is_not_mixed_in(tmp_path: Path) -> None:
    """The first chunk is asked for again, and tells which file it is that the leader has now."""
    async with cluster_of(tmp_path) as cluster:
        _, follower = await leave_behind(cluster)
        answers = 0

        def other_file(chunk: SnapshotChunk) -> SnapshotChunk:
            nonlocal answers
            answers += 1
            return chunk._replace(checksum=bytes(32)) if answers == 3 else chunk

        cluster.network.on_chunk = other_file
        await cluster.start(follower)
        await assert_equal(cluster)
        assert [offset for _, _, offset in cluster.network.fetched][:5] == [0, CHUNK, 2 * CHUNK, 0, 2 * CHUNK]
        assert "another file" in failed(cluster, follower)[0].reason


async def test_a_snapshot_that_is_gone_meanwhile_gives_way_to_a_newer_offer(tmp_path: Path) -> None:
    async with cluster_of(tmp_path) as cluster:
        leader, follower = await leave_behind(cluster)
        store = cluster.node(leader)._store
        gone = False

        def remove(chunk: SnapshotChunk) -> SnapshotChunk:
            nonlocal gone
            if not gone and chunk.offset > 0:
                gone = True
                store._files.clear()
            return chunk

        cluster.network.on_chunk = remove
        await cluster.start(follower)
        while not failed(cluster, follower):
            await asyncio.sleep(0.001)
        assert "has no snapshot" in failed(cluster, follower)[0].reason
        await put_many(cluster.node(leader), 30, prefix=b"newer")
        await cluster.node(leader).snapshot_now()
        await assert_equal(cluster)
        assert installed(cluster, follower)


async def test_a_leader_change_in_the_middle_begins_anew_at_the_new_leader(tmp_path: Path) -> None:
    async with cluster_of(tmp_path) as cluster:
        leader, follower = await leave_behind(cluster)
        reached = asyncio.Event()

        def stop_half_way(chunk: SnapshotChunk) -> SnapshotChunk:
            if chunk.offset >= 3 * CHUNK and not reached.is_set():
                reached.set()
                cluster.network.isolate(leader)
                raise PeerUnavailable("the leader is gone")
            return chunk

        cluster.network.on_chunk = stop_half_way
        await cluster.start(follower)
        await reached.wait()
        while not installed(cluster, follower):
            await asyncio.sleep(0.001)
        assert installed(cluster, follower)[0].source not in (leader, follower)
        cluster.network.heal()
        await assert_equal(cluster)


@pytest.mark.parametrize("offset", [0, 2 * CHUNK])
async def test_a_follower_that_restarts_in_the_middle_begins_anew(tmp_path: Path, offset: int) -> None:
    async with cluster_of(tmp_path) as cluster:
        _, follower = await leave_behind(cluster)
        reached = asyncio.Event()

        def hold(chunk: SnapshotChunk) -> SnapshotChunk:
            if chunk.offset == offset:
                reached.set()
                raise PeerUnavailable("held up")
            return chunk

        cluster.network.on_chunk = hold
        await cluster.start(follower)
        await reached.wait()
        await cluster.stop(follower)
        cluster.network.on_chunk = lambda chunk: chunk
        await cluster.start(follower)
        await assert_equal(cluster)
        assert len(installed(cluster, follower)) == 1


async def test_a_leader_that_restarts_in_the_middle_is_no_obstacle(tmp_path: Path) -> None:
    async with cluster_of(tmp_path) as cluster:
        leader, follower = await leave_behind(cluster)
        reached = asyncio.Event()

        def hold(chunk: SnapshotChunk) -> SnapshotChunk:
            if chunk.offset == 2 * CHUNK:
                reached.set()
                raise PeerUnavailable("held up")
            return chunk

        cluster.network.on_chunk = hold
        await cluster.start(follower)
        await reached.wait()
        await cluster.stop(leader)
        cluster.network.on_chunk = lambda chunk: chunk
        await cluster.start(leader)
        await assert_equal(cluster)
        assert installed(cluster, follower)


async def test_the_replaced_content_is_freed_bit_by_bit(tmp_path: Path) -> None:
    async with cluster_of(tmp_path) as cluster:
        _, follower = await leave_behind(cluster)
        node = await cluster.start(follower)
        old = node.machine.store
        while not installed(cluster, follower):
            await asyncio.sleep(0.001)
        while node._removal.discarding:
            await asyncio.sleep(0.001)
        assert node.machine.store is not old
        assert list(old.table.walk(b"", None)) == []


async def test_an_install_while_the_own_snapshot_is_made_drops_the_own(tmp_path: Path) -> None:
    async with cluster_of(tmp_path) as cluster:
        _, follower = await leave_behind(cluster)
        node = await cluster.start(follower)
        hold = asyncio.Event()
        write = node._snapshotter._write

        async def slow(*arguments: object) -> None:
            await hold.wait()
            await write(*arguments)  # type: ignore[arg-type]

        node._snapshotter._write = slow  # type: ignore[method-assign]
        own = asyncio.create_task(node.snapshot_now())
        await node.recovered()
        while not installed(cluster, follower):
            await asyncio.sleep(0.001)
        hold.set()
        await own
        newest = node._store.newest
        assert newest is not None
        assert newest.snapshot.index >= installed(cluster, follower)[0].snapshot_index
        await assert_equal(cluster)
        await cluster.stop(follower)
        await cluster.start(follower)
        await assert_equal(cluster)


async def test_a_snapshot_that_the_log_caught_up_with_is_dropped(tmp_path: Path) -> None:
    """Of an offer that comes late the core says what it has; nothing is fetched, loaded or replaced."""
    async with cluster_of(tmp_path) as cluster:
        _, follower = await leave_behind(cluster)
        node = await cluster.start(follower)
        await assert_equal(cluster)
        before = len(cluster.network.fetched)
        offer = installed(cluster, follower)[0]
        messages = [m for m in cluster.network.offers if m.snapshot.index == offer.snapshot_index]
        node.receive(messages[0])
        await node.propose(PutRequest(key=b"k", value=b"v"))
        assert len(cluster.network.fetched) == before
        assert len(installed(cluster, follower)) == 1


async def test_reads_and_watchers_of_the_old_store_are_not_served_the_new_one(tmp_path: Path) -> None:
    """A scan that began before the swap goes on at its revision; a later one sees the new content."""
    async with cluster_of(tmp_path) as cluster:
        _, follower = await leave_behind(cluster)
        node = await cluster.start(follower)
        old = node.machine.store
        while not installed(cluster, follower):
            await asyncio.sleep(0.001)
        assert node.machine.store is not old
        assert values(node).keys() >= {b"k%d" % i for i in range(300)}


async def test_a_request_that_a_snapshot_covers_is_soon_answered_as_unknown(tmp_path: Path) -> None:
    """It happened, but what came of it is not in the snapshot; it happened only once."""
    async with cluster_of(tmp_path) as cluster:
        leader = await cluster.leader()
        await cluster.converged()
        follower = next(m for m in cluster.ids if m != leader)
        node = cluster.node(follower)
        cluster.network.cut |= {(member, follower) for member in cluster.ids}
        put = asyncio.create_task(node.propose(PutRequest(key=b"covered", value=b"v")))
        while b"covered" not in values(cluster.node(leader)):
            await asyncio.sleep(0.001)
        for member in cluster.ids:
            if member != follower:
                await cut_log(cluster, member)
        cluster.network.heal()
        with pytest.raises(RequestTimedOut, match="outcome no longer known"):
            await put
        assert installed(cluster, follower)
        await assert_equal(cluster)
        (kv,) = node.machine.store.range(RangeRequest(key=b"covered")).kvs
        assert kv.version == 1


async def test_a_follower_that_installs_takes_requests(tmp_path: Path) -> None:
    async with cluster_of(tmp_path) as cluster:
        _, follower = await leave_behind(cluster)
        node = await cluster.start(follower)
        response = await node.propose(PutRequest(key=b"asked early", value=b"v"))
        assert values(node)[b"asked early"] == b"v"
        assert response.header.revision > 300


async def test_the_log_of_a_leader_with_a_dead_follower_stays_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In memory and on the disk: 60 values of 1 MiB, and never more than a few of them held."""
    monkeypatch.setattr("raftkv.node.log_tail.MIN_SNAPSHOT_BYTES", 4 << 20)
    monkeypatch.setattr("raftkv.node.log_tail.TAIL_BYTES", 4 << 20)
    async with LoopbackCluster(tmp_path) as cluster:
        leader = await cluster.leader()
        await cluster.stop(next(m for m in cluster.ids if m != leader))
        node = cluster.node(leader)
        most_log = most_disk = 0
        for i in range(60):
            await node.propose(PutRequest(key=b"k%d" % (i % 3), value=b"v" * (1 << 20)))
            if i % 3 == 2:
                await node.propose(CompactionRequest(revision=node.machine.store.revision))
            log = node.status().log
            held = sum(len(entry.data) for entry in log.slice(log.first_index, log.last_index))
            most_log, most_disk = max(most_log, held), max(most_disk, node.wal.log_bytes)
        assert isinstance(node.wal, Wal)
        assert most_log < 20 << 20
        assert most_disk < 45 << 20


async def test_a_snapshot_that_is_overtaken_while_the_log_takes_note_of_it_stays_until_then(
    tmp_path: Path,
) -> None:
    """The log names it until its new beginning is durable: a crash before must find it whole."""
    async with cluster_of(tmp_path) as cluster:
        _, follower = await leave_behind(cluster)
        cluster.network.isolate(follower)
        node = await cluster.start(follower)
        await node.recovered()
        mark, save = node.wal.mark, node.wal.save
        marked, go_on = asyncio.Event(), asyncio.Event()

        async def slow_mark(kept: Sequence[SnapshotRef]) -> None:
            marked.set()
            while not installed(cluster, follower):
                await asyncio.sleep(0.001)
            await mark(kept)

        async def slow_save(writes: Sequence[Write], refs: Sequence[SnapshotRef] = ()) -> None:
            if any(write.snapshot is not None for write in writes):
                await go_on.wait()
            await save(writes, refs)

        node.wal.mark, node.wal.save = slow_mark, slow_save  # type: ignore[method-assign]
        node._store.kept = node._store.kept[:-1]  # so that there is something to take a snapshot of
        own = asyncio.create_task(node.snapshot_now())
        await marked.wait()
        cluster.network.heal()
        await own
        await node._store.prune([])
        named = [snapshot_name(ref.snapshot) for ref in node.wal._state.snapshots]
        assert named
        assert set(named) <= set(snapshot_names(cluster, follower))
        go_on.set()
        while len(snapshot_names(cluster, follower)) > 1:
            await asyncio.sleep(0.001)
        await assert_equal(cluster)
