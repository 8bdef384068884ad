"""Values as raftkv's own pages show them in JSON.

Indexes and terms are numbers; ids are text in hexadecimal, since JSON readers round large numbers, and
the 64-bit numbers of etcd's messages are text as in etcd's JSON. Bytes are text where they can be
printed; what is long is cut.
"""

import json
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from aiohttp import web

from raftkv.api import replies
from raftkv.errors import FormatTooNew, PeerProtocolError
from raftkv.mvcc.commands import decode_command
from raftkv.mvcc.membership import MemberChange, MemberInfo, decode_context
from raftkv.raft import Configuration, Entry, EntryKind, decode_configuration
from raftkv.schema.base import Kind

SHOWN_BYTES = 256
"""Bytes of a key or value that are shown."""

SECRET = frozenset({"password", "hashedPassword"})
"""Fields of etcd's messages that nobody is shown."""

_NO_SPEC = (0, None, False, None, "")


def page(value: Any, status: int = 200) -> web.Response:
    """Answer with a JSON document."""
    return replies.json(json.dumps(value).encode(), status)


def refused(status: int, reason: str) -> web.Response:
    """Answer that there is no such thing, or that the question makes no sense."""
    return page({"error": reason}, status)


def ids(members: Iterable[int]) -> list[str]:
    """Return the ids of members."""
    return [f"{member:x}" for member in members]


def configuration_json(configuration: Configuration) -> dict[str, list[str]]:
    """Return who votes, who listens and who is gone."""
    return {name: ids(members) for name, members in configuration._asdict().items()}


def bytes_json(data: bytes) -> str | dict[str, Any]:
    """Return bytes as a string if they are short and can be printed.

    Else the first of them as ``text`` or ``base64``, and the ``size`` of all.
    """
    part = data[:SHOWN_BYTES]
    try:
        text = part.decode()
        printable = text.isprintable()
    except UnicodeDecodeError:
        text, printable = "", False
    if printable and len(data) <= SHOWN_BYTES:
        return text
    shown = {"text": text} if printable else {"base64": b64encode(part).decode()}
    return {**shown, "size": len(data)}


def message_json(message: Any) -> dict[str, Any]:
    """Return the fields of a message that are not zero, with numbers and enums as in etcd's JSON."""
    shown = {}
    for field in fields(message):
        value = getattr(message, field.name)
        if value not in (0, "", b"", None, []):
            _, kind, _, of, _ = field.metadata.get("spec", _NO_SPEC)
            hidden = field.name in SECRET
            shown[field.name] = "(hidden)" if hidden else _field_json(value, kind, of)
    return shown


def _field_json(value: Any, kind: Kind | None, of: Any) -> Any:
    match value:
        case list():
            return [_field_json(one, kind, of) for one in value]
        case bytes():
            return bytes_json(value)
        case str() | bool():
            return value
        case int() if kind is Kind.ENUM:
            return next((one.name for one in of if one == value), value)
        case int():
            return value if kind is Kind.UINT32 else str(value)
        case _:
            return message_json(value)


def entry_json(entry: Entry) -> dict[str, Any]:
    """Return an entry: its place, and what it says."""
    place = {"index": entry.index, "term": entry.term, "bytes": len(entry.data)}
    try:
        match entry.kind:
            case EntryKind.COMMAND:
                return {**place, "kind": "command", **_command_json(entry.data)}
            case EntryKind.CONFIGURATION:
                return {**place, "kind": "configuration", **_change_json(entry.data)}
            case EntryKind.NOOP:
                return {**place, "kind": "no-op"}
    except (FormatTooNew, PeerProtocolError, TypeError, ValueError) as error:
        return {**place, "kind": EntryKind(entry.kind).name.lower(), "unknown": str(error)}
    return {**place, "kind": str(entry.kind)}


def _command_json(data: bytes) -> dict[str, Any]:
    command = decode_command(data)
    member, boot, sequence = command.request_id
    return {
        "request_id": {"member": f"{member:x}", "boot": boot, "sequence": sequence},
        "command": type(command.request).__name__,
        "request": message_json(command.request),
    }


def _change_json(data: bytes) -> dict[str, Any]:
    configuration, context = decode_configuration(data)
    shown: dict[str, Any] = {"configuration": configuration_json(configuration)}
    match decode_context(context):
        case MemberChange(_, kind, member):
            shown["change"] = {"kind": str(kind), "member": member_json(member)}
        case members:
            shown["members"] = [member_json(member) for member in members]
    return shown


def member_json(member: MemberInfo) -> dict[str, Any]:
    """Return what the cluster knows of a member."""
    return {**member._asdict(), "id": f"{member.id:x}"}
