"""Messages as positional lists: the form that goes through msgpack into the log.

A message becomes the list of its fields' values in the order of their numbers; trailing fields that
hold their zero value are left out, so fields may be added behind the last one without a new version.
A sub-message is such a list in turn, or None where it is absent; bytes, strings, integers and booleans
stand for themselves.
"""

from collections.abc import Callable, Sequence
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar

from raftkv.schema.base import ZERO, FieldSpec, Kind, fields_of

M = TypeVar("M")
Packer = Callable[[Any], list[Any]]
Unpacker = Callable[[Any], Any]

SCALAR_TYPE: dict[Kind, type] = {
    Kind.BYTES: bytes,
    Kind.STRING: str,
    Kind.INT64: int,
    Kind.UINT64: int,
    Kind.UINT32: int,
    Kind.BOOL: bool,
    Kind.ENUM: int,
}


def pack(message: Any) -> list[Any]:
    """Return the positional form of ``message``."""
    return packer_of(message.__class__)(message)


def unpack(cls: type[M], values: Sequence[Any]) -> M:
    """Return the message of class ``cls`` whose positional form is ``values`` (list or tuple).

    Raises ValueError when ``values`` is not the positional form of such a message.
    """
    unpacked: M = unpacker_of(cls)(values)  # type: ignore[arg-type]  # mypy: a class is hashable
    return unpacked


def _zero(spec: FieldSpec) -> Any:
    return [] if spec.repeated else ZERO[spec.kind]


@cache
def packer_of(cls: type) -> Packer:
    """Compile the packing function of a message class."""
    specs = fields_of(cls)
    if not specs:
        return lambda message: []
    names = [spec.name for spec in specs]
    # attrgetter with one name gives the bare value, so a second name that is cut off again makes it a tuple
    read = attrgetter(*names) if len(names) > 1 else attrgetter(names[0], names[0])
    zeros = [_zero(spec) for spec in specs]
    nested = [(i, spec) for i, spec in enumerate(specs) if spec.kind is Kind.MESSAGE]
    count = len(specs)

    def pack_fields(message: Any) -> list[Any]:
        values = list(read(message))
        end = count
        while end and values[end - 1] == zeros[end - 1]:
            end -= 1
        del values[end:]
        for i, spec in nested:
            if i >= end:
                break
            values[i] = _pack_nested(spec, values[i])
        return values

    return pack_fields


def _pack_nested(spec: FieldSpec, value: Any) -> Any:
    if value is None:
        return None
    # looked up at use, because a class may hold itself (a txn in a txn)
    assert spec.of is not None
    packer = packer_of(spec.of)
    return [packer(item) for item in value] if spec.repeated else packer(value)


@cache
def unpacker_of(cls: type[M]) -> Callable[[Sequence[Any]], M]:
    """Compile the unpacking function of a message class."""
    specs = fields_of(cls)
    converters = [_converter(spec) for spec in specs]
    count = len(specs)

    def unpack_fields(values: Sequence[Any]) -> M:
        if not isinstance(values, list | tuple) or len(values) > count:
            raise ValueError(f"not the fields of a {cls.__name__}: {values!r:.80}")
        return cls(*[convert(value) for convert, value in zip(converters, values, strict=False)])

    return unpack_fields


def _converter(spec: FieldSpec) -> Unpacker:
    one = _message_converter(spec) if spec.kind is Kind.MESSAGE else _scalar_converter(spec)
    if not spec.repeated:
        return one

    def convert_list(value: Any) -> list[Any]:
        if not isinstance(value, list | tuple):
            raise ValueError(f"{spec.name} is no list: {value!r:.80}")
        return [one(item) for item in value]

    return convert_list


def _message_converter(spec: FieldSpec) -> Unpacker:
    def convert_message(value: Any) -> Any:
        if value is None and not spec.repeated:
            return None
        assert spec.of is not None
        return unpacker_of(spec.of)(value)

    return convert_message


def _scalar_converter(spec: FieldSpec) -> Unpacker:
    wanted = SCALAR_TYPE[spec.kind]

    def check(value: Any) -> Any:
        if type(value) is not wanted:
            raise ValueError(f"{spec.name} is no {spec.kind.value}: {value!r:.80}")
        return value

    return check
