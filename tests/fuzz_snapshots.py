"""Coverage-guided fuzzing of all that reads a snapshot; run by hand, with atheris installed.

    python tests/fuzz_snapshots.py decoder|loader FOLDER [-max_total_time=60] [options of libFuzzer]

FOLDER takes what the fuzzer begins with and what it finds worth keeping.
``decoder``: the bytes of a file in two pieces, with CRCs that are always right, so that the fuzzer gets
behind them. ``loader``: blocks of the state machine, one after the other. Any exception but the typed ones
ends the run, and so does more memory than a snapshot of that size can need.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

import atheris

with atheris.instrument_imports(include=["raftkv"]):
    from raftkv.errors import FormatTooNew, PeerProtocolError, SnapshotDamaged
    from raftkv.mvcc.loading import MachineLoader
    from raftkv.mvcc.machine import Machine
    from raftkv.mvcc.parts import Block
    from raftkv.raft.types import Configuration, Snapshot
    from raftkv.schema.kv import RangeRequest
    from raftkv.storage import snapshot_format
    from raftkv.storage.snapshot_format import SnapshotDecoder, SnapshotEncoder, SnapshotMeta

from tests.mvcc.snapshots import Recorded, some_request

PARTS = ["machine", "store", "members", "sessions", "unknown"]


def decode(data: bytes) -> None:
    """Feed ``data`` in two pieces, cut where its first byte says."""
    cut, data = data[:1], data[1:]
    place = len(data) * (cut or b"\x80")[0] // 255
    decoder = SnapshotDecoder()
    try:
        decoder.feed(data[:place])
        decoder.feed(data[place:])
        decoder.finish()
    except (SnapshotDamaged, FormatTooNew):
        return


def load(data: bytes) -> None:
    """Take ``data`` apart into blocks (part, length, content) and load them."""
    loader = MachineLoader()
    try:
        while len(data) >= 3:
            part, length = PARTS[data[0] % len(PARTS)], int.from_bytes(data[1:3], "little")
            loader.add(part, 1, data[3 : 3 + length])
            data = data[3 + length :]
        while loader.finish_step():
            pass
    except (PeerProtocolError, FormatTooNew):
        return
    machine = Machine()
    machine.adopt(loader)
    machine.digest()
    machine.store.range(RangeRequest(b"\x00", b"\x00"))


def examples(blocks_of: Callable[[list[Block]], bytes]) -> list[bytes]:
    """Return what real machines write, for the fuzzer to begin with."""
    found = []
    for seed in range(12):
        random, run = Random(seed), Recorded()
        for _ in range(seed * 3):
            run.apply(some_request(random, run.machine), boot=random.randrange(1, 4))
        found.append(blocks_of(list(run.machine.cut().blocks())))
    return found


def as_file(blocks: list[Block]) -> bytes:
    encoder = SnapshotEncoder(SnapshotMeta(1, Snapshot(9, 2, Configuration((1, 2), (3,), (4,))), 5, -1, 2))
    pieces = [encoder.begin(), *(encoder.block(snapshot_format.Block(*block)) for block in blocks)]
    return b"\x80" + b"".join([*pieces, encoder.end()])


def as_blocks(blocks: list[Block]) -> bytes:
    parts = (bytes([PARTS.index(b.part)]) + len(b.data).to_bytes(2, "little") + b.data for b in blocks)
    return b"".join(parts)


def main() -> None:
    targets = {"decoder": (decode, as_file), "loader": (load, as_blocks)}
    target, write = targets[sys.argv[1]]
    snapshot_format.crc32 = lambda *_: 0  # type: ignore[attr-defined]
    for number, example in enumerate(examples(write)):
        (Path(sys.argv[2]) / str(number)).write_bytes(example)
    options = [sys.argv[0], "-rss_limit_mb=600", "-max_len=4096", *sys.argv[3:], sys.argv[2]]
    atheris.Setup(options, target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
