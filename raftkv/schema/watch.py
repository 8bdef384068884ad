"""etcd's Watch messages, names and numbers as in its 3.5 wire format (mvccpb, etcdserverpb)."""

from dataclasses import dataclass
from enum import IntEnum

from raftkv.schema.base import bool_, bytes_, enum, int64, message, repeated, string
from raftkv.schema.kv import KeyValue, ResponseHeader


class EventType(IntEnum):
    """mvccpb.Event.EventType."""

    PUT = 0
    DELETE = 1


class FilterType(IntEnum):
    """WatchCreateRequest.FilterType: what is left out."""

    NOPUT = 0
    NODELETE = 1


@dataclass(slots=True)
class Event:
    """mvccpb.Event: one change of one key; of a deletion ``kv`` has only key and mod_revision."""

    type: int = enum(1, EventType)
    kv: KeyValue | None = message(2, KeyValue)
    prev_kv: KeyValue | None = message(3, KeyValue)


@dataclass(slots=True)
class WatchCreateRequest:
    """Watch a range from ``start_revision`` on (0: from now on)."""

    key: bytes = bytes_(1)
    range_end: bytes = bytes_(2)
    start_revision: int = int64(3)
    progress_notify: bool = bool_(4)
    filters: list[int] = repeated(5, FilterType)
    prev_kv: bool = bool_(6)
    watch_id: int = int64(7)
    fragment: bool = bool_(8)


@dataclass(slots=True)
class WatchCancelRequest:
    """End one watch of the stream."""

    watch_id: int = int64(1)


@dataclass(slots=True)
class WatchProgressRequest:
    """Ask how far all watches of the stream are."""


@dataclass(slots=True)
class WatchRequest:
    """One request of a watch stream: exactly one member is set."""

    create_request: WatchCreateRequest | None = message(1, WatchCreateRequest, oneof="request_union")
    cancel_request: WatchCancelRequest | None = message(2, WatchCancelRequest, oneof="request_union")
    progress_request: WatchProgressRequest | None = message(3, WatchProgressRequest, oneof="request_union")


@dataclass(slots=True)
class WatchResponse:
    """One reply of a watch stream, about the watch ``watch_id`` (-1: about all, or none)."""

    header: ResponseHeader | None = message(1, ResponseHeader)
    watch_id: int = int64(2)
    created: bool = bool_(3)
    canceled: bool = bool_(4)
    compact_revision: int = int64(5)
    cancel_reason: str = string(6)
    fragment: bool = bool_(7)
    events: list[Event] = repeated(11, Event)
