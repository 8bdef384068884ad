"""Loading a dump into fresh content, beside what is served, to be swapped in when it is whole."""

from raftkv.errors import FormatTooNew
from raftkv.mvcc.content import ADDED_LATER, Content
from raftkv.mvcc.cut import MACHINE, MACHINE_VERSION
from raftkv.mvcc.parts import nonsense, unpack_block


class MachineLoader:
    """Takes the blocks of a cut in their order, then finishes in steps; ``Machine.adopt`` ends it.

    Every step is bounded. An error leaves it of no use: throw it away.
    """

    def __init__(self) -> None:
        self.content = Content()
        self._parts = {part.name: part for part in self.content.parts()}
        self._versions = {part.name: part.version for part in self.content.parts()} | {
            MACHINE: MACHINE_VERSION
        }
        self._seen: dict[str, None] = {}
        self._unfinished = list(self.content.parts())
        self._taken = False

    def add(self, part: str, version: int, data: bytes) -> None:
        """Take in the next block.

        Raises FormatTooNew for a part or a version that is not known here, and PeerProtocolError for
        what no cut of this version holds.
        """
        known = self._versions.get(part)
        if known is None or version > known:
            raise FormatTooNew(
                f"the snapshot holds {part!r} of format {version}, which is not known here; "
                f"it was written by a newer raftkv"
            )
        if version != known:
            raise nonsense(f"{part} of format {version}")
        self._seen[part] = None
        if part == MACHINE:
            self._take_index(data)
        else:
            self._parts[part].load(data)

    def _take_index(self, data: bytes) -> None:
        match unpack_block(data):
            case (int(index),) if index > 0:
                self.content.applied_index = index
            case _:
                raise nonsense("no applied index")

    def finish_step(self) -> bool:
        """Do one bounded step of what is left after the last block; return True while there is more.

        Raises PeerProtocolError when the blocks don't make a whole.
        """
        missing = [name for name in self._versions if name not in self._seen and name not in ADDED_LATER]
        if missing:
            raise nonsense(f"{', '.join(missing)} missing")
        if self._unfinished and not self._unfinished[0].finish_load():
            del self._unfinished[0]
        return bool(self._unfinished)

    def take_loaded(self) -> Content:
        """Return the content, for ``Machine.adopt`` and only once."""
        assert not self._unfinished, "half a snapshot was adopted"
        assert not self._taken, "a snapshot was adopted twice"
        self._taken = True
        return self.content

    def discard_step(self) -> bool:
        """Free some of the content held here: the old one after ``Machine.adopt``, else what was loaded.

        Returns True while there is more. While something still reads it, nothing happens.
        """
        return self.content.store.discard_step()
