"""Counts of calls, under the names that gRPC gives them: etcd counts those through its gateway as well."""

import asyncio
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from raftkv.api.status import Status, status_of
from raftkv.errors import RaftKvError
from raftkv.node.tally import Histogram

CODES = (
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
)
"""Names of the codes, by number."""

OK, CANCELED, UNKNOWN = 0, 1, 2

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

MAX_VERSIONS = 32
"""Versions of clients that are told apart."""

LONGEST_VERSION = 32
"""Characters of a version that are kept: a client can send a whole head of them."""

VERSION_HEADER = "Grpc-Metadata-client-api-version"
UNTOLD = "unknown"

_UNARY = {
    "etcdserverpb.KV": "Compact DeleteRange Put Range Txn",
    "etcdserverpb.Lease": "LeaseGrant LeaseLeases LeaseRevoke LeaseTimeToLive",
    "etcdserverpb.Cluster": "MemberAdd MemberList MemberPromote MemberRemove MemberUpdate",
    "etcdserverpb.Maintenance": "Alarm Defragment Downgrade Hash HashKV MoveLeader Status",
    "etcdserverpb.Auth": "AuthDisable AuthEnable AuthStatus Authenticate RoleAdd RoleDelete RoleGet"
    " RoleGrantPermission RoleList RoleRevokePermission UserAdd UserChangePassword UserDelete UserGet"
    " UserGrantRole UserList UserRevokeRole",
    "grpc.health.v1.Health": "Check",
}
METHODS = {
    **{(service, name): "unary" for service, names in _UNARY.items() for name in names.split()},
    ("etcdserverpb.Lease", "LeaseKeepAlive"): "bidi_stream",
    ("etcdserverpb.Maintenance", "Snapshot"): "server_stream",
    ("etcdserverpb.Watch", "Watch"): "bidi_stream",
    ("grpc.health.v1.Health", "Watch"): "server_stream",
}
"""(service, method) -> kind of call, for all that etcd 3.5.1 counts: not lock and election."""

PATHS = {
    "/v3/kv/range": ("etcdserverpb.KV", "Range"),
    "/v3/kv/put": ("etcdserverpb.KV", "Put"),
    "/v3/kv/deleterange": ("etcdserverpb.KV", "DeleteRange"),
    "/v3/kv/txn": ("etcdserverpb.KV", "Txn"),
    "/v3/kv/compaction": ("etcdserverpb.KV", "Compact"),
    "/v3/watch": ("etcdserverpb.Watch", "Watch"),
    "/v3/lease/grant": ("etcdserverpb.Lease", "LeaseGrant"),
    "/v3/lease/revoke": ("etcdserverpb.Lease", "LeaseRevoke"),
    "/v3/kv/lease/revoke": ("etcdserverpb.Lease", "LeaseRevoke"),
    "/v3/lease/keepalive": ("etcdserverpb.Lease", "LeaseKeepAlive"),
    "/v3/lease/timetolive": ("etcdserverpb.Lease", "LeaseTimeToLive"),
    "/v3/kv/lease/timetolive": ("etcdserverpb.Lease", "LeaseTimeToLive"),
    "/v3/lease/leases": ("etcdserverpb.Lease", "LeaseLeases"),
    "/v3/kv/lease/leases": ("etcdserverpb.Lease", "LeaseLeases"),
    "/v3/cluster/member/add": ("etcdserverpb.Cluster", "MemberAdd"),
    "/v3/cluster/member/remove": ("etcdserverpb.Cluster", "MemberRemove"),
    "/v3/cluster/member/update": ("etcdserverpb.Cluster", "MemberUpdate"),
    "/v3/cluster/member/list": ("etcdserverpb.Cluster", "MemberList"),
    "/v3/cluster/member/promote": ("etcdserverpb.Cluster", "MemberPromote"),
    "/v3/maintenance/alarm": ("etcdserverpb.Maintenance", "Alarm"),
    "/v3/maintenance/status": ("etcdserverpb.Maintenance", "Status"),
    "/v3/maintenance/defragment": ("etcdserverpb.Maintenance", "Defragment"),
    "/v3/maintenance/hash": ("etcdserverpb.Maintenance", "Hash"),
    "/v3/maintenance/hashkv": ("etcdserverpb.Maintenance", "HashKV"),
    "/v3/maintenance/snapshot": ("etcdserverpb.Maintenance", "Snapshot"),
    "/v3/maintenance/transfer-leadership": ("etcdserverpb.Maintenance", "MoveLeader"),
    "/v3/maintenance/downgrade": ("etcdserverpb.Maintenance", "Downgrade"),
    "/v3/auth/enable": ("etcdserverpb.Auth", "AuthEnable"),
    "/v3/auth/disable": ("etcdserverpb.Auth", "AuthDisable"),
    "/v3/auth/status": ("etcdserverpb.Auth", "AuthStatus"),
    "/v3/auth/authenticate": ("etcdserverpb.Auth", "Authenticate"),
    "/v3/auth/user/add": ("etcdserverpb.Auth", "UserAdd"),
    "/v3/auth/user/get": ("etcdserverpb.Auth", "UserGet"),
    "/v3/auth/user/list": ("etcdserverpb.Auth", "UserList"),
    "/v3/auth/user/delete": ("etcdserverpb.Auth", "UserDelete"),
    "/v3/auth/user/changepw": ("etcdserverpb.Auth", "UserChangePassword"),
    "/v3/auth/user/grant": ("etcdserverpb.Auth", "UserGrantRole"),
    "/v3/auth/user/revoke": ("etcdserverpb.Auth", "UserRevokeRole"),
    "/v3/auth/role/add": ("etcdserverpb.Auth", "RoleAdd"),
    "/v3/auth/role/get": ("etcdserverpb.Auth", "RoleGet"),
    "/v3/auth/role/list": ("etcdserverpb.Auth", "RoleList"),
    "/v3/auth/role/delete": ("etcdserverpb.Auth", "RoleDelete"),
    "/v3/auth/role/grant": ("etcdserverpb.Auth", "RoleGrantPermission"),
    "/v3/auth/role/revoke": ("etcdserverpb.Auth", "RoleRevokePermission"),
}
"""Path of a call -> its service and method."""


