"""Watches while keys change, held against the true list of changes (model ``watch``).

==================================  ======================================================================
``change ITEM...``                  write and delete keys in one txn: ``K=V`` puts, ``K`` deletes
``compact``                         forget the history below what this client saw
``watch RANGE FROM SECONDS FLAG..`` watch for some time
``catch-up RANGE``                  write a key of the range, and watch on until that has come
==================================  ======================================================================

RANGE is a key, or a beginning of keys with a star. FROM is ``now``; ``first``, the revision 1; ``past``, one
that this client saw some time ago; ``future``, one that is still to come; or ``resume``: where this client's
last watch of the range broke off. Flags are ``prev`` (with the pair before), ``progress`` (with notes),
``fragment`` (large responses may be cut), ``noput``, ``nodelete`` and ``slow``: a rest after each response.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from raftkv.checkers.history import Outcome
from raftkv.checkers.watch import WatchEvent, WatchReply, WatchRun, WatchStream
from raftkv.checkers.watch_checks import check_watches
from raftkv.checkers.watch_lines import write_watches
from raftkv.errors import ConfigError, RaftKvError
from raftkv.schema.kv import DeleteRangeRequest, PutRequest
from raftkv.schema.watch import Event, EventType, FilterType, WatchCreateRequest, WatchResponse
from raftkv.workloads.compactions import Compactions
from raftkv.workloads.messages import answers_of, clear, end_of, put, revision_of, txn
from raftkv.workloads.outcomes import WrongAnswer, is_definite
from raftkv.workloads.port import Finding, Port, Truth, Words
from raftkv.workloads.record import CLIENTS, NO_TRUTH, Group, Recorder

PREFIX = "w"

REMEMBERED = 20
"""How many answers ago the revision was seen that a watch of the past begins at."""

AHEAD = 5
"""How far in the future a watch begins that does."""

ALL_WATCHES = -1
"""The id in a note that is about all watches of a connection."""

SLOW_SECONDS = 0.1
"""How long a slow client rests after each response."""

CATCH_UP_SECONDS = 10.0
"""How long a change may take, after all faults, from a member's own answer to a watch at the same member."""


class Range(NamedTuple):
    """What is watched: a key, or all that begin with it."""

    key: bytes
    end: bytes

    @staticmethod
    def of(word: str) -> "Range":
        """Return the range that a word stands for."""
        key = word.removesuffix("*").encode()
        return Range(key, end_of(key) if word.endswith("*") else b"")


class Known(NamedTuple):
    """A revision that this client made, and what was certainly compacted before.

    A member that has this revision has done that compaction, too; another one may still be behind.
    """

    revision: int = 0
    compacted: int = 0


class Patience(NamedTuple):
    """How long to watch and to rest after each response; ``until`` a revision, 0 = whatever comes."""

    seconds: float
    rest: float = 0.0
    until: int = 0


class Tape:
    """One stream: what was asked for, and what came."""

    def __init__(
        self, number: int, request: WatchCreateRequest, known: Known, resumed_from: int | None
    ) -> None:
        self.number = number
        self.request = request
        self.created = 0
        self.over = False
        self.waited_in_vain = False
        self._known = known
        self._resumed_from = resumed_from
        self._replies: list[WatchReply] = []
        self._whole = 0
        self.reached = 0
        """Up to which revision everything came, 0: not known."""

    def take(self, response: WatchResponse) -> None:
        """Write a response down."""
        revision = revision_of(response)
        if response.watch_id == ALL_WATCHES and not response.created:
            return
        if response.created:
            self.created, self.over = revision, response.canceled
            return
        events = tuple(map(_event, response.events))
        note = not (events or response.canceled or response.fragment)
        self._replies.append(
            WatchReply(
                revision, events, note, response.fragment, response.compact_revision, response.canceled
            )
        )
        self.over = response.canceled
        if response.compact_revision:
            self.reached = max(self.reached, response.compact_revision - 1)
        elif note:
            self.reached = max(self.reached, revision)
        elif events and not response.fragment:
            self.reached = max(self.reached, events[-1].revision)

    @property
    def start(self) -> int:
        """The revision from which on everything has to come."""
        return self.request.start_revision or self.created + 1

    @property
    def next(self) -> int:
        """The revision at which to go on."""
        return max(self.reached + 1, self.start)

    def stream(self) -> WatchStream:
        """Return what the checker reads."""
        request = self.request
        kinds = [(FilterType.NOPUT, "put"), (FilterType.NODELETE, "delete")]
        return WatchStream(
            watch=self.number,
            key=request.key,
            range_end=request.range_end,
            start=self.start,
            resumed_from=self._resumed_from,
            replies=tuple(self._replies),
            created=self.created,
            compacted=self._known.compacted if self.created >= self._known.revision else 0,
            prev_kv=request.prev_kv,
            kinds=tuple(kind for left_out, kind in kinds if left_out not in request.filters),
            final=self.waited_in_vain,
        )


