"""Single members for the exhaustive exploration: every state and every step of one member, known once.

A member's step depends on its own state and on its input alone. So its states are numbered and its steps
kept in a table: the core runs once for each pair of (state, input), however many states of the whole
group contain it. The rules about one member are checked there, once a step.

A state whose members are renamed is found by the way it was reached: the renamed state follows from the
renamed parent by the renamed input. That the core treats all members alike is checked on the way, and
nothing about the core's inside is needed. Reads are out of scope, so their rounds are cleared.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from enum import Enum
from itertools import permutations
from random import Random
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, Final, NamedTuple

from raftkv.errors import ProposalDropped
from raftkv.raft import Consensus, Entry, HardState, Message, Role, Write, bootstrap_entry
from raftkv.raft.core import Raft
from raftkv.raft.ledger import vote_in
from raftkv.raft.messages import (
    AppendEntriesReply,
    Heartbeat,
    HeartbeatReply,
    PreVoteReply,
    RequestPreVote,
)
from raftkv.raft.reads import LeaderLease
from raftkv.raft.types import NO_NODE
from raftkv.trace import discard

CHANCE = Random(0)
"""Drawn from but without effect: with an election time-out of one tick there is nothing to choose."""


Code = int
"""An input: the number of a message from 0 on, or one of those below, or -PROPOSE and less for a command."""

TICK: Final = -1
"""An election time-out passes; a leader sends heartbeats and looks for its quorum."""

PERSIST: Final = -2
"""The oldest Write under way is durable now."""

CRASH: Final = -3
"""The member loses what is not durable, and starts again."""

PROPOSE: Final = -10
"""Command 0; command ``n`` is ``PROPOSE - n``."""

Renaming = tuple[int, ...]
"""The new id of each member: that of member ``n`` at ``n - 1``."""


class RuleBroken(AssertionError):
    """A state or a step that Raft forbids."""


class Host(NamedTuple):
    """One member: its core, its disk, the Writes under way. A value: never changed, only copied."""

    node_id: int
    core: Consensus
    hard_state: HardState
    disk: tuple[Entry, ...]
    pending: tuple[Write, ...]


class View(NamedTuple):
    """What the rules about the whole group look at."""

    leads: int  # the term it leads, 0 for none
    term: int
    disk_term: int
    log: tuple[Entry, ...]
    commit: int
    disk: tuple[Entry, ...]
    writing: bool


class Hosts:
    """All states of single members met so far, by number, and the steps between them."""

    def __init__(self, make: Callable[..., Consensus], size: int, *, local_rules: bool = True) -> None:
        self.make = make
        self.local_rules = local_rules
        self.renamings: list[Renaming] = list(permutations(range(1, size + 1)))
        self.messages: list[Message] = []
        self.views: list[View] = []
        self._hosts: list[Host] = []
        self._origin: list[tuple[int, Code]] = []  # (parent, input); a start has the parent -1
        self._host_numbers: dict[Any, int] = {}
        # With the type: tuples of two types are equal when their fields are.
        self._message_numbers: dict[tuple[type, Message], int] = {}
        self._steps: list[dict[Code, tuple[int, tuple[int, ...]]]] = []
        self._renamed: list[dict[Renaming, int]] = []
        self._renamed_messages: list[dict[Renaming, int]] = []
        self._orbits: list[int] = []
        entries = (bootstrap_entry(range(1, size + 1), b""),)
        self.start = [self._enter_start(node, entries) for node in range(1, size + 1)]

    def _enter_start(self, node: int, entries: tuple[Entry, ...]) -> int:
        hard_state = HardState(1, NO_NODE, 1)
        host, _ = self._restart(Host(node, self._build(node, entries, hard_state), hard_state, entries, ()))
        return self._number(host, -1, 0)

    def _build(self, node: int, entries: Sequence[Entry], hard_state: HardState) -> Consensus:
        return self.make(node, entries, hard_state, rng=CHANCE, election_ticks=1, emit=discard)

    # ---------------------------------------------------------------- steps

    def step(self, number: int, code: Code) -> tuple[int, tuple[int, ...]]:
        """Return the state after an input, and the messages that left; raises RuleBroken."""
        known = self._steps[number].get(code)
        if known is None:
            before = self._hosts[number]
            after, sent = self._take(before, code)
            if self.local_rules:
                check_step(before, after, sent, restarted=code == CRASH)
            messages = tuple([self.message_number(message) for message in sent])
            known = self._steps[number][code] = self._number(after, number, code), messages
        return known

    def _take(self, host: Host, code: Code) -> tuple[Host, list[Message]]:
        if code == CRASH:
            return self._restart(host)
        core: Consensus = clone(host.core, {})
        if code == PERSIST:
            return persist(host._replace(core=core))
        with suppress(ProposalDropped):  # refused, and nothing happened: the same state again
            if code >= 0:
                core.step(self.messages[code])
            elif code == TICK:
                core.tick()
            else:
                core.propose(b"command %d" % (PROPOSE - code))
        return drain(host._replace(core=core))

    def _restart(self, host: Host) -> tuple[Host, list[Message]]:
        core = self._build(host.node_id, host.disk, host.hard_state)
        return drain(host._replace(core=core, pending=()))

    def _number(self, host: Host, parent: int, code: Code) -> int:
        kinds = [type(message) for write in host.pending for message in write.after]
        key = (host.node_id, freeze(host.core), host.hard_state, host.disk, host.pending, tuple(kinds))
        number = self._host_numbers.get(key)
        if number is None:
            number = self._host_numbers[key] = len(self._hosts)
            self._hosts.append(host)
            self.views.append(view(host))
            self._origin.append((parent, code))
            self._steps.append({})
            self._renamed.append({})
            self._orbits.append(-1)
        return number

    def message_number(self, message: Message) -> int:
        """Return the number of a message."""
        key = type(message), message
        number = self._message_numbers.get(key)
        if number is None:
            number = self._message_numbers[key] = len(self.messages)
            self.messages.append(message)
            self._renamed_messages.append({})
        return number

    # ---------------------------------------------------------------- renaming

    def renamed(self, number: int, renaming: Renaming) -> int:
        """Return the state with its members renamed."""
        known = self._renamed[number].get(renaming)
        if known is None:
            known = self._renamed[number][renaming] = self._rename(number, renaming)
        return known

    def _rename(self, number: int, renaming: Renaming) -> int:
        way: list[int] = []
        while renaming not in self._renamed[number] and self._origin[number][0] >= 0:
            way.append(number)
            number = self._origin[number][0]
        known = self._renamed[number].get(renaming)
        if known is None:
            known = self.start[renaming[self._hosts[number].node_id - 1] - 1]
        for number in reversed(way):
            parent, code = self._origin[number]
            own = {self.renamed_code(message, renaming) for message in self.step(parent, code)[1]}
            known, sent = self.step(known, self.renamed_code(code, renaming))
            assert set(sent) == own, f"the core does not treat all members alike: {self.messages[code]}"
            self._renamed[number][renaming] = known
        return known

    def renamed_code(self, code: Code, renaming: Renaming) -> Code:
        """Return an input with source and target renamed, if it is a message."""
        if code < 0:
            return code
        known = self._renamed_messages[code].get(renaming)
        if known is None:
            message = self.messages[code]
            source, target = renaming[message.source - 1], renaming[message.target - 1]
            new = self.message_number(message._replace(source=source, target=target))
            known = self._renamed_messages[code][renaming] = new
        return known

    def orbit(self, number: int) -> int:
        """Return a number that all renamings of a state share."""
        known = self._orbits[number]
        if known < 0:
            known = self._orbits[number] = min(self.renamed(number, renaming) for renaming in self.renamings)
        return known

    def __len__(self) -> int:
        return len(self._hosts)


def stored(disk: tuple[Entry, ...], write: Write) -> tuple[Entry, ...]:
    """Return what the disk holds after a Write."""
    kept = disk[: write.truncate_from - 1] if write.truncate_from else disk
    return kept + write.entries


def persist(host: Host) -> tuple[Host, list[Message]]:
    """Let the oldest Write become durable; return the host and what left."""
    done, *pending = host.pending
    host.core.persisted(done.number)
    hard_state = done.hard_state or host.hard_state
    disk = stored(host.disk, done)
    return drain(host._replace(hard_state=hard_state, disk=disk, pending=tuple(pending)), done.after)


def drain(host: Host, after: Sequence[Message] = ()) -> tuple[Host, list[Message]]:
    """Carry out all effects as a host must; return the host and what left."""
    core, pending, sent = host.core, list(host.pending), list(after)
    while (ready := core.ready()) is not None:
        sent += ready.messages
        if ready.write is not None:
            pending.append(ready.write._replace(after=tuple(map(without_round, ready.write.after))))
        if ready.committed:
            core.applied(ready.committed[-1].index)
    if isinstance(core, Raft):
        forget_history(core, writing=bool(pending))
    return host._replace(pending=tuple(pending)), [without_round(message) for message in sent]


def without_round(message: Message) -> Message:
    """Return the message with its round of reads cleared."""
    return message._replace(round=0) if isinstance(message, Heartbeat | HeartbeatReply) else message


def forget_history(core: Raft, *, writing: bool) -> None:
    """Clear what only counts what has been: rounds of reads, the lease, and idle Write numbers."""
    core.reads.round = 0
    core.lease = LeaderLease(core.election_ticks)
    for progress in core.progress.values():
        progress.confirmed_round = 0
    if not writing:
        core._write_number = 0


def view(host: Host) -> View:
    """Return what the rules look at."""
    status = host.core.status()
    log = tuple(status.log.slice(1, status.log.last_index))
    leads = status.term if status.role is Role.LEADER else 0
    return View(
        leads,
        status.term,
        host.hard_state.term,
        log,
        status.commit_index,
        host.disk,
        bool(host.pending),
    )


# -------------------------------------------------------------------- rules about one member


def check_step(before: Host, after: Host, sent: Sequence[Message], *, restarted: bool) -> None:
    """Raise RuleBroken if a step of one member is none of Raft's."""
    for message in sent:
        check_promise(after, message)
    if restarted:
        return
    old, new, name = before.core.status(), after.core.status(), f"member {after.node_id}"
    if new.term < old.term:
        raise RuleBroken(f"§3.3: the term of {name} went back from {old.term} to {new.term}")
    if new.term == old.term and old.vote not in (NO_NODE, new.vote):
        raise RuleBroken(f"§3.4: {name} voted for {old.vote}, then for {new.vote} in term {new.term}")
    if new.commit_index < old.commit_index:
        raise RuleBroken(f"§3.6: the commit index of {name} went back to {new.commit_index}")
    if new.role is old.role is Role.LEADER and new.term == old.term:
        check_leader(view(before), view(after), name)


