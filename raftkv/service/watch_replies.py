"""What a watch stream answers: small replies as messages, large ones piece by piece.

One revision may change a million keys, so a reply with events keeps them as the store has them, and they
become messages only while it is sent.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from raftkv.mvcc.store import Store
from raftkv.mvcc.versions import KEY, MOD, VERSION, Version, to_key_value
from raftkv.mvcc.watch import Changes
from raftkv.schema.kv import KeyValue
from raftkv.schema.size import encoded_size, varint_size
from raftkv.schema.watch import Event, EventType, WatchResponse

_TAG_BYTES = 1
_WATCHED_ALONE = 1
"""A reply of so many events is never cut."""


@dataclass(slots=True)
class WatchReply:
    """One reply. ``response`` has all of it but the events, which are in ``changes`` (None: there are none).

    ``fragment``: it may be cut into several. ``prev_kv``: each event has the pair before it.
    """

    response: WatchResponse
    changes: Changes | None = None
    prev_kv: bool = False
    fragment: bool = False

    def events(self, store: Callable[[], Store]) -> Iterator[Event]:
        """Yield the events; ``store`` returns the current one, for the pairs before.

        It may be replaced between two of them, and what was there before is taken apart then.
        """
        for version in self.changes.versions if self.changes is not None else ():
            yield to_event(version, store().previous(version) if self.prev_kv else None)

    def message(self, store: Store) -> WatchResponse:
        """Return the whole reply as one message."""
        self.response.events = list(self.events(lambda: store))
        return self.response


def to_event(version: Version, previous: Version | None) -> Event:
    """Return a change as the client API shows it."""
    prev_kv = to_key_value(previous) if previous is not None else None
    if version[VERSION]:
        return Event(EventType.PUT, to_key_value(version), prev_kv)
    return Event(EventType.DELETE, KeyValue(version[KEY], mod_revision=version[MOD]), prev_kv)


class FragmentSizes:
    """Says where a reply is cut, so that no piece reaches ``limit`` bytes in protobuf but by one event."""

    def __init__(self, response: WatchResponse, limit: int) -> None:
        self._base = encoded_size(response)
        self._limit = limit
        self._size = self._base
        self._events = 0

    def fits(self, event: Event) -> bool:
        """Count an event in; return False where it begins the next piece."""
        size = encoded_size(event)
        size += _TAG_BYTES + varint_size(size)
        if self._events >= _WATCHED_ALONE and self._size + size >= self._limit:
            self._size, self._events = self._base + size, 1
            return False
        self._size += size
        self._events += 1
        return True
