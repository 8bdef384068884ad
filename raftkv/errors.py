"""The one small tree of typed errors.

::

    RaftKvError
    ├── ConfigError                 a flag or a combination of flags makes no sense
    ├── NodeStopped                 the node is shutting down
    ├── ProposalDropped             certainly not appended, so it may be retried
    │   ├── NoLeader
    │   ├── NotLeader
    │   ├── LeaderMoving
    │   ├── ChangeRefused           not now; later it may do
    │   │   └── LearnerNotReady
    │   ├── BadTransferee
    │   ├── NotCapable
    │   └── TooManyRequests
    ├── MemberRemoved               this member is no longer of the cluster, for good
    ├── RequestTimedOut             outcome unknown: it may have happened, or still happen
    │   └── TransferTimedOut
    ├── StorageError                a fault of the disk or of what is on it
    │   ├── StorageCorrupt
    │   │   └── SnapshotDamaged     an older snapshot may do
    │   ├── NoSpace
    │   ├── DataDirInUse
    │   ├── DataDirMismatch
    │   ├── BackupNotSealed
    │   └── FormatTooNew
    ├── PeerProtocolError           a peer sent what no peer of this cluster and version sends
    ├── PeerUnavailable             a peer did not answer a request; later it may
    ├── SnapshotGone                a peer no longer has the snapshot that it offered
    └── RequestError                a client's fault, or an alarm's; the store is unchanged
        └── EmptyKey, KeyNotFound, Compacted ... one class for each of etcd's errors

An own bug is none of these: it is a failed ``assert``, and the node stops. The mapping of an error to
a status code and to etcd's text is in ``raftkv.api.status`` and nowhere else.
"""


class RaftKvError(Exception):
    """Root of everything raftkv raises on purpose."""


class ConfigError(RaftKvError):
    """The configuration can't work; the text names the flag, its value and what to do."""


class NodeStopped(RaftKvError):
    """The node is shutting down and takes no more requests."""


class ProposalDropped(RaftKvError):
    """The proposal certainly was not appended to any log: retrying it is safe."""


class NoLeader(ProposalDropped):
    """No leader is known to this member."""


class NotLeader(ProposalDropped):
    """Only a leader can do this; ``leader`` is the one known, 0 = none."""

    def __init__(self, leader: int) -> None:
        super().__init__(f"this member does not lead; the leader is {leader:x}" if leader else "no leader")
        self.leader = leader


class LeaderMoving(ProposalDropped):
    """Leadership is being handed over; whoever leads next can be asked."""


class ChangeRefused(ProposalDropped):
    """The change of the members is not possible, or not now; the text says why."""


class LearnerNotReady(ChangeRefused):
    """A learner may not vote yet: it does not hold enough of the leader's log."""


class BadTransferee(ProposalDropped):
    """Leadership can only be handed to a voter."""


class NotCapable(ProposalDropped):
    """Some member is of a version that does not know this."""


class MemberRemoved(RaftKvError):
    """This member was removed from the cluster; its data folder is of no more use."""


class TooManyRequests(ProposalDropped):
    """More work is waiting than the bounded queues take."""


class RequestTimedOut(RaftKvError):
    """The answer did not come in time. The outcome is *unknown*, never "failed"."""


class TransferTimedOut(RequestTimedOut):
    """The member that was to lead did not take over in time; it may still do so."""


class StorageError(RaftKvError):
    """A fault of the disk, or of what was found on it."""


class StorageCorrupt(StorageError):
    """Data that was proven durable is damaged; starting would lose acknowledged writes."""

    advice = (
        "What follows had been made durable, so cutting it off could lose acknowledged writes. Keep a copy "
        "of the folder. An empty one is no remedy: this member does not start with it while others know it. "
        "Where they have a majority, back them up (raftkv snapshot save) and restore that; or an old backup."
    )

    def __init__(self, path: str, offset: int, reason: str) -> None:
        super().__init__(f"{path}: damaged at offset {offset}: {reason}. {self.advice}")
        self.path = path
        self.offset = offset
        self.reason = reason


class SnapshotDamaged(StorageCorrupt):
    """A snapshot is not, byte for byte, the one that was written; nothing of it may be used."""

    advice = "No part of this snapshot is used. An older one, another member or a backup has the data."


