"""The check of leases; ``lease`` has the rules."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise

from raftkv.checkers.changes import Change
from raftkv.checkers.findings import Findings, output_of, said, shown
from raftkv.checkers.history import Operation, Outcome
from raftkv.checkers.lease import LeaseRun
from raftkv.checkers.lease_books import Book, books_of, found, lease_of
from raftkv.checkers.lease_lives import End, Life, Lives
from raftkv.checkers.revision_times import NEVER, Answered, RevisionTimes, returned
from raftkv.checkers.verdict import Verdict


def check_leases(run: LeaseRun) -> Verdict:
    """Check a run by its list of changes where that is known, else by the answers alone."""
    check = _Check(run)
    for lease, book in check.books.items():
        check.gone_for_ever(lease, book)
        check.none_for_ever(lease, book)
        check.never_grows(lease, book)
    if run.changes is None:
        check.reads_are_not_early()
    else:
        check.against(run.changes)
    return check.findings.verdict(len(run.operations) + len(run.changes or ()))


Shown = tuple[bytes, int, int] | None
"""What a read shows of a key: value, mod revision and lease; None: no such key."""


class _Check:
    """One run. ``changing``: for each key, the puts and deletes that may have taken effect."""

    def __init__(self, run: LeaseRun) -> None:
        self.books = books_of(run.operations, run.in_flight)
        self.findings = Findings()
        self._run = run
        self._answered = [one for one in run.operations if one.outcome is Outcome.OK]
        self._times = RevisionTimes(Answered(one, output_of(one)[0]) for one in self._answered)
        self._changing: dict[bytes, list[Operation]] = {}
        for one in run.operations:
            if one.input[0] in ("put", "delete") and one.outcome is not Outcome.FAIL:
                self._changing.setdefault(one.input[1], []).append(one)

    # ---------------------------------------------------------------- by the answers

    def gone_for_ever(self, lease: int, book: Book) -> None:
        """Look for what was seen of a lease after it was gone."""
        end = book.end()
        if end is None:
            return
        for one in book.alive:
            if one.call > returned(end):
                name = {"timetolive": "stale", "get": "undead"}.get(one.input[0], "revived")
                text = f"lease {lease} was gone ({said(end)}), and later there ({said(one)})"
                self.findings.add(name, text, end, one)

    def none_for_ever(self, lease: int, book: Book) -> None:
        """Look for what was seen of a lease after it had to be gone."""
        if self._run.quiet_from is None:
            return
        for one in book.alive:
            deadline = max(book.deadline(one.call), self._run.quiet_from + book.ttl) + self._run.grace
            if one.call > deadline:
                text = f"lease {lease} of {book.ttl} s was still there at {one.call:.3f} ({said(one)})"
                self.findings.add("eternal", f"{text}, it had to be gone by {deadline:.3f}", one)

    def never_grows(self, lease: int, book: Book) -> None:
        """Compare the seconds left in answers that follow each other.

        A new leader gives the lease its whole time again: then at least that is left, less the time that has
        passed since the first of the two was asked for, and less what rounding takes away.
        """
        looks = [one for one in book.alive if one.input[0] == "timetolive"]
        for one in looks:
            _, left, granted = output_of(one)
            if left > granted + self._run.grace:
                text = f"lease {lease} of {granted} s had {left} s left ({said(one)})"
                self.findings.add("grows", text, one)
        for one, other in pairwise(looks):
            before, (_, left, granted) = output_of(one)[1], output_of(other)
            anew = granted - (returned(other) - one.call) - 1
            if returned(one) >= other.call or left <= before or left >= anew:
                continue
            if not any(it.call <= returned(other) and it.latest >= one.call for it in book.refreshes):
                text = f"lease {lease} had {before} s left and then {left} s, and nobody had renewed it"
                self.findings.add("grows", text, one, other)

    def reads_are_not_early(self) -> None:
        """Look for keys that reads did not find any more, and that only the end of a lease can have deleted.

        Only keys that were written once and never deleted by a client tell it for sure.
        """
        for one in self._answered:
            if one.input[0] != "get" or output_of(one)[1] is not None:
                continue
            changing = self._changing.get(one.input[1], [])
            if len(changing) != 1 or changing[0].input[0] != "put" or returned(changing[0]) >= one.call:
                continue
            put = changing[0]
            if put.outcome is Outcome.OK and lease_of(put) and found(put):
                self._early(lease_of(put), one, f"a read did not find {shown(one.input[1])!r}")

    def _early(self, lease: int, proof: Operation, what: str) -> None:
        """Judge a deletion that had happened when ``proof`` returned."""
        book = self.books.get(lease)
        if book is None or book.refreshed_by is None or returned(proof) >= book.not_before - self._run.slack:
            return
        if any(one.call <= returned(proof) and self._may_end(one) for one in book.revokes):
            return
        text = f"{what} by {returned(proof):.3f}, but lease {lease} could not run out before"
        because = f"{book.not_before:.3f} ({said(book.refreshed_by)})"
        self.findings.add("early", f"{text} {because}", book.refreshed_by, proof)

    @staticmethod
    def _may_end(revoke: Operation) -> bool:
        return revoke.outcome is Outcome.UNKNOWN or found(revoke)

    # ---------------------------------------------------------------- by the list of changes

    def against(self, changes: Sequence[Change]) -> None:
        """Hold the run against the true list of changes."""
        lives = Lives(changes, self._may_be_by_client)
        for end in lives.ends:
            self._end(end, lives)
        for change in lives.late:
            text = f"lease {change.lease} ended at revision {lives.ended[change.lease]}, and"
            self.findings.add(
                "revived", f"{text} {shown(change.key)!r} was attached to it at {change.revision}"
            )
        for lease, life in ((lease, life) for lease, of in lives.of.items() for life in of):
            self._life(lease, life)
        self._puts(changes)
        self._reads(changes)
        for one in self._answered:
            lease = lease_of(one) if one.input[0] == "get" else 0
            if lease in lives.ended and output_of(one)[0] >= lives.ended[lease]:
                text = f"lease {lease} ended at revision {lives.ended[lease]}, and then {said(one)}"
                self.findings.add("undead", text, one)

    def _may_be_by_client(self, deletion: Change) -> bool:
        """Tell whether a client asked for a deletion, or may have: one without an answer before it was."""
        deletes = [one for one in self._changing.get(deletion.key, ()) if one.input[0] == "delete"]
        if any(one.outcome is Outcome.OK and _deleted_at(one) == deletion.revision for one in deletes):
            return True
        proof = self._times.reached(deletion.revision)
        until = NEVER if proof is None else returned(proof)
        return any(one.outcome is Outcome.UNKNOWN and one.call <= until for one in deletes)

    def _end(self, end: End, lives: Lives) -> None:
        keys = ", ".join(shown(key) for key in end.keys)
        if end.left or lives.ended[end.lease] != end.revision:
            left = ", ".join(shown(key) for key in end.left) or "the others earlier"
            text = f"revision {end.revision} deleted {keys} of lease {end.lease}, but not all: {left}"
            self.findings.add("split", text)
        proof = self._times.reached(end.revision)
        if proof is not None:
            self._early(end.lease, proof, f"revision {end.revision} had deleted {keys}")

    def _life(self, lease: int, life: Life) -> None:
        book = self.books.get(lease)
        if book is None:
            return
        for one in book.revokes:
            revision = output_of(one)[0] if one.outcome is Outcome.OK else 0
            if revision and life.first <= revision < life.until:
                text = f"lease {lease} was revoked by revision {revision}, but {shown(life.key)!r} was there"
                self.findings.add("revoke", text, one)
            elif revision and life.first > revision:
                text = (
                    f"lease {lease} was revoked by revision {revision}, and {shown(life.key)!r} attached at"
                )
                self.findings.add("revived", f"{text} {life.first}", one)
        if life.until == NEVER and self._run.quiet_from is not None:
            self._outlives(lease, book, life)

    def _outlives(self, lease: int, book: Book, life: Life) -> None:
        """Judge a key that is still there at the end of the list, so when the last operation returned."""
        ended = max((returned(one) for one in self._answered), default=-NEVER)
        deadline = max(book.deadline(NEVER), (self._run.quiet_from or 0) + book.ttl) + self._run.grace
        if ended > deadline:
            text = f"{shown(life.key)!r} of lease {lease} was still there when the run ended at {ended:.3f}"
            self.findings.add("eternal", f"{text}, it had to be gone by {deadline:.3f}")

    def _puts(self, changes: Sequence[Change]) -> None:
        facts = {(one.revision, one.key): (one.value, one.lease) for one in changes}
        for one in self._acknowledged():
            _, key, value, lease = one.input
            fact = facts.get((output_of(one)[0], key))
            if fact != (value, lease):
                what = (
                    "there is no such change"
                    if fact is None
                    else f"it is {shown(fact[0])!r} with lease {fact[1]}"
                )
                self.findings.add("lost", f"{said(one)} was answered, but by the list {what}", one)

    def _reads(self, changes: Sequence[Change]) -> None:
        """Compare what reads showed with what there was at the revision of their answer."""
        states: dict[bytes, list[tuple[int, Shown]]] = {}
        for change in changes:
            shows = None if change.value is None else (change.value, change.revision, change.lease)
            states.setdefault(change.key, []).append((change.revision, shows))
        for one in (one for one in self._answered if one.input[0] == "get"):
            revision, told = output_of(one)
            history = states.get(one.input[1], [])
            before = bisect_right(history, revision, key=lambda state: state[0])
            true = history[before - 1][1] if before else None
            if told != true:
                there = "nothing" if true is None else f"{shown(true[0])!r} of {true[1]} with lease {true[2]}"
                self.findings.add("wrong", f"{said(one)}, but by the list there was {there}", one)

    def _acknowledged(self) -> Iterator[Operation]:
        return (one for one in self._answered if one.input[0] == "put" and found(one))


def _deleted_at(delete: Operation) -> int:
    """Return the revision at which an answered delete took its key away, 0: there was none."""
    revision, count = output_of(delete)
    return int(revision) if count else 0
