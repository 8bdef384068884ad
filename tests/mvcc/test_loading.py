"""What no machine dumps is refused with a typed error, whoever sent it."""

import tracemalloc
import zlib
from contextlib import closing
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raftkv.errors import FormatTooNew, PeerProtocolError
from raftkv.mvcc.level import FIRST, LEVEL
from raftkv.mvcc.loading import MachineLoader
from raftkv.mvcc.membership import MemberInfo, encode_members
from raftkv.mvcc.parts import Block, pack_block
from raftkv.mvcc.sessions import WINDOW
from raftkv.mvcc.store_dump import CHANGES, HEADER, VERSIONS
from raftkv.schema.kv import CompactionRequest, DeleteRangeRequest, PutRequest
from tests.mvcc.snapshots import Recorded, load

Version = tuple[Any, ...]
A: Version = (2, 0, 2, 1, 0, b"a", b"1")
B: Version = (3, 0, 3, 1, 0, b"b", b"2")
C: Version = (4, 0, 2, 2, 0, b"c", b"")
RING = zlib.compress(bytes(WINDOW))


def blocks(
    *,
    versions: tuple[Any, ...] = (A, B),
    changes: tuple[Any, ...] = (),
    header: tuple[Any, ...] = (HEADER, 5, 1, 2),
    members: bytes = encode_members([MemberInfo(5, "", (), (), is_learner=False)]),
    sessions: bytes = pack_block(),
    leases: bytes = pack_block(),
    level: bytes = pack_block(2),
    index: bytes = pack_block(9),
) -> list[Block]:
    return [
        Block("machine", 1, index),
        Block("level", 1, level),
        Block("store", 1, pack_block(*header)),
        Block("store", 1, pack_block(VERSIONS, versions)),
        Block("store", 1, pack_block(CHANGES, changes)),
        Block("members", 1, members),
        Block("sessions", 1, sessions),
        Block("alarms", 1, pack_block()),
        Block("leases", 1, leases),
    ]


def test_the_blocks_of_these_tests_are_right_as_they_are() -> None:
    machine = load(blocks())
    assert (machine.applied_index, machine.store.revision, machine.store.live_keys) == (9, 5, 2)


def test_an_unknown_part_was_written_by_a_newer_version() -> None:
    with pytest.raises(FormatTooNew, match="'locks' of format 1"):
        load([*blocks(), Block("locks", 1, b"")])


@pytest.mark.parametrize("part", ["machine", "store", "members", "sessions", "alarms", "leases"])
def test_a_newer_format_of_a_part_is_named(part: str) -> None:
    with pytest.raises(FormatTooNew, match=f"'{part}' of format 2"):
        load([Block(part, 2, b"")])
    with pytest.raises(PeerProtocolError):
        load([Block(part, 0, b"")])


@pytest.mark.parametrize("part", ["machine", "store", "members", "sessions", "alarms"])
def test_a_part_that_is_missing_is_noticed(part: str) -> None:
    with pytest.raises(PeerProtocolError, match=f"{part} missing"):
        load(block for block in blocks() if block.part != part)


def test_a_level_that_is_not_known_here_is_refused() -> None:
    assert load(block for block in blocks() if block.part != "level").level.number == FIRST
    with pytest.raises(FormatTooNew, match=f"level {LEVEL + 1}"):
        load(blocks(level=pack_block(LEVEL + 1)))
    for wrong in (pack_block(), pack_block(1), pack_block("2"), pack_block(2, 2)):
        with pytest.raises(PeerProtocolError):
            load(blocks(level=wrong))


def test_a_dump_of_before_there_were_leases_has_none() -> None:
    machine = load(block for block in blocks() if block.part != "leases")
    assert list(machine.leases.content()) == []
    assert machine.store.live_keys == 2


def test_leases_are_left_out_of_a_dump_until_there_is_one() -> None:
    machine = load(block for block in blocks() if block.part != "leases")
    with closing(machine.cut()) as cut:
        assert "leases" not in {block.part for block in cut.blocks()}
    machine.leases.grant(7, 60, 9)
    with closing(machine.cut()) as cut:
        assert [block.data for block in cut.blocks() if block.part == "leases"] == [pack_block((7, 60, 0, 9))]


