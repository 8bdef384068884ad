"""Errors to etcd's status codes and texts: the one place of both.

Clients key their behaviour on the exact text, so these are etcd 3.5's byte for byte.
"""

from typing import NamedTuple

from raftkv import errors


class CallFailed(errors.RaftKvError):
    """A call failed inside the server, in a way that is told as Unknown with the text of this error."""


class Status(NamedTuple):
    """What a failed call is answered with: gRPC code, HTTP status and text."""

    code: int
    http: int
    text: str


UNKNOWN_CODE = 2
"""The code of an error that has none."""

CANCELED = Status(1, 408, "etcdserver: request canceled")
DEADLINE_EXCEEDED = Status(4, 504, "context deadline exceeded")

_FIXED: dict[type[errors.RaftKvError], Status] = {
    errors.EmptyKey: Status(3, 400, "etcdserver: key is not provided"),
    errors.KeyNotFound: Status(3, 400, "etcdserver: key not found"),
    errors.ValueProvided: Status(3, 400, "etcdserver: value is provided"),
    errors.LeaseProvided: Status(3, 400, "etcdserver: lease is provided"),
    errors.LeaseNotFound: Status(5, 404, "etcdserver: requested lease not found"),
    errors.LeaseExists: Status(9, 400, "etcdserver: lease already exists"),
    errors.LeaseTtlTooLarge: Status(11, 400, "etcdserver: too large lease TTL"),
    errors.TooManyOps: Status(3, 400, "etcdserver: too many operations in txn request"),
    errors.DuplicateKey: Status(3, 400, "etcdserver: duplicate key given in txn request"),
    errors.InvalidSortOption: Status(3, 400, "etcdserver: invalid sort option"),
    errors.RequestTooLarge: Status(3, 400, "etcdserver: request is too large"),
    errors.Compacted: Status(11, 400, "etcdserver: mvcc: required revision has been compacted"),
    errors.FutureRevision: Status(11, 400, "etcdserver: mvcc: required revision is a future revision"),
    errors.NoSpace: Status(8, 429, "etcdserver: mvcc: database space exceeded"),
    errors.QuotaExceeded: Status(8, 429, "etcdserver: mvcc: database space exceeded"),
    errors.ClusterCorrupt: Status(15, 500, "etcdserver: corrupt cluster"),
    errors.MemberBadURLs: Status(3, 400, "etcdserver: given member URLs are invalid"),
    errors.PeerURLExist: Status(9, 400, "etcdserver: Peer URLs already exists"),
    errors.MemberExist: Status(9, 400, "etcdserver: member ID already exist"),
    errors.MemberNotFound: Status(5, 404, "etcdserver: member not found"),
    errors.MemberNotLearner: Status(9, 400, "etcdserver: can only promote a learner member"),
    errors.LearnerNotReady: Status(
        9, 400, "etcdserver: can only promote a learner member which is in sync with leader"
    ),
    errors.TooManyLearners: Status(9, 400, "etcdserver: too many learner members in cluster"),
    # declared FailedPrecondition by etcd, but what leaves its server is Unknown
    errors.MemberNotEnoughStarted: Status(
        2, 500, "etcdserver: re-configuration failed due to not enough started members"
    ),
    errors.UnhealthyCluster: Status(14, 503, "etcdserver: unhealthy cluster"),
    errors.NotSupportedForLearner: Status(14, 503, "etcdserver: rpc not supported for learner"),
    errors.SessionExpired: Status(2, 500, "mutex: session is expired"),
    errors.ElectionNoLeader: Status(2, 500, "election: no leader"),
    errors.ElectionNotLeader: Status(2, 500, "election: not leader"),
    errors.LeaderKeyMissing: Status(2, 500, '"leader" field must be provided'),
    errors.NoLeader: Status(14, 503, "etcdserver: no leader"),
    errors.NotCapable: Status(14, 503, "etcdserver: not capable"),
    # etcd declares ResourceExhausted here, but what leaves its server is Unknown
    errors.TooManyRequests: Status(2, 500, "etcdserver: too many requests"),
    errors.RequestTimedOut: Status(14, 503, "etcdserver: request timed out"),
    errors.NotLeader: Status(9, 400, "etcdserver: not leader"),
    errors.BadTransferee: Status(9, 400, "etcdserver: bad leader transferee"),
    errors.TransferTimedOut: Status(2, 500, "etcdserver: request timed out, leader transfer took too long"),
    errors.WrongVersionFormat: Status(3, 400, "etcdserver: wrong downgrade target version format"),
    errors.InvalidDowngradeTarget: Status(3, 400, "etcdserver: invalid downgrade target version"),
    errors.NoDowngrade: Status(9, 400, "etcdserver: no inflight downgrade job"),
    errors.DowngradeImpossible: Status(12, 501, "raftkv: there is no older version to downgrade to"),
    errors.UnknownAction: Status(2, 500, "etcdserver: unknown method"),
    errors.NodeStopped: Status(14, 503, "etcdserver: server stopped"),
}


def status_of(error: errors.RaftKvError) -> Status:
    """Return what a client is told about ``error``."""
    fixed = _FIXED.get(type(error))
    if fixed is not None:
        return fixed
    if isinstance(error, CallFailed):
        return Status(UNKNOWN_CODE, 500, str(error))
    if isinstance(error, errors.InvalidRequest):
        return Status(3, 400, str(error))
    if isinstance(error, errors.MessageTooLarge):
        return Status(8, 429, f"grpc: received message larger than max ({error.size} vs. {error.limit})")
    return Status(13, 500, f"raftkv: {error}")
