"""A core whose calls are recorded, and the replay of a record.

A core takes values and gives values, so the calls of a member, with the chance it drew in each, determine
all it did. ``RecordedCore`` stands between a host and any core and writes one record a call; ``replay``
feeds the same calls and draws to a new core and compares what comes out, bit for bit. A record of a live
member is so a test of one file: it shows the same run anywhere, or names the first call that differs.

A record packs, with msgpack::

    start             [[entry, ...], hard state, snapshot or nil, {option: value}]
    any other call    its arguments; messages as ``codec`` packs them, enumerations by value
    effects           [] nothing, ["ready", ...], or ["raised", error's name, text]

A call that an assertion ended is recorded as well: it is the one that is looked for.

The digest is taken of the status: eight bytes. Of the log it holds the bounds and the last term, which
by Log Matching (thesis §3.5) stand for all that was ever acknowledged.
"""

from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, TypeVar, cast

import msgpack

from raftkv.errors import RaftKvError
from raftkv.raft.codec import decode_message, encode_message
from raftkv.raft.contract import Consensus
from raftkv.raft.messages import Message
from raftkv.raft.ready import Ready, Write
from raftkv.raft.types import (
    Change,
    ChangeKind,
    Configuration,
    Entry,
    HardState,
    Part,
    PeerEvent,
    Snapshot,
    Status,
)
from raftkv.trace import Emit, Record, discard

if TYPE_CHECKING:
    from random import Random

Result = TypeVar("Result")

START = "start"
NOTHING = b"\x90"  # msgpack: an empty array
DIGEST_BYTES = 8


CoreMaker = Callable[..., Consensus]
"""Builds a core: ``make(node_id, entries, hard_state, rng=..., **options)``; a class, most often."""


class Records(Protocol):
    """What takes the records: a ring (``trace.Recorder``) or a file (``record_file.RecordFile``)."""

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


class RecordingRandom:
    """The draws of ``Random`` that a core may use, each noted."""

    def __init__(self, rng: "Random") -> None:
        self._rng = rng
        self._drawn: list[int | float] = []

    def randrange(self, start: int, stop: int | None = None, step: int = 1) -> int:
        """Draw from ``range(start, stop, step)``."""
        self._drawn.append(drawn := self._rng.randrange(start, stop, step))
        return drawn

    def randint(self, a: int, b: int) -> int:
        """Draw from ``a..b``, both included."""
        return self.randrange(a, b + 1)

    def random(self) -> float:
        """Draw from [0, 1)."""
        self._drawn.append(drawn := self._rng.random())
        return drawn

    def take(self) -> list[int | float]:
        """Return what was drawn since the last call."""
        drawn, self._drawn = self._drawn, []
        return drawn


class ReplayedRandom:
    """Gives what was drawn once; raises DrawsUsedUp when a core draws more."""

    def __init__(self) -> None:
        self.draws: list[int | float] = []

    def randrange(self, start: int, stop: int | None = None, step: int = 1) -> int:
        """Return the next recorded draw."""
        return cast("int", self._next())

    def randint(self, a: int, b: int) -> int:
        """Return the next recorded draw."""
        return cast("int", self._next())

    def random(self) -> float:
        """Return the next recorded draw."""
        return self._next()

    def _next(self) -> int | float:
        if not self.draws:
            raise DrawsUsedUp("the core draws more than was recorded")
        return self.draws.pop(0)


class DrawsUsedUp(RaftKvError):
    """A replayed core wants more chance than the recorded one drew."""