@pytest.mark.parametrize(
    "wrong",
    [
        {"versions": (B, A)},
        {"versions": (A, A)},
        {"versions": (A, 7)},
        {"versions": (A, B[:6])},
        {"versions": (A, (*B, 0))},
        {"versions": (A, list(B), {})},
        {"versions": (A, (3, 0, 3, 1, 0, "b", b"2"))},
        {"versions": (A, (3, 0, 3, True, 0, b"b", b"2"))},
        {"versions": (A, (3.0, 0, 3, 1, 0, b"b", b"2"))},
        {"versions": (A, (6, 0, 3, 1, 0, b"b", b"2"))},
        {"versions": (A, (0, 0, 3, 1, 0, b"b", b"2"))},
        {"versions": (A, (4, 0, 3, 1, 0, b"b", b"2"), (3, 0, 3, 1, 0, b"b", b"2"))},
        {"versions": (A, B, C)},
        {"versions": (A,)},
        {"versions": (A, (3, 0, 0, 0, 0, b"b", b""))},
        {"versions": (A, (3, 0, 0, 0, 0, b"b", b"")), "header": (HEADER, 5, 1, 1)},
        {"versions": ((3, 0, 0, 0, 0, b"a", b""), B)},
        {"versions": 7},
        {"versions": {}},
        {"changes": (A,)},
        {"changes": ((0, 0, 0, 0, 0, b"x", b""),)},
        {"header": (HEADER, 5, 1)},
        {"header": (HEADER, 0, -1, 2)},
        {"header": (HEADER, 5, 6, 2)},
        {"header": (HEADER, 5, -2, 2)},
        {"header": (HEADER, "5", 1, 2)},
        {"header": (VERSIONS, ())},
        {"header": (9, 5, 1, 2)},
        {"header": ()},
        {"members": b"\x90"},
        {"members": b"\xc1"},
        {"members": msgpack.packb([1, [[1, 2]]])},
        {"sessions": pack_block(1, 2, 3)},
        {"sessions": pack_block(1, 2, -1, RING)},
        {"sessions": pack_block(1, 2, 3, b"")},
        {"sessions": pack_block(1, 2, 3, RING[:-1])},
        {"sessions": pack_block(1, 2, 3, zlib.compress(bytes(WINDOW - 1)))},
        {"sessions": pack_block(1, 2, 3, zlib.compress(bytes(WINDOW + 1)))},
        {"sessions": pack_block(1, 2, 3, zlib.compress(bytes(WINDOW - 1) + b"\x02"))},
        {"leases": pack_block(7)},
        {"leases": pack_block((0, 60, 0, 9))},
        {"leases": pack_block((7, 60, 60, 9))},
        {"leases": pack_block((7, 60, -1, 9))},
        {"leases": pack_block((7, 60, 0))},
        {"leases": pack_block((7, 60, 0, 0))},
        {"leases": pack_block((7, 60, 0, 9), (7, 60, 0, 9))},
        {"leases": pack_block((7, "60", 0, 9))},
        {"index": pack_block(0)},
        {"index": pack_block("9")},
        {"index": pack_block(9, 9)},
        {"index": b""},
        {"index": b"\x07"},
    ],
    ids=repr,
)
def test_nonsense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(PeerProtocolError):
        load(blocks(**wrong))


def test_keys_go_on_in_order_from_block_to_block() -> None:
    first, second, third, *rest = blocks()
    with pytest.raises(PeerProtocolError, match="order"):
        load([first, second, third, Block("store", 1, pack_block(VERSIONS, (A, C))), *rest])


def test_a_member_has_each_boot_once_and_four_at_most() -> None:
    sessions = [Block("sessions", 1, pack_block(7, boot, 3, RING)) for boot in range(5)]
    load([*blocks(), *sessions[:4]])
    with pytest.raises(PeerProtocolError, match="too many sessions"):
        load([*blocks(), *sessions])
    with pytest.raises(PeerProtocolError, match="too many sessions"):
        load([*blocks(), sessions[0], sessions[0]])


def test_a_window_that_unpacks_to_gigabytes_takes_no_memory() -> None:
    bomb = blocks(sessions=pack_block(1, 2, 3, zlib.compress(bytes(64 << 20))))
    tracemalloc.start()
    try:
        with pytest.raises(PeerProtocolError, match="window"):
            load(bomb)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def dumped() -> list[Block]:
    run = Recorded()
    for number in range(6):
        run.apply(PutRequest(b"k%d" % (number % 3), b"v"))
    run.apply(DeleteRangeRequest(b"k1"))
    run.apply(CompactionRequest(8))
    run.apply(DeleteRangeRequest(b"k2"))
    return list(run.machine.cut().blocks())


DUMPED = dumped()
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=20,
)
FIELDS = st.lists(
    st.integers(-1, 9) | st.sampled_from([b"", b"k1", b"zz", 2**64 - 1, True, None]), max_size=8
)
LOOKALIKES = st.tuples(st.integers(-1, 3), st.lists(FIELDS | FIELDS.map(tuple), max_size=4))


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_any_bytes_in_the_place_of_a_block_are_loaded_or_refused(data: st.DataObject) -> None:
    """Nothing but the two typed errors comes out, and what does load can be read."""
    place = data.draw(st.integers(0, len(DUMPED) - 1))
    content = data.draw(
        st.binary(max_size=60)
        | VALUES.map(msgpack.packb)
        | LOOKALIKES.map(msgpack.packb)
        | bent(DUMPED[place].data)
    )
    changed = [*DUMPED]
    changed[place] = DUMPED[place]._replace(data=content)
    loader = MachineLoader()
    try:
        for block in changed:
            loader.add(*block)
        while loader.finish_step():
            pass
    except (PeerProtocolError, FormatTooNew):
        return
    loader.content.store.table.count_live(b"", None)
    assert loader.content.applied_index > 0


def bent(content: bytes) -> st.SearchStrategy[bytes]:
    """Return ``content`` with some bytes replaced."""
    changes = st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255)), max_size=3)

    def bend(places: list[tuple[int, int]]) -> bytes:
        result = bytearray(content)
        for place, value in places:
            result[place] = value
        return bytes(result)

    return changes.map(bend)
