"""The multi-version store: etcd's KV service over memory.

Cost of the steps that are not sliced, because they are atomic when applied, at 1,000,000 keys: see
the table in docs/decisions/002-key-index.md.
"""

from collections.abc import Callable, Container, Iterator
from typing import Any, ClassVar

from raftkv import errors
from raftkv.mvcc.compaction import Compactor
from raftkv.mvcc.hashing import RevisionHash
from raftkv.mvcc.revision_writer import RevisionWriter
from raftkv.mvcc.scan import RangeScan
from raftkv.mvcc.store_dump import StoreDump
from raftkv.mvcc.store_loading import StoreLoader
from raftkv.mvcc.txn import TxnPlan
from raftkv.mvcc.validate import check_range
from raftkv.mvcc.version_table import OperationCounts, VersionTable, visible_from
from raftkv.mvcc.versions import MOD, Version
from raftkv.schema.kv import (
    CompactionRequest,
    CompactionResponse,
    DeleteRangeRequest,
    DeleteRangeResponse,
    PutRequest,
    PutResponse,
    RangeRequest,
    RangeResponse,
    ResponseHeader,
    TxnRequest,
    TxnResponse,
)

FIRST_REVISION = 1
"""The revision of an empty store: the first write makes 2."""


class Store:
    """Keys, their history, and the revision they are at.

    ``put``, ``delete_range``, ``txn``, ``delete_attached`` and ``compact`` are called by ``Machine`` when
    an entry is applied, and by nobody else; the rest reads. Responses carry a header with the revision
    only. ``writes`` counts the puts and txns that this store took here; a loaded one begins at 0.
    """

    name: ClassVar[str] = "store"
    version: ClassVar[int] = 1

    def __init__(self, leases: Container[int] = ()) -> None:
        """``leases`` tells, now and later, to which leases a key can be attached."""
        self._leases = leases
        self.revision = FIRST_REVISION
        self.writes = 0
        self.table = VersionTable()
        self._compactor = Compactor(self.table)
        self._loader: StoreLoader | None = None

    @property
    def compact_revision(self) -> int:
        """Reads below it are refused; -1 = never compacted."""
        return self._compactor.revision

    @property
    def live_keys(self) -> int:
        """How many keys exist now."""
        return self.table.live_keys

    @property
    def size_bytes(self) -> int:
        """Estimate of the room taken by keys, values and their history, in bytes.

        As that of etcd's file it does not shrink with a compaction, which only makes room inside, but
        with a defragmentation.
        """
        return self.table.size_bytes

    @property
    def size_in_use_bytes(self) -> int:
        """The part of ``size_bytes`` that holds something."""
        return self.table.size_in_use_bytes

    @property
    def counts(self) -> OperationCounts:
        """What was done here since the start, or since a snapshot took the place of all there was."""
        return self.table.counts

    @property
    def readers(self) -> int:
        """How many scans, dumps and checksums are being read."""
        return self._compactor.pins

    def put(self, request: PutRequest) -> PutResponse:
        """Write one key; raises LeaseNotFound, KeyNotFound."""
        writer = self._writer()
        response = writer.put(request)
        self.writes += 1
        self.revision = writer.revision
        return response

    def delete_range(self, request: DeleteRangeRequest) -> DeleteRangeResponse:
        """Delete a range in one revision; the revision stays if nothing was there."""
        writer = self._writer()
        response = writer.delete_range(request)
        self.revision = writer.revision
        return response

    def delete_attached(self, lease: int) -> None:
        """Delete the keys of a lease in one revision; the revision stays if there are none."""
        writer = self._writer()
        writer.delete_attached(lease)
        self.revision = writer.revision

    def txn(self, request: TxnRequest) -> TxnResponse:
        """Run a txn in one revision; raises KeyNotFound, LeaseNotFound, FutureRevision, Compacted."""
        plan = TxnPlan(self.table, request)
        plan.check(self.table, self._leases, self._check_revision)
        writer = self._writer()
        before = self.table.counts.operations
        response = plan.run(writer)
        self.table.counts.txns += self.table.counts.operations - before > 1
        self.writes += 1
        self.revision = writer.revision
        return response

    def _writer(self) -> RevisionWriter:
        return RevisionWriter(self.table, self.revision, self._leases)

    def check_range(self, request: RangeRequest) -> None:
        """Raise EmptyKey, InvalidSortOption, FutureRevision or Compacted."""
        check_range(request)
        if request.revision > 0:
            self._check_revision(request.revision)

    def _check_revision(self, revision: int) -> None:
        if revision > self.revision:
            raise errors.FutureRevision
        if revision < self.compact_revision:
            raise errors.Compacted

    def open_range(self, request: RangeRequest) -> RangeScan:
        """Start a range at its revision, or at the newest one, which stays readable until ``close``.

        Raises what ``check_range`` raises.
        """
        self.check_range(request)
        revision = request.revision if request.revision > 0 else self.revision
        unpin = self._compactor.pin(revision)
        self.table.counts.ranges += 1
        return RangeScan(self.table, request, revision, self.revision, unpin)

    def range(self, request: RangeRequest) -> RangeResponse:
        """Answer a small range at once; raises what ``check_range`` raises."""
        with self.open_range(request) as scan:
            return scan.run()

    def compact(self, request: CompactionRequest) -> CompactionResponse:
        """Forbid reads below a revision from now on; what they alone needed goes by ``compact_step``.

        Raises Compacted (at or below the last compaction) or FutureRevision.
        """
        if request.revision <= self.compact_revision:
            raise errors.Compacted
        if request.revision > self.revision:
            raise errors.FutureRevision
        self._compactor.compact(request.revision)
        return CompactionResponse(ResponseHeader(revision=self.revision))

    def bump_revision(self, amount: int) -> None:
        """Move the revision on by ``amount`` and compact to it: only when a backup is restored.

        Then no client takes what it remembers of revisions that were lost for what is there now: its
        reads and watches of old revisions are refused. Raises Compacted when the revision is compacted to.
        """
        self.revision += amount
        self.compact(CompactionRequest(self.revision))

    def pin(self, revision: int) -> Callable[[], None]:
        """Keep changes from ``revision`` on, and what reads at it need, until the result is called, once."""
        return self._compactor.pin(revision)

    def previous(self, version: Version) -> Version | None:
        """Return the version that a change replaced; None if there was none, or if it is compacted."""
        if version[MOD] - 1 < self.compact_revision:
            return None
        return self.table.before(version)

    def compact_step(self, budget: int) -> bool:
        """Remove what compactions left behind, looking at ``budget`` changes; True = not done yet.

        A pinned scan holds it back: then it returns True without doing anything, and the caller waits
        a little before it calls again.
        """
        return self._compactor.step(budget)

    def repack_step(self, start: bytes, blocks: int) -> bytes | None:
        """Fill up some ``blocks`` blocks of the key index from ``start`` on; b"" at first.

        Return where to go on; None when all is done, and ``size_bytes`` is what is in use then.
        """
        place = self.table.entries.repack(start, blocks)
        if place is None:
            self.table.forget_peak()
        return place

    def compacted_physically(self) -> int:
        """Return the revision up to which the removal is done here; -1 = never."""
        return self._compactor.done

    def discard_step(self) -> bool:
        """Free some memory of a store that was replaced; return True while there is more to free.

        While a scan or a dump still reads it, nothing happens and it returns True. Freeing a million keys
        at once would take half a second.
        """
        return self._compactor.pinned or self.table.discard_step()

    def content(self) -> Iterator[Any]:
        """Yield the revisions and all versions that can be read; see ``Part``.

        What a compaction has forbidden to read is left out, whether or not it is gone here yet.
        """
        yield self.revision, self.compact_revision
        for entry in self.table.walk(b"", None):
            yield from visible_from(entry, self.compact_revision)

    def open_hash(self, revision: int) -> RevisionHash:
        """Begin a checksum of what was written up to ``revision``; 0 is the newest one.

        Raises FutureRevision, and Compacted for one at or below the compact revision, as etcd 3.5.1 does.
        """
        if revision > self.revision:
            raise errors.FutureRevision
        if 0 < revision <= self.compact_revision:
            raise errors.Compacted
        dump = self._dump_at(revision or self.revision)
        return RevisionHash(dump, self.revision, self.compact_revision)

    def dump(self) -> StoreDump:
        """See ``Part``: pins the compact revision until the dump is closed."""
        return self._dump_at(self.revision)

    def _dump_at(self, revision: int) -> StoreDump:
        unpin = self._compactor.pin(self.compact_revision)
        return StoreDump(self.table, revision, self.compact_revision, unpin)

    def load(self, data: bytes) -> None:
        """See ``Part``."""
        if self._loader is None:
            self._loader = StoreLoader(self.table)
        self._loader.add(data)

    def finish_load(self) -> bool:
        """See ``Part``."""
        assert self._loader is not None, "nothing was loaded"
        if self._loader.finish_step():
            return True
        self.revision = self._loader.revision
        self._compactor.restore(self._loader.compact_revision)
        self._loader = None
        return False