class CallCounts:
    """The calls of one method. A message that could not be decoded was no call, as in etcd."""

    __slots__ = ("handled", "received", "received_bytes", "seconds", "sent", "sent_bytes", "started")

    def __init__(self) -> None:
        self.started = 0
        self.received = 0
        self.received_bytes = 0
        self.sent = 0
        self.sent_bytes = 0
        self.handled = [0] * len(CODES)
        self.seconds = Histogram(SECONDS)


class Call:
    """One call under way: a context manager that counts its end."""

    __slots__ = ("_begin", "_code", "_counts", "_now")

    def __init__(self, counts: CallCounts, now: Callable[[], float]) -> None:
        self._counts = counts
        self._now = now
        self._begin = now()
        self._code = OK

    def receive(self, size: int) -> None:
        """Count a request of ``size`` bytes."""
        self._counts.received += 1
        self._counts.received_bytes += size

    def answer(self, size: int) -> None:
        """Count a response of ``size`` bytes."""
        self._counts.sent += 1
        self._counts.sent_bytes += size

    def answer_more(self, size: int) -> None:
        """Count more bytes of the last response."""
        self._counts.sent_bytes += size

    def answer_line(self, text: bytes) -> None:
        """Count a response that is a line, or a part of it that is not its end."""
        self._counts.sent += text.endswith(b"\n")
        self._counts.sent_bytes += len(text)

    def fail(self, status: Status) -> Status:
        """Note with what the call fails, and return it."""
        self._code = status.code
        return status

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, RaftKvError):
            self.fail(status_of(error))
        elif error is not None:
            self._code = CANCELED if isinstance(error, asyncio.CancelledError) else UNKNOWN
        self._counts.handled[self._code] += 1
        self._counts.seconds.observe(self._now() - self._begin)


class Calls:
    """The calls of all methods; ``versions`` counts them by kind and the version that clients tell."""

    def __init__(self, now: Callable[[], float]) -> None:
        """``now`` is the clock that calls are measured with."""
        self._now = now
        self.methods = {method: CallCounts() for method in METHODS}
        self.versions: dict[tuple[str, str], int] = {}

    def of(self, path: str) -> CallCounts:
        """Return the counts of the calls under a path; nobody is shown those that etcd does not count."""
        method = PATHS.get(path)
        return CallCounts() if method is None else self.methods[method]

    def begin(self, counts: CallCounts, headers: Mapping[str, str], *, stream: bool = False) -> Call:
        """Count a call that begins; what is returned counts what comes of it."""
        version = headers.get(VERSION_HEADER, UNTOLD)[:LONGEST_VERSION]
        self._count_version("stream" if stream else "unary", version)
        counts.started += 1
        return Call(counts, self._now)

    def _count_version(self, kind: str, version: str) -> None:
        if (kind, version) not in self.versions and len(self.versions) >= MAX_VERSIONS:
            version = UNTOLD
        key = kind, version
        self.versions[key] = self.versions.get(key, 0) + 1