def check_leader(old: View, new: View, name: str) -> None:
    """Raise RuleBroken if a leader that stays one changes its log, or commits what it must not."""
    if new.log[: len(old.log)] != old.log:
        raise RuleBroken(f"§3.5: {name} changed its log while it led")
    if new.commit > old.commit and (term := new.log[new.commit - 1].term) != new.term:
        raise RuleBroken(
            f"§3.6.2: {name} leads term {new.term} and commits entry {new.commit} of term {term} by counting"
        )


def check_promise(host: Host, message: Message) -> None:
    """Raise RuleBroken if a message promises more than its sender's disk holds (§3.8)."""
    free = isinstance(message, RequestPreVote) or (isinstance(message, PreVoteReply) and message.granted)
    if not free and message.term > host.hard_state.term:
        raise RuleBroken(f"§3.8: {message} left with term {host.hard_state.term} on disk")
    if message.term == host.hard_state.term:
        if vote_in(message) not in (NO_NODE, host.hard_state.vote):
            raise RuleBroken(f"§3.8: {message} left with vote {host.hard_state.vote} on disk")
        promised = message.index if isinstance(message, AppendEntriesReply) and message.success else 0
        if promised > len(host.disk):
            raise RuleBroken(f"§3.8: {message} left with a disk that ends at {len(host.disk)}")


