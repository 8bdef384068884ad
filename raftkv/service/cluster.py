"""etcd's Cluster service: who the members are."""

from raftkv.node.node import Node
from raftkv.schema.cluster import Member, MemberListRequest, MemberListResponse
from raftkv.schema.kv import ResponseHeader
from raftkv.service.header import complete


class ClusterService:
    """The membership calls of one member."""

    def __init__(self, node: Node) -> None:
        self._node = node

    async def member_list(self, request: MemberListRequest) -> MemberListResponse:
        """List the members sorted by id; ``linearizable`` waits for a read barrier first.

        As in etcd the header carries no revision.
        """
        if request.linearizable:
            await self._node.read_barrier()
        members = [
            Member(
                ID=member.id,
                name=member.name,
                peerURLs=list(member.peer_urls),
                clientURLs=list(member.client_urls),
                isLearner=member.is_learner,
            )
            for member in self._node.machine.membership.members()
        ]
        response = MemberListResponse(ResponseHeader(), members)
        complete(response.header, self._node)
        return response
