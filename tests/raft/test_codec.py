"""Messages as bytes: what goes in comes out, and nothing but PeerProtocolError comes of bad bytes."""

import tracemalloc
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftkv.errors import PeerProtocolError
from raftkv.raft import messages
from raftkv.raft.codec import MAX_ITEMS, TAGS, decode_message, encode_message
from raftkv.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    ForwardProposals,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    Message,
    PreVoteReply,
    ReadIndex,
    ReadIndexReply,
    RemovedNotice,
    RequestPreVote,
    RequestVote,
    RequestVoteReply,
    TimeoutNow,
)
from raftkv.raft.types import Configuration, Entry, EntryKind, Snapshot

IDS = st.integers(1, 2**64 - 1)
NUMBERS = st.integers(0, 2**64 - 1)
ENTRY_TAILS = st.tuples(NUMBERS, st.sampled_from(list(map(int, EntryKind))), st.binary(max_size=30))


@st.composite
def append_entries(draw: st.DrawFn) -> AppendEntries:
    prev_index = draw(st.integers(0, 2**63))
    tails = draw(st.lists(ENTRY_TAILS, max_size=5))
    entries = tuple(Entry(t, prev_index + 1 + i, k, d) for i, (t, k, d) in enumerate(tails))
    source, target, term, prev_term, commit = (draw(s) for s in (IDS, IDS, NUMBERS, NUMBERS, NUMBERS))
    return AppendEntries(source, target, term, prev_index, prev_term, entries, commit)


def of(kind: type[Any], *fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(kind, IDS, IDS, NUMBERS, *fields)


NUMBER_TUPLES = st.lists(NUMBERS, max_size=5).map(tuple)
MEMBERS = st.lists(IDS, max_size=5, unique=True).map(sorted).map(tuple)
SNAPSHOTS = st.builds(Snapshot, NUMBERS, NUMBERS, st.builds(Configuration, MEMBERS, MEMBERS, MEMBERS))
MESSAGES: st.SearchStrategy[Message] = st.one_of(
    of(RequestPreVote, NUMBERS, NUMBERS),
    of(PreVoteReply, st.booleans()),
    of(RequestVote, NUMBERS, NUMBERS, st.booleans()),
    of(RequestVoteReply, st.booleans()),
    append_entries(),
    of(AppendEntriesReply, st.booleans(), NUMBERS, NUMBERS, NUMBERS),
    of(Heartbeat, NUMBERS, NUMBERS),
    of(HeartbeatReply, NUMBERS),
    of(ForwardProposals, st.lists(st.binary(max_size=30), max_size=5).map(tuple)),
    of(ReadIndex, NUMBER_TUPLES),
    of(ReadIndexReply, NUMBER_TUPLES, NUMBERS),
    of(InstallSnapshot, SNAPSHOTS),
    of(TimeoutNow),
    of(RemovedNotice),
)
HEARTBEAT = Heartbeat(source=1, target=2, term=3, commit=4, round=5)
APPEND = AppendEntries(1, 2, 3, 10, 3, (Entry(3, 11, 0, b"a"), Entry(3, 12, 2, b"")), 10)


def refused(data: bytes) -> str:
    with pytest.raises(PeerProtocolError) as caught:
        decode_message(data)
    return str(caught.value)


def packed(*fields: Any) -> bytes:
    data: bytes = msgpack.packb(fields)
    return data


@given(MESSAGES)
def test_every_message_comes_out_as_it_went_in(message: Message) -> None:
    decoded = decode_message(encode_message(message))
    assert decoded == message
    assert type(decoded) is type(message)


@given(append_entries())
def test_entries_come_out_as_entries(message: AppendEntries) -> None:
    decoded = decode_message(encode_message(message))
    assert isinstance(decoded, AppendEntries)
    assert all(type(entry) is Entry for entry in decoded.entries)


def test_every_message_type_has_a_tag_of_its_own() -> None:
    assert set(TAGS) == set(messages.Message.__args__)
    assert len(set(TAGS.values())) == len(TAGS)


def test_bytes_on_the_wire_stay_what_they_are() -> None:
    """Members of different versions talk to each other: these bytes are a promise."""
    assert encode_message(HEARTBEAT).hex() == "96070102030405"
    assert encode_message(APPEND).hex() == "980501 02030a03 929403 0b00c40161 94030c02c400 0a".replace(
        " ", ""
    )
    assert [TAGS[kind] for kind in messages.Message.__args__] == list(range(1, 15))


@given(st.binary(max_size=200))
def test_random_bytes_give_a_message_or_a_protocol_error(data: bytes) -> None:
    try:
        message = decode_message(data)
    except PeerProtocolError:
        return
    assert type(message) in TAGS


@given(st.recursive(st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.binary(max_size=5)
                    | st.text(max_size=5) | st.floats(), lambda inner: st.lists(inner, max_size=8)
                    | st.dictionaries(st.integers(0, 9), inner, max_size=3), max_leaves=20),
       st.sampled_from(sorted(TAGS.values())))  # fmt: skip
def test_any_msgpack_value_gives_a_message_or_a_protocol_error(value: Any, tag: int) -> None:
    for data in (msgpack.packb(value), packed(tag, *value) if isinstance(value, list) else b""):
        try:
            decode_message(data)
        except PeerProtocolError:
            continue


@given(MESSAGES, st.data())
def test_a_flipped_bit_gives_a_well_formed_message_or_a_protocol_error(
    message: Message, data: st.DataObject
) -> None:
    encoded = bytearray(encode_message(message))
    bit = data.draw(st.integers(0, len(encoded) * 8 - 1))
    encoded[bit // 8] ^= 1 << bit % 8
    try:
        changed = decode_message(bytes(encoded))
    except PeerProtocolError:
        return
    assert decode_message(encode_message(changed)) == changed


@given(MESSAGES)
def test_every_truncation_is_refused(message: Message) -> None:
    encoded = encode_message(message)
    for length in range(len(encoded)):
        refused(encoded[:length])


@given(MESSAGES, st.binary(min_size=1, max_size=5))
def test_bytes_after_the_message_are_refused(message: Message, rest: bytes) -> None:
    assert f"followed by {len(rest)} bytes" in refused(encode_message(message) + rest)


def test_the_tag_of_a_newer_message_is_named() -> None:
    assert refused(packed(99, 1, 2, 3)) == "unknown message tag 99: is the peer of a newer version?"


def test_a_tag_that_only_equals_a_known_one_is_refused() -> None:
    assert "unknown message tag True" in refused(packed(True, 1, 2, 3, 4, 5))
    assert "unknown message tag 7.0" in refused(packed(7.0, 1, 2, 3, 4, 5))


@pytest.mark.parametrize("fields", [(7, 1, 2, 3, 4), (7, 1, 2, 3, 4, 5, 6)])
def test_a_field_too_few_or_too_many_is_refused(fields: tuple[int, ...]) -> None:
    assert "Heartbeat of" in refused(packed(*fields))


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"source": 0}, "0 is not a member id"),
        ({"target": -1}, "-1 is not a member id"),
        ({"source": True}, "True is not a member id"),
        ({"term": -1}, "-1 is not an unsigned integer"),
        ({"term": 1.0}, "1.0 is not an unsigned integer"),
        ({"commit": None}, "NoneType is not an unsigned integer"),
        ({"round": b"5"}, "bytes is not an unsigned integer"),
        ({"round": False}, "False is not an unsigned integer"),
    ],
)
def test_a_field_of_a_wrong_type_or_range_is_refused(changed: dict[str, Any], why: str) -> None:
    assert refused(packed(7, *HEARTBEAT._replace(**changed))) == f"Heartbeat: {why}"


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ((3, 11, 0), "tuple is not an entry"),
        (7, "7 is not an entry"),
        ((3, 11, 3, b""), "unknown entry kind 3"),
        ((3, 11, -1, b""), "unknown entry kind -1"),
        ((3, 11, False, b""), "entry of (3, 11, False, bytes)"),
        ((-3, 11, 0, b""), "entry with term -3"),
        ((3, -11, 0, b""), "index -11"),
        ((3, 11, 0, None), "entry of (3, 11, 0, NoneType)"),
        ((3, 10, 0, b""), "entry 10 where 11 follows"),
        ((3, 12, 0, b""), "entry 12 where 11 follows"),
    ],
)
def test_an_entry_that_is_not_one_is_refused(entry: Any, why: str) -> None:
    assert why in refused(packed(5, 1, 2, 3, 10, 3, (entry,), 10))


