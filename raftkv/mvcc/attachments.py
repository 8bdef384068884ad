"""Which live keys are attached to which lease.

It is not stored: every live key's newest version names its lease, so this follows from the keys, and is
made anew from them when they are loaded.
"""

_FREED_AT_ONCE = 10_000


class Attachments:
    """The keys of each lease; a lease without keys takes no room here, whether or not it exists."""

    def __init__(self) -> None:
        self._keys: dict[int, dict[bytes, None]] = {}

    def move(self, key: bytes, held: int, lease: int) -> None:
        """Take ``key`` from the lease ``held`` and attach it to ``lease``; 0 stands for none."""
        if held:
            keys = self._keys[held]
            del keys[key]
            if not keys:
                del self._keys[held]
        if lease:
            self._keys.setdefault(lease, {})[key] = None

    def keys_of(self, lease: int) -> list[bytes]:
        """Return the keys of a lease, sorted."""
        return sorted(self._keys.get(lease, ()))

    def unsorted_keys_of(self, lease: int) -> list[bytes]:
        """Return the keys of a lease in no order: 5 ms for a million, where sorting takes a second."""
        return list(self._keys.get(lease, ()))

    def count(self, lease: int) -> int:
        """Return how many keys are attached to a lease."""
        return len(self._keys.get(lease, ()))

    def discard_step(self) -> bool:
        """Forget some more of what is not used any more; return True while anything is left."""
        for _ in range(_FREED_AT_ONCE):
            if not self._keys:
                break
            lease, keys = self._keys.popitem()
            keys.popitem()
            if keys:
                self._keys[lease] = keys
        return bool(self._keys)
