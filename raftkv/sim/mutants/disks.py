"""Bugs of what is on the disk: the log's files and the snapshots' (thesis §3.8, §5)."""

from typing import Any

from raftkv.errors import StorageError
from raftkv.node import installer, node
from raftkv.node.node import Node
from raftkv.node.snapshotter import Snapshotter
from raftkv.raft.core import Raft
from raftkv.raft.messages import InstallSnapshot
from raftkv.raft.types import Entry, EntryKind, Status
from raftkv.sim.mutants.families import (
    ELECTION_SAFETY,
    LEADER_COMPLETENESS,
    LOG_MATCHING,
    LOST_WRITE,
    QUORUM_DURABLE,
    REFUSED_START,
    SENT_IS_DURABLE,
    SNAPSHOT,
    STATE_MACHINE_SAFETY,
)
from raftkv.sim.mutants.mutant import Hardness, Mutant, Patch
from raftkv.storage import recovery, segments
from raftkv.storage.disk import Disk
from raftkv.storage.records import BadFrame, Batch, decode_batch_header
from raftkv.storage.segments import Segment
from raftkv.storage.snapshots import UnpublishedSnapshot
from raftkv.storage.wal import Wal


def w1_checksum_unread(patch: Patch) -> None:
    """Believe the records of a batch whatever their checksum says."""

    def believe(data: bytes, offset: int, marker: bytes) -> Batch:
        batch = decode_batch_header(data, offset, marker)
        if batch.end > len(data):
            raise BadFrame("a batch runs beyond its segment")
        return batch

    patch.set(recovery, "decode_batch", believe)


def w2_damage_is_a_torn_tail(patch: Patch) -> None:
    """Drop whatever follows a bad batch."""
    patch.set(recovery, "_proves_durable", lambda *_: False)


def w3_torn_tail_is_damage(patch: Patch) -> None:
    """Refuse a log that ends in a save that the crash interrupted."""
    patch.set(recovery, "_proves_durable", lambda *_: True)


def w4_name_not_synced(patch: Patch) -> None:
    """Rename a new segment, and do not sync the folder."""
    publish = segments.publish_segment

    class Unsynced:
        def __init__(self, disk: Disk) -> None:
            self._disk = disk

        def __getattr__(self, name: str) -> Any:
            return getattr(self._disk, name)

        async def sync_directory(self, _path: str) -> None:
            """Forget it."""

    async def unsynced(disk: Any, directory: str, sequence: int, size: int, content: bytes) -> None:
        await publish(disk if sequence == 1 else Unsynced(disk), directory, sequence, size, content)

    patch.set(segments, "publish_segment", unsynced)


def w6_sync_error_ignored(patch: Patch) -> None:
    """Take a write or sync that failed for a good one."""
    write = Wal._write

    async def ignore(self: Wal, segment: Segment, data: bytes) -> None:
        try:
            await write(self, segment, data)
        except StorageError:
            self._failure = None
            segment.offset += len(data)

    patch.set(Wal, "_write", ignore)


def s1_snapshot_over_newer_log(patch: Patch) -> None:
    """Install a leader's snapshot that is newer than the last one here, though the log goes beyond it."""

    def is_newer(mine: Any, message: InstallSnapshot) -> bool:
        return mine is None or message.snapshot.index > mine.index

    def needs_file(status: Status, offer: InstallSnapshot) -> bool:
        return offer.term >= status.term and is_newer(status.snapshot, offer)

    def install(self: Raft, message: InstallSnapshot) -> None:
        self.follow(message.source)
        if is_newer(self.snapshot, message):
            self.install_snapshot(message.snapshot)
        index = max(message.snapshot.index, self.commit_index)
        self._send_append_reply(message.source, index, success=True)

    patch.set(installer, "needs_file", needs_file)
    patch.set(node, "needs_file", needs_file)
    patch.set(Raft, "on_install_snapshot", install)


