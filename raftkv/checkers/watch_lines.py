"""Histories of watches as JSON lines: the header, the list of changes, then a watch a line.

A watch has ``watch``, ``key``, ``prefix`` (or ``range_end``), ``start``, ``resumed_from`` and ``responses``,
each with ``revision``, ``progress`` and ``events``: ``rev``, ``type``, ``key``, ``value``, ``create`` and
``prev``. The rest of a ``WatchStream`` and of a ``WatchReply`` is there under its name where it is not the
default.
"""

from collections.abc import Iterator
from typing import Any

from raftkv.checkers.change_lines import as_bytes, as_text, key_of, value_of, whole
from raftkv.checkers.history import HistoryError
from raftkv.checkers.run_lines import WRONG, read_lines, write_lines
from raftkv.checkers.watch import WatchEvent, WatchReply, WatchRun, WatchStream

MODEL = "watch"


def read_watches(text: str, name: str = "history") -> WatchRun:
    """Read the text of a file called ``name``. Raises ``HistoryError``."""
    lines = read_lines(text, MODEL, name)
    if lines.changes is None:
        raise HistoryError(name, "watches can't be checked without the list of changes")
    streams = []
    for place, item in lines.rest:
        try:
            streams.append(_stream(item))
        except WRONG as error:
            raise HistoryError(place, f"no watch: {error!r}") from None
    try:
        last, compacted = (whole(lines.header.get(one, 0)) for one in ("last_revision", "compacted"))
    except ValueError as error:
        raise HistoryError(f"{name}:1", str(error)) from None
    return WatchRun(streams, lines.changes, last, compacted)


def write_watches(run: WatchRun) -> Iterator[str]:
    """Yield the lines, without line ends, of a file."""
    header = {"last_revision": run.last_revision, "compacted": run.compacted}
    return write_lines(MODEL, header, run.changes, map(_stream_object, run.streams))


def prefix_end(key: bytes) -> bytes:
    """Return the range_end that makes a range of a prefix, as in etcd."""
    kept = key.rstrip(b"\xff")
    return kept[:-1] + bytes([kept[-1] + 1]) if kept else b"\0"


def _stream(item: dict[str, Any]) -> WatchStream:
    key = key_of(item)
    end = prefix_end(key) if item.get("prefix") else as_bytes(item.get("range_end", "")) or b""
    kinds = tuple(item.get("kinds", ("put", "delete")))
    if not set(kinds) <= {"put", "delete"}:
        raise ValueError(f"no kinds of changes: {kinds}")
    resumed = item.get("resumed_from")
    return WatchStream(
        watch=whole(item["watch"]),
        key=key,
        range_end=end,
        start=whole(item["start"]),
        resumed_from=None if resumed is None else whole(resumed),
        replies=[_reply(one) for one in item["responses"]],
        created=whole(item.get("created", 0)),
        compacted=whole(item.get("compacted", 0)),
        prev_kv=bool(item.get("prev_kv", True)),
        kinds=kinds,
        final=bool(item.get("final", False)),
    )


def _reply(item: dict[str, Any]) -> WatchReply:
    return WatchReply(
        whole(item["revision"]),
        tuple(map(_event, item["events"])),
        bool(item["progress"]),
        bool(item.get("fragment", False)),
        whole(item.get("compact_revision", 0)),
        bool(item.get("canceled", False)),
    )


def _event(item: dict[str, Any]) -> WatchEvent:
    previous = as_bytes(item.get("prev"))
    return WatchEvent(whole(item["rev"]), key_of(item), value_of(item), bool(item["create"]), previous)


def _stream_object(stream: WatchStream) -> dict[str, Any]:
    is_prefix = stream.range_end == prefix_end(stream.key)
    rest = {"created": 0, "compacted": 0, "prev_kv": True, "final": False}
    ranged = bool(stream.range_end) and not is_prefix
    return {
        "watch": stream.watch,
        "key": as_text(stream.key),
        "prefix": is_prefix,
        **({"range_end": as_text(stream.range_end)} if ranged else {}),
        "start": stream.start,
        "resumed_from": stream.resumed_from,
        **{name: getattr(stream, name) for name, usual in rest.items() if getattr(stream, name) != usual},
        **({"kinds": list(stream.kinds)} if len(stream.kinds) != 2 else {}),
        "responses": [_reply_object(reply) for reply in stream.replies],
    }


def _reply_object(reply: WatchReply) -> dict[str, Any]:
    rest = {"fragment": False, "compact_revision": 0, "canceled": False}
    return {
        "progress": reply.progress,
        "revision": reply.revision,
        **{name: getattr(reply, name) for name, usual in rest.items() if getattr(reply, name) != usual},
        "events": [_event_object(event) for event in reply.events],
    }


def _event_object(event: WatchEvent) -> dict[str, Any]:
    return {
        "rev": event.revision,
        "type": "delete" if event.value is None else "put",
        "key": as_text(event.key),
        "value": as_text(event.value),
        "create": event.create,
        "prev": as_text(event.previous),
    }
