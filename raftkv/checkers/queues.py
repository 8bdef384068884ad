"""The keys of those who wait in line for a lock or an election, by the true list of changes.

As in etcd's recipes, the key of a candidate for ``name`` is ``name/ID``, and whoever's key has the lowest
create revision is at the front.
"""

from collections.abc import Iterable
from typing import NamedTuple

from raftkv.checkers.changes import Change
from raftkv.checkers.revision_times import NEVER


class Place(NamedTuple):
    """A key that was there from its create revision, the token, on, and gone at revision ``until``."""

    token: int
    key: bytes
    until: float = NEVER


class Queue:
    """The places of one name, in the order of their tokens."""

    def __init__(self, places: Iterable[Place]) -> None:
        self.places = sorted(places)
        self._by_token = {place.token: number for number, place in enumerate(self.places)}
        self._front: list[float] = []
        gone = 0.0
        for place in self.places:
            self._front.append(max(gone, place.token))
            gone = max(gone, place.until)

    def place(self, token: int) -> Place | None:
        """Return the place with a token."""
        number = self._by_token.get(token)
        return None if number is None else self.places[number]

    def front_from(self, token: int) -> float:
        """Return the revision at which all places before were gone; the token must be one of a place."""
        return self._front[self._by_token[token]]


def queues_of(changes: Iterable[Change]) -> dict[bytes, Queue]:
    """Return the queues by name, of all keys with a slash in them."""
    there: dict[bytes, int] = {}
    places: dict[bytes, list[Place]] = {}
    for change in changes:
        if change.value is not None:
            there.setdefault(change.key, change.revision)
            continue
        token = there.pop(change.key, 0)
        if token:
            places.setdefault(_name(change.key), []).append(Place(token, change.key, change.revision))
    for key, token in there.items():
        places.setdefault(_name(key), []).append(Place(token, key))
    return {name: Queue(found) for name, found in places.items() if name}


def _name(key: bytes) -> bytes:
    return key.rpartition(b"/")[0]
