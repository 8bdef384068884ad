"""Operations laid out by the revisions in their answers, and what real time says about that layout."""

from collections.abc import Hashable, Sequence
from itertools import takewhile
from typing import Any, NamedTuple

from raftkv.checkers.history import Operation, Outcome
from raftkv.checkers.mvcc_kv import Kv, MvccKv, Request, changes_state, done_requests, result_of, revision_of
from raftkv.checkers.verdict import Validity, Verdict

NEVER = float("inf")


class Place(NamedTuple):
    """One revision: what made it (None: no answered operation), and what saw it without changing it."""

    revision: int
    change: Operation | None
    seen: list[Operation]
    gap: bool
    """An operation without an answer must have made it."""

    def answered(self) -> list[Operation]:
        """Return what made it, if answered, and what saw it."""
        return [self.change, *self.seen] if self.change is not None else self.seen


class Timeline(NamedTuple):
    """The places in order of revision, and the unanswered operations in the order of their calls."""

    places: list[Place]
    unanswered: list[Operation]

    def order_before(self, operation: Operation) -> tuple[Operation, ...]:
        """Return the answered operations before this one of them."""
        answered = (one for place in self.places for one in place.answered())
        return tuple(takewhile(lambda one: one is not operation, answered))


class _Sorted(NamedTuple):
    changes: dict[int, Operation]
    seen: dict[int, list[Operation]]
    unanswered: list[Operation]


def lay_out(operations: Sequence[Operation], model: MvccKv) -> Timeline | Verdict | None:
    """Return the timeline, None when an answer has no revision, or the verdict when revisions contradict."""
    groups = _Sorted({}, {}, [])
    for operation in operations:
        if operation.outcome is Outcome.UNKNOWN:
            groups.unanswered.append(operation)
            continue
        revision = revision_of(operation)
        if revision is None:
            return None
        if not changes_state(operation):
            groups.seen.setdefault(revision, []).append(operation)
        elif groups.changes.setdefault(revision, operation) is not operation:
            refused = (groups.changes[revision], operation)
            return invalid(f"two operations made revision {revision}", (), refused)
    groups.unanswered.sort(key=lambda operation: operation.call)
    return _places(groups, model.initial_revision)


def invalid(reason: str, placed: tuple[Operation, ...], refused: tuple[Operation, ...]) -> Verdict:
    """Return the verdict on a history that has no order."""
    return Verdict(Validity.INVALID, len(placed) + len(refused), reason, placed, refused)


def _places(groups: _Sorted, initial: int) -> Timeline | Verdict:
    """Make the list of places, with a gap for each revision that nobody is known to have made."""
    changes, seen = groups.changes, groups.seen
    lowest = min([initial, *seen, *(revision - 1 for revision in changes)])
    if lowest < initial:
        early = seen.get(lowest) or [changes[lowest + 1]]
        return invalid(f"the store begins at revision {initial}", (), tuple(early))
    last = max([initial, *seen, *changes])
    missing = last - initial - len(changes)
    if missing > len(groups.unanswered):
        reason = (
            f"{missing} revisions up to {last} were made by no answered operation, "
            f"and there are only {len(groups.unanswered)} without an answer"
        )
        return invalid(reason, (), tuple(seen.get(last) or [changes[last]]))
    places = [Place(initial, None, seen.get(initial, []), gap=False)]
    for revision in range(initial + 1, last + 1):
        change = changes.get(revision)
        places.append(Place(revision, change, seen.get(revision, []), change is None))
    return Timeline(places, groups.unanswered)


def out_of_time(timeline: Timeline) -> Verdict | None:
    """Return a verdict if revisions put an operation behind one that was called after it had returned."""
    latest: Operation | None = None
    for place in timeline.places:
        for rank in ([place.change] if place.change else [], place.seen):
            for operation in rank:
                if latest is not None and returned(operation) < latest.call:
                    reason = (
                        "the first had returned before the second was called, but their revisions "
                        f"({revision_of(operation)}, {revision_of(latest)}) put the second before"
                    )
                    return invalid(reason, timeline.order_before(operation), (operation, latest))
            last = max(rank, key=lambda operation: operation.call, default=latest)
            latest = last if latest is None or (last is not None and last.call > latest.call) else latest
    return None


def returned(operation: Operation) -> float:
    """Return when the operation returned; ``NEVER`` without an answer."""
    return NEVER if operation.returned is None else operation.returned


def latest_calls(timeline: Timeline) -> dict[int, float]:
    """For each gap, the time by which an operation must have been called to have made it.

    What made the gap comes before all that saw it or came behind, so it was called before any of these
    returned.
    """
    limits: dict[int, float] = {}
    earliest = NEVER
    for place in reversed(timeline.places):
        earliest = min([earliest, *map(returned, place.seen)])
        if place.gap:
            limits[place.revision] = earliest
        if place.change is not None:
            earliest = min(earliest, returned(place.change))
    return limits


def evidence_of(timeline: Timeline) -> dict[int, dict[Hashable, Kv]]:
    """For each gap, the keys that some answer showed with its mod_revision, as they were shown."""
    evidence: dict[int, dict[Hashable, Kv]] = {place.revision: {} for place in timeline.places if place.gap}
    for place in timeline.places:
        for operation in place.answered():
            for request, result in done_with_results(operation):
                if request[0] == "get" and result is not None and result[2] in evidence:
                    evidence[result[2]].setdefault(request[1], result)
    return evidence


def done_with_results(operation: Operation) -> list[tuple[Request, Any]]:
    """Return the gets, puts and deletes that an answered operation did, each with its result."""
    result = result_of(operation)
    results = result[1] if operation.input[0] == "txn" else (result,)
    return list(zip(done_requests(operation), results, strict=True))
