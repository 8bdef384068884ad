"""A store that makes a true list of changes, and watches of it as a right server serves them."""

from collections.abc import Iterable, Sequence

from raftkv.checkers import Change, Verdict, WatchEvent, WatchReply, WatchRun, WatchStream, check_watches

ALL = b"\0"
"""The range_end of a watch of all keys."""

Write = tuple[bytes, bytes | None]


def changes_of(writes: Iterable[Sequence[Write]]) -> list[Change]:
    """Return the list of changes of transactions, from revision 2 on."""
    created: dict[bytes, int] = {}
    changes = []
    for revision, group in enumerate(writes, 2):
        for key, value in group:
            if value is None:
                created.pop(key, None)
                changes.append(Change(revision, key, None))
            else:
                create = created.setdefault(key, revision)
                changes.append(Change(revision, key, value, create))
    return changes


def events_of(
    changes: Sequence[Change], key: bytes = b"", end: bytes = ALL, start: int = 1, last: int | None = None
) -> list[WatchEvent]:
    """Return all events of a range from a revision on."""
    values: dict[bytes, bytes | None] = {}
    events = []
    for change in changes:
        inside = change.key == key if not end else key <= change.key and (end == ALL or change.key < end)
        if inside and change.revision >= start and (last is None or change.revision <= last):
            create = change.value is not None and change.create_revision == change.revision
            previous = values.get(change.key)
            events.append(WatchEvent(change.revision, change.key, change.value, create, previous))
        values[change.key] = change.value
    return events


def reply(*events: WatchEvent, fragment: bool = False) -> WatchReply:
    return WatchReply(events[-1].revision, events, fragment=fragment)


def note(revision: int) -> WatchReply:
    return WatchReply(revision, progress=True)


def refusal(compacted: int) -> WatchReply:
    return WatchReply(compacted + 5, compact_revision=compacted, canceled=True)


def watch(*replies: WatchReply, **fields: object) -> WatchStream:
    """Return a watch of all keys from revision 2 on."""
    return WatchStream(0, b"", ALL, 2, replies=replies)._replace(**fields)


def check(changes: Sequence[Change], *streams: WatchStream, compacted: int = 0) -> Verdict:
    return check_watches(WatchRun(streams, changes, compacted=compacted))


def names(verdict: Verdict) -> set[str]:
    return {anomaly.name for anomaly in verdict.anomalies}