def test_a_gap_between_entries_is_refused() -> None:
    first, second = APPEND.entries
    gap = APPEND._replace(entries=(first, second._replace(index=13)))
    assert "entry 13 where 12 follows" in refused(encode_message(gap))


def test_a_reply_is_granted_by_a_boolean_only() -> None:
    assert refused(packed(4, 1, 2, 3, 1)) == "RequestVoteReply: 1 is not a boolean"


def test_commands_are_byte_strings_and_contexts_integers() -> None:
    assert "5 is not a byte string" in refused(packed(9, 1, 2, 3, (5,)))
    assert "bytes is not an unsigned integer" in refused(packed(10, 1, 2, 3, (b"",)))
    refused(packed(10, 1, 2, 3, 4))


def test_more_items_than_any_member_sends_are_refused() -> None:
    assert "more than" in refused(packed(10, 1, 2, 3, (0,) * (MAX_ITEMS + 1)))
    assert decode_message(packed(10, 1, 2, 3, (0,) * MAX_ITEMS)).term == 3


@pytest.mark.parametrize(
    "hostile",
    [
        b"\xdd\xff\xff\xff\xff",
        b"\xdd\x00\x00\xff\xff" * 1000,
        b"\x98\x05\x01\x02\x03\x0a\x03\xdd\x00\x01\xff\xff" + b"\xdd\x00\x01\xff\xff" * 1000,
        b"\x95\x0a\x01\x02\x03\xdd\xff\xff\xff\xff",
        b"\x95\x09\x01\x02\x03\x91\xc6\xff\xff\xff\xff",
        b"\x91" * 100_000,
        b"\x98\x05\x01\x02\x03\x0a\x03" + b"\x91" * 100_000,
    ],
)
def test_a_few_bytes_that_promise_much_take_little_memory(hostile: bytes) -> None:
    tracemalloc.start()
    try:
        refused(hostile)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10 * len(hostile) + 1_000_000
