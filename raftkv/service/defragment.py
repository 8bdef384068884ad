"""Defragmentation: a member gives up the room that its data does not need.

etcd rewrites its database file and serves nothing meanwhile; here every step but the last is sliced,
and the member serves on. No answer changes by it.
"""

import asyncio
import ctypes

from raftkv.node.node import Node

POLL_SECONDS = 0.01
"""How often it looks whether the removal of compacted history is done."""

REPACK_BLOCKS = 16
"""Blocks of the key index rewritten in one slice: well under a millisecond."""


async def defragment(node: Node) -> None:
    """Remove compacted history, fill the key index's blocks, rewrite the snapshot, free memory.

    The new snapshot lets the log before it go. Raises NoSpace (the snapshot does not fit), StorageError,
    NodeStopped.
    """
    await _removed(node, node.machine.store.compact_revision)
    place: bytes | None = b""
    while place is not None:
        place = node.machine.store.repack_step(place, REPACK_BLOCKS)
        await asyncio.sleep(0)
    await node.snapshot_now()
    with node.steps.timed("free memory"):
        _free_memory()


async def _removed(node: Node, revision: int) -> None:
    while True:
        if node.machine.store.compacted_physically() >= revision:
            return
        await asyncio.sleep(POLL_SECONDS)


def _free_memory() -> None:
    """Let the C library give free memory back to the system, where it is one that can (glibc)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
