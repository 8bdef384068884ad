"""The check of locks; ``lock`` has the rules."""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

from raftkv.checkers.changes import Change
from raftkv.checkers.findings import Findings, output_of, said, shown
from raftkv.checkers.history import Operation, Outcome
from raftkv.checkers.lock import EXPECTED_UNFENCED, LockRun
from raftkv.checkers.queues import Queue, queues_of
from raftkv.checkers.revision_times import NEVER, returned
from raftkv.checkers.verdict import Anomaly, Verdict

NOTE = "expected under pauses of a lock without fencing"


def check_locks(run: LockRun) -> Verdict:
    """Check a run; without a list of changes by the answers alone."""
    check = _Check(run)
    queues = None if run.changes is None else queues_of(run.changes)
    for name, operations in _by_name(run.operations).items():
        acquired = [one for one in operations if one.input[0] == "acquire" and one.outcome is Outcome.OK]
        updates = [one for one in operations if _succeeded(one)]
        check.tokens(acquired)
        if run.fenced:
            check.fencing(updates, acquired)
        else:
            check.overlap(operations, acquired)
        if queues is None:
            continue
        queue = queues.get(name, Queue(()))
        check.positions(acquired, queue)
        if run.fenced:
            check.guarded(updates, queue)
    check.updates(run.changes)
    verdict = check.findings.verdict(len(run.operations))
    expected = not run.fenced and verdict.anomalies and all(map(_is_expected, verdict.anomalies))
    return verdict._replace(reason=f"{verdict.reason}; {NOTE}") if expected else verdict


def _is_expected(anomaly: Anomaly) -> bool:
    return anomaly.name in EXPECTED_UNFENCED


def _by_name(operations: Sequence[Operation]) -> dict[bytes, list[Operation]]:
    found: dict[bytes, list[Operation]] = {}
    for one in operations:
        found.setdefault(one.input[1], []).append(one)
    return found


def _token(operation: Operation) -> int:
    """Return the token of an operation that has one, or was given one."""
    return int(output_of(operation)[2] if operation.input[0] == "acquire" else operation.input[2])


class _Check:
    def __init__(self, run: LockRun) -> None:
        self.findings = Findings()
        self._run = run

    def tokens(self, acquired: Sequence[Operation]) -> None:
        """Compare the tokens with the order in which the lock was given."""
        latest: Operation | None = None
        previous: Operation | None = None
        for one in sorted(acquired, key=_token):
            if previous is not None and _token(previous) == _token(one):
                self.findings.add("token", f"two have the same: {said(previous)}; {said(one)}", previous, one)
            if latest is not None and returned(one) < latest.call:
                text = f"the second was given later, and its token is lower: {said(one)}; {said(latest)}"
                self.findings.add("token", text, one, latest)
            previous = one
            latest = one if latest is None or one.call > latest.call else latest

    def positions(self, acquired: Sequence[Operation], queue: Queue) -> None:
        """Look whether those that were given the lock were at the front of the queue."""
        for one in acquired:
            revision, key, token = output_of(one)
            place = queue.place(token)
            if place is None or place.key != key or place.until <= revision:
                gone = "never there" if place is None or place.key != key else f"gone at {place.until}"
                self.findings.add(
                    "ghost", f"{shown(key)!r} was {gone}, and its owner got the lock: {said(one)}", one
                )
            elif queue.front_from(token) > revision:
                text = f"an older key was there until {queue.front_from(token)}: {said(one)}"
                self.findings.add("exclusion", text, one)

    def fencing(self, updates: Sequence[Operation], acquired: Sequence[Operation]) -> None:
        """Look for guarded updates that succeeded when the lock was somebody else's."""
        newest: Operation | None = None
        for one in sorted(updates, key=lambda one: int(output_of(one)[0])):
            if newest is not None and _token(one) < _token(newest):
                self.findings.add("fencing", f"{said(one)} came after {said(newest)}", newest, one)
            newest = one if newest is None or _token(one) > _token(newest) else newest
        by_return = sorted(acquired, key=returned)
        highest = list(accumulate(by_return, _newer))
        for one in updates:
            before = bisect_left(by_return, one.call, key=returned)
            if before and _token(highest[before - 1]) > _token(one):
                text = f"{said(one)} succeeded after {said(highest[before - 1])}"
                self.findings.add("fencing", text, highest[before - 1], one)

    def guarded(self, updates: Sequence[Operation], queue: Queue) -> None:
        """Look for guarded updates that succeeded without a lock key."""
        for one in updates:
            revision, place = output_of(one)[0], queue.place(_token(one))
            if place is None or not place.token < revision < place.until:
                self.findings.add("fencing", f"there was no lock key at {revision} for {said(one)}", one)

    def overlap(self, operations: Sequence[Operation], acquired: Sequence[Operation]) -> None:
        """Look for two that believed in the lock at the same time."""
        ends = {_token(one): NEVER for one in acquired}
        for one in operations:
            if one.input[0] in ("release", "lost") or _refused(one):
                end = returned(one) if _refused(one) else one.call
                ends[_token(one)] = min(end, ends.get(_token(one), NEVER))
        longest: Operation | None = None
        for one in sorted(acquired, key=returned):
            if longest is not None and returned(one) < ends[_token(longest)]:
                text = "the second was given the lock while the first believed in it"
                text = f"{text}: {said(longest)}; {said(one)}"
                self.findings.add("overlap", text, longest, one)
            if longest is None or ends[_token(one)] > ends[_token(longest)]:
                longest = one

    # ---------------------------------------------------------------- what the lock protects

    def updates(self, changes: Sequence[Change] | None) -> None:
        """Look for updates that overwrote what their holder had not read."""
        facts = {(one.key, one.value): one.revision for one in changes or ()}
        resources: dict[bytes, list[tuple[int, Operation]]] = {}
        for one in self._run.operations:
            if one.input[0] != "update" or one.outcome is Outcome.FAIL:
                continue
            resource, value = one.input[3], one.input[5]
            true = facts.get((resource, value), 0)
            if _succeeded(one) and changes is not None and true != output_of(one)[0]:
                self.findings.add("lost", f"the list of changes has no such change: {said(one)}", one)
            revision = int(output_of(one)[0]) if _succeeded(one) else true
            if revision:
                resources.setdefault(resource, []).append((revision, one))
        for made in resources.values():
            self._overwritten(sorted(made, key=lambda pair: pair[0]))

    def _overwritten(self, made: Sequence[tuple[int, Operation]]) -> None:
        """Compare each update with what came last before it.

        A holder may overwrite one of its own whose answer it did not get: it could not know when that comes.
        """
        for number, (revision, one) in enumerate(made):
            seen = int(one.input[4])
            for earlier, other in reversed(made[:number]):
                if earlier <= seen:
                    break
                own = _token(other) == _token(one) and other.outcome is Outcome.UNKNOWN
                if not own and one.outcome is Outcome.OK:
                    text = f"{said(one)} at {revision} overwrote {said(other)} at {earlier}, unread"
                    self.findings.add("lost-update", text, other, one)
                    break


def _succeeded(operation: Operation) -> bool:
    if operation.input[0] != "update" or operation.outcome is not Outcome.OK:
        return False
    return bool(output_of(operation)[1])


def _refused(operation: Operation) -> bool:
    update = operation.input[0] == "update" and operation.outcome is Outcome.OK
    return update and not _succeeded(operation)


def _newer(one: Operation, other: Operation) -> Operation:
    return one if _token(one) >= _token(other) else other
