"""The multi-version store of etcd and raftkv, as far as one client's answer tells of it.

Operations (the input of an ``Operation``) and their answers (its output, always ``(revision, result)``):

====================================  ===================================================
``("get", key)``                      a ``Kv``, or None if absent
``("put", key, value)``               None
``("delete", key)``                   how many keys it deleted: 0 or 1
``("txn", compares, then, orelse)``   ``(succeeded, (result of each operation done, ...))``
====================================  ===================================================

``compares`` is a tuple of ``(key, mod_revision)``, 0 for an absent key, which must all be equal for
``then`` to be done and not ``orelse``; both are tuples of gets, puts and deletes of any keys, each of which
sees what those before it did. ``revision`` is the store's after the operation (etcd's header.revision).
Each operation that changes something adds one to it; a delete of an absent key changes nothing. The
revision in an answer may be None: then it is not checked.
"""

from collections.abc import Callable, Hashable, Mapping
from typing import Any, NamedTuple

from raftkv.checkers.history import Operation, Outcome
from raftkv.checkers.models import REFUSED


class Kv(NamedTuple):
    """A key's value and where it comes from, etcd's KeyValue without the key."""

    value: Hashable
    create_revision: int
    mod_revision: int
    version: int


Request = tuple[Any, ...]
Changes = dict[Hashable, Kv | None]
Get = Callable[[Hashable], Kv | None]


def apply(get: Get, revision: int, request: Request) -> tuple[Changes, Any]:
    """Return what a request changes, at ``revision``, and its result; ``get`` reads the state."""
    name = request[0]
    if name == "get":
        return {}, get(request[1])
    if name == "put":
        return {request[1]: _put(get(request[1]), request[2], revision)}, None
    if name == "delete":
        return ({}, 0) if get(request[1]) is None else ({request[1]: None}, 1)
    succeeded = all(_mod_revision(get(key)) == mod for key, mod in request[1])
    return _apply_all(get, revision, request[2] if succeeded else request[3], succeeded=succeeded)


def _put(before: Kv | None, value: Hashable, revision: int) -> Kv:
    if before is None:
        return Kv(value, revision, revision, 1)
    return Kv(value, before[1], revision, before[3] + 1)


def _mod_revision(kv: Kv | None) -> int:
    return 0 if kv is None else kv.mod_revision


def _apply_all(
    get: Get, revision: int, requests: tuple[Request, ...], *, succeeded: bool
) -> tuple[Changes, Any]:
    changes: Changes = {}

    def seen(key: Hashable) -> Kv | None:
        return changes[key] if key in changes else get(key)

    results = []
    for request in requests:
        changed, result = apply(seen, revision, request)
        changes.update(changed)
        results.append(result)
    return changes, (succeeded, tuple(results))


def done_requests(operation: Operation) -> tuple[Request, ...]:
    """Return the gets, puts and deletes that an answered operation did: of a txn, the branch it tells of."""
    request: Request = operation.input
    if request[0] != "txn":
        return (request,)
    branch: tuple[Request, ...] = request[2] if result_of(operation)[0] else request[3]
    return branch


def result_of(operation: Operation) -> Any:
    """Return the answer without its revision."""
    output: Any = operation.output
    return output[1]


def revision_of(operation: Operation) -> int | None:
    """Return the store's revision that an answered operation tells, or None."""
    output: Any = operation.output
    found: int | None = output[0]
    return found


def changes_state(operation: Operation) -> bool:
    """Tell from its answer whether an answered operation made a revision of its own."""
    name = operation.input[0]
    if name == "get":
        return False
    if name == "put":
        return True
    if name == "delete":
        return bool(result_of(operation))
    results = result_of(operation)[1]
    return any(
        one[0] == "put" or (one[0] == "delete" and result)
        for one, result in zip(done_requests(operation), results, strict=True)
    )


def could_change(request: Request) -> bool:
    """Tell whether there is a state that the request changes."""
    if request[0] == "txn":
        return any(one[0] != "get" for branch in request[2:4] for one in branch)
    return bool(request[0] != "get")


class _State(NamedTuple):
    """A revision and the keys that are there, sorted by their text."""

    revision: int
    keys: tuple[tuple[Hashable, Kv], ...]


class MvccKv:
    """The store as one object: revisions order all keys, so it can't be checked key by key."""

    name = "mvcc-kv"
    operations = ("get", "put", "delete", "txn")

    def __init__(self, initial_revision: int = 1) -> None:
        self.initial_revision = initial_revision
        self.initial = _State(initial_revision, ())

    def step(self, state: _State, operation: Operation) -> Hashable:
        """Apply one operation to the whole store."""
        held: Mapping[Hashable, Kv] = dict(state.keys)
        changes, result = apply(held.get, state.revision + 1, operation.input)
        revision = state.revision + bool(changes)
        if operation.outcome is Outcome.OK:
            told = revision_of(operation)
            if (told is not None and told != revision) or result_of(operation) != result:
                return REFUSED
        if not changes:
            return state
        after = {**held, **changes}
        left = ((key, kv) for key, kv in after.items() if kv is not None)
        return _State(revision, tuple(sorted(left, key=lambda one: repr(one[0]))))

    def observes(self, operation: Operation) -> bool:
        """Tell whether this operation is known to have changed nothing."""
        if operation.outcome is Outcome.OK:
            return not changes_state(operation)
        return not could_change(operation.input)

    def part(self, _operation: Operation) -> Hashable:
        """Return the same for all: no operation is independent of another."""
        return None

    def leads_to(self, state: _State, observation: Operation) -> bool:
        """Tell whether the revision is not beyond the one that was seen."""
        told = revision_of(observation)
        return told is None or state.revision <= told

    def sets(self, _operation: Operation, _observation: Operation) -> bool:
        """Tell that nothing brings an earlier revision back."""
        return False
