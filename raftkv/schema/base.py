"""How a message of the client API is declared: once, with field number, name and type.

A message is a dataclass with slots whose every field has a declared ``Kind``. Absent equals zero, as
in proto3: a scalar's default is its zero value, a sub-message's is None, a repeated field's is empty.
Enum fields hold plain integers, because a number outside the enum must survive (etcd passes it on).
The codecs (JSON, packed, and later protobuf) compile themselves from these declarations.
"""

import dataclasses
import sys
from enum import Enum, IntEnum
from typing import Any, NamedTuple


class Kind(Enum):
    """Wire types of the fields in use."""

    BYTES = "bytes"
    STRING = "string"
    INT64 = "int64"
    UINT64 = "uint64"
    UINT32 = "uint32"
    BOOL = "bool"
    ENUM = "enum"
    MESSAGE = "message"


ZERO: dict[Kind, Any] = {
    Kind.BYTES: b"",
    Kind.STRING: "",
    Kind.INT64: 0,
    Kind.UINT64: 0,
    Kind.UINT32: 0,
    Kind.BOOL: False,
    Kind.ENUM: 0,
    Kind.MESSAGE: None,
}


class FieldSpec(NamedTuple):
    """One declared field. ``of`` is the enum or message class; ``oneof`` the group's name or ""."""

    name: str
    number: int
    kind: Kind
    repeated: bool
    of: type | None
    oneof: str


def _field(kind: Kind, number: int, of: type | None = None, oneof: str = "") -> Any:
    return dataclasses.field(default=ZERO[kind], metadata={"spec": (number, kind, False, of, oneof)})


def bytes_(number: int, oneof: str = "") -> Any:
    """Declare a ``bytes`` field."""
    return _field(Kind.BYTES, number, oneof=oneof)


def string(number: int) -> Any:
    """Declare a ``str`` field."""
    return _field(Kind.STRING, number)


def int64(number: int, oneof: str = "") -> Any:
    """Declare a signed 64-bit field."""
    return _field(Kind.INT64, number, oneof=oneof)


def uint64(number: int) -> Any:
    """Declare an unsigned 64-bit field."""
    return _field(Kind.UINT64, number)


def uint32(number: int) -> Any:
    """Declare an unsigned 32-bit field."""
    return _field(Kind.UINT32, number)


def bool_(number: int) -> Any:
    """Declare a ``bool`` field."""
    return _field(Kind.BOOL, number)


def enum(number: int, of: type[IntEnum]) -> Any:
    """Declare a field that holds a member (or a stray number) of ``of`` as an integer."""
    return _field(Kind.ENUM, number, of)


def message(number: int, of: type, oneof: str = "") -> Any:
    """Declare an optional sub-message."""
    return _field(Kind.MESSAGE, number, of, oneof)


def repeated(number: int, of: type | Kind) -> Any:
    """Declare a list of sub-messages (a class), of enum values (an IntEnum) or of scalars (a Kind)."""
    if isinstance(of, Kind):
        kind, cls = of, None
    else:
        kind, cls = Kind.ENUM if issubclass(of, IntEnum) else Kind.MESSAGE, of
    return dataclasses.field(default_factory=list, metadata={"spec": (number, kind, True, cls, "")})


def forward(name: str) -> Any:
    """Name a message class that is declared further down in the same module."""
    return name


def fields_of(cls: type) -> tuple[FieldSpec, ...]:
    """Return the declared fields of a message class, in the order of their numbers."""
    specs = []
    for field in dataclasses.fields(cls):
        number, kind, is_repeated, of, oneof = field.metadata["spec"]
        if isinstance(of, str):
            of = getattr(sys.modules[cls.__module__], of)
        specs.append(FieldSpec(field.name, number, kind, is_repeated, of, oneof))
    return tuple(sorted(specs, key=lambda spec: spec.number))
