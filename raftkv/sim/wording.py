"""Short texts for what happens in a run: messages, entries, requests, faults."""

from collections.abc import Mapping
from typing import Any

from raftkv.checkers.mvcc_kv import Kv
from raftkv.errors import FormatTooNew, PeerProtocolError
from raftkv.mvcc.commands import PublishMember, decode_command
from raftkv.raft import Entry, EntryKind, Message, decode_configuration
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
    RequestPreVote,
    RequestVote,
    RequestVoteReply,
    TimeoutNow,
)
from raftkv.schema.kv import CompactionRequest, DeleteRangeRequest, PutRequest, RangeRequest, TxnRequest

MOST_CHARACTERS = 80
"""Longer texts end in three dots."""

KINDS = {
    EntryKind.COMMAND: "command",
    EntryKind.CONFIGURATION: "configuration",
    EntryKind.NOOP: "no-op",
}


def member_name(node_id: int) -> str:
    """Return the name of a member in scenarios; "" for nobody."""
    return f"n{node_id}" if node_id else ""


def shortened(text: str, most: int = MOST_CHARACTERS) -> str:
    """Return the text, or its begin."""
    return text if len(text) <= most else text[: most - 3] + "..."


# ---------------------------------------------------------------- messages


def message_text(message: Message) -> str:
    """Return what a message says beside its type, source and target."""
    return f"term {message.term}{_content(message)}"


def _content(message: Message) -> str:
    match message:
        case RequestPreVote() | RequestVote():
            return f", log ends at {message.last_log_index} of term {message.last_log_term}"
        case PreVoteReply() | RequestVoteReply():
            return ", granted" if message.granted else ", refused"
        case AppendEntries() | AppendEntriesReply() | InstallSnapshot():
            return _replication(message)
        case _:
            return _confirmation(message)


def _replication(message: AppendEntries | AppendEntriesReply | InstallSnapshot) -> str:
    match message:
        case AppendEntries():
            what = f"{_range(message.entries)} after" if message.entries else "nothing new after"
            return f", {what} {message.prev_index} of term {message.prev_term}, commit {message.commit}"
        case AppendEntriesReply(success=True):
            return f", equal up to {message.index}"
        case AppendEntriesReply():
            hint = f"{message.hint_index} of term {message.hint_term}"
            return f", no match at {message.index}, perhaps at {hint}"
        case InstallSnapshot():
            return f", snapshot at {message.snapshot.index} of term {message.snapshot.term}"


def _confirmation(message: Message) -> str:
    match message:
        case Heartbeat():
            return f", commit {message.commit}, round {message.round}"
        case HeartbeatReply():
            return f", round {message.round}"
        case ForwardProposals():
            return f", {shortened('; '.join(_command(one) for one in message.commands))}"
        case ReadIndex():
            return f", {len(message.contexts)} reads"
        case ReadIndexReply():
            return f", {len(message.contexts)} reads at {message.index}"
        case _:
            return ""


def message_weight(message: Message) -> int:
    """Return how much a message matters, as ``raftkv.viewer`` has it."""
    if isinstance(message, Heartbeat | HeartbeatReply):
        return 0
    elections = RequestPreVote | PreVoteReply | RequestVote | RequestVoteReply | TimeoutNow | InstallSnapshot
    return 2 if isinstance(message, elections) else 1


def _range(entries: tuple[Entry, ...]) -> str:
    first, last = entries[0].index, entries[-1].index
    return f"entry {first}" if first == last else f"entries {first} to {last}"


# ---------------------------------------------------------------- entries


def entry_text(entry: Entry) -> str:
    """Return what an entry does, in short."""
    if entry.kind == EntryKind.CONFIGURATION:
        return _configuration(entry.data)
    return shortened(_command(entry.data)) if entry.kind == EntryKind.COMMAND else ""


def _configuration(data: bytes) -> str:
    voters, learners, removed = decode_configuration(data)[0]
    parts = [("voters", voters), ("learners", learners), ("removed", removed)]
    return ", ".join(f"{what} {' '.join(map(member_name, who))}" for what, who in parts if who)


def _command(data: bytes) -> str:
    try:
        return _request(decode_command(data).request)
    except (FormatTooNew, PeerProtocolError):
        return f"{len(data)} bytes"


def _request(request: Any) -> str:
    match request:
        case PutRequest():
            return f"put {_text(request.key)} {_text(request.value)}"
        case DeleteRangeRequest():
            return f"delete {_text(request.key)}"
        case RangeRequest():
            return f"get {_text(request.key)}"
        case CompactionRequest():
            return f"compact {request.revision}"
        case PublishMember():
            return f"publish {request.name}"
        case TxnRequest():
            wanted = " and ".join(f"{_text(one.key)}@{one.mod_revision}" for one in request.compare)
            then = ", ".join(
                _request(one.request_range or one.request_put or one.request_delete_range)
                for one in request.success
            )
            return f"if {wanted}: {then}" if wanted else then
    return type(request).__name__


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


# ---------------------------------------------------------------- clients and faults


def answer_text(answer: object) -> str:
    """Return the answer to a request, in short; (revision, result) as in a history."""
    match answer:
        case (int(revision), result):
            found = _result(result)
            return shortened(f"{found}, revision {revision}" if found else f"revision {revision}")
    return ""


def _result(result: object) -> str:
    match result:
        case Kv():
            return f"{result.value} (modified at {result.mod_revision})"
        case (bool(succeeded), tuple(results)):
            parts = ", ".join(_result(one) for one in results if one is not None)
            return " ".join(part for part in ("done" if succeeded else "not equal", parts) if part)
        case bool():
            return "done" if result else "not done"
        case int(deleted):
            return f"{deleted} deleted"
    return ""


def fault_text(kind: str, words: tuple[str, ...], seconds: float) -> str:
    """Return a fault as its line in a scenario has it, without the time."""
    lasting = f" for {seconds:g} s" if seconds else ""
    return f"{kind} {' '.join(words)}".strip() + lasting


CRASHES: Mapping[str, str] = {
    "": "killed: what was written stays",
    "nothing": "power lost: nothing that was not synced stays",
    "all": "power lost: all that was written stays",
    "prefix": "power lost: a part of what was not synced stays",
    "torn": "power lost: what was not synced stays up to some byte",
    "sectors": "power lost: some sectors of what was not synced stay",
}
"""What the ways to crash mean."""
