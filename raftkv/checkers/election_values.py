"""What the leaders of an election proclaimed, and whether that is what others read."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence

from raftkv.checkers.changes import Change
from raftkv.checkers.findings import Findings, output_of, said, shown
from raftkv.checkers.history import Operation, Outcome
from raftkv.checkers.revision_times import returned

Facts = Mapping[tuple[int, bytes], Change]
"""The changes by (revision, key)."""

_Leader = tuple[bytes, int, int, bytes]


class Values:
    """The values of one election: that of each campaign, and all that may have been proclaimed."""

    def __init__(self, operations: Sequence[Operation], facts: Facts | None, findings: Findings) -> None:
        self._findings = findings
        self._operations = operations
        self._facts = facts
        self._known = {output_of(one)[1]: one for one in operations if _succeeded(one, "campaign")}
        self._proclaims: dict[int, list[Operation]] = {}
        for one in operations:
            if one.input[0] == "proclaim" and (one.outcome is Outcome.UNKNOWN or _succeeded(one, "proclaim")):
                self._proclaims.setdefault(int(one.input[2]), []).append(one)
        for proclaims in self._proclaims.values():
            proclaims.sort(key=returned)

    def check(self) -> None:
        """Check all reads and streams, and what was acknowledged."""
        for one, leader in self._seen():
            if self._facts is not None:
                self._true(one, leader, self._facts)
            if leader[1] in self._known:
                self._proclaimed(one, leader)
            if one.input[0] == "leader":
                self._newest(one, leader)
        if self._facts is not None:
            self._kept(self._facts)

    def _seen(self) -> Iterator[tuple[Operation, _Leader]]:
        for one in self._operations:
            if _succeeded(one, "leader") and output_of(one)[1] is not None:
                yield one, output_of(one)[1]
            elif _succeeded(one, "observe"):
                yield from ((one, leader) for leader in output_of(one))

    def _true(self, read: Operation, leader: _Leader, facts: Facts) -> None:
        key, token, revision, value = leader
        fact = facts.get((revision, key))
        if fact is None or fact.value != value or fact.create_revision not in (0, token):
            true = "nothing" if fact is None else f"{shown(fact.value)!r}, created at {fact.create_revision}"
            text = f"the list of changes has {true} at {revision}: {said(read)}"
            self._findings.add("value", text, read)

    def _proclaimed(self, read: Operation, leader: _Leader) -> None:
        """Look for who proclaimed what was read: the campaign, when it is as old as the key."""
        _, token, revision, value = leader
        campaign = self._known[token]
        if revision == token:
            makers = [campaign]
        else:
            possible = [one for one in self._proclaims.get(token, []) if one.call <= returned(read)]
            makers = [
                one for one in possible if one.outcome is Outcome.UNKNOWN or output_of(one)[0] == revision
            ]
        if not any(_value(one) == value for one in makers):
            text = f"{shown(value)!r} was not proclaimed by leader {token} in revision {revision}"
            self._findings.add("value", f"{text}: {said(read)}", campaign, read)

    def _newest(self, read: Operation, leader: _Leader) -> None:
        """Compare a linearizable read with the proclamations that were answered before."""
        proclaims = self._proclaims.get(leader[1], [])
        before = proclaims[: bisect_left(proclaims, read.call, key=returned)]
        newer = [one for one in before if output_of(one)[0] > leader[2]]
        if newer:
            self._findings.add("stale", f"{said(read)} after {said(newer[-1])}", newer[-1], read)

    def _kept(self, facts: Facts) -> None:
        """Look for acknowledged campaigns and proclamations that the list of changes does not have."""
        made = {(one.key, one.value): one for one in facts.values()}
        for token, campaign in self._known.items():
            fact = made.get((output_of(campaign)[0], _value(campaign)))
            if fact is None or fact.create_revision not in (0, token):
                self._lost(campaign)
        by_value = {(one.revision, one.value): one for one in facts.values()}
        for one in (one for of in self._proclaims.values() for one in of if one.outcome is Outcome.OK):
            fact = by_value.get((output_of(one)[0], _value(one)))
            if fact is None:
                self._lost(one)
            elif fact.create_revision not in (0, int(one.input[2])):
                text = f"the key was that of {fact.create_revision}: {said(one)}"
                self._findings.add("deposed", text, one)

    def _lost(self, operation: Operation) -> None:
        text = f"the list of changes has no such change: {said(operation)}"
        self._findings.add("lost", text, operation)


def _succeeded(operation: Operation, name: str) -> bool:
    """Tell whether this is an answered operation of a name, and had the effect it asked for."""
    if operation.input[0] != name or operation.outcome is not Outcome.OK:
        return False
    return name != "proclaim" or bool(output_of(operation)[1])


def _value(operation: Operation) -> bytes:
    value: bytes = operation.input[-1]
    return value
