"""Changes as JSON: ``rev``, ``type`` (put or delete), ``key``, ``value``, ``create`` and what else is known.

``create`` tells whether the key was new. Keys and values are text; bytes that are none are kept as JSON's
lone surrogates.
"""

from collections.abc import Iterable
from typing import Any

from raftkv.checkers.changes import Change


def as_text(value: bytes | None) -> str | None:
    """Return bytes as text, from which ``as_bytes`` makes the same bytes."""
    return None if value is None else value.decode("utf-8", "surrogateescape")


def as_bytes(value: str | None) -> bytes | None:
    """Return the bytes of a text from JSON."""
    return None if value is None else value.encode("utf-8", "surrogateescape")


def key_of(item: dict[str, Any], name: str = "key") -> bytes:
    """Return a field that is always there, as bytes. Raises ``ValueError`` if it is not."""
    found = as_bytes(item[name])
    if found is None:
        raise ValueError(f"{name} is null")
    return found


def value_of(item: dict[str, Any]) -> bytes | None:
    """Return the value of a change or an event, None for a deletion. Raises ``ValueError``."""
    if item["type"] not in ("put", "delete"):
        raise ValueError(f"no type of a change: {item['type']!r}")
    return None if item["type"] == "delete" else key_of(item, "value")


def changes_of(items: Iterable[dict[str, Any]]) -> list[Change]:
    """Return the changes of a list from JSON, in its order, which must be that of revisions.

    The create revision is found by ``create`` and the changes before, where it is not given. Raises
    ``KeyError``, ``TypeError``, ``ValueError`` or ``AttributeError`` for what is no such list.
    """
    created: dict[bytes, int] = {}
    changes: list[Change] = []
    last = 0
    for item in items:
        revision, key, value = whole(item["rev"]), key_of(item), value_of(item)
        if revision < last:
            raise ValueError(f"revision {revision} follows {last}")
        last = revision
        create = 0
        if value is not None:
            create = whole(item.get("create_revision", revision if item["create"] else created.get(key, 0)))
        created[key] = create
        rest = (whole(item.get("version", 0)), whole(item.get("lease", 0)))
        changes.append(Change(revision, key, value, create, *rest))
    return changes


def whole(value: Any) -> int:
    """Return a whole number. Raises ``ValueError`` for anything else."""
    if type(value) is not int:
        raise ValueError(f"no whole number: {value!r}")
    return value


def change_object(change: Change) -> dict[str, Any]:
    """Return a change for JSON."""
    return {
        "rev": change.revision,
        "type": "delete" if change.value is None else "put",
        "key": as_text(change.key),
        "value": as_text(change.value),
        "create": change.value is not None and change.create_revision == change.revision,
        "create_revision": change.create_revision,
        "version": change.version,
        "lease": change.lease,
    }