class RecordedCore:
    """Any core with a recorder; fulfils ``raftkv.raft.contract.Consensus``."""

    parts: ClassVar[frozenset[Part]] = frozenset()

    def __init__(
        self,
        make: CoreMaker,
        recorder: Records,
        node_id: int,
        entries: Sequence[Entry],
        hard_state: HardState,
        *,
        rng: "Random",
        snapshot: Snapshot | None = None,
        emit: Emit = discard,
        **options: int,
    ) -> None:
        """Build the core of ``make`` and record its start; ``options`` are passed on (and recorded)."""
        self._recorder = recorder
        self._node_id = node_id
        self._chance = RecordingRandom(rng)
        known = {**options, "snapshot": snapshot} if snapshot else dict(options)
        chance = cast("Random", self._chance)
        self._core = make(node_id, entries, hard_state, rng=chance, emit=emit, **known)
        self.parts = self._core.parts  # type: ignore[misc]  # those of the core inside
        self._record(START, [list(entries), hard_state, snapshot, options], NOTHING)

    def tick(self, intervals: int = 1) -> None:
        """See ``Consensus.tick``."""
        self._call("tick", [intervals], lambda: self._core.tick(intervals))

    def step(self, message: Message) -> None:
        """See ``Consensus.step``."""
        self._call("step", [encode_message(message)], lambda: self._core.step(message))

    def propose(self, data: bytes) -> None:
        """See ``Consensus.propose``."""
        self._call("propose", [data], lambda: self._core.propose(data))

    def read_index(self, context: int) -> None:
        """See ``Consensus.read_index``."""
        self._call("read_index", [context], lambda: self._core.read_index(context))

    def propose_change(self, change: Change, context: bytes) -> None:
        """See ``Consensus.propose_change``."""
        arguments = [change.kind.value, change.member, context]
        self._call("propose_change", arguments, lambda: self._core.propose_change(change, context))

    def transfer_leadership(self, target: int) -> None:
        """See ``Consensus.transfer_leadership``."""
        self._call("transfer_leadership", [target], lambda: self._core.transfer_leadership(target))

    def report(self, peer: int, event: PeerEvent) -> None:
        """See ``Consensus.report``."""
        self._call("report", [peer, event.value], lambda: self._core.report(peer, event))

    def ready(self) -> Ready | None:
        """See ``Consensus.ready``."""
        return self._call("ready", [], self._core.ready)

    def persisted(self, number: int) -> None:
        """See ``Consensus.persisted``."""
        self._call("persisted", [number], lambda: self._core.persisted(number))

    def applied(self, index: int) -> None:
        """See ``Consensus.applied``."""
        self._call("applied", [index], lambda: self._core.applied(index))

    def compacted(self, snapshot: Snapshot, first_index: int) -> None:
        """See ``Consensus.compacted``."""
        arguments = [snapshot, first_index]
        self._call("compacted", arguments, lambda: self._core.compacted(snapshot, first_index))

    def status(self) -> Status:
        """See ``Consensus.status``; it changes nothing and is not recorded."""
        return self._core.status()

    def _call(self, name: str, arguments: Any, call: Callable[[], Result]) -> Result:
        try:
            result = call()
        except (RaftKvError, AssertionError) as error:
            self._record(name, arguments, pack_error(error))
            raise
        self._record(name, arguments, pack_effects(result))
        return result

    def _record(self, call: str, arguments: Any, effects: bytes) -> None:
        packed = msgpack.packb(arguments)
        draws, digest = self._chance.take(), digest_of(self._core.status())
        self._recorder.add(self._node_id, call, arguments=packed, draws=draws, effects=effects, digest=digest)


class Difference(NamedTuple):
    """The first thing that is not as it was: ``what`` is "draws", "effects", "digest" or "sequence"."""

    record: Record
    what: str
    replayed: Any

    def __str__(self) -> str:
        record = self.record
        where = f"record {record.sequence}, {record.call} of member {record.node_id:x}"
        recorded = getattr(record, self.what)
        if self.what == "effects":
            return f"{where}: effects {show(recorded)} recorded, {show(self.replayed)} replayed"
        return f"{where}: {self.what} {show(recorded)} recorded, {show(self.replayed)} replayed"


class Replay(NamedTuple):
    """How a replay went.

    ``skipped`` are the calls of members whose start is not among the records (the ring gave it up): they
    can't be replayed.
    """

    replayed: int
    skipped: int
    difference: Difference | None


def replay(records: Iterable[Record], make: CoreMaker) -> Replay:
    """Feed recorded calls to new cores of ``make``, up to the first difference."""
    members: dict[int, ReplayedMember] = {}
    replayed = skipped = expected = 0
    for record in records:
        if expected not in (0, record.sequence):
            return Replay(replayed, skipped, Difference(record, "sequence", expected))
        expected = record.sequence + 1
        if record.call == START:
            members[record.node_id] = ReplayedMember(make)
        elif record.node_id not in members:
            skipped += 1
            continue
        if difference := members[record.node_id].repeat(record):
            return Replay(replayed, skipped, difference)
        replayed += 1
    return Replay(replayed, skipped, None)


