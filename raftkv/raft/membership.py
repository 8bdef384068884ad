"""Who is in the cluster: configuration entries, single-server changes, and what is in force (thesis §4).

The data of a configuration entry is msgpack ``[voters, learners, removed, context]``. The core reads
the first three; ``context`` belongs to the state machine and passes through.

A configuration takes force when it is *appended*, not when it is committed (§4.1), and a truncated one
gives way to the one before. That is safe because two configurations that follow each other differ by
one member, so that any majority of the one and any majority of the other share a member.
"""

from bisect import insort
from collections.abc import Sequence

import msgpack

from raftkv.errors import ChangeRefused, LearnerNotReady
from raftkv.raft.types import Change, ChangeKind, Configuration, Entry, EntryKind

CAUGHT_UP = 0.9
"""A learner is promoted when it holds this share of the leader's log (as etcd)."""


def encode_configuration(configuration: Configuration, context: bytes) -> bytes:
    """Return the data of a configuration entry."""
    packed: bytes = msgpack.packb((*configuration, context))
    return packed


def decode_configuration(data: bytes) -> tuple[Configuration, bytes]:
    """Return (configuration, context) from the data of a configuration entry."""
    voters, learners, removed, context = msgpack.unpackb(data, use_list=False)
    return Configuration(voters, learners, removed), context


def bootstrap_entry(voters: Sequence[int], context: bytes) -> Entry:
    """Return the first entry of a new cluster's log, the same on all its members (thesis §4.4).

    It is committed by construction: every member starts with it.
    """
    configuration = Configuration(tuple(sorted(voters)))
    return Entry(1, 1, EntryKind.CONFIGURATION, encode_configuration(configuration, context))


def changed(configuration: Configuration, change: Change) -> Configuration:
    """Return the configuration after ``change``. Raises ChangeRefused if it makes no sense."""
    voters, learners, removed = configuration
    kind, member = change
    check_member(configuration, change)
    match kind:
        case ChangeKind.ADD_VOTER:
            return configuration._replace(voters=_with(voters, member))
        case ChangeKind.ADD_LEARNER:
            return configuration._replace(learners=_with(learners, member))
        case ChangeKind.PROMOTE:
            return configuration._replace(voters=_with(voters, member), learners=_without(learners, member))
        case ChangeKind.REMOVE:
            return Configuration(_without(voters, member), _without(learners, member), _with(removed, member))
        case ChangeKind.UPDATE:
            return configuration


def check_member(configuration: Configuration, change: Change) -> None:
    """Raise ChangeRefused unless ``change`` fits what its member is now."""
    kind, member = change
    if member in configuration.removed:
        raise ChangeRefused(f"member {member:x} was removed; its id is never used again")
    is_new = kind in (ChangeKind.ADD_VOTER, ChangeKind.ADD_LEARNER)
    if is_new and member in configuration.members:
        raise ChangeRefused(f"member {member:x} is in the cluster already")
    if not is_new and member not in configuration.members:
        raise ChangeRefused(f"member {member:x} is not in the cluster")
    if kind is ChangeKind.PROMOTE and member in configuration.voters:
        raise ChangeRefused(f"member {member:x} is a voter already")
    if kind is ChangeKind.REMOVE and configuration.voters == (member,):
        raise ChangeRefused(f"member {member:x} is the only voter")


def check_caught_up(learner: int, match_index: int, last_index: int) -> None:
    """Raise LearnerNotReady unless a learner that holds the log to ``match_index`` may vote (§4.2.1)."""
    if match_index < CAUGHT_UP * last_index:
        raise LearnerNotReady(f"learner {learner:x} is at {match_index}: not caught up")


def _with(members: tuple[int, ...], member: int) -> tuple[int, ...]:
    ordered = list(members)
    insort(ordered, member)
    return tuple(ordered)


def _without(members: tuple[int, ...], member: int) -> tuple[int, ...]:
    return tuple(other for other in members if other != member)


class ConfigurationHistory:
    """The configurations of one log, by index: the one in force is the last."""

    def __init__(self, base_index: int, base: Configuration, entries: Sequence[Entry]) -> None:
        """Start from ``base``, the configuration at ``base_index``, right before ``entries``."""
        self._history: list[tuple[int, Configuration]] = [(base_index, base)]
        for entry in entries:
            self.append(entry)

    @property
    def latest(self) -> Configuration:
        """The configuration in force."""
        return self._history[-1][1]

    @property
    def latest_index(self) -> int:
        """Index of the entry that brought it."""
        return self._history[-1][0]

    def at(self, index: int) -> Configuration:
        """Return the configuration in force after the entry at ``index``."""
        for since, configuration in reversed(self._history):
            if since <= index:
                return configuration
        return self._history[0][1]

    def append(self, entry: Entry) -> bool:
        """Take note of an appended entry; return whether the configuration changed."""
        if entry.kind != EntryKind.CONFIGURATION:
            return False
        self._history.append((entry.index, decode_configuration(entry.data)[0]))
        return True

    def truncate_from(self, index: int) -> bool:
        """Forget configurations from ``index`` on (§4.1); return whether the latest changed."""
        before = self.latest_index
        while len(self._history) > 1 and self._history[-1][0] >= index:
            self._history.pop()
        return self.latest_index != before

    def compact(self, index: int) -> None:
        """Forget configurations that were replaced at or before ``index``."""
        while len(self._history) > 1 and self._history[1][0] <= index:
            self._history.pop(0)
