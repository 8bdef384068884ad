"""Pages beside the calls: ``/version``, health, ``/debug/vars`` and raftkv's own."""

import json
import resource
import sys
from typing import Any

from aiohttp import web

import raftkv
from raftkv.api import replies
from raftkv.api.health import HealthPages, Page, Query
from raftkv.api.own_pages import OwnPages
from raftkv.api.trace_page import TracePage
from raftkv.listeners import Listeners
from raftkv.node.node import Node
from raftkv.raft import Role
from raftkv.schema.json_codec import quote
from raftkv.service.downgrade import CLUSTER_VERSION
from raftkv.service.maintenance import ETCD_VERSION

NOT_DECIDED = "not_decided"

_GO_STATES = {
    Role.FOLLOWER: "StateFollower",
    Role.PRE_CANDIDATE: "StatePreCandidate",
    Role.CANDIDATE: "StateCandidate",
    Role.LEADER: "StateLeader",
}


class WebPages:
    """What a browser, a load balancer or a person asks for."""

    def __init__(self, node: Node, events: Listeners | None) -> None:
        self._node = node
        self.health = HealthPages(node)
        self.routes: dict[str, Page] = {
            "/version": self.version,
            "/debug/vars": self.debug_vars,
            **self.health.routes,
        }
        if node.config.enable_raftkv_api:
            self.routes |= OwnPages(node).routes
        if node.config.enable_raftkv_api and events is not None:
            self.routes["/raftkv/v1/trace"] = TracePage(node, events)

    async def version(self, request: web.BaseRequest, query: Query) -> web.Response:
        """Tell the etcd version whose API is spoken, the cluster's, and raftkv's own."""
        # the members are known from the log on, and only an elected leader lets it be applied
        decided = bool(self._node.machine.membership.members())
        body = b'{"etcdserver":%s,"etcdcluster":%s,"raftkv":%s}' % (
            quote(ETCD_VERSION),
            quote(CLUSTER_VERSION if decided else NOT_DECIDED),
            quote(raftkv.__version__),
        )
        return replies.json(body)

    async def debug_vars(self, request: web.BaseRequest, query: Query) -> web.Response:
        """Tell what etcd tells here, but for the statistics of Go's memory."""
        variables = {
            "cmdline": sys.argv,
            "file_descriptor_limit": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            "raft.status": self._raft_status(),
        }
        response = replies.json(json.dumps(variables).encode())
        response.headers["Content-Type"] = "application/json; charset=utf-8"  # as Go's expvar has it
        return response

    def _raft_status(self) -> dict[str, Any]:
        status = self._node.status()
        return {
            "id": f"{status.node_id:x}",
            "term": status.term,
            "vote": f"{status.vote:x}",
            "commit": status.commit_index,
            "lead": f"{status.leader:x}",
            "raftState": _GO_STATES[status.role],
            "applied": self._node.applied_index,
            "progress": {
                f"{member:x}": {
                    "match": peer.match_index,
                    "next": peer.next_index,
                    "state": f"State{peer.state.capitalize()}",
                }
                for member, peer in status.peers.items()
            },
            "leadtransferee": f"{status.transferee:x}",
        }