class NoSpace(StorageError):
    """No room could be reserved for more log; nothing was promised and nothing is lost."""


class DataDirInUse(StorageError):
    """Another process holds the data folder."""


class DataDirMismatch(StorageError):
    """The data folder belongs to another member or to another cluster."""


class BackupNotSealed(StorageError):
    """A backup file lacks the checksum at its end: it was cut short there, or is no backup but a snapshot."""


class FormatTooNew(StorageError):
    """The data folder was written by a newer raftkv; the text names the version needed."""


class PeerProtocolError(RaftKvError):
    """A peer sent something that no peer of this cluster and version sends."""


class PeerUnavailable(RaftKvError):
    """A peer could not be asked, or did not answer as it should; asking later may help."""


class SnapshotGone(RaftKvError):
    """A peer has no snapshot file of this index and term (any more)."""


class RequestError(RaftKvError):
    """A client's fault: the request is refused and the store is unchanged."""


class InvalidRequest(RequestError):
    """The request can't be decoded; the text says what is wrong with it."""


class EmptyKey(RequestError):
    """A key is empty where one is needed."""


class KeyNotFound(RequestError):
    """``ignore_value`` or ``ignore_lease`` on a missing key, or an empty operation in a txn."""


class ValueProvided(RequestError):
    """``ignore_value`` together with a value."""


class LeaseProvided(RequestError):
    """``ignore_lease`` together with a lease."""


class LeaseNotFound(RequestError):
    """The lease is not there."""


class LeaseExists(RequestError):
    """The id wished for a lease is in use."""


class LeaseTtlTooLarge(RequestError):
    """More seconds are wished for a lease than 9,000,000,000."""


class TooManyOps(RequestError):
    """More compares or operations than ``--max-txn-ops``."""


class DuplicateKey(RequestError):
    """One branch of a txn puts a key twice, or puts and deletes it."""


class InvalidSortOption(RequestError):
    """A sort order or target that does not exist."""


class RequestTooLarge(RequestError):
    """The encoded proposal is larger than ``--max-request-bytes``."""


class MessageTooLarge(RequestError):
    """The encoded request is larger than any server takes; ``size`` and ``limit`` in bytes."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"{size} vs. {limit} bytes")
        self.size = size
        self.limit = limit


class Compacted(RequestError):
    """The revision wanted is below (or, for a compaction, at or below) the compact revision."""


class FutureRevision(RequestError):
    """The revision wanted is above the current one."""


class QuotaExceeded(RequestError):
    """The data would pass ``--quota-backend-bytes``, or the alarm NOSPACE of some member is raised."""


class ClusterCorrupt(RequestError):
    """The alarm CORRUPT of some member is raised: nothing may be written."""


class WrongVersionFormat(RequestError):
    """What should be a version of a cluster, like 3.4 or 3.4.0, is none."""


class InvalidDowngradeTarget(RequestError):
    """A cluster can go back by one minor version only."""


class NoDowngrade(RequestError):
    """There is no downgrade under way that could be given up."""


class DowngradeImpossible(RequestError):
    """There is no older version that reads what this cluster stores."""


class UnknownAction(RequestError):
    """A downgrade call asks for what is no action."""


class MemberBadURLs(RequestError):
    """No peer URL was given for a member, or one at which no member can be reached."""


class PeerURLExist(RequestError):
    """A peer URL is that of another member."""


class MemberExist(RequestError):
    """A member of this id is in the cluster already."""


class MemberNotFound(RequestError):
    """No member of this id is in the cluster (any more)."""


class MemberNotLearner(RequestError):
    """Only a learner can be promoted."""


class TooManyLearners(RequestError):
    """There is a learner already, and one is the limit."""


class MemberNotEnoughStarted(RequestError):
    """With this change no majority of the voters would be of members that have been started."""


class UnhealthyCluster(RequestError):
    """Too few voters are connected, or not for long enough, to change the members safely."""


class NotSupportedForLearner(RequestError):
    """A learner answers nothing but its status, serializable ranges and backups."""


class SessionExpired(RequestError):
    """The lease ended while its holder waited for a lock."""


class ElectionNoLeader(RequestError):
    """Nobody leads this election."""


class ElectionNotLeader(RequestError):
    """Who says to lead this election does not, or no more."""


class LeaderKeyMissing(RequestError):
    """A call on behalf of an election's leader does not name it."""
