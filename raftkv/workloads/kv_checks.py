"""What must hold of the history of a key-value store, by the answers and by the list of its changes."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from raftkv.checkers.history import Operation, Outcome
from raftkv.checkers.linearizability import check
from raftkv.checkers.mvcc_kv import MvccKv, changes_state, done_requests, result_of, revision_of
from raftkv.checkers.settle import Write, puts_of, settle
from raftkv.checkers.timeline import NEVER
from raftkv.checkers.verdict import Anomaly, Validity, Verdict
from raftkv.workloads.port import Truth

MAX_CHECK_STEPS = 2_000_000

OTHERS = "(others)"
"""Stands for every key that is not of the history."""

EXACTLY_ONCE = "exactly once"

Writes = Mapping[int, set[Write]]
Owns = Callable[[str], bool]


class PastRead(NamedTuple):
    """What a read of ``key`` at an older revision brought; None: no such key then."""

    revision: int
    key: str
    value: str | None


def judge(
    history: Sequence[Operation],
    past: Sequence[PastRead],
    truth: Truth | None,
    owns: Owns,
    initial_revision: int = 1,
) -> Verdict:
    """Check a history of the keys that it ``owns``; others may write to the store as well.

    With ``truth`` unanswered operations are settled by it, and it must hold what was acknowledged and
    nothing that nobody asked for. Without it the revisions that others made would be missing.
    """
    model = MvccKv(initial_revision)
    if truth is None:
        return check(history, model, max_steps=MAX_CHECK_STEPS)
    known = with_others(history, truth, owns, initial_revision)
    writes = writes_of(truth, owns)
    verdict = check(settle(known, writes), model, max_steps=MAX_CHECK_STEPS)
    if verdict.validity is not Validity.VALID:
        return verdict
    found = durability(history, writes) or exactly_once(history, writes) or past_reads(past, truth)
    if found is None:
        return verdict
    return Verdict(Validity.INVALID, verdict.steps, found.text, anomalies=(found,))


def with_others(
    history: Sequence[Operation], truth: Truth | None, owns: Owns, initial_revision: int = 1
) -> list[Operation]:
    """Add for each revision that others made an operation of theirs, which was at some time in the run."""
    if truth is None:
        return list(history)
    own = {change.revision for change in truth.changes if owns(text(change.key))}
    others = dict.fromkeys(change.revision for change in truth.changes if change.revision not in own)
    begun = min((operation.call for operation in history), default=0.0)
    return [
        *history,
        *(
            Operation(-revision, begun, NEVER, ("put", OTHERS, str(revision)), (revision, None))
            for revision in others
            if revision > initial_revision
        ),
    ]


def text(data: bytes) -> str:
    """Return a key or value as it stands in a history."""
    return data.decode("utf-8", "backslashreplace")


def writes_of(truth: Truth, owns: Owns) -> dict[int, set[Write]]:
    """Return what was written at each revision, of the keys that count."""
    writes: dict[int, set[Write]] = {}
    for change in truth.changes:
        key = text(change.key)
        if owns(key):
            value = None if change.value is None else text(change.value)
            writes.setdefault(change.revision, set()).add((key, value))
    return writes


def durability(history: Sequence[Operation], writes: Writes) -> Anomaly | None:
    """Say which acknowledged write is not in the list of changes at the revision told; None if none."""
    for operation in history:
        if operation.outcome is not Outcome.OK:
            continue
        revision = revision_of(operation)
        wrote = {(one[1], one[2]) for one in done_requests(operation) if one[0] == "put"}
        if wrote and not wrote <= writes.get(revision or 0, set()):
            said = f"{operation.input} was acknowledged at revision {revision}, and is not there"
            return Anomaly("durability", said, (operation,))
    return None


def exactly_once(history: Sequence[Operation], writes: Writes) -> Anomaly | None:
    """Say which change nobody asked for, or not so, or not twice; None if all are right.

    Values are unique, so a value tells who wrote it; of a delete without an answer only the kind tells.
    """
    answered = [one for one in history if one.outcome is Outcome.OK and changes_state(one)]
    told = {revision_of(one): one for one in answered}
    owners: dict[Write, list[Operation]] = {}
    for operation in history:
        for put in puts_of(operation):
            owners.setdefault(put, []).append(operation)
    places: dict[Write, int] = {}
    for revision, written in writes.items():
        teller = told.get(revision)
        if teller is not None and (wrote := _told(teller)) != written:
            said = f"revision {revision} wrote {_named(written)}; told: {_named(wrote)}"
            return Anomaly(EXACTLY_ONCE, said, (teller,))
        for write in sorted(written, key=repr):
            earlier = places.setdefault(write, revision)
            if write[1] is not None and (found := _not_owned(write, owners.get(write, []))):
                return found
            if earlier != revision and len(owners.get(write, [])) == 1:
                said = f"{write} was done at revision {earlier} and again at {revision}"
                return Anomaly(EXACTLY_ONCE, said, tuple(owners[write]))
    return None


def _not_owned(write: Write, owners: list[Operation]) -> Anomaly | None:
    """Say why none of those who asked for a write can have done it; the probes share theirs."""
    if not owners:
        return Anomaly(EXACTLY_ONCE, f"{write} was written, and nobody asked for it")
    if all(owner.outcome is Outcome.FAIL for owner in owners):
        return Anomaly(EXACTLY_ONCE, f"{write} was written, and its request had failed", tuple(owners[:1]))
    return None


def _named(writes: Iterable[Write]) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(writes, key=repr)) or "nothing"


def _told(operation: Operation) -> set[Write]:
    """Return what an answered operation says that it changed."""
    result = result_of(operation)
    results = result[1] if operation.input[0] == "txn" else (result,)
    pairs = zip(done_requests(operation), results, strict=True)
    puts: set[Write] = {(one[1], one[2]) for one in done_requests(operation) if one[0] == "put"}
    return puts | {(one[1], None) for one, gone in pairs if one[0] == "delete" and gone}


def past_reads(found: Iterable[PastRead], truth: Truth) -> Anomaly | None:
    """Say which read at an older revision brought something else than what was there; None if none did."""
    values: dict[str, list[tuple[int, str | None]]] = {}
    for change in truth.changes:
        value = None if change.value is None else text(change.value)
        values.setdefault(text(change.key), []).append((change.revision, value))
    for revision, key, value in found:
        if (right := _value_at(values.get(key, []), revision)) != value:
            said = f"{key} at revision {revision} was read as {value!r}, and was {right!r}"
            return Anomaly("past reads", said)
    return None


def _value_at(history: list[tuple[int, str | None]], revision: int) -> str | None:
    place = bisect_right(history, revision, key=lambda one: one[0])
    return history[place - 1][1] if place else None
