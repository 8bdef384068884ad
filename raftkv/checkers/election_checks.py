"""The check of elections; ``election`` has the rules."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from raftkv.checkers.election import ElectionRun
from raftkv.checkers.election_values import Values
from raftkv.checkers.findings import Findings, output_of, said, shown
from raftkv.checkers.history import Operation, Outcome
from raftkv.checkers.queues import Queue, queues_of
from raftkv.checkers.revision_times import NEVER, Answered, RevisionTimes, returned
from raftkv.checkers.verdict import Verdict


def check_elections(run: ElectionRun) -> Verdict:
    """Check a run; without a list of changes by the answers alone."""
    findings = Findings()
    by_name: dict[bytes, list[Operation]] = {}
    for one in run.operations:
        by_name.setdefault(one.input[1], []).append(one)
    queues = None if run.changes is None else queues_of(run.changes)
    facts = None if run.changes is None else {(one.revision, one.key): one for one in run.changes}
    times = RevisionTimes(_with_revisions(run.operations))
    for name, operations in by_name.items():
        check = _Check(operations, findings)
        check.by_revision()
        check.by_time()
        check.deposed()
        check.observers()
        Values(operations, facts, findings).check()
        if queues is not None:
            check.against(queues.get(name, Queue(())), times)
    return findings.verdict(len(run.operations))


def _with_revisions(operations: Sequence[Operation]) -> Iterator[Answered]:
    for one in operations:
        if one.outcome is Outcome.OK and one.input[0] in ("proclaim", "resign", "leader"):
            yield Answered(one, output_of(one)[0])


class Sighting(NamedTuple):
    """A campaign or read, after which no leader has a token below ``floor``; ``token`` 0: nobody led."""

    operation: Operation
    token: int
    floor: int


class _Check:
    """One election: its campaigns and reads, each a sighting."""

    def __init__(self, operations: Sequence[Operation], findings: Findings) -> None:
        self.findings = findings
        answered = [one for one in operations if one.outcome is Outcome.OK]
        self._campaigns = [one for one in answered if one.input[0] == "campaign"]
        self._proclaims = [one for one in answered if one.input[0] == "proclaim" and output_of(one)[1]]
        self._streams = [one for one in answered if one.input[0] == "observe"]
        reads = [one for one in answered if one.input[0] == "leader"]
        leaders = [Sighting(one, output_of(one)[1], output_of(one)[1]) for one in self._campaigns]
        leaders += [_leader(one) for one in reads if output_of(one)[1] is not None]
        self._take(leaders)
        leaders += [self._nobody(one) for one in reads if output_of(one)[1] is None]
        self._take(leaders)
        self._reads = sorted(
            (one for one in leaders if one.operation.input[0] == "leader" and output_of(one.operation)[0]),
            key=lambda one: int(output_of(one.operation)[0]),
        )

    def _take(self, sightings: Sequence[Sighting]) -> None:
        self._sightings = sorted(sightings, key=lambda one: returned(one.operation))
        self._highest = list(accumulate(self._sightings, _higher))

    def _nobody(self, read: Operation) -> Sighting:
        """Return the sighting of no leader: whoever was seen before is gone, and so are all candidates."""
        before = self._before(read.call)
        return Sighting(read, 0, max(0 if before is None else before.token, output_of(read)[0]) + 1)

    def by_revision(self) -> None:
        """Look at the reads in the order of their revisions."""
        for one, other in pairwise(self._reads):
            same = output_of(one.operation)[0] == output_of(other.operation)[0]
            if same and one.token != other.token:
                text = f"at one revision: {said(one.operation)}; {said(other.operation)}"
                self.findings.add("two-leaders", text, one.operation, other.operation)
        highest = accumulate(self._reads, _higher)
        for before, one in zip(highest, self._reads[1:], strict=False):
            self._backwards(before, one)

    def _backwards(self, before: Sighting, one: Sighting) -> None:
        if one.token and one.token < before.floor:
            text = f"{said(before.operation)}; then an older one led: {said(one.operation)}"
            self.findings.add("backwards", text, before.operation, one.operation)

    def by_time(self) -> None:
        """Look at campaigns and reads that were called after others had returned."""
        for one in self._sightings:
            before = self._before(one.operation.call)
            if before is not None:
                self._backwards(before, one)
        for campaign, other in pairwise(sorted(self._campaigns, key=lambda one: int(output_of(one)[1]))):
            if output_of(campaign)[1] == output_of(other)[1]:
                text = f"two were elected by one key: {said(campaign)}; {said(other)}"
                self.findings.add("two-leaders", text, campaign, other)

    def _before(self, time: float) -> Sighting | None:
        """Return the sighting with the highest floor of those that had returned before a time."""
        count = bisect_left(self._sightings, time, key=lambda one: returned(one.operation))
        return self._highest[count - 1] if count else None

    def deposed(self) -> None:
        """Look for proclamations that took effect after a newer leader was seen."""
        revisions = [int(output_of(one.operation)[0]) for one in self._reads]
        highest = list(accumulate(self._reads, _higher))
        for one in self._proclaims:
            count = bisect_left(revisions, output_of(one)[0])
            for newer in (self._before(one.call), highest[count - 1] if count else None):
                if newer is not None and newer.floor > int(one.input[2]):
                    text = f"{said(one)} took effect after {said(newer.operation)}"
                    self.findings.add("deposed", text, newer.operation, one)

    def observers(self) -> None:
        """Look at what each stream brought."""
        for stream in self._streams:
            for (_, token, revision, _), (key, later, mod, value) in pairwise(output_of(stream)):
                if (later, mod) < (token, revision):
                    text = f"leader {later} of revision {mod} ({shown(key)} = {shown(value)}) came after"
                    text = f"{text} leader {token} of revision {revision} in an observer's stream"
                    self.findings.add("backwards", text, stream)

    # ---------------------------------------------------------------- by the list of changes

    def against(self, queue: Queue, times: RevisionTimes) -> None:
        """Hold campaigns and reads against the queue of all candidates."""
        for campaign in self._campaigns:
            self._elected(campaign, queue, times)
        number = 0
        for read in self._reads:
            revision = output_of(read.operation)[0]
            while number < len(queue.places) and queue.places[number].until <= revision:
                number += 1
            front = queue.places[number].token if number < len(queue.places) else 0
            true = front if front <= revision else 0
            if read.token != true:
                text = f"{said(read.operation)}, by the list of changes {true or 'nobody'} led then"
                self.findings.add("wrong", text, read.operation)

    def _elected(self, campaign: Operation, queue: Queue, times: RevisionTimes) -> None:
        place = queue.place(output_of(campaign)[1])
        if place is None or place.key != output_of(campaign)[0]:
            return  # ``lost``, by its value
        front = queue.front_from(place.token)
        later = times.not_reached(returned(campaign))
        if place.until <= front and place.until != NEVER:
            text = f"its key was gone at {place.until}, before it was at the front: {said(campaign)}"
            self.findings.add("ghost", text, campaign)
        elif front == NEVER or (later is not None and later.revision < front):
            proof = () if later is None else (later.operation,)
            text = f"an older candidate's key was there until {front}: {said(campaign)}"
            self.findings.add("two-leaders", text, campaign, *proof)


def _leader(read: Operation) -> Sighting:
    token = output_of(read)[1][1]
    return Sighting(read, token, token)


def _higher(one: Sighting, other: Sighting) -> Sighting:
    return one if one.floor >= other.floor else other
