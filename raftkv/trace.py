"""Events: the few things worth telling about a run, in one vocabulary.

Log lines, scenario files, digests and pages are views of these. An event is a small immutable value
without a time: whoever records it adds the time and the node. ``Emit`` is how a component tells; it
must not block and must not raise.

Beside them, off by default, the recorder: one record for each call of a consensus core, in a bounded
ring. Its fields are bytes and numbers only; ``raftkv.raft.recorded`` writes and replays them.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple


class Started(NamedTuple):
    """A member came up. ``log_index`` is the last index recovered from its log."""

    name: str
    member_id: int
    cluster_id: int
    term: int
    log_index: int
    client_urls: str


class Stopped(NamedTuple):
    """A member ends, with the reason; ``failed``: not because it was told to."""

    reason: str
    failed: bool = False


class TornTailCut(NamedTuple):
    """The unfinished last batch of the log was cut at start; it had not been acknowledged."""

    segment: str
    offset: int
    length: int


class RoleChanged(NamedTuple):
    """This member is now ``role`` ("follower", "pre-candidate", "candidate", "leader")."""

    role: str
    term: int


class LeaderChanged(NamedTuple):
    """This member now follows ``leader`` (0 = knows none)."""

    leader: int
    term: int


class VoteCast(NamedTuple):
    """This member answered a request for its vote (thesis §3.4, §9.6 for ``pre_vote``)."""

    candidate: int
    term: int
    granted: bool
    pre_vote: bool


class LogTruncated(NamedTuple):
    """A leader's entries replaced a conflicting suffix that started at ``index`` (thesis §3.5)."""

    index: int  # type: ignore[assignment]  # the paper's name wins over tuple.index
    term: int


class SnapshotTaken(NamedTuple):
    """This member's own snapshot at ``snapshot_index`` counts from now on; ``size`` in bytes.

    The log in memory begins at ``first_index``.
    """

    snapshot_index: int
    keys: int
    size: int
    first_index: int


class SnapshotOffered(NamedTuple):
    """A leader offers its snapshot, because this member lacks what the leader's log no longer has."""

    source: int
    snapshot_index: int


class SnapshotInstalled(NamedTuple):
    """A snapshot of ``size`` bytes from ``source`` took the place of this member's content and log."""

    source: int
    snapshot_index: int
    size: int


class SnapshotFailed(NamedTuple):
    """A snapshot could not be taken, or not be brought here, and is tried again later."""

    snapshot_index: int
    reason: str


class SnapshotDamaged(NamedTuple):
    """A snapshot of this member is damaged and was put aside.

    The one at ``fallback_index`` is used in its place; 0: the log from its first entry on; -1: a new one.
    """

    path: str
    reason: str
    fallback_index: int


class PeerUp(NamedTuple):
    """The stream to a peer is established."""

    peer: int


class PeerDown(NamedTuple):
    """The stream to a peer is lost, with the reason."""

    peer: int
    reason: str


class PeerRefused(NamedTuple):
    """A peer was refused (another cluster, another version, a removed member), with the reason."""

    peer: int
    reason: str


class SlowStep(NamedTuple):
    """One step held the loop of this member for ``milliseconds``."""

    step: str
    milliseconds: float


class LooseEnd(NamedTuple):
    """An error that no task of the member awaited."""

    text: str


class FaultsAllowed(NamedTuple):
    """This member takes orders to have faults (``--chaos``) from who has the ``token``: where that is."""

    token: str


class FaultSet(NamedTuple):
    """This member was told to have a fault at ``place``, or it is over; only with ``--chaos``."""

    place: str
    fault: str


class RecordEnded(NamedTuple):
    """The record of this member's core stops after ``records`` calls, with the reason."""

    records: int
    reason: str


Event = (
    Started
    | Stopped
    | TornTailCut
    | RoleChanged
    | LeaderChanged
    | VoteCast
    | LogTruncated
    | SnapshotTaken
    | SnapshotOffered
    | SnapshotInstalled
    | SnapshotFailed
    | SnapshotDamaged
    | PeerUp
    | PeerDown
    | PeerRefused
    | SlowStep
    | LooseEnd
    | RecordEnded
    | FaultsAllowed
    | FaultSet
)

Emit = Callable[[Event], None]


