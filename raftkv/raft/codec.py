"""Messages as bytes: a msgpack array of the type's tag and its fields, in their declared order.

::

    [tag, source, target, term, ...]        an Entry is [term, index, kind, data]

A tag never changes its meaning and is never used again. Every fault of the bytes is a
``PeerProtocolError``. The fields are read one by one and not as one msgpack object: msgpack reserves
an array's slots when it reads the array's header and arrays may nest, so that a few bytes could ask
for gigabytes. Read this way, memory grows with what is really there and no more than MAX_ITEMS times.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgpack

from raftkv.errors import PeerProtocolError
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

TAGS: Final[dict[type[Message], int]] = {
    RequestPreVote: 1,
    PreVoteReply: 2,
    RequestVote: 3,
    RequestVoteReply: 4,
    AppendEntries: 5,
    AppendEntriesReply: 6,
    Heartbeat: 7,
    HeartbeatReply: 8,
    ForwardProposals: 9,
    ReadIndex: 10,
    ReadIndexReply: 11,
    InstallSnapshot: 12,
    TimeoutNow: 13,
    RemovedNotice: 14,
}

MAX_ITEMS: Final = 131_072
"""Entries, commands or contexts in one message."""

_ENTRY_FIELDS: Final = len(Entry._fields)
_KINDS: Final = frozenset(int(kind) for kind in EntryKind)
_COMPILED: Final = msgpack.Unpacker.__module__ != "msgpack.fallback"
_MAX_ARRAY: Final = _ENTRY_FIELDS if _COMPILED else MAX_ITEMS + 1
"""The only array that is read as one object is an entry. Where msgpack was not compiled it is pure Python:
there the limit holds for headers that are read one by one as well, and nothing is reserved, so that a large
limit does no harm."""


def encode_message(message: Message) -> bytes:
    """Return the message as bytes; its integers are in 0..2**64-1 and its arrays within MAX_ITEMS."""
    data: bytes = msgpack.packb((TAGS[type(message)], *message))
    return data


def decode_message(data: bytes) -> Message:
    """Return the message in ``data``; raises PeerProtocolError on anything that is not exactly one."""
    unpacker = msgpack.Unpacker(
        max_buffer_size=max(len(data), 1),
        read_size=max(len(data), 1),
        use_list=False,
        max_array_len=_MAX_ARRAY,
        max_map_len=0,
        max_str_len=0,
        max_ext_len=0,
    )
    unpacker.feed(data)
    try:
        message = _read_message(unpacker)
    except (ValueError, msgpack.UnpackException, RecursionError) as error:
        raise PeerProtocolError(f"malformed msgpack: {type(error).__name__} {error!s:.80}") from None
    if unpacker.tell() != len(data):
        raise PeerProtocolError(f"{type(message).__name__} followed by {len(data) - unpacker.tell()} bytes")
    return message


def _read_message(unpacker: Any) -> Message:
    length = unpacker.read_array_header() - 1
    tag = unpacker.unpack()
    form = _FORMS.get(tag) if type(tag) is int else None
    if form is None:
        raise PeerProtocolError(f"unknown message tag {_show(tag)}: is the peer of a newer version?")
    if length != len(form.readers):
        raise PeerProtocolError(f"{form.type.__name__} of {length} fields, not {len(form.readers)}")
    try:
        message: Message = form.type(*[read(unpacker) for read in form.readers])
    except _Malformed as malformed:
        raise PeerProtocolError(f"{form.type.__name__}: {malformed}") from None
    if type(message) is AppendEntries:
        _check_contiguous(message)
    return message


class _Malformed(Exception):
    """A field's value is not one that its declaration allows."""


def _read_member(unpacker: Any) -> int:
    value = unpacker.unpack()
    if type(value) is not int or value <= 0:
        raise _Malformed(f"{_show(value)} is not a member id")
    return value


def _read_integer(unpacker: Any) -> int:
    value = unpacker.unpack()
    if type(value) is not int or value < 0:
        raise _Malformed(f"{_show(value)} is not an unsigned integer")
    return value


def _read_boolean(unpacker: Any) -> bool:
    value = unpacker.unpack()
    if type(value) is not bool:
        raise _Malformed(f"{_show(value)} is not a boolean")
    return value


def _read_bytes(unpacker: Any) -> bytes:
    value = unpacker.unpack()
    if type(value) is not bytes:
        raise _Malformed(f"{_show(value)} is not a byte string")
    return value


def _read_length(unpacker: Any) -> int:
    length: int = unpacker.read_array_header()
    if length > MAX_ITEMS:
        raise _Malformed(f"an array of {length} items, more than {MAX_ITEMS}")
    return length


def _read_integers(unpacker: Any) -> tuple[int, ...]:
    return tuple([_read_integer(unpacker) for _ in range(_read_length(unpacker))])


def _read_byte_strings(unpacker: Any) -> tuple[bytes, ...]:
    return tuple([_read_bytes(unpacker) for _ in range(_read_length(unpacker))])


def _read_entries(unpacker: Any) -> tuple[Entry, ...]:
    return tuple([_entry(unpacker.unpack()) for _ in range(_read_length(unpacker))])


def _read_snapshot(unpacker: Any) -> Snapshot:
    if unpacker.read_array_header() != len(Snapshot._fields):
        raise _Malformed("not a snapshot")
    index, term = _read_integer(unpacker), _read_integer(unpacker)
    if unpacker.read_array_header() != len(Configuration._fields):
        raise _Malformed("not a configuration")
    return Snapshot(index, term, Configuration(*[_read_integers(unpacker) for _ in Configuration._fields]))


def _entry(value: Any) -> Entry:
    if type(value) is not tuple or len(value) != _ENTRY_FIELDS:
        raise _Malformed(f"{_show(value)} is not an entry")
    term, index, kind, data = value
    if type(term) is not int or type(index) is not int or type(kind) is not int or type(data) is not bytes:
        raise _Malformed(f"entry of ({', '.join(map(_show, value))})")
    if term < 0 or index < 0:
        raise _Malformed(f"entry with term {term} and index {index}")
    if kind not in _KINDS:
        raise _Malformed(f"unknown entry kind {kind}: is the peer of a newer version?")
    return Entry(term, index, kind, data)


def _show(value: Any) -> str:
    return repr(value) if type(value) in {int, bool, float} else type(value).__name__


def _check_contiguous(message: AppendEntries) -> None:
    for expected, entry in enumerate(message.entries, message.prev_index + 1):
        if entry.index != expected:
            raise PeerProtocolError(f"AppendEntries: entry {entry.index} where {expected} follows")


class _Form(NamedTuple):
    """How one message type is decoded: a reader for each field, in order."""

    type: type[Any]
    readers: tuple[Callable[[Any], Any], ...]


_READERS: Final[dict[str, Callable[[Any], Any]]] = {
    "source": _read_member,
    "target": _read_member,
    "granted": _read_boolean,
    "transfer": _read_boolean,
    "snapshot": _read_snapshot,
    "success": _read_boolean,
    "entries": _read_entries,
    "commands": _read_byte_strings,
    "contexts": _read_integers,
}
"""Field name to its reader; every other field is an unsigned integer."""

_FORMS: Final[dict[int, _Form]] = {
    tag: _Form(type_, tuple(_READERS.get(name, _read_integer) for name in type_._fields))
    for type_, tag in TAGS.items()
}