class ReplayedMember:
    """One member from a start record on."""

    def __init__(self, make: CoreMaker) -> None:
        self._make = make
        self._chance = ReplayedRandom()
        self._core: Consensus | None = None

    def repeat(self, record: Record) -> Difference | None:
        """Make the recorded call; return the first difference."""
        self._chance.draws = list(record.draws)
        try:
            effects = pack_effects(self._call(record))
        except DrawsUsedUp as used_up:
            return Difference(record, "draws", str(used_up))
        except RaftKvError as error:
            effects = pack_error(error)
        except AssertionError as broken:
            effects = pack_error(broken)
        if self._chance.draws:
            return Difference(record, "draws", f"{len(self._chance.draws)} of them not drawn")
        if effects != record.effects:
            return Difference(record, "effects", effects)
        assert self._core is not None, "a member begins with its start"
        digest = digest_of(self._core.status())
        return None if digest == record.digest else Difference(record, "digest", digest)

    def _call(self, record: Record) -> Ready | None:
        arguments = msgpack.unpackb(record.arguments, use_list=False)
        if record.call == START:
            self._start(record.node_id, *arguments)
            return None
        assert self._core is not None, "a member begins with its start"
        if record.call == "ready":
            return self._core.ready()
        make_call(self._core, record.call, arguments)
        return None

    def _start(self, node_id: int, entries: Any, hard_state: Any, snapshot: Any, options: Any) -> None:
        known = {**options, "snapshot": unpack_snapshot(snapshot)} if snapshot else options
        log = [Entry(*entry) for entry in entries]
        chance = cast("Random", self._chance)
        self._core = self._make(node_id, log, HardState(*hard_state), rng=chance, **known)


def make_call(core: Consensus, call: str, arguments: Any) -> None:
    """Make the call of a record with its arguments as they were packed."""
    match call:
        case "step":
            core.step(decode_message(arguments[0]))
        case "propose_change":
            kind, member, context = arguments
            core.propose_change(Change(ChangeKind(kind), member), context)
        case "report":
            core.report(arguments[0], PeerEvent(arguments[1]))
        case "compacted":
            core.compacted(unpack_snapshot(arguments[0]), arguments[1])
        case "tick" | "propose" | "read_index" | "transfer_leadership" | "persisted" | "applied":
            getattr(core, call)(*arguments)
        case _:
            raise ValueError(f"no call of the contract: {call!r}")


def pack_effects(result: Ready | Any) -> bytes:
    """Return the effects of a call as bytes."""
    if not isinstance(result, Ready):
        return NOTHING
    messages, write, *rest = result
    packed: bytes = msgpack.packb(["ready", pack_messages(messages), write and pack_write(write), *rest])
    return packed


def pack_write(write: Write) -> list[Any]:
    """Return the fields of a Write, its messages as ``codec`` packs them."""
    return list(write._replace(after=pack_messages(write.after)))  # type: ignore[arg-type]


def pack_messages(messages: Sequence[Message]) -> list[bytes]:
    """Return each message as ``codec`` packs it."""
    return [encode_message(message) for message in messages]


def pack_error(error: RaftKvError | AssertionError) -> bytes:
    """Return an error that a call raised as bytes."""
    packed: bytes = msgpack.packb(["raised", type(error).__name__, str(error)])
    return packed


def unpack_snapshot(fields: Any) -> Snapshot:
    """Return the snapshot whose fields were packed."""
    index, term, configuration = fields
    return Snapshot(index, term, Configuration(*configuration))


def digest_of(status: Status) -> bytes:
    """Return eight bytes that stand for a member's state."""
    log = status.log
    bounds = log.first_index, log.last_index, log.term(log.last_index)
    peers = sorted((peer, *progress) for peer, progress in status.peers.items())
    state = status._replace(role=status.role.value, log=bounds, peers=peers)  # type: ignore[arg-type]
    return blake2b(msgpack.packb(state), digest_size=DIGEST_BYTES).digest()


def show(value: Any) -> str:
    """Return a recorded value as short text."""
    if isinstance(value, bytes) and value[:1] > b"\x80" and len(value) != DIGEST_BYTES:
        return f"{msgpack.unpackb(value, use_list=False)!r:.200}"
    return value.hex() if isinstance(value, bytes) else f"{value!s:.200}"
