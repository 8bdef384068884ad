"""A loaded snapshot is the machine as a replay to its index makes it, whatever happened meanwhile."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, rule

from raftkv import errors
from raftkv.mvcc.commands import CommandRequest, PublishMember, RequestId, encode_command
from raftkv.mvcc.content import Content
from raftkv.mvcc.cut import MachineCut
from raftkv.mvcc.loading import MachineLoader
from raftkv.mvcc.machine import Machine
from raftkv.mvcc.parts import Block
from raftkv.mvcc.sessions import WINDOW
from raftkv.mvcc.versions import KEY, MOD
from raftkv.schema.kv import CompactionRequest, DeleteRangeRequest, PutRequest, RangeRequest, TxnRequest
from tests.mvcc.requests import EVERYTHING, delete, put
from tests.mvcc.snapshots import (
    KEYS,
    Recorded,
    changes_from_compaction,
    check_loaded,
    check_random_run,
    load,
    remove_all,
    small_slices,
)

REQUESTS = st.one_of(
    st.builds(PutRequest, key=st.sampled_from(KEYS), value=st.binary(max_size=50)),
    st.builds(PutRequest, key=st.sampled_from(KEYS), ignore_value=st.just(True)),
    st.builds(DeleteRangeRequest, key=st.sampled_from(KEYS), range_end=st.sampled_from([b"", b"\x00", b"b"])),
    st.sampled_from(
        [
            TxnRequest(success=[put(b"b"), put(b"c"), delete(b"d")]),
            TxnRequest(success=[delete(b"a", b"\x00"), put(b"b")]),
            TxnRequest(success=[put(b"b"), delete(b"a", b"\x00")]),
            TxnRequest(success=[put(b"b"), put(b"c"), delete(b"b", b"\x00"), delete(b"a", b"\x00")]),
        ]
    ),
    st.builds(PublishMember, st.just(5), st.sampled_from(["n1", "n2"]), st.just(["http://x"])),
)


class CutsOfALiveMachine(RuleBasedStateMachine):
    """Cuts are taken, written out and loaded while entries are applied and versions removed."""

    cuts: Bundle[tuple[MachineCut, object, list[Block]]] = Bundle("cuts")

    def __init__(self) -> None:
        super().__init__()
        self.run_ = Recorded()

    @initialize(versions=st.integers(1, 3), block_bytes=st.sampled_from([1, 60, 10_000]))
    def choose_slices(self, versions: int, block_bytes: int) -> None:
        self.slices = small_slices(versions, block_bytes)
        self.slices.__enter__()

    @rule(requests=st.lists(REQUESTS, min_size=1, max_size=4), boot=st.integers(1, 6))
    def apply(self, requests: list[CommandRequest], boot: int) -> None:
        for request in requests:
            self.run_.apply(request, boot)

    @rule(back=st.integers(0, 5))
    def compact(self, back: int) -> None:
        self.run_.apply(CompactionRequest(max(0, self.run_.machine.store.revision - back)))

    @rule()
    def apply_twice(self) -> None:
        if self.run_.entries:
            self.run_.apply_data(self.run_.entries[-1])

    @rule(budget=st.integers(1, 5))
    def remove(self, budget: int) -> None:
        self.run_.machine.store.compact_step(budget)

    @rule(target=cuts)
    def cut(self) -> tuple[MachineCut, object, list[Block]]:
        cut = self.run_.machine.cut()
        return cut, cut.blocks(), []

    @rule(opened=cuts, slices=st.integers(1, 3))
    def write_out(self, opened: tuple[MachineCut, object, list[Block]], slices: int) -> None:
        _, iterator, blocks = opened
        for _ in range(slices):
            if (block := next(iterator, None)) is not None:  # type: ignore[call-overload]
                blocks.append(block)

    @rule(opened=consumes(cuts))
    def finish(self, opened: tuple[MachineCut, object, list[Block]]) -> None:
        cut, iterator, blocks = opened
        blocks += iterator  # type: ignore[arg-type]
        cut.close()
        check_loaded(cut, blocks, self.run_)

    @rule(opened=consumes(cuts))
    def give_up(self, opened: tuple[MachineCut, object, list[Block]]) -> None:
        opened[0].close()

    @rule(opened=consumes(cuts))
    def install_here(self, opened: tuple[MachineCut, object, list[Block]]) -> None:
        """The machine goes back to the cut, as a member that got it from another one begins there."""
        cut, iterator, blocks = opened
        blocks += iterator  # type: ignore[arg-type]
        cut.close()
        loaded = load(blocks)
        self.run_.catch_up(loaded, self.run_.machine.applied_index)
        self.run_.machine = loaded

    def teardown(self) -> None:
        if hasattr(self, "slices"):
            self.slices.__exit__(None, None, None)


CutsOfALiveMachine.TestCase.settings = settings(
    max_examples=150,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestCutsOfALiveMachine = CutsOfALiveMachine.TestCase


@pytest.mark.parametrize("first", range(0, 200, 50))
def test_random_runs_load_as_a_replay_makes_them(first: int) -> None:
    slices = [check_random_run(seed) for seed in range(first, first + 50)]
    assert max(slices) > 15


def written(machine: Machine) -> list[Block]:
    cut = machine.cut()
    blocks = list(cut.blocks())
    cut.close()
    return blocks


def test_an_empty_machine_is_dumped_and_loaded() -> None:
    run = Recorded()
    cut = run.machine.cut()
    check_loaded(cut, list(cut.blocks()), run)


def test_blocks_come_by_part_and_each_part_has_one() -> None:
    parts = [block.part for block in written(Recorded().machine)]
    assert list(dict.fromkeys(parts)) == ["machine", "level", "store", "members", "sessions", "alarms"]


def test_a_request_that_was_applied_before_the_snapshot_is_a_duplicate_after_it() -> None:
    run = Recorded()
    run.apply(PutRequest(b"a", b"1"))
    loaded = load(written(run.machine))
    assert loaded.apply_command(3, run.entries[0]).duplicate
    assert loaded.store.revision == 2


@pytest.mark.parametrize("sequence", [0, WINDOW - 1, WINDOW, 3 * WINDOW + 7])
def test_the_window_of_request_ids_comes_back_as_it_was(sequence: int) -> None:
    machine = Machine()
    machine.apply_command(7, encode_command(RequestId(9, 3, sequence), PutRequest(b"a", b"1")))
    machine.sessions.admit(RequestId(9, 3, sequence + 5))
    loaded = load(written(machine))
    assert loaded.digest() == machine.digest()
    assert not loaded.sessions.admit(RequestId(9, 3, sequence))
    assert loaded.sessions.admit(RequestId(9, 3, sequence + 1))


def test_the_next_write_after_a_load_gets_the_next_revision() -> None:
    run = Recorded()
    for _ in range(5):
        run.apply(PutRequest(b"a", b"1"))
    loaded = load(written(run.machine))
    assert loaded.store.put(PutRequest(b"b", b"1")).header.revision == 7


def test_what_was_compacted_stays_forbidden_after_a_load() -> None:
    run = Recorded()
    for _ in range(5):
        run.apply(PutRequest(b"a", b"1"))
    run.apply(CompactionRequest(4))
    loaded = load(written(run.machine))
    with pytest.raises(errors.Compacted):
        loaded.store.range(RangeRequest(b"a", revision=3))
    assert loaded.store.range(RangeRequest(b"a", revision=4)).kvs[0].mod_revision == 4


def test_a_deletion_at_the_compact_revision_is_told_to_those_who_watch_from_it() -> None:
    """No read can see it any more, but an event of that very revision is still owed."""
    run = Recorded()
    run.apply(PutRequest(b"a", b"1"))
    run.apply(DeleteRangeRequest(b"a"))
    run.apply(CompactionRequest(3))
    remove_all(run.machine.store)
    changes = changes_from_compaction(load(written(run.machine)).store)
    assert [(change[MOD], change[KEY]) for change in changes] == [(3, b"a")]


def test_compaction_waits_for_an_open_cut_and_goes_on_after_it() -> None:
    run = Recorded()
    for _ in range(3):
        run.apply(PutRequest(b"a", b"1"))
    cut = run.machine.cut()
    run.apply(CompactionRequest(4))
    for _ in range(3):
        assert run.machine.store.compact_step(100)
    assert run.machine.store.compacted_physically() == -1
    cut.close()
    cut.close()
    remove_all(run.machine.store)
    assert run.machine.store.compacted_physically() == 4


def test_a_closed_cut_can_not_be_read_on() -> None:
    """What it needs may be gone."""
    cut = Recorded().machine.cut()
    blocks = cut.blocks()
    while next(blocks).part != "store":
        pass
    cut.close()
    with pytest.raises(AssertionError, match="closed"):
        next(blocks)


def test_a_slice_is_bounded_in_keys_versions_and_bytes() -> None:
    run = Recorded()
    for number in range(1200):
        run.apply(PutRequest(b"key %d" % number, b"v"))
        run.apply(PutRequest(b"hot", b"v"))
    for number in range(5):
        run.apply(PutRequest(b"large %d" % number, bytes(200_000)))
    run.apply(DeleteRangeRequest(b"key", b"kez"))
    run.apply(CompactionRequest(run.machine.store.revision))
    cut = run.machine.cut()
    blocks = list(cut.blocks())
    check_loaded(cut, blocks, run)
    assert max(len(block.data) for block in blocks) < 2 * 200_000 + 60_000
    assert len([block for block in blocks if block.part == "store"]) >= 1 + 1206 // 500 + 1200 // 500 + 3


def test_a_long_history_of_one_key_is_cut_into_blocks_and_joined_again() -> None:
    run = Recorded()
    for number in range(1300):
        run.apply(PutRequest(b"hot", b"%d" % number))
    run.apply(PutRequest(b"next", b"1"))
    cut = run.machine.cut()
    blocks = list(cut.blocks())
    assert len([block for block in blocks if block.part == "store"]) >= 4
    check_loaded(cut, blocks, run)
    history = run.machine.store.table.entries.get(b"hot")
    assert isinstance(history, list)
    assert len(run.machine.store.dump()._left_of(history)) <= 500


def test_adopting_swaps_everything_a_machine_has() -> None:
    run = Recorded()
    run.apply(PutRequest(b"a", b"1"))
    loader = MachineLoader()
    for block in written(run.machine):
        loader.add(*block)
    while loader.finish_step():
        pass
    machine, loaded = Machine(), dict(vars(loader.content))
    before = dict(vars(machine))
    machine.adopt(loader)
    assert vars(machine) == loaded
    assert vars(loader.content) == before


def test_every_attribute_of_the_content_but_the_index_is_a_part() -> None:
    """So nothing is replicated that a snapshot leaves out."""
    content = Content()
    attributes = {name: value for name, value in vars(content).items() if name != "applied_index"}
    assert list(attributes.values()) == list(content.parts())


def test_half_a_snapshot_can_not_be_adopted_and_none_twice() -> None:
    loader = MachineLoader()
    for block in written(Recorded().machine):
        loader.add(*block)
    with pytest.raises(AssertionError, match="half"):
        Machine().adopt(loader)
    while loader.finish_step():
        pass
    Machine().adopt(loader)
    with pytest.raises(AssertionError, match="twice"):
        Machine().adopt(loader)


def test_replaced_content_is_freed_in_steps_once_nothing_reads_it() -> None:
    run = Recorded()
    for number in range(3000):
        run.apply(PutRequest(b"key %d" % number, b"v"))
    run.apply(DeleteRangeRequest(b"key 1", b"key 2"))
    everything = RangeRequest(**EVERYTHING)
    expected = run.machine.store.range(everything)
    old, loader = run.machine.store, MachineLoader()
    for block in written(run.machine):
        loader.add(*block)
    while loader.finish_step():
        pass
    scan = old.open_range(everything)
    run.machine.adopt(loader)
    assert loader.discard_step()
    assert scan.run() == expected
    scan.close()
    steps = 1
    while loader.discard_step():
        steps += 1
    assert steps > 1
    assert (len(old.table.entries), len(old.table.deleted), len(old.table.changes)) == (0, 0, 0)
    assert run.machine.store.range(everything) == expected
