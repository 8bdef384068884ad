"""The check of watches: each stream is read once, against the true list; ``watch`` has the rules."""

from collections.abc import Iterator

from raftkv.checkers.changes import Change
from raftkv.checkers.findings import Findings, shown
from raftkv.checkers.verdict import Verdict
from raftkv.checkers.watch import WatchEvent, WatchReply, WatchRun, WatchStream
from raftkv.checkers.watched import Watched, kind

_Fact = tuple[int, bytes, bytes | None]


def check_watches(run: WatchRun) -> Verdict:
    """Hold all streams of a run against its list of changes, which must be in the order of revisions."""
    watched, findings = Watched(run.changes), Findings()
    steps = 0
    for stream in run.streams:
        check = _Check(stream, run, watched, findings)
        check.read()
        steps += len(check.came) + len(stream.replies)
    return findings.verdict(steps)


class _Check:
    """One stream: what came of it so far.

    ``last``: the highest revision of an event, ``noted``: of a progress note; 0 before the first.
    """

    def __init__(self, stream: WatchStream, run: WatchRun, watched: Watched, findings: Findings) -> None:
        self.came: list[_Fact] = []
        self._stream = stream
        self._run = run
        self._watched = watched
        self._findings = findings
        self._matches = watched.matches(stream.key, stream.range_end, stream.kinds)
        self._last = 0
        self._noted = 0
        self._refused = False
        self._reply_of: dict[int, int] = {}
        self._seen: dict[tuple[int, bytes], bool] = {}
        """(revision, key) -> whether the watch is about it"""

    def read(self) -> None:
        """Read the stream to its end."""
        for number, reply in enumerate(whole(self._stream)):
            if reply.compact_revision:
                self._refuse(reply)
            elif reply.progress:
                self._note(reply.revision)
            for event in reply.events:
                self._event(event, number)
        self._compare()
        self._converged()

    def _found(self, name: str, text: str) -> None:
        where = f"watch {self._stream.watch} of {span(self._stream)} from revision {self._stream.start}"
        self._findings.add(name, f"{where}: {text}")

    # ---------------------------------------------------------------- replies without events

    def _refuse(self, reply: WatchReply) -> None:
        """Take the error that says that the start was compacted."""
        self._refused = True
        needed = max(self._stream.start, self._last + 1, self._noted + 1)
        if needed >= reply.compact_revision:
            text = f"was told that revision {reply.compact_revision} is compacted, but needed only {needed}"
            self._found("compacted", f"{text} and later ones")

    def _note(self, revision: int) -> None:
        """Take a progress note: all up to ``revision`` has come."""
        if revision < self._noted:
            self._found("bookmarkable", f"a progress note at {revision} came after one at {self._noted}")
        if revision < self._last:
            self._found("bookmarkable", f"a progress note at {revision} came after an event of {self._last}")
        missing = self._matches.between(max(self._stream.start, self._last + 1), revision)
        if missing:
            text = f"a progress note at {revision} came before the {described(missing[0])}"
            self._found("bookmarkable", text)
        if self._is_future() and revision < self._stream.start - 1:
            self._found("future", f"a progress note at {revision} came to a watch that had not begun")
        self._noted = max(self._noted, revision)

    def _is_future(self) -> bool:
        return 0 < self._stream.created < self._stream.start - 1

    # ---------------------------------------------------------------- events

    def _event(self, event: WatchEvent, number: int) -> None:
        revision, place = event.revision, (event.revision, event.key)
        named = described(event)
        if place in self._seen:
            self._found("unique", f"the {named} came twice")
        elif self._reply_of.setdefault(revision, number) != number:
            self._found("atomic", f"revision {revision} was split over two responses, the {named} came later")
        if revision < self._last:
            self._found("ordered", f"the {named} came after an event of {self._last}")
        if revision <= self._noted:
            self._found("bookmarkable", f"the {named} came after a progress note at {self._noted}")
        self._seen[place] = self._is_asked_for(event)
        if not self._seen[place]:
            self._found("filter", f"the {named} is not what was asked for")
        if revision < self._stream.start:
            name = "future" if self._is_future() else "resumable"
            self._found(name, f"the {named} came, although it is before the start")
        self._describes(event)
        self._last = max(self._last, revision)
        self.came.append((revision, event.key, event.value))

    def _is_asked_for(self, event: WatchEvent) -> bool:
        key, end = self._stream.key, self._stream.range_end
        inside = event.key >= key and (end == b"\0" or event.key < end) if end else event.key == key
        return inside and kind(event.value) in self._stream.kinds

    def _describes(self, event: WatchEvent) -> None:
        """Check what the event says of the time before it."""
        truly = self._watched.truly.get((event.revision, event.key))
        if truly is None:
            return  # not true at all, which ``reliable`` tells
        named = described(event)
        if event.create != truly.create:
            self._found("is_create", f"the {named} says {event.create} for a new key, it is {truly.create}")
        if not self._stream.prev_kv:
            return
        # etcd reads it at the revision before, and leaves it out when that one is compacted
        forgotten = event.previous is None and event.revision - 1 < self._run.compacted
        if event.previous != truly.previous and not forgotten:
            told, true = shown(event.previous), shown(truly.previous)
            self._found("prev_kv", f"the {named} says that {told} was there before, it was {true}")

    # ---------------------------------------------------------------- the whole

    def _compare(self) -> None:
        """Compare what came with what should have come."""
        start = self._stream.start
        if start < self._stream.compacted and not self._refused:
            if self._seen or self._noted or self._stream.final:
                text = f"revision {self._stream.compacted} was compacted, and the watch was not told"
                self._found("compacted", text)
            return
        expected = self._matches.between(start, self._last)
        about = [revision for (revision, _), asked_for in self._seen.items() if asked_for]
        if expected and about and about[0] > expected[0].revision:
            self._found("resumable", f"began at {about[0]}, without the {described(expected[0])}")
        true = [(change.revision, change.key, change.value) for change in expected]
        if self.came != true and by_revision(self.came) != by_revision(true):
            self._found("reliable", first_difference(by_revision(self.came), by_revision(true)))

    def _converged(self) -> None:
        if not self._stream.final or self._refused:
            return
        final = self._run.last_revision or self._watched.last_revision
        missing = self._matches.between(max(self._stream.start, self._last + 1), final)
        if missing:
            text = f"was at {self._last} when the run ended at {final}"
            self._found("converged", f"{text}, without the {described(missing[0])}")


