"""etcd's Maintenance service: one member's own state."""

from raftkv.node.node import Node
from raftkv.raft import NO_NODE
from raftkv.schema.messages import ResponseHeader, StatusRequest, StatusResponse
from raftkv.service.header import complete

ETCD_VERSION = "3.5.1"
"""The etcd version whose API is spoken."""

NO_LEADER = "etcdserver: no leader"


class MaintenanceService:
    """The maintenance calls of one member."""

    def __init__(self, node: Node) -> None:
        self._node = node

    async def status(self, request: StatusRequest) -> StatusResponse:
        """Report this member's state, from memory: it answers without a leader too."""
        raft = self._node.status()
        store = self._node.machine.store
        response = StatusResponse(
            header=ResponseHeader(revision=store.revision),
            version=ETCD_VERSION,
            dbSize=store.size_bytes,
            leader=raft.leader,
            raftIndex=raft.commit_index,
            raftTerm=raft.term,
            raftAppliedIndex=self._node.applied_index,
            errors=[NO_LEADER] if raft.leader == NO_NODE else [],
            dbSizeInUse=store.size_in_use_bytes,
            isLearner=self._node.member_id in raft.configuration.learners,
        )
        complete(response.header, self._node)
        return response
