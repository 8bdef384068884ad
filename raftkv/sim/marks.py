"""Coverage marks: rare states that a campaign should reach, each with the sentence that says what it is.

A campaign that never reaches a state says nothing about it, so a mark that was never hit is named in its
summary. Marks are found in what members tell (events), in what they send, and in what only the world knows;
they draw nothing and change nothing.
"""

from collections import Counter
from collections.abc import Callable

from raftkv.raft import Message
from raftkv.raft.messages import (
    AppendEntriesReply,
    ForwardProposals,
    ReadIndex,
    RemovedNotice,
    RequestVote,
    RequestVoteReply,
    TimeoutNow,
)
from raftkv.sim.members import LEFT_TO_ROT, Member
from raftkv.sim.scenario import member_number
from raftkv.sim.world import World
from raftkv.trace import (
    Event,
    LeaderChanged,
    LogTruncated,
    RoleChanged,
    SnapshotDamaged,
    SnapshotFailed,
    SnapshotInstalled,
    SnapshotOffered,
    TornTailCut,
    VoteCast,
)

MARKS: dict[str, str] = {
    "two leaders at once": "a member began to lead while another one, of an older term, still took itself "
    "for the leader",
    "paused leader replaced": "a member began to lead while its predecessor was paused",
    "rivals in one term": "two members stood for election in the same term",
    "vote refused": "a member refused its vote to a candidate",
    "entries replaced": "a member's entries gave way to those of a later leader",
    "configuration rolled back": "the entries that gave way held a change of the members",
    "follower told to back up": "a leader's entries did not fit, and the follower said where its log could",
    "leader transfer during partition": "a leader handed over while links were cut",
    "removed member told": "a member was told that it had been removed",
    "snapshot installed": "a member took a leader's snapshot in the place of its content and log",
    "snapshot installed while the leader changed": "another member led when the snapshot was in place than "
    "when it was offered",
    "snapshot given up": "a snapshot could not be taken, or not be brought, and was tried again",
    "crash during an install": "a member went down while it fetched a snapshot",
    "fallback to an older snapshot": "the newest snapshot was damaged, and an older one took its place",
    "damaged disk refused": "a member found damage on its disk and refused to go on",
    "damaged disk survived": "a member whose disk had been damaged was up at the end",
    "damaged snapshot made anew": "a member that had sent a snapshot found it damaged, and made another",
    "too few sound disks": "damage beyond repair left too few members to serve, and nobody was wrong",
    "torn tail cut": "a member cut an unfinished batch off its log when it started",
    "unsynced bytes at stake": "a member went down with bytes written and not synced",
    "segment released": "a member removed a segment of its log that no snapshot needs",
    "vote went ahead of entries on a full disk": "a vote left from the room that is reserved for it, while "
    "entries waited for room",
    "read index asked again": "a follower asked the leader once more for the index of a read",
    "proposal forwarded and repeated": "a follower sent a proposal to a leader once more",
}
"""Name of each mark, and what it means to have hit it."""


