"""JSON to messages, as etcd 3.5's gateway reads them (jsonpb of grpc-gateway v1.16).

Field names in snake_case or lowerCamelCase (the latter wins if both are there), unknown ones ignored,
null as if absent, 64-bit integers as numbers or strings, enums by name or number, of two members of a
oneof one wins (here the last). Texts of errors are those of Go's packages. Nesting is limited to
``MAX_NESTING`` messages, where etcd has no limit.
"""

import json
import re
from collections.abc import Callable
from functools import cache
from typing import Any, NoReturn, TypeVar

from raftkv.errors import InvalidRequest, TooManyOps
from raftkv.schema import base64
from raftkv.schema.base import FieldSpec, Kind, fields_of
from raftkv.schema.json_syntax import MAX_DEPTH_TEXT, stream_error, text_error

M = TypeVar("M")
Convert = Callable[[Any, int], Any]
Decoder = Callable[[dict[str, Any], int], Any]

MAX_NESTING = 100
MAX_PARTS = 20_000
OBJECT = "map[string]json.RawMessage"
LIST = "[]json.RawMessage"

TOP_LEVEL_ENUMS = frozenset({"AlarmType"})
"""Enums that etcd declares outside a message; errors name an enum with where it is declared."""

RANGES = {
    Kind.INT64: (-(1 << 63), (1 << 63) - 1),
    Kind.UINT64: (0, (1 << 64) - 1),
    Kind.UINT32: (0, (1 << 32) - 1),
    Kind.ENUM: (-(1 << 31), (1 << 31) - 1),
}
_QUOTED_INTEGER = re.compile(r"[ \t\r\n]*-?(?:0|[1-9][0-9]{0,19})[ \t\r\n]*")
_LONGEST_INTEGER = 20


class _Literal(str):
    """A number that no integer field can hold, as it was written."""

    __slots__ = ()


class _NotJson(ValueError):
    """A word that JSON does not have (NaN, Infinity)."""


def _parse_int(text: str) -> int | _Literal:
    return int(text) if len(text) <= _LONGEST_INTEGER else _Literal(text)


def _parse_constant(text: str) -> NoReturn:
    raise _NotJson(text)


_parser = json.JSONDecoder(parse_float=_Literal, parse_int=_parse_int, parse_constant=_parse_constant)
_NOT_SPACE = re.compile(r"[^ \t\r\n]")


def decode(cls: type[M], body: bytes, max_parts: int = MAX_PARTS) -> M:
    """Decode the first JSON value of ``body`` to a message; nothing and null stand for ``{}``.

    Raises InvalidRequest with Go's text, and TooManyOps for a body of more than ``max_parts`` members
    and elements: only a txn has that many, and to decode them would hold the event loop too long.
    """
    if len(body) > max_parts and body.count(b",") + body.count(b"{") + body.count(b"[") > max_parts:
        raise TooManyOps
    value = _parse(body)
    if value is None:
        return cls()
    if type(value) is not dict:
        # the parser stops early at a number like "1.", which Go's reads to its bad end
        raise InvalidRequest(stream_error(body) or wrong_type(value, OBJECT))
    message: M = decoder_of(cls)(value, 0)  # type: ignore[arg-type]  # mypy: a class is hashable
    return message


def _parse(body: bytes) -> Any:
    text = body.decode("utf-8", "replace")
    start = _NOT_SPACE.search(text)
    if start is None:
        return None
    try:
        return _parser.raw_decode(text, start.start())[0]
    except RecursionError:
        raise InvalidRequest(MAX_DEPTH_TEXT) from None
    except ValueError:
        raise InvalidRequest(stream_error(body) or "invalid JSON") from None


def camel_case(name: str) -> str:
    """Return the lowerCamelCase form of a declared name, by the protobuf rule."""
    return re.sub(r"_([a-z])", lambda match: match.group(1).upper(), name)


@cache
def decoder_of(cls: type[M]) -> Callable[[dict[str, Any], int], M]:
    """Compile the decoding function of a message class; it takes a JSON object and its depth."""
    fields: dict[str, tuple[str, Convert, str | None, str]] = {}
    for spec in fields_of(cls):
        camel = camel_case(spec.name)
        rival = None if camel == spec.name else camel
        convert = _converter(cls, spec)
        fields[spec.name] = (spec.name, convert, rival, spec.oneof)
        fields[camel] = (spec.name, convert, None, spec.oneof)
    find = fields.get

    def decode_object(value: dict[str, Any], depth: int) -> M:
        found: dict[str, Any] = {}
        chosen: dict[str, str] = {}
        for key, item in value.items():
            field = find(key)
            if field is None or item is None:
                continue
            name, convert, rival, oneof = field
            if rival is not None and rival in value:
                continue
            found[name] = convert(item, depth)
            if oneof:
                previous = chosen.get(oneof, name)
                if previous != name:
                    del found[previous]
                chosen[oneof] = name
        return cls(**found)

    return decode_object