def _event(event: Event) -> WatchEvent:
    kv, previous, deleted = event.kv, event.prev_kv, event.type == EventType.DELETE
    if kv is None:
        raise WrongAnswer(f"an event about nothing: {event}")
    return WatchEvent(
        kv.mod_revision,
        kv.key,
        None if deleted else kv.value,
        not deleted and kv.create_revision == kv.mod_revision,
        None if previous is None else previous.value,
    )


class WatchClient(Recorder):
    """One client: a writer as well as a watcher."""

    def __init__(self, number: int, compactions: Compactions) -> None:
        super().__init__(number)
        self.tapes: list[Tape] = []
        self._compactions = compactions
        self._known = Known()
        self._revisions = deque([1], maxlen=REMEMBERED)
        self._last: dict[str, Tape] = {}

    async def run(self, words: Words, port: Port) -> Outcome:
        """See ``Client``."""
        match words:
            case ("change", *items) if items:
                return await self._change(items, port)
            case ("compact",):
                return await self._compactions.compact(port, self._revisions[-1])
            case ("watch", watched, begin, seconds, *flags):
                request = self._request(watched, begin, flags)
                rest = SLOW_SECONDS if "slow" in flags else 0.0
                return await self._watch(watched, request, port, Patience(float(seconds), rest))
            case ("catch-up", watched):
                return await self._catch_up(watched, port)
        raise ConfigError(f"no client can do {' '.join(words)!r}")

    def watched(self) -> list[str]:
        """Return the ranges that this client watched."""
        return list(self._last)

    def give_up(self, words: Words, begun: float) -> None:
        """See ``Client``; what a watch brought is written down as it comes."""

    # ---------------------------------------------------------------- changes

    async def _change(self, items: Sequence[str], port: Port) -> Outcome:
        request, compacted = txn([], [_change_of(item) for item in items]), self._compactions.done
        try:
            response = await port.call(request)
        except RaftKvError as error:
            return Outcome.FAIL if is_definite(error) else Outcome.UNKNOWN
        answers_of(request, response)
        self._revisions.append(max(revision_of(response), self._revisions[-1]))
        if any("=" in item for item in items):
            self._known = Known(revision_of(response), compacted)
        return Outcome.OK

    # ---------------------------------------------------------------- watches

    def _request(self, watched: str, begin: str, flags: Sequence[str]) -> WatchCreateRequest:
        key, end = Range.of(watched)
        filters = {"noput": FilterType.NOPUT, "nodelete": FilterType.NODELETE}
        return WatchCreateRequest(
            key,
            end,
            self._begin(watched, begin),
            progress_notify="progress" in flags,
            filters=[filters[flag] for flag in flags if flag in filters],
            prev_kv="prev" in flags,
            fragment="fragment" in flags,
        )

    def _begin(self, watched: str, begin: str) -> int:
        last = self._last.get(watched)
        match begin:
            case "now":
                return 0
            case "first":
                return 1
            case "past":
                return self._revisions[0]
            case "future":
                return self._revisions[-1] + AHEAD
            case "resume":
                return last.next if last is not None and last.created else 0
        raise ConfigError(f"no watch begins at {begin!r}")

    async def _watch(
        self,
        watched: str,
        request: WatchCreateRequest,
        port: Port,
        patience: Patience,
    ) -> Outcome:
        """Watch for some time; OK once the watch was there, however it ended."""
        tape, refused = self._new_tape(watched, request), False
        try:
            async with asyncio.timeout(patience.seconds), port.watch(request) as responses:
                async for response in responses:
                    tape.take(response)
                    if tape.over or 0 < patience.until <= tape.reached:
                        break
                    if patience.rest:
                        await port.sleep(patience.rest)
        except TimeoutError:
            pass
        except RaftKvError as error:
            refused = is_definite(error)
        finally:
            if tape.created:
                self.tapes.append(tape)
                self._last[watched] = tape
                self._revisions.append(max(tape.reached, self._revisions[-1]))
        if tape.created:
            return Outcome.OK
        return Outcome.FAIL if refused else Outcome.UNKNOWN

    def _new_tape(self, watched: str, request: WatchCreateRequest) -> Tape:
        last = self._last.get(watched)
        goes_on = last is not None and last.created and request.start_revision == last.next
        number = self.number + CLIENTS * len(self.tapes)
        resumed = last.number if last is not None and goes_on else None
        return Tape(number, request, self._known, resumed)

    async def _catch_up(self, watched: str, port: Port) -> Outcome:
        """Write something and wait for it: everything before it has to come first."""
        key = watched.replace("*", "/end")
        try:
            written = revision_of(await port.call(put(key, f"c{self.number}")))
        except RaftKvError as error:
            return Outcome.FAIL if is_definite(error) else Outcome.UNKNOWN
        request = self._request(watched, "resume", ("prev",))
        if not request.start_revision:
            request.start_revision = written
        until = port.now() + CATCH_UP_SECONDS
        patience = Patience(CATCH_UP_SECONDS, until=written)
        outcome = await self._watch(watched, request, port, patience)
        last = self._last.get(watched)
        if outcome is Outcome.OK and last is not None and last.reached < written:
            last.waited_in_vain = port.now() >= until
            return Outcome.UNKNOWN
        return outcome


