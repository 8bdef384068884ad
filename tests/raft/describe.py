"""Members, entries, messages and events in one readable line each: the language of the scenarios."""

from collections.abc import Sequence

from raftkv.raft import (
    NO_NODE,
    Configuration,
    Entry,
    EntryKind,
    Message,
    Role,
    Snapshot,
    Status,
    Write,
    decode_configuration,
)
from raftkv.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    ForwardProposals,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    PreVoteReply,
    ReadIndex,
    ReadIndexReply,
    RemovedNotice,
    RequestPreVote,
    RequestVote,
    RequestVoteReply,
    TimeoutNow,
)
from raftkv.trace import Event, LeaderChanged, LogTruncated, RoleChanged, VoteCast


def name(node_id: int) -> str:
    """Return ``n1`` for member 1, and ``nobody`` for none."""
    return f"n{node_id}" if node_id != NO_NODE else "nobody"


def describe_configuration(configuration: Configuration) -> str:
    """Return e.g. ``voters n1 n2, learners n3, removed n4``."""
    parts = [
        f"{role} {' '.join(map(name, members))}"
        for role, members in zip(configuration._fields, configuration, strict=True)
        if members
    ]
    return ", ".join(parts) or "no members"


def describe_snapshot(snapshot: Snapshot) -> str:
    """Return e.g. ``snapshot up to 5:2 (voters n1 n2 n3)``."""
    members = describe_configuration(snapshot.configuration)
    return f"snapshot up to {snapshot.index}:{snapshot.term} ({members})"


def describe_entry(entry: Entry) -> str:
    """Return an entry as ``index:term`` and what it holds, e.g. ``4:2 x``."""
    kind = EntryKind(entry.kind)
    content = entry.data[:12].decode(errors="replace") if kind is EntryKind.COMMAND else kind.name.lower()
    if kind is EntryKind.CONFIGURATION and entry.index > 1:
        content = describe_configuration(decode_configuration(entry.data)[0])
    if len(entry.data) > 12 and kind is EntryKind.COMMAND:
        content += f"... ({len(entry.data)} bytes)"
    return f"{entry.index}:{entry.term} {content}".rstrip()


def describe_entries(entries: Sequence[Entry]) -> str:
    """Return entries in brackets, the middle of a long row left out."""
    shown = [describe_entry(entry) for entry in entries]
    if len(shown) > 6:
        shown = [*shown[:3], "...", *shown[-2:]]
    return f"[{', '.join(shown)}]"


def describe_message(message: Message) -> str:
    """Return e.g. ``n1 -> n2 RequestVote term 2, last 1:1`` (places in the log as ``index:term``)."""
    kind = type(message).__name__
    return f"{name(message.source)} -> {name(message.target)} {kind} {_describe_content(message)}"


def _describe_content(message: Message) -> str:  # noqa: C901 (a flat table)
    text = f"term {message.term}"
    match message:
        case RequestVote() | RequestPreVote():
            wanted = ", for the leader" if isinstance(message, RequestVote) and message.transfer else ""
            return f"{text}, last {message.last_log_index}:{message.last_log_term}{wanted}"
        case RequestVoteReply() | PreVoteReply():
            return f"{text}, {'granted' if message.granted else 'refused'}"
        case AppendEntries():
            previous = f"after {message.prev_index}:{message.prev_term}"
            return f"{text}, {previous} {describe_entries(message.entries)}, commit {message.commit}"
        case AppendEntriesReply():
            refusal = f"refused {message.index}, try {message.hint_index}:{message.hint_term}"
            return f"{text}, {f'holds up to {message.index}' if message.success else refusal}"
        case Heartbeat():
            return f"{text}, commit {message.commit}, round {message.round}"
        case HeartbeatReply():
            return f"{text}, round {message.round}"
        case InstallSnapshot():
            return f"{text}, {describe_snapshot(message.snapshot)}"
        case TimeoutNow() | RemovedNotice():
            return text
        case ForwardProposals():
            return f"{text}, {' '.join(data.decode(errors='replace') for data in message.commands)}"
        case ReadIndex():
            return f"{text}, reads {' '.join(map(str, message.contexts))}"
        case ReadIndexReply():
            return f"{text}, reads {' '.join(map(str, message.contexts))} at {message.index}"


def describe_event(node_id: int, event: Event) -> str:
    """Return what happened at a member, e.g. ``n2 becomes leader of term 3``."""
    member = name(node_id)
    match event:
        case RoleChanged(role="leader"):
            return f"{member} becomes leader of term {event.term}"
        case RoleChanged():
            return f"{member} becomes {event.role} in term {event.term}"
        case LeaderChanged():
            return f"{member} follows {name(event.leader)} in term {event.term}"
        case VoteCast():
            verb = "would vote" if event.pre_vote else "votes"
            if not event.granted:
                verb = "would not vote" if event.pre_vote else "does not vote"
            return f"{member} {verb} for {name(event.candidate)} in term {event.term}"
        case LogTruncated():
            return f"{member} drops its entries from {event.index} on"
        case _:
            return f"{member} {event}"


def describe_write(node_id: int, write: Write) -> str:
    """Return what a Write stores, e.g. ``n1 writes #2: term 3 vote n1, entries [2:3 noop]``."""
    parts = []
    if write.hard_state is not None:
        parts.append(f"term {write.hard_state.term} vote {name(write.hard_state.vote)}")
    if write.snapshot is not None:
        parts.append(describe_snapshot(write.snapshot))
    if write.truncate_from:
        parts.append(f"cut from {write.truncate_from} on")
    if write.entries:
        parts.append(f"entries {describe_entries(write.entries)}")
    return f"{name(node_id)} writes #{write.number}: {', '.join(parts) or 'nothing, for the order only'}"


def describe_status(status: Status) -> str:
    """Return one line about a member: role, term, log as a row of terms, frontiers."""
    who = f"{name(status.node_id)} {status.role.value} in term {status.term}"
    if status.role is not Role.LEADER:
        who += f" of {name(status.leader)}"
    log = status.log
    if log.first_index > 1:
        who += f", begins after {log.first_index - 1}:{log.term(log.first_index - 1)}"
    terms = " ".join(str(log.term(index)) for index in range(log.first_index, log.last_index + 1))
    return f"{who}: log {terms}, durable {status.durable_index}, commit {status.commit_index}"
