"""Entries of the log in short, for people."""

from enum import IntEnum

from raftkv.errors import FormatTooNew, PeerProtocolError
from raftkv.mvcc.commands import CheckpointLeases, ExpireLease, PublishMember, RaiseLevel, decode_command
from raftkv.raft import decode_configuration
from raftkv.raft.types import Entry, EntryKind
from raftkv.schema.kv import CompactionRequest, DeleteRangeRequest, PutRequest, TxnRequest
from raftkv.schema.lease import LeaseGrantRequest, LeaseRevokeRequest
from raftkv.schema.maintenance import AlarmAction, AlarmRequest, AlarmType

LONGEST = 60
"""Characters of a key that are shown."""


def describe_entry(entry: Entry) -> tuple[str, str]:
    """Return an entry's kind and what it says."""
    match entry.kind:
        case EntryKind.COMMAND:
            return "command", _describe_command(entry.data)
        case EntryKind.CONFIGURATION:
            return "configuration", _describe_configuration(entry.data)
        case EntryKind.NOOP:
            return "no-op", "a leader begins its term"
        case _:
            return str(entry.kind), "of a kind not known here"


def _describe_configuration(data: bytes) -> str:
    try:
        configuration, _ = decode_configuration(data)
    except (TypeError, ValueError) as error:
        return f"not a configuration: {error}"
    groups = configuration._asdict().items()
    return ", ".join(f"{name} {' '.join(f'{m:x}' for m in group)}" for name, group in groups if group)


def _describe_command(data: bytes) -> str:
    try:
        request: object = decode_command(data).request
    except (FormatTooNew, PeerProtocolError) as error:
        return str(error)
    match request:
        case PutRequest():
            return f"put {_key(request.key)}, {len(request.value)} bytes"
        case DeleteRangeRequest():
            until = f" to {_key(request.range_end)}" if request.range_end else ""
            return f"delete {_key(request.key)}{until}"
        case TxnRequest():
            sizes = len(request.compare), len(request.success), len(request.failure)
            return "txn of {} compares, {} and {} operations".format(*sizes)
        case CompactionRequest():
            return f"compact to revision {request.revision}"
        case AlarmRequest():
            action, alarm = _name(AlarmAction, request.action), _name(AlarmType, request.alarm)
            return f"{action} alarm {alarm} of member {request.memberID:x}"
        case PublishMember():
            return f"member {request.id:x} is {request.name} at {','.join(request.client_urls)}"
        case _:
            return _describe_lease_command(request)


def _describe_lease_command(request: object) -> str:
    match request:
        case LeaseGrantRequest():
            return f"grant lease {_lease(request.ID)} for {request.TTL} s"
        case LeaseRevokeRequest():
            return f"revoke lease {_lease(request.ID)}"
        case ExpireLease():
            return f"lease {_lease(request.id)} is over by the clock of term {request.term}"
        case CheckpointLeases():
            return f"what {len(request.checkpoints)} leases have left by the clock of term {request.term}"
        case RaiseLevel():
            return f"all members are of level {request.level}, says the leader of term {request.term}"
        case _:
            return type(request).__name__


def _lease(number: int) -> str:
    """Return a lease's id as etcdctl writes it."""
    return f"{number & 0xFFFFFFFFFFFFFFFF:016x}"


def _name(names: type[IntEnum], number: int) -> str:
    return next((one.name.lower() for one in names if one == number), str(number))


def _key(key: bytes) -> str:
    text = repr(key)[1:]
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