def _change_of(item: str) -> PutRequest | DeleteRangeRequest:
    key, equals, value = item.partition("=")
    return put(key, value) if equals else DeleteRangeRequest(key=key.encode())


class WatchWorkload(Group[WatchClient]):
    """Clients of a few keys that begin with ``w``, of which some watch more than they write."""

    name = "watch"

    def __init__(
        self, clients: int, *, keys: int = 4, seconds: float = 1.0, compactions: Compactions | None = None
    ) -> None:
        self._compactions = compactions or Compactions()
        super().__init__(clients, lambda number: WatchClient(number, self._compactions))
        self._keys = [f"{PREFIX}{number}" for number in range(1, keys + 1)]
        self._seconds = seconds
        self._drawn = 0

    @staticmethod
    def drawn(clients: int, random: Random, compactions: Compactions | None = None) -> "WatchWorkload":
        """Make one with choices of its own."""
        seconds, keys = random.choice((0.3, 1.0, 3.0)), random.choice((1, 4, 8))
        return WatchWorkload(clients, keys=keys, seconds=seconds, compactions=compactions)

    def draw(self, random: Random, number: int) -> Words:
        """See ``Workload``."""
        chance = random.random()
        if chance < 0.02:
            return ("compact",)
        if chance < (0.15 if number % 2 else 0.6):
            return self._draw_watch(random)
        return ("change", *self._draw_changes(random, number))

    def _draw_changes(self, random: Random, number: int) -> list[str]:
        most = min(len(self._keys), 3)
        keys = random.sample(self._keys, random.randint(1, most))
        items = []
        for key in keys:
            items.append(key if random.random() < 0.25 else f"{key}=c{number}.{self._drawn}")
            self._drawn += 1
        return items

    def _draw_watch(self, random: Random) -> Words:
        watched = f"{PREFIX}*" if random.random() < 0.5 else random.choice(self._keys)
        begin = random.choice(("now", "first", "past", "future", "resume", "resume", "resume"))
        flags = [flag for flag in ("prev", "progress", "fragment") if random.random() < 0.5]
        if random.random() < 0.15:
            flags.append(random.choice(("noput", "nodelete")))
        if random.random() < 0.2:
            flags.append("slow")
        seconds = round(random.uniform(0.05, self._seconds), 3)
        return ("watch", watched, begin, f"{seconds:g}", *flags)

    async def prepare(self, port: Port) -> None:
        """See ``Workload``: begin without keys."""
        await clear(port, PREFIX)

    def last_words(self, number: int) -> Sequence[Words]:
        """See ``Workload``: whatever a client watched, everything has to come."""
        watched = [one for session in self.sessions if session.number == number for one in session.watched()]
        return [("catch-up", one) for one in watched or [f"{PREFIX}*"]]

    def _run(self, truth: Truth) -> WatchRun:
        streams = [tape.stream() for session in self.sessions for tape in session.tapes]
        compacted = max(truth.compacted, self._compactions.asked)
        last = truth.changes[-1].revision if truth.changes else 0
        return WatchRun(streams, truth.changes, last, compacted)

    def check(self, truth: Truth | None) -> list[Finding]:
        """See ``Workload``."""
        streams = sum(len(session.tapes) for session in self.sessions)
        if truth is None:
            return [Finding(self.name, NO_TRUTH, streams)]
        return [Finding(self.name, check_watches(self._run(truth)), streams)]

    def histories(self, truth: Truth | None = None) -> dict[str, Sequence[str]]:
        """See ``Workload``; without a list of changes there is nothing to hold watches against."""
        return {} if truth is None else {self.name: list(write_watches(self._run(truth)))}
