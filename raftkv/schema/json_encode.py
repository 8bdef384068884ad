"""Messages to JSON, as etcd 3.5's gateway writes them (jsonpb of grpc-gateway v1.16).

Fields in the order of their numbers under their declared names, zero values left out, a set but empty
sub-message as ``{}``, 64-bit integers as decimal strings, bytes as base64, enums by name, no white space.
"""

import json
from binascii import b2a_base64
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from raftkv.schema.base import FieldSpec, Kind, fields_of

Write = Callable[[Any], bytes]
CHUNK_BYTES = 64 * 1024

_HTML_SAFE = str.maketrans({c: f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"})


def encode(message: Any) -> bytes:
    """Return the JSON text of a message."""
    return encoder_of(message.__class__)(message)


def encode_chunks(message: Any, chunk_bytes: int = CHUNK_BYTES) -> Iterator[bytes]:
    """Yield the JSON text of a message in slices of about ``chunk_bytes``, the last one shorter.

    So that a reply with many pairs can be sent without ever being encoded as a whole. A slice is longer
    only by its last field (a value, at most 1.5 MiB before base64). The message is used up: its lists of
    sub-messages are empty at the end, because to free a million pairs at once takes 30 ms.
    """
    pending: list[bytes] = []
    size = 0
    for piece in _pieces(message):
        pending.append(piece)
        size += len(piece)
        if size >= chunk_bytes:
            yield b"".join(pending)
            pending.clear()
            size = 0
    if pending:
        yield b"".join(pending)


def quote(text: str) -> bytes:
    """Return ``text`` as a JSON string, escaped as Go's encoder does it (HTML characters too)."""
    return json.dumps(text, ensure_ascii=False).translate(_HTML_SAFE).encode("utf-8", "replace")


@cache
def encoder_of(cls: type) -> Write:
    """Compile the encoding function of a message class."""
    fields = [(spec.name, b'"%s":' % spec.name.encode(), _writer(spec)) for spec in fields_of(cls)]

    def encode_fields(message: Any) -> bytes:
        parts = []
        for name, prefix, write in fields:
            value = getattr(message, name)
            # a sub-message that is there is true, even with all its fields zero
            if value:
                parts.append(prefix + write(value))
        return b"{" + b",".join(parts) + b"}"

    return encode_fields


def _writer(spec: FieldSpec) -> Write:
    one = _value_writer(spec)
    if not spec.repeated:
        return one
    return lambda values: b"[" + b",".join([one(value) for value in values]) + b"]"


def _value_writer(spec: FieldSpec) -> Write:
    if spec.kind is Kind.MESSAGE:
        of = spec.of
        assert of is not None
        # looked up at use, because a class may hold itself (a txn in a txn)
        return lambda value: encoder_of(of)(value)  # noqa: PLW0108
    if spec.kind is Kind.ENUM:
        return _enum_writer(spec)
    return _SCALAR_WRITERS[spec.kind]


def _write_bytes(value: bytes) -> bytes:
    return b'"' + b2a_base64(value, newline=False) + b'"'


def _enum_writer(spec: FieldSpec) -> Write:
    assert spec.of is not None
    names = {member.value: quote(name) for name, member in spec.of.__members__.items()}  # type: ignore[attr-defined]
    return lambda value: names.get(value, b"%d" % value)


_SCALAR_WRITERS: dict[Kind, Write] = {
    Kind.BYTES: _write_bytes,
    Kind.STRING: quote,
    Kind.INT64: lambda value: b'"%d"' % value,
    Kind.UINT64: lambda value: b'"%d"' % value,
    Kind.UINT32: lambda value: b"%d" % value,
    Kind.BOOL: lambda value: b"true" if value else b"false",
}


@cache
def _is_flat(cls: type) -> bool:
    """Whether a message's text is small enough to be made in one piece (no list, no sub-message)."""
    return all(spec.kind is not Kind.MESSAGE and not spec.repeated for spec in fields_of(cls))


def _pieces(message: Any) -> Iterator[bytes]:
    cls = message.__class__
    if _is_flat(cls):
        yield encoder_of(cls)(message)
        return
    yield b"{"
    comma = b""
    for spec in fields_of(cls):
        value = getattr(message, spec.name)
        if not value:
            continue
        yield b'%s"%s":' % (comma, spec.name.encode())
        yield from _value_pieces(spec, value)
        comma = b","
    yield b"}"


def _value_pieces(spec: FieldSpec, value: Any) -> Iterator[bytes]:
    if spec.kind is not Kind.MESSAGE:
        yield _writer(spec)(value)
    elif not spec.repeated:
        yield from _pieces(value)
    else:
        yield b"["
        value.reverse()
        while value:
            yield from _pieces(value.pop())
            if value:
                yield b","
        yield b"]"
