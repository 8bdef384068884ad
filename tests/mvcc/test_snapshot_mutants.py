"""Bugs with a history, put into cuts and loading one at a time: the comparison must find each of them."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from raftkv.errors import PeerProtocolError
from raftkv.mvcc import store_dump
from raftkv.mvcc.compaction import Compactor
from raftkv.mvcc.cut import MACHINE, MachineCut
from raftkv.mvcc.leases import Leases, LeasesDump
from raftkv.mvcc.membership import Membership
from raftkv.mvcc.parts import Block, CopiedDump, pack_block
from raftkv.mvcc.sessions import Sessions, _encode
from raftkv.mvcc.store import FIRST_REVISION, Store
from raftkv.mvcc.store_dump import StoreDump
from raftkv.mvcc.store_loading import StoreLoader
from raftkv.mvcc.version_table import Entry, VersionTable
from raftkv.mvcc.versions import ChangeLog, Version
from tests.mvcc.snapshots import check_random_run

Patch = pytest.MonkeyPatch


def check() -> None:
    for seed in range(100):
        check_random_run(seed)


def s5_sessions_left_out(patch: Patch) -> None:
    """S5: the snapshot has no table of applied requests."""
    patch.setattr(Sessions, "dump", lambda _: CopiedDump([pack_block()]))


def s5_sessions_lose_their_window(patch: Patch) -> None:
    """S5: only the highest number of each boot is kept."""
    content = Sessions.content
    patch.setattr(
        Sessions,
        "dump",
        lambda self: CopiedDump(
            [pack_block(), *(_encode((m, b, h, bytes(len(ring)))) for m, b, h, ring in content(self))]
        ),
    )


def s4_members_as_the_cluster_began(patch: Patch) -> None:
    """S4: the members are those of the first entry, not what was published since."""
    dump = Membership.dump

    def stale(self: Membership) -> CopiedDump:
        early = Membership()
        early._members = {m.id: m._replace(name="", client_urls=()) for m in self.members()}
        return dump(early)

    patch.setattr(Membership, "dump", stale)


def s6_compact_revision_left_out(patch: Patch) -> None:
    """S6: after the load nothing was ever compacted."""
    patch.setattr(Compactor, "restore", lambda *_: None)


def s6_changes_at_the_compact_revision_left_out(patch: Patch) -> None:
    """S6: a watcher from the compact revision on misses a deletion."""
    patch.setattr(StoreDump, "_read_changes", lambda _: None)


def s7_revision_not_restored(patch: Patch) -> None:
    """S7: the store begins at its first revision again."""
    finish = Store.finish_load

    def forget(self: Store) -> bool:
        more = finish(self)
        self.revision = self.revision if more else FIRST_REVISION
        return more

    patch.setattr(Store, "finish_load", forget)


def s7_revision_of_the_newest_version(patch: Patch) -> None:
    """S7: the revision is taken from the versions, though the newest may be compacted away."""
    finish = Store.finish_load

    def derive(self: Store) -> bool:
        more = finish(self)
        if not more:
            entries = self.table.walk(b"", None)
            self.revision = max(
                (version[0] for e in entries for version in as_list(e)), default=FIRST_REVISION
            )
        return more

    patch.setattr(Store, "finish_load", derive)


def as_list(entry: Entry) -> list[Version]:
    return entry if isinstance(entry, list) else [entry]


def s9_later_versions_slip_in(patch: Patch) -> None:
    """S9: what was written after the cut is dumped as well."""
    blocks = StoreDump.blocks

    def late(self: StoreDump) -> Iterator[bytes]:
        self._revision += 100
        return blocks(self)

    patch.setattr(StoreDump, "blocks", late)


def s9_sessions_copied_late(patch: Patch) -> None:
    """S9: the request ids are those of a later index than the keys."""

    def lazily(self: Sessions) -> Iterator[bytes]:
        yield pack_block()
        for session in self.content():
            yield _encode(session)

    patch.setattr(Sessions, "dump", lambda self: CopiedDump(lazily(self)))


def s9_nothing_is_pinned(patch: Patch) -> None:
    """S9: a compaction removes what the dump has yet to read."""
    patch.setattr(Compactor, "pin", lambda *_: lambda: None)


def s9_place_kept_by_number(patch: Patch) -> None:
    """S9: the dump counts keys to know where it is, and insertions shift them."""

    def by_number(self: StoreDump) -> list[Version] | None:
        done = getattr(self, "_done", 0)
        entries = self._table.entries.slice(b"", None, 1_000_000)[done : done + store_dump._AT_ONCE]
        self._done = done + len(entries)  # type: ignore[attr-defined]
        return [version for entry in entries for version in self._left_of(entry)] if entries else None

    patch.setattr(StoreDump, "_read_versions", by_number)


def a1_index_of_a_later_moment(patch: Patch) -> None:
    """A1: the applied index is read when the dump is done, not with the data: entries are skipped."""
    taken: dict[int, Any] = {}
    init = MachineCut.__init__

    def remember(self: MachineCut, content: Any) -> None:
        init(self, content)
        taken[id(self)] = content

    def last(self: MachineCut) -> Iterator[Block]:
        blocks = [Block(name, version, data) for name, version, dump in self._dumps for data in dump.blocks()]
        yield from blocks
        yield Block(MACHINE, 1, pack_block(taken[id(self)].applied_index + 1))

    patch.setattr(MachineCut, "__init__", remember)
    patch.setattr(MachineCut, "blocks", last)


def a1_index_left_behind(patch: Patch) -> None:
    """A1: the index is older than the data, so entries are applied twice."""
    init = MachineCut.__init__

    def early(self: MachineCut, content: Any) -> None:
        init(self, content)
        self.index = max(1, self.index - 1)

    patch.setattr(MachineCut, "__init__", early)


def change_log_left_unsorted(patch: Patch) -> None:
    """The change log is in key order."""

    def unsorted(self: StoreLoader) -> bool:
        more = finish(self)
        changes = [change for block in self._table.changes._blocks for change in block]
        self._table.changes._blocks = [sorted(changes, key=lambda version: version[5])]
        return more

    finish = StoreLoader.finish_step
    patch.setattr(StoreLoader, "finish_step", unsorted)


def change_log_empty(patch: Patch) -> None:
    """The change log begins after the snapshot."""
    patch.setattr(ChangeLog, "extend", lambda *_: None)


def deleted_keys_not_noted(patch: Patch) -> None:
    """A key whose newest version is a deletion counts as live."""
    load = VersionTable.load
    patch.setattr(VersionTable, "load", lambda self, keys, entries, _=(): load(self, keys, entries))


def sizes_not_counted(patch: Patch) -> None:
    """The loaded store takes itself for empty."""
    patch.setattr(StoreLoader, "_take_versions", forget_sizes(StoreLoader._take_versions))


def forget_sizes(take: Callable[[StoreLoader, list[Version]], None]) -> Callable[..., None]:
    def forgetting(self: StoreLoader, versions: list[Version]) -> None:
        take(self, versions)
        self._table.size_in_use_bytes = 0

    return forgetting


def leases_left_out(patch: Patch) -> None:
    """The snapshot has no leases."""
    patch.setattr(Leases, "dump", lambda _: CopiedDump([pack_block()]))


def checkpoints_left_out(patch: Patch) -> None:
    """The snapshot does not tell how long leases have left."""
    patch.setattr(Leases, "dump", lambda self: LeasesDump(self._granted.copy(), self._granted_at.copy(), {}))


def grants_of_now(patch: Patch) -> None:
    """The snapshot does not tell a lease from an earlier one of the same id."""

    def dump(self: Leases) -> LeasesDump:
        return LeasesDump(self._granted.copy(), dict.fromkeys(self._granted, 1), self._remaining.copy())

    patch.setattr(Leases, "dump", dump)


def keys_not_attached(patch: Patch) -> None:
    """After the load no key is attached to a lease."""
    patch.setattr(StoreLoader, "_attach", lambda *_: None)


def keys_attached_by_a_block_on_its_own(patch: Patch) -> None:
    """A key that lost its lease in a later block keeps it."""
    attach = StoreLoader._attach

    def forget(self: StoreLoader, versions: list[Version]) -> None:
        attach(self, versions)
        self._attached = (b"", 0)

    patch.setattr(StoreLoader, "_attach", forget)


MUTANTS: list[Callable[[Patch], None]] = [
    s4_members_as_the_cluster_began,
    s5_sessions_left_out,
    s5_sessions_lose_their_window,
    s6_compact_revision_left_out,
    s6_changes_at_the_compact_revision_left_out,
    s7_revision_not_restored,
    s7_revision_of_the_newest_version,
    s9_later_versions_slip_in,
    s9_sessions_copied_late,
    s9_nothing_is_pinned,
    s9_place_kept_by_number,
    a1_index_of_a_later_moment,
    a1_index_left_behind,
    change_log_left_unsorted,
    change_log_empty,
    deleted_keys_not_noted,
    sizes_not_counted,
    leases_left_out,
    checkpoints_left_out,
    grants_of_now,
    keys_not_attached,
    keys_attached_by_a_block_on_its_own,
]


def test_cuts_as_they_are_pass_the_check() -> None:
    check()


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_the_check_finds_the_bug(mutant: Callable[[Patch], None], monkeypatch: Patch) -> None:
    mutant(monkeypatch)
    with pytest.raises((AssertionError, PeerProtocolError)):
        check()
