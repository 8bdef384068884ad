"""How many bytes a message takes in protobuf, the measure of etcd's size limits.

Only the size: nothing is encoded. proto3's rules hold: a scalar that is zero takes no room, a
sub-message that is there takes its tag and length even when it is empty, an enum or a number is a
varint (a negative one takes ten bytes), a repeated number is packed.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from raftkv.schema.base import FieldSpec, Kind, fields_of

Size = Callable[[Any], int]
_UINT64_MASK = (1 << 64) - 1


def encoded_size(message: Any) -> int:
    """Return the size of ``message`` in protobuf, in bytes."""
    return sizer_of(message.__class__)(message)


def varint_size(number: int) -> int:
    """Return the size of ``number`` as a varint: 1 to 10 bytes."""
    return ((number & _UINT64_MASK).bit_length() + 6) // 7 or 1


@cache
def sizer_of(cls: type) -> Size:
    """Compile the size function of a message class."""
    fields = [(spec.name, _field_size(spec)) for spec in fields_of(cls)]

    def size_fields(message: Any) -> int:
        total = 0
        for name, size in fields:
            value = getattr(message, name)
            if value:
                total += size(value)
        return total

    return size_fields


def _field_size(spec: FieldSpec) -> Size:
    tag = varint_size(spec.number << 3)
    content = _content_size(spec)
    if spec.kind in (Kind.BYTES, Kind.STRING, Kind.MESSAGE):
        one = _delimited(tag, content)
        return (lambda values: sum(map(one, values))) if spec.repeated else one
    if spec.repeated:
        return _delimited(tag, lambda values: sum(map(content, values)))
    return lambda value: tag + content(value)


def _delimited(tag: int, content: Size) -> Size:
    def size(value: Any) -> int:
        length = content(value)
        return tag + varint_size(length) + length

    return size


def _content_size(spec: FieldSpec) -> Size:
    if spec.kind is Kind.BYTES:
        return len
    if spec.kind is Kind.STRING:
        return lambda value: len(value.encode())
    if spec.kind is Kind.BOOL:
        return lambda value: 1
    if spec.kind is Kind.MESSAGE:
        of = spec.of
        assert of is not None
        # looked up at use, because a class may hold itself (a txn in a txn)
        return lambda value: sizer_of(of)(value)  # noqa: PLW0108
    return varint_size
