"""A log with a torn tail: the save that a power failure would have interrupted.

After kill -9 the system keeps what was written, and what a node had not yet made durable can't be told
from outside from what it had. So nothing is taken away: behind the last good batch comes a batch as far as
it got, of which nothing was ever acknowledged.
"""

from collections.abc import Sequence
from pathlib import Path
from random import Random

from raftkv.chaos.errors import ChaosError
from raftkv.chaos.faults.nodes import OfNodes
from raftkv.chaos.faults.processes import bring_back
from raftkv.chaos.system import Can, Effect
from raftkv.storage.disk import FileDisk
from raftkv.storage.inspection import Inspection, inspect
from raftkv.storage.records import BATCH_HEADER_BYTES, BatchHeader, encode_batch

CUT_WORDS = "cut an unfinished batch"
"""What a node's log says when it found a torn tail."""

MAX_PAYLOAD_BYTES = 2000


class TornKill(OfNodes):
    """kill -9 of the chosen ones, each with an unfinished batch at the end of its log at its next start."""

    kind = "kill-torn"
    group = "torn"
    needs = Can.DISKS

    async def _strike(self, random: Random) -> str:
        self._cut_before = self._times_cut()
        await self._cluster.end(self._names)
        torn = [await tear(self._cluster.node(name).place.data, random) for name in self._names]
        return f"kill -9, {' and '.join(map(str, torn))} bytes of an unfinished batch"

    async def _mend(self) -> Sequence[Effect]:
        await bring_back(self._cluster, self._names)
        found = self._times_cut() - self._cut_before
        return [Effect("torn tails found and cut", found)] if found else []

    def _times_cut(self) -> int:
        logs = self._cluster.logs()
        return sum(logs[name].read_text("utf-8", "replace").count(CUT_WORDS) for name in self._names)


async def tear(data: Path, random: Random) -> int:
    """Write part of a batch behind the last good one of a log that nobody uses; return how many bytes.

    0 where the segment has no room for it, or has a torn tail. Raises ``ChaosError`` for a damaged log.
    """
    disk = FileDisk(writable=False)
    try:
        found = await inspect(
            disk, str(data / "member" / "wal"), str(data / "member" / "snap"), records=False, written=False
        )
    finally:
        await disk.close()
    if found.damage is not None:
        raise ChaosError(f"{data}: damaged after kill -9: {found.damage}")
    segment = found.log.segments[-1]
    piece = _piece(found, random)
    if found.torn is not None or segment.size - segment.offset < len(piece):
        return 0
    _write(Path(segment.path), segment.offset, piece)
    return len(piece)


def _write(path: Path, offset: int, piece: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(piece)


def _piece(found: Inspection, random: Random) -> bytes:
    """Return what got to the disk of a batch that would have been the next one: a part, or a gap in it."""
    log = found.log
    header = BatchHeader(log.number, log.chain, log.position, log.replay.hard_state)
    payload = random.randbytes(random.randint(200, MAX_PAYLOAD_BYTES)) + b"\1"  # no zero could stand for
    batch, _ = encode_batch(log.marker, header, payload)
    kept = random.randint(1, len(batch) - 1)
    if random.random() < 0.3 and kept > BATCH_HEADER_BYTES:
        return bytes(BATCH_HEADER_BYTES) + batch[BATCH_HEADER_BYTES:kept]  # sectors out of their order
    return batch[:kept]