def describe(event: Event, name: Callable[[int], str]) -> str:
    """Return an event as one line of text; ``name`` gives a member's name for its id."""
    match event:
        case Started():
            return (
                f"started as {event.name} ({event.member_id:x}) of cluster {event.cluster_id:x}, "
                f"term {event.term}, log to {event.log_index}, clients at {event.client_urls}"
            )
        case Stopped():
            return f"stopped: {event.reason}"
        case RoleChanged():
            return f"became {event.role} in term {event.term}"
        case LeaderChanged(leader=0):
            return f"knows no leader in term {event.term}"
        case LeaderChanged():
            return f"follows {name(event.leader)} in term {event.term}"
        case VoteCast():
            what = "pre-vote" if event.pre_vote else "vote"
            answer = "gave" if event.granted else "refused"
            return f"{answer} {name(event.candidate)} its {what} for term {event.term}"
        case LogTruncated():
            return f"dropped its entries from {event.index} on: the leader of term {event.term} has others"
        case FaultsAllowed() | FaultSet():
            return _describe_faults(event)
        case PeerUp() | PeerDown() | PeerRefused() | SlowStep() | LooseEnd() | RecordEnded():
            return _describe_surroundings(event, name)
        case _:
            return _describe_storage(event, name)


def _describe_install(event: SnapshotOffered | SnapshotInstalled, source: str) -> str:
    match event:
        case SnapshotOffered():
            return f"is too far behind and fetches the snapshot at {event.snapshot_index} of {source}"
        case SnapshotInstalled():
            return f"installed the snapshot at {event.snapshot_index} of {source}, {event.size} bytes"


_StorageEvent = (
    TornTailCut | SnapshotTaken | SnapshotOffered | SnapshotInstalled | SnapshotFailed | SnapshotDamaged
)


def _describe_storage(event: _StorageEvent, name: Callable[[int], str]) -> str:
    match event:
        case SnapshotOffered() | SnapshotInstalled():
            return _describe_install(event, name(event.source))
        case TornTailCut():
            return (
                f"cut an unfinished batch of {event.length} bytes off {event.segment} at {event.offset}; "
                f"never acknowledged, unless it was damaged later"
            )
        case SnapshotTaken():
            return (
                f"took a snapshot at {event.snapshot_index} of {event.keys} keys, {event.size} bytes; the "
                f"log begins at {event.first_index}"
            )
        case SnapshotFailed():
            return f"the snapshot at {event.snapshot_index} has to be tried again: {event.reason}"
        case SnapshotDamaged():
            others = {-1: "a new snapshot", 0: "the log from its first entry on"}
            instead = others.get(event.fallback_index, f"the snapshot at {event.fallback_index}")
            return f"{event.path} is damaged ({event.reason}) and was put aside; used instead: {instead}"


def _describe_surroundings(
    event: PeerUp | PeerDown | PeerRefused | SlowStep | LooseEnd | RecordEnded, name: Callable[[int], str]
) -> str:
    match event:
        case LooseEnd():
            return f"an error that nobody awaits: {event.text}"
        case RecordEnded():
            return f"the record of the core ends after {event.records} calls: {event.reason}"
        case SlowStep():
            return f"the step {event.step} held the loop for {event.milliseconds:.0f} ms"
        case PeerUp():
            return f"peer {name(event.peer)} is up"
        case PeerDown():
            return f"peer {name(event.peer)} is down: {event.reason}"
        case PeerRefused():
            return f"peer {name(event.peer)} refused: {event.reason}"


def _describe_faults(event: FaultsAllowed | FaultSet) -> str:
    match event:
        case FaultsAllowed():
            return f"takes orders to have faults (--chaos), for tests only: token of {event.token}"
        case FaultSet():
            return f"fault of {event.place}: {event.fault}"


def discard(event: Event) -> None:
    """Take an event and do nothing with it: the default for cores driven by hand."""


class Record(NamedTuple):
    """One call of a core: what went in, chance included, and what came out.

    ``sequence`` counts the calls of all members that share a recorder. ``arguments`` and ``effects`` are
    msgpack. ``digest`` stands for the member's state after the call.
    """

    sequence: int
    node_id: int
    call: str
    arguments: bytes
    draws: tuple[int | float, ...]
    effects: bytes
    digest: bytes


class Recorder:
    """The last ``capacity`` records of the members that share it; older ones are given up."""

    def __init__(self, capacity: int) -> None:
        self._ring: deque[Record] = deque(maxlen=capacity)
        self._next = 1

    @property
    def given_up(self) -> int:
        """How many records the ring has lost."""
        return self._next - 1 - len(self._ring)

    def add(
        self,
        node_id: int,
        call: str,
        *,
        arguments: bytes,
        draws: Iterable[int | float],
        effects: bytes,
        digest: bytes,
    ) -> None:
        """Keep one call as the next record."""
        self._ring.append(Record(self._next, node_id, call, arguments, tuple(draws), effects, digest))
        self._next += 1

    def records(self) -> list[Record]:
        """Return the records held, in the order of the calls."""
        return list(self._ring)
