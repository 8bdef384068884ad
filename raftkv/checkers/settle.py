"""Unanswered operations, settled by what is known of a store's changes (etcd calls it patching a history).

Whoever holds the true list of changes, from the log of a living node, say, knows of most operations without
an answer what came of them: one whose value was written took effect at that revision, and one whose value
was never written had no effect. That leaves next to nothing to search for, and it demands more than the
answers alone: what the log says must fit them.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence

from raftkv.checkers.history import Operation, Outcome
from raftkv.checkers.mvcc_kv import Request
from raftkv.checkers.timeline import NEVER

Write = tuple[Hashable, Hashable | None]
"""A key and the value it was given; None: it was deleted."""

Writes = Mapping[int, Iterable[Write]]
"""Revision -> what was written at it."""


def settle(history: Sequence[Operation], writes: Writes) -> list[Operation]:
    """Return the history (model ``mvcc-kv``) with its unanswered operations settled where the writes tell.

    One that took effect becomes an answered operation that never returned, with its revision. One that had no
    effect is left out. It stays as it is when the writes do not tell: it writes no value that no other
    operation writes, its value was written at several revisions, both its branches could have written it, or
    it did a read whose result nobody knows.
    """
    known = {revision: frozenset(found) for revision, found in writes.items()}
    revisions: dict[Write, list[int]] = {}
    for revision, found in known.items():
        for write in found:
            revisions.setdefault(write, []).append(revision)
    writers = Counter(write for operation in history for write in dict.fromkeys(puts_of(operation)))
    settled = []
    for operation in history:
        if operation.outcome is not Outcome.UNKNOWN or not _tells(operation, writers):
            settled.append(operation)
            continue
        made = {revision for put in puts_of(operation) for revision in revisions.get(put, ())}
        if len(made) > 1:
            settled.append(operation)  # done twice; it can stand for one of the two only
        elif made:
            [revision] = made
            settled.append(_done(operation, revision, known[revision]))
    return settled


def _branches(request: Request) -> list[tuple[bool, tuple[Request, ...]]]:
    if request[0] != "txn":
        return [(True, (request,))]
    return [(True, request[2]), (False, request[3])]


def _puts(requests: Iterable[Request]) -> list[Write]:
    return [(one[1], one[2]) for one in requests if one[0] == "put"]


def puts_of(operation: Operation) -> list[Write]:
    """Return what an operation puts in any of its branches."""
    return [put for _, branch in _branches(operation.input) for put in _puts(branch)]


def _tells(operation: Operation, writers: Counter[Write]) -> bool:
    """Whether each branch that could change something puts a value that only this operation puts."""
    return all(
        any(writers[put] == 1 for put in _puts(branch))
        for _, branch in _branches(operation.input)
        if any(one[0] != "get" for one in branch)
    )


def _done(operation: Operation, revision: int, written: frozenset[Write]) -> Operation:
    """Return the operation as answered, if its answer follows from what was written."""
    fitting = [
        (succeeded, branch)
        for succeeded, branch in _branches(operation.input)
        if _puts(branch) and written.issuperset(_puts(branch))
    ]
    if len(fitting) != 1 or any(one[0] == "get" for one in fitting[0][1]):
        return operation
    [(succeeded, branch)] = fitting
    results = tuple(int((one[1], None) in written) if one[0] == "delete" else None for one in branch)
    result = (succeeded, results) if operation.input[0] == "txn" else None
    return operation._replace(returned=NEVER, output=(revision, result), outcome=Outcome.OK)
