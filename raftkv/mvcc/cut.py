"""A cut: the whole content as it was at one applied index, written out while more is applied."""

from collections.abc import Iterator

from raftkv.mvcc.content import ADDED_LATER, Content
from raftkv.mvcc.parts import Block, pack_block

MACHINE = "machine"
"""The first block's part: it holds the applied index, so that this can't come apart from the data."""

MACHINE_VERSION = 1
_NOTHING = pack_block()


class MachineCut:
    """The content at ``index``. Close it, or compaction waits for ever.

    Taking it is one short step, whatever the store holds: what is keyed by revision is not copied but
    kept from being compacted away (thesis §5.1 needs a copy on write here, a multi-version store has it).
    """

    def __init__(self, content: Content) -> None:
        self.index = content.applied_index
        self.revision = content.store.revision
        self.compact_revision = content.store.compact_revision
        self.keys = content.store.live_keys
        self._dumps = [(part.name, part.version, part.dump()) for part in content.parts()]

    def blocks(self) -> Iterator[Block]:
        """Yield the blocks, each a bounded step; anything may be applied or removed in between."""
        yield Block(MACHINE, MACHINE_VERSION, pack_block(self.index))
        for name, version, dump in self._dumps:
            for data in dump.blocks():
                if data != _NOTHING or name not in ADDED_LATER:
                    yield Block(name, version, data)

    def close(self) -> None:
        """Let compaction go on; may be repeated."""
        for _, _, dump in self._dumps:
            dump.close()
