"""What must be true of a cluster after all that its clients saw.

Everything here returns a list of texts, one for each thing that is wrong; empty lists are the claim.
"""

import base64
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from tests.e2e.traffic import COUNTERS, Attempt

MOST_SHOWN = 20


class Pair(NamedTuple):
    """A key as a member holds it."""

    value: str
    version: int
    created: int
    modified: int


Content = dict[str, Pair]


def content_of(pairs: Sequence[dict[str, Any]]) -> Content:
    """Read the pairs of a range."""
    return {
        base64.b64decode(pair["key"]).decode(): Pair(
            base64.b64decode(pair.get("value", "")).decode(),
            int(pair["version"]),
            int(pair["create_revision"]),
            int(pair["mod_revision"]),
        )
        for pair in pairs
    }


def wrong(attempts: Sequence[Attempt], content: Content, revision: int) -> list[str]:
    """Return everything that the content or the answers show to be wrong."""
    return [
        *wrong_puts(attempts, content),
        *wrong_counters(attempts, content),
        *wrong_revisions(attempts, content, revision),
    ]


def wrong_puts(attempts: Sequence[Attempt], content: Content) -> list[str]:
    """Each key of the form u/... was written once at most, and deleted at most once after that."""
    puts = {attempt.key: attempt for attempt in attempts if attempt.kind == "put"}
    deletes = {attempt.key: attempt for attempt in attempts if attempt.kind == "delete"}
    found = []
    for key, attempt in puts.items():
        pair, delete = content.get(key), deletes.get(key)
        if (
            attempt.outcome == "acknowledged"
            and pair is None
            and (delete is None or delete.outcome == "refused")
        ):
            found.append(f"lost: {key}, acknowledged at revision {attempt.revision}")
        if attempt.outcome == "refused" and pair is not None:
            found.append(f"from nowhere: {key}, which was never sent")
        if pair is not None and delete is not None and delete.outcome == "acknowledged":
            found.append(f"back again: {key}, whose delete was acknowledged at revision {delete.revision}")
        if pair is not None:
            found += wrong_pair(key, attempt, pair)
    unknown = [key for key in content if key.startswith("u/") and key not in puts]
    return found + [f"from nowhere: {key}, which nobody wrote" for key in unknown]


def wrong_pair(key: str, attempt: Attempt, pair: Pair) -> list[str]:
    """Compare a key that was written once with what is there."""
    found = []
    if pair.version != 1 or pair.created != pair.modified:
        found.append(f"doubled: {key} was written once, and has version {pair.version}")
    if attempt.outcome == "acknowledged" and pair.modified != attempt.revision:
        found.append(f"moved: {key}, acknowledged at {attempt.revision}, is at {pair.modified}")
    if pair.value != attempt.value:
        found.append(f"changed: {key} is {pair.value[:40]!r}, not {attempt.value[:40]!r}")
    return found


def wrong_counters(attempts: Sequence[Attempt], content: Content) -> list[str]:
    """Each counter stands at the number of its receipts, and each of these has a number of its own."""
    found = []
    receipts = {key: pair for key, pair in content.items() if key.startswith("c/")}
    for counter in (f"r/{number}" for number in range(COUNTERS)):
        numbers = sorted(
            int(pair.value.rpartition(":")[2])
            for pair in receipts.values()
            if pair.value.startswith(f"{counter}:")
        )
        stands = int(content[counter].value) if counter in content else 0
        version = content[counter].version if counter in content else 0
        if numbers != list(range(1, stands + 1)) or version != stands:
            found.append(f"{counter} stands at {stands} (version {version}), its receipts at {numbers[-5:]}")
    for attempt in attempts:
        if attempt.kind == "raise":
            found += wrong_raise(attempt, receipts.get(attempt.key))
    return found


def wrong_raise(attempt: Attempt, receipt: Pair | None) -> list[str]:
    """Compare the attempt to raise a counter with its receipt."""
    if attempt.outcome == "acknowledged" and attempt.number:
        if receipt is None:
            return [f"lost: {attempt.key}, acknowledged at revision {attempt.revision}"]
        return wrong_pair(attempt.key, attempt, receipt)
    if receipt is None:
        return []
    if attempt.outcome == "unknown":
        return wrong_pair(attempt.key, attempt, receipt)
    return [f"from nowhere: {attempt.key}, whose txn did not succeed"]


def wrong_revisions(attempts: Sequence[Attempt], content: Content, revision: int) -> list[str]:
    """The revision grows with every write, never goes back, and belongs to one write."""
    found = []
    answered = [attempt for attempt in attempts if attempt.revision]
    newest = max((attempt.revision for attempt in answered), default=0)
    if newest > revision:
        found.append(f"revision {newest} was acknowledged, and the members are at {revision}")
    by_end = sorted(answered, key=lambda attempt: attempt.ended)
    seen, place = 0, 0
    for attempt in sorted(answered, key=lambda attempt: attempt.started):
        while by_end[place].ended < attempt.started:
            seen = max(seen, by_end[place].revision)
            place += 1
        if attempt.revision < seen + has_written(attempt):
            found.append(f"back: {attempt.kind} {attempt.key} at {attempt.revision} after {seen} was seen")
    owners = Counter(pair.modified for key, pair in content.items() if not key.startswith("r/"))
    return found + [f"{count} writes share revision {r}" for r, count in owners.items() if count > 1]


def has_written(attempt: Attempt) -> bool:
    """Tell whether the request made a revision of its own."""
    return attempt.kind in ("put", "delete") or (attempt.kind == "raise" and attempt.number > 0)


def differences(contents: dict[str, tuple[int, Content]]) -> list[str]:
    """Compare the revision and the content of all members with the first one's."""
    (first, (revision, pairs)), *others = contents.items()
    found = []
    for name, (other_revision, other_pairs) in others:
        if other_revision != revision:
            found.append(f"{name} is at revision {other_revision}, {first} at {revision}")
        keys = sorted(
            key for key in pairs.keys() | other_pairs.keys() if pairs.get(key) != other_pairs.get(key)
        )
        found += [f"{key}: {first} has {pairs.get(key)}, {name} {other_pairs.get(key)}" for key in keys]
    return found


def shown(found: Sequence[str]) -> str:
    """Return what is wrong, cut where it gets long."""
    more = len(found) - MOST_SHOWN
    return "\n".join([*found[:MOST_SHOWN], *([f"... and {more} more"] if more > 0 else [])])
