"""Configuration entries: who votes, and what the state machine keeps about the members (thesis §4).

The data of a configuration entry is msgpack ``[voters, learners, context]``. The core reads the
first two; ``context`` belongs to the state machine and passes through.
"""

from collections.abc import Sequence

import msgpack

from raftkv.raft.types import Configuration, Entry, EntryKind


def encode_configuration(configuration: Configuration, context: bytes) -> bytes:
    """Return the data of a configuration entry."""
    packed: bytes = msgpack.packb((configuration.voters, configuration.learners, context))
    return packed


def decode_configuration(data: bytes) -> tuple[Configuration, bytes]:
    """Return (configuration, context) from the data of a configuration entry."""
    voters, learners, context = msgpack.unpackb(data, use_list=False)
    return Configuration(voters, learners), context


def bootstrap_entry(voters: Sequence[int], context: bytes) -> Entry:
    """Return the first entry of a new cluster's log, the same on all its members (thesis §4.4).

    It is committed by construction: every member starts with it.
    """
    configuration = Configuration(tuple(sorted(voters)))
    return Entry(1, 1, EntryKind.CONFIGURATION, encode_configuration(configuration, context))


def latest_configuration(entries: Sequence[Entry]) -> Configuration:
    """Return the configuration in force after ``entries``: the last one *appended* (thesis §4.1)."""
    for entry in reversed(entries):
        if entry.kind == EntryKind.CONFIGURATION:
            return decode_configuration(entry.data)[0]
    return Configuration(())