# -------------------------------------------------------------------- copies of a core

_VALUES = (int, bytes, str, float, type(None), Enum, Random, type, FunctionType, BuiltinFunctionType)


def clone(value: Any, memo: dict[int, Any]) -> Any:
    """Return a copy of a core that shares nothing that changes; about ten times as fast as deepcopy."""
    if isinstance(value, _VALUES):
        return value
    kind = type(value)
    if kind is list or kind is deque:
        return kind([clone(item, memo) for item in value])
    if kind is dict:
        return {key: clone(item, memo) for key, item in value.items()}
    if isinstance(value, tuple):
        return value  # messages, entries, statuses: values all the way down
    if kind is MethodType:
        return MethodType(value.__func__, clone(value.__self__, memo))
    if id(value) in memo:
        return memo[id(value)]
    copy = memo[id(value)] = object.__new__(kind)
    for name, item in attributes(value):
        object.__setattr__(copy, name, clone(item, memo))
    return copy


def freeze(value: Any) -> Any:
    """Return a hashable value that tells two states of a core apart."""
    kind = type(value)
    if kind is list or kind is deque:
        return tuple([freeze(item) for item in value])
    if kind is dict:
        return tuple(sorted((repr(key), freeze(item)) for key, item in value.items()))
    if isinstance(value, Random | MethodType | FunctionType):
        return None
    if isinstance(value, (*_VALUES, tuple)):
        return value
    return tuple([(name, freeze(item)) for name, item in attributes(value) if name != "_handlers"])


def attributes(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield (name, value) of an object's attributes, whichever way it holds them."""
    for kind in type(value).__mro__:
        for name in getattr(kind, "__slots__", ()):
            yield name, getattr(value, name)
    yield from getattr(value, "__dict__", {}).items()
