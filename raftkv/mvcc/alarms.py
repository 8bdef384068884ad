"""Alarms: what is wrong with a member and keeps all members from taking writes, as in etcd.

NOSPACE is raised by a member whose data passed its quota; from then on what makes the data grow is
refused everywhere. CORRUPT stops every write. Both last until they are cleared by request, over restarts
and in snapshots too: nothing that frees room clears them (etcd's documentation, "Space quota").
"""

from typing import ClassVar

from raftkv import errors
from raftkv.mvcc.commands import CommandRequest, ExpireLease
from raftkv.mvcc.leases import LEASE_BYTES
from raftkv.mvcc.parts import CopiedDump, nonsense, pack_block, unpack_block
from raftkv.schema.kv import CompactionRequest, DeleteRangeRequest, PutRequest, RequestOp, TxnRequest
from raftkv.schema.lease import LeaseGrantRequest, LeaseRevokeRequest
from raftkv.schema.maintenance import AlarmAction, AlarmMember, AlarmRequest, AlarmType

PUT_OVERHEAD = 256
"""Bytes that etcd counts for a put beside its key and value."""

_WRITES = (
    PutRequest,
    DeleteRangeRequest,
    TxnRequest,
    CompactionRequest,
    LeaseGrantRequest,
    LeaseRevokeRequest,
    ExpireLease,
)


def growth_of(request: object) -> int:
    """Return by how many bytes a request may make the data grow, as etcd's quota counts it.

    A txn counts with the larger of its branches. The puts of nested txns count too, which etcd
    forgets: there they pass any quota.
    """
    match request:
        case PutRequest():
            return PUT_OVERHEAD + len(request.key) + len(request.value)
        case TxnRequest():
            return max(_growth_of_branch(request.success), _growth_of_branch(request.failure))
        case LeaseGrantRequest():
            return LEASE_BYTES
    return 0


def _growth_of_branch(branch: list[RequestOp]) -> int:
    return sum(growth_of(op.request_put or op.request_txn) for op in branch)


class Alarms:
    """The alarms that are raised."""

    name: ClassVar[str] = "alarms"
    version: ClassVar[int] = 1

    def __init__(self) -> None:
        self._raised: dict[tuple[int, int], None] = {}

    def raised(self, kind: int = AlarmType.NONE) -> list[AlarmMember]:
        """Return the alarms of one kind, or all, ordered by kind and member."""
        return [
            AlarmMember(member, alarm)
            for alarm, member in sorted(self._raised)
            if kind in (alarm, AlarmType.NONE)
        ]

    def is_raised(self, kind: int, member: int) -> bool:
        """Whether an alarm of ``kind`` is raised for ``member``."""
        return (kind, member) in self._raised

    def apply(self, request: AlarmRequest) -> list[AlarmMember]:
        """Raise or clear one alarm; return it if it is one now, or was one until now.

        What makes no sense (an alarm NONE, an unknown action) changes nothing: etcd 3.5 panics on some
        of it, again at every restart.
        """
        place = (request.alarm, request.memberID)
        match request.action:
            case AlarmAction.ACTIVATE if request.alarm in (AlarmType.NOSPACE, AlarmType.CORRUPT):
                self._raised[place] = None
            case AlarmAction.DEACTIVATE if place in self._raised:
                del self._raised[place]
            case _:
                return []
        return [AlarmMember(request.memberID, request.alarm)]

    def check(self, request: CommandRequest) -> None:
        """Raise ClusterCorrupt or QuotaExceeded if an alarm forbids the request.

        Both alarms can be raised; then clearing one leaves the other in force, unlike in etcd 3.5,
        where clearing CORRUPT lets puts through in spite of NOSPACE.
        """
        if not self._raised:
            return
        kinds = [kind for kind, _ in self._raised]
        if AlarmType.CORRUPT in kinds and isinstance(request, _WRITES):
            raise errors.ClusterCorrupt
        if AlarmType.NOSPACE in kinds and growth_of(request):
            raise errors.QuotaExceeded

    def content(self) -> list[tuple[int, int]]:
        """See ``Part``: (kind, member) of every alarm, in order."""
        return sorted(self._raised)

    def dump(self) -> CopiedDump:
        """See ``Part``: one block."""
        return CopiedDump([pack_block(*self.content())])

    def load(self, data: bytes) -> None:
        """See ``Part``."""
        for alarm in unpack_block(data):
            match alarm:
                case (int(kind), int()) if kind in (AlarmType.NOSPACE, AlarmType.CORRUPT):
                    self._raised[alarm] = None
                case _:
                    raise nonsense("an alarm")

    def finish_load(self) -> bool:
        """See ``Part``: nothing is left to do."""
        return False