def s4_stale_configuration(patch: Patch) -> None:
    """Let a snapshot name the configuration that the member started with."""
    apply = Node._apply

    def stale(self: Node, entry: Entry) -> None:
        before = self._applied.configuration
        apply(self, entry)
        if entry.kind == EntryKind.CONFIGURATION and before.voters:
            self._applied = self._applied._replace(configuration=before)

    patch.set(Node, "_apply", stale)


def s8_snapshot_not_synced(patch: Patch) -> None:
    """Give a snapshot its name, and cut the log, before its content is durable."""

    async def forget(_: UnpublishedSnapshot) -> None:
        return None

    patch.set(UnpublishedSnapshot, "_sync", forget)


def a1_index_before_the_content(patch: Patch) -> None:
    """Note the applied index first, and hold on to the content when the file is there."""
    dump = Snapshotter._dump

    class Late:
        """Stands for a machine whose content is looked at when it is written, not when it is cut."""

        def __init__(self, machine: Any) -> None:
            self._machine = machine
            self._cut = machine.cut()

        def __getattr__(self, name: str) -> Any:
            return getattr(self._cut, name)

        def cut(self) -> "Late":
            return self

        def blocks(self) -> Any:
            self._cut.close()
            self._cut = self._machine.cut()
            return self._cut.blocks()

        def close(self) -> None:
            self._cut.close()

    async def late(self: Snapshotter) -> Any:
        machine, self._machine = self._machine, Late(self._machine)  # type: ignore[assignment]
        try:
            return await dump(self)
        finally:
            self._machine = machine

    patch.set(Snapshotter, "_dump", late)


MUTANTS = (
    Mutant(
        "W1",
        "checksum not checked on read",
        w1_checksum_unread,
        Hardness.EASY,
        # "refused start": of a sound member, to which the others sent what nobody ever wrote.
        (*STATE_MACHINE_SAFETY, *LOG_MATCHING, *LOST_WRITE, *SNAPSHOT, "refused start"),
    ),
    Mutant(
        "W2",
        "damage in the middle of the log taken for a torn tail",
        w2_damage_is_a_torn_tail,
        Hardness.MEDIUM,
        (*LOST_WRITE, *SENT_IS_DURABLE),
    ),
    Mutant("W3", "a torn tail is fatal", w3_torn_tail_is_damage, Hardness.EASY, REFUSED_START),
    Mutant(
        "W4",
        "folder not synced after a segment is renamed",
        w4_name_not_synced,
        Hardness.MEDIUM,
        (*LOST_WRITE, *SENT_IS_DURABLE, *REFUSED_START),
    ),
    Mutant(
        "W6",
        "error of a sync ignored",
        w6_sync_error_ignored,
        Hardness.MEDIUM,
        (*LOST_WRITE, *SENT_IS_DURABLE, *REFUSED_START),
    ),
    Mutant(
        "S1",
        "snapshot install throws away newer entries",
        s1_snapshot_over_newer_log,
        Hardness.MEDIUM,
        (*LEADER_COMPLETENESS, *QUORUM_DURABLE, *SENT_IS_DURABLE, *STATE_MACHINE_SAFETY),
    ),
    Mutant(
        "S4",
        "snapshot with a stale configuration",
        s4_stale_configuration,
        Hardness.HARD,
        (*ELECTION_SAFETY, *QUORUM_DURABLE, "rule snapshot_is_committed_prefix"),
    ),
    Mutant(
        "S8",
        "snapshot renamed before it is fsynced, log cut first",
        s8_snapshot_not_synced,
        Hardness.MEDIUM,
        (*REFUSED_START, *LOST_WRITE),
    ),
    Mutant(
        "A1",
        "applied index not stored atomically with the data",
        a1_index_before_the_content,
        Hardness.HARD,
        (*STATE_MACHINE_SAFETY, *SNAPSHOT),
    ),
)