def whole(stream: WatchStream) -> Iterator[WatchReply]:
    """Yield the responses, fragments put together.

    Fragments without their last one are left out: the connection broke, and a client has nothing of them.
    """
    fragments: list[WatchEvent] = []
    for reply in stream.replies:
        if reply.fragment:
            fragments += reply.events
        elif fragments:
            yield reply._replace(events=(*fragments, *reply.events))
            fragments = []
        else:
            yield reply


def span(stream: WatchStream) -> str:
    """Return in words what a watch is about."""
    if not stream.range_end:
        return repr(shown(stream.key))
    if stream.range_end != b"\0":
        return f"keys from {shown(stream.key)!r} to before {shown(stream.range_end)!r}"
    return "all keys" if stream.key in (b"", b"\0") else f"all keys from {shown(stream.key)!r} on"


def described(change: Change | WatchEvent) -> str:
    """Return a change in words."""
    return f"{kind(change.value)} of {shown(change.key)!r} at {change.revision}"


def by_revision(facts: list[_Fact]) -> list[_Fact]:
    """Return the facts with those of one revision, if they follow each other, in the order of their keys."""
    ordered: list[_Fact] = []
    group: list[_Fact] = []
    for fact in facts:
        if group and group[0][0] != fact[0]:
            ordered += sorted(group, key=lambda one: one[1])
            group = []
        group.append(fact)
    return ordered + sorted(group, key=lambda one: one[1])


def first_difference(came: list[_Fact], true: list[_Fact]) -> str:
    """Return in words where two unequal lists part."""
    position = next(
        (at for at, (one, other) in enumerate(zip(came, true, strict=False)) if one != other),
        min(len(came), len(true)),
    )
    told = _in_words(came[position]) if position < len(came) else "nothing more"
    should = _in_words(true[position]) if position < len(true) else "nothing more up to there"
    return f"event {position + 1} should be {should}, but {told} came"


def _in_words(fact: _Fact) -> str:
    revision, key, value = fact
    done = f"put of {shown(value)!r} to" if value is not None else "delete of"
    return f"the {done} {shown(key)!r} at {revision}"
