"""What really happened: every node is watched from its first revision on, and all have to tell the same.

Each node has a witness, who asks it at its direct URL and goes on where he was after each failure. Every
revision of the store has at least one change, so a revision that no witness saw is a hole, and the list of
changes is whole exactly when there is none.
"""

import asyncio
import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from itertools import pairwise
from typing import Any, NamedTuple, cast

from raftkv.chaos.http_port import HttpPort
from raftkv.checkers.verdict import Anomaly, Validity, Verdict
from raftkv.errors import RaftKvError
from raftkv.schema.watch import Event, EventType, WatchCreateRequest, WatchResponse
from raftkv.workloads.outcomes import WrongAnswer
from raftkv.workloads.port import Change, Finding, Truth

MODEL = "witnesses"
"""The name of the check that all nodes tell the same changes."""

AGAIN_SECONDS = 0.2
FIRST_REVISION = 1
"""The revision of a store in which nothing was written."""

Revisions = dict[int, tuple[Change, ...]]
"""By revision, its changes in the order of the log."""


class Witness:
    """One node's witness: ``seen`` is what the node told, ``position`` how far it has told all.

    ``forgotten``: what it could not tell any more, because it was compacted, as pairs of the last revision
    before and the last one of it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.seen: Revisions = {}
        self.position = FIRST_REVISION
        self.forgotten: list[tuple[int, int]] = []
        self.odd: list[str] = []

    async def watch(self, url: Callable[[], str]) -> None:
        """Watch until cancelled. ``url`` is asked for each attempt: a node may move."""
        clock = asyncio.get_running_loop().time
        while True:
            try:
                async with HttpPort(url(), clock) as port:
                    await self._listen(port)
            except (RaftKvError, WrongAnswer, KeyError) as error:
                if isinstance(error, WrongAnswer):
                    self.odd.append(f"{self.name}: {error}")
            await asyncio.sleep(AGAIN_SECONDS)

    async def _listen(self, port: HttpPort) -> None:
        request = WatchCreateRequest(key=b"\0", range_end=b"\0", start_revision=self.position + 1)
        async with port.watch(request) as responses, aclosing(cast("Any", responses)) as lines:
            async for response in lines:
                self.take(response)

    def take(self, response: WatchResponse) -> None:
        """Note what a response tells."""
        if response.canceled and response.compact_revision > self.position:
            self.forgotten.append((self.position, response.compact_revision))
            self.position = response.compact_revision  # what was before is gone: a hole, if nobody saw it
        revisions: Revisions = {}
        for event in response.events:
            change = _change(event)
            revisions[change.revision] = (*revisions.get(change.revision, ()), change)
        for revision, changes in revisions.items():
            if revision <= self.position:
                self.odd.append(f"{self.name}: revision {revision} was told after {self.position}")
            self.seen[revision] = changes
            self.position = max(self.position, revision)

    def passed_over(self) -> list[int]:
        """Return the revisions that the node left out before it told later ones: each has a change."""
        absent = [one for one in range(FIRST_REVISION + 1, self.position) if one not in self.seen]
        return [one for one in absent if not any(before < one <= last for before, last in self.forgotten)]


def _change(event: Event) -> Change:
    kv = event.kv
    if kv is None:
        raise WrongAnswer(f"an event without a key: {event}")
    if event.type == EventType.DELETE:
        return Change(kv.mod_revision, kv.key, None)
    return Change(kv.mod_revision, kv.key, kv.value, kv.create_revision, kv.version, kv.lease)


class Told(NamedTuple):
    """The changes of one revision, and the nodes that tell them so."""

    revision: int
    changes: tuple[Change, ...]
    nodes: tuple[str, ...]


def told_by(witnesses: Mapping[str, Revisions]) -> list[Told]:
    """Return what was told of each revision, in their order; two of one revision are a contradiction."""
    found: dict[tuple[int, tuple[Change, ...]], list[str]] = {}
    for name, revisions in witnesses.items():
        for revision, changes in revisions.items():
            found.setdefault((revision, changes), []).append(name)
    ordered = sorted(found.items(), key=lambda item: item[0][0])
    return [Told(revision, changes, tuple(names)) for (revision, changes), names in ordered]


def truth_of(told: Sequence[Told]) -> Truth | None:
    """Return the whole list of changes; None when a revision is missing or told in two ways."""
    revisions = [one.revision for one in told]
    first = FIRST_REVISION + 1
    if revisions != list(range(first, first + len(revisions))):
        return None
    return Truth([change for one in told for change in one.changes])


def left_out(witnesses: Iterable[Witness]) -> list[str]:
    """Say which node did not tell its witness a revision, and then told later ones."""
    found = [(one, one.passed_over()) for one in witnesses]
    return [
        f"{one.name}: of {len(missing)} revisions nothing was told, but of later ones: {missing[0]}, ..."
        for one, missing in found
        if missing
    ]


def agreement(told: Sequence[Told], odd: Iterable[str] = ()) -> Finding:
    """Check that no two nodes tell different changes of one revision. ``odd``: what else they told wrong."""
    anomalies = [Anomaly("order", text) for text in odd][:1]
    for before, after in pairwise(told):
        if before.revision == after.revision:
            text = f"revision {before.revision}: {_said(before)}, and {_said(after)}"
            anomalies.append(Anomaly("divergence", text))
            break
    validity = Validity.INVALID if anomalies else Validity.VALID
    reason = anomalies[0].text if anomalies else ""
    verdict = Verdict(validity, len(told), reason, anomalies=tuple(anomalies))
    return Finding(MODEL, verdict, len(told))


def _said(told: Told) -> str:
    changes = ", ".join(
        f"deleted {one.key!r}" if one.value is None else f"put {one.key!r} {one.value[:80]!r}"
        for one in told.changes
    )
    return f"{' and '.join(told.nodes)} told: {changes}"


# ---------------------------------------------------------------- as lines of changes.jsonl


def as_line(told: Told) -> dict[str, Any]:
    """Return what was told of a revision as a JSON object; keys and values in Base64."""
    changes = [
        [_text(one.key), None if one.value is None else _text(one.value), *one[3:]] for one in told.changes
    ]
    return {"revision": told.revision, "changes": changes, "nodes": list(told.nodes)}


def from_line(line: Mapping[str, Any]) -> Told:
    """Read what ``as_line`` made; raises KeyError, TypeError or ValueError for anything else."""
    revision = int(line["revision"])
    changes = tuple(
        Change(
            revision,
            base64.b64decode(key),
            None if value is None else base64.b64decode(value),
            *map(int, rest),
        )
        for key, value, *rest in line["changes"]
    )
    return Told(revision, changes, tuple(map(str, line["nodes"])))


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