def _converter(owner: type, spec: FieldSpec) -> Convert:
    one = _value_converter(owner, spec)
    if not spec.repeated:
        return one
    zero = _element_zero(spec)

    def convert_list(value: Any, depth: int) -> Any:
        if type(value) is not list:
            raise InvalidRequest(wrong_type(value, LIST))
        return [zero() if item is None else one(item, depth) for item in value]

    return convert_list


def _element_zero(spec: FieldSpec) -> Callable[[], Any]:
    if spec.of is not None:
        return spec.of
    return {Kind.BYTES: bytes, Kind.STRING: str, Kind.BOOL: bool}.get(spec.kind, int)


def _value_converter(owner: type, spec: FieldSpec) -> Convert:
    if spec.kind is Kind.MESSAGE:
        return _message_converter(spec)
    if spec.kind is Kind.ENUM:
        return _enum_converter(owner, spec)
    if spec.kind in RANGES:
        return _integer_converter(spec.kind)
    return {Kind.BYTES: _to_bytes, Kind.STRING: _to_string, Kind.BOOL: _to_bool}[spec.kind]


def _message_converter(spec: FieldSpec) -> Convert:
    def to_message(value: Any, depth: int) -> Any:
        if type(value) is not dict:
            raise InvalidRequest(wrong_type(value, OBJECT))
        if depth >= MAX_NESTING:
            raise InvalidRequest(MAX_DEPTH_TEXT.replace("[", "{"))
        assert spec.of is not None
        return decoder_of(spec.of)(value, depth + 1)

    return to_message


def _to_bytes(value: Any, depth: int) -> bytes:
    if type(value) is str:
        try:
            return base64.decode(value)
        except base64.IllegalBase64 as error:
            raise InvalidRequest(str(error)) from None
    if type(value) is list:
        return bytes([_to_byte(item) for item in value])
    raise InvalidRequest(wrong_type(value, "[]uint8"))


def _to_byte(value: Any) -> int:
    if value is None:
        return 0
    if type(value) is int and 0 <= value <= 255:
        return value
    raise InvalidRequest(wrong_type(value, "uint8", literal=True))


def _to_string(value: Any, depth: int) -> str:
    if type(value) is not str:
        raise InvalidRequest(wrong_type(value, "string"))
    # a lone surrogate can't be encoded again: Go puts the replacement character
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _to_bool(value: Any, depth: int) -> bool:
    if type(value) is not bool:
        raise InvalidRequest(wrong_type(value, "bool"))
    return value


def _integer_converter(kind: Kind) -> Convert:
    low, high = RANGES[kind]

    def to_integer(value: Any, depth: int) -> int:
        number = value
        if type(value) is str:
            number = int(value) if _QUOTED_INTEGER.fullmatch(value) else _parse_quoted(value)
            if number is None:
                return 0
        if type(number) is int and low <= number <= high:
            return number
        raise InvalidRequest(wrong_type(number, kind.value, literal=True))

    return to_integer


def _parse_quoted(text: str) -> Any:
    """Parse the content of a quoted number, which may be any JSON, as Go's does."""
    error = text_error(text.encode("utf-8", "replace"))
    if error is not None:
        raise InvalidRequest(error)
    return _parse(text.encode())


def _enum_converter(owner: type, spec: FieldSpec) -> Convert:
    assert spec.of is not None
    numbers = {name: member.value for name, member in spec.of.__members__.items()}  # type: ignore[attr-defined]
    inside = "" if spec.of.__name__ in TOP_LEVEL_ENUMS else f"{owner.__name__}."
    enum_name = f"etcdserverpb.{inside}{spec.of.__name__}"
    low, high = RANGES[Kind.ENUM]

    def to_enum(value: Any, depth: int) -> int:
        if type(value) is int and low <= value <= high:
            return value
        if type(value) is str:
            number: int | None = numbers.get(value)
            if number is not None:
                return number
            raise InvalidRequest(f"unknown value {json.dumps(json.dumps(value))} for enum {enum_name}")
        raise InvalidRequest(wrong_type(value, "protoreflect.EnumNumber", literal=True))

    return to_enum


def wrong_type(value: Any, wanted: str, *, literal: bool = False) -> str:
    """Return Go's text for a JSON value that does not fit the type ``wanted``."""
    if type(value) is bool:
        found = "bool"
    elif type(value) in (int, _Literal):
        found = f"number {value}" if literal else "number"
    else:
        found = {str: "string", list: "array", dict: "object"}[value.__class__]
    return f"json: cannot unmarshal {found} into Go value of type {wanted}"