class Coverage:
    """Counts the marks that one run hits."""

    def __init__(self, world: World) -> None:
        self.counts: Counter[str] = Counter()
        self._world = world
        self._candidates: dict[int, str] = {}
        self._offered: dict[str, int] = {}
        self._led_by: dict[str, int] = {}
        self._asked: dict[int, None] = {}
        self._forwarded: dict[bytes, None] = {}
        self._on_event: dict[type, Callable[[str, Event], None]] = {
            RoleChanged: self._role_changed,
            LeaderChanged: self._leader_changed,
            VoteCast: self._vote_cast,
            LogTruncated: self._truncated,
            SnapshotOffered: self._snapshot_offered,
            SnapshotInstalled: self._snapshot_installed,
            SnapshotFailed: lambda name, event: self._hit("snapshot given up"),
            SnapshotDamaged: self._damaged,
            TornTailCut: lambda name, event: self._hit("torn tail cut"),
        }
        self._on_send: dict[type, Callable[[Message], None]] = {
            AppendEntriesReply: self._append_answered,
            ForwardProposals: self._proposals_forwarded,
            ReadIndex: self._index_asked,
            RemovedNotice: lambda message: self._hit("removed member told"),
            TimeoutNow: self._handed_over,
        }
        world.listeners.append(self._told)
        world.on_down.append(self.went_down)
        world.network.on_send.append(self._sent)
        world.network.on_arrival.append(self._arrived)

    def went_down(self, member: Member) -> None:
        """Look at what a member leaves on its disk."""
        if any(inode.pending for inode in member.disk.names.values()):
            self._hit("unsynced bytes at stake")
        if self._offered.pop(member.name, 0):
            self._hit("crash during an install")
        self.look_at_disk(member)

    def look_at_disk(self, member: Member) -> None:
        """Look at what a member did to its disk."""
        if any(step.startswith("remove ") and step.endswith(".wal") for step in member.disk.steps):
            self._hit("segment released")

    def look_back(self, member: Member) -> None:
        """See at the end what became of a member whose disk was damaged."""
        if member.rotten and member.node is not None:
            self._hit("damaged disk survived")
        elif member.rotten and member.gone not in ("", LEFT_TO_ROT):
            self._hit("damaged disk refused")

    def nobody_serves(self) -> None:
        """Note that the members that can start are no majority."""
        self._hit("too few sound disks")

    def _hit(self, mark: str) -> None:
        assert mark in MARKS, f"{mark!r} has no sentence"
        self.counts[mark] += 1

    def _told(self, now: float, name: str, event: Event) -> None:
        if (look := self._on_event.get(type(event))) is not None:
            look(name, event)

    def _sent(self, message: Message) -> None:
        if (look := self._on_send.get(type(message))) is not None:
            look(message)

    # ---------------------------------------------------------------- leaders and logs

    def _role_changed(self, name: str, event: Event) -> None:
        assert isinstance(event, RoleChanged), f"{event} is dispatched wrongly"
        if event.role == "candidate" and self._candidates.setdefault(event.term, name) != name:
            self._hit("rivals in one term")
        if event.role != "leader":
            return
        for member in self._world.members.values():
            record = self._world.observer.ledger.members.get(member.number)
            if member.name == name or member.running is None or record is None or not record.leads:
                continue
            self._hit("two leaders at once")
            if member.running.incarnation.paused:
                self._hit("paused leader replaced")

    def _leader_changed(self, name: str, event: Event) -> None:
        assert isinstance(event, LeaderChanged), f"{event} is dispatched wrongly"
        if event.leader:
            self._led_by[name] = event.leader

    def _vote_cast(self, name: str, event: Event) -> None:
        assert isinstance(event, VoteCast), f"{event} is dispatched wrongly"
        if not event.granted and not event.pre_vote:
            self._hit("vote refused")

    def _truncated(self, name: str, event: Event) -> None:
        assert isinstance(event, LogTruncated), f"{event} is dispatched wrongly"
        self._hit("entries replaced")
        record = self._world.observer.ledger.members[member_number(name)]
        if any(since >= event.index for since, _ in record.configurations):
            self._hit("configuration rolled back")

    def _append_answered(self, message: Message) -> None:
        assert isinstance(message, AppendEntriesReply), f"{message} is dispatched wrongly"
        if not message.success:
            self._hit("follower told to back up")

    def _handed_over(self, message: Message) -> None:
        if self._world.network.is_partitioned:
            self._hit("leader transfer during partition")

    # ---------------------------------------------------------------- snapshots and disks

    def _snapshot_offered(self, name: str, event: Event) -> None:
        assert isinstance(event, SnapshotOffered), f"{event} is dispatched wrongly"
        self._offered[name] = event.source

    def _snapshot_installed(self, name: str, event: Event) -> None:
        self._hit("snapshot installed")
        source = self._offered.pop(name, 0)
        if source and self._led_by.get(name, source) != source:
            self._hit("snapshot installed while the leader changed")

    def _damaged(self, name: str, event: Event) -> None:
        assert isinstance(event, SnapshotDamaged), f"{event} is dispatched wrongly"
        if event.fallback_index > 0:
            self._hit("fallback to an older snapshot")
        elif event.fallback_index < 0:
            self._hit("damaged snapshot made anew")

    def _arrived(self, message: Message) -> None:
        """See whether a vote came from a member whose earlier Writes still wait for room."""
        if not isinstance(message, RequestVote | RequestVoteReply):
            return
        member = self._world.members[message.source]
        if member.node is None or member.disk.capacity is None:
            return
        known = self._world.observer.ledger.members[member.number].hard_state
        if member.node.wal.hard_state.term > known.term:
            self._hit("vote went ahead of entries on a full disk")

    # ---------------------------------------------------------------- requests

    def _index_asked(self, message: Message) -> None:
        assert isinstance(message, ReadIndex), f"{message} is dispatched wrongly"
        if any(context in self._asked for context in message.contexts):
            self._hit("read index asked again")
        self._asked.update(dict.fromkeys(message.contexts))

    def _proposals_forwarded(self, message: Message) -> None:
        assert isinstance(message, ForwardProposals), f"{message} is dispatched wrongly"
        if any(command in self._forwarded for command in message.commands):
            self._hit("proposal forwarded and repeated")
        self._forwarded.update(dict.fromkeys(message.commands))
