"""``/version``, ``/health`` and raftkv's own pages."""

import json
from collections.abc import Sequence
from urllib.parse import parse_qs

from aiohttp import web

import raftkv
from raftkv.api import replies
from raftkv.api.status import status_of
from raftkv.errors import RaftKvError
from raftkv.node.node import Node
from raftkv.schema.json_codec import quote
from raftkv.schema.maintenance import AlarmType
from raftkv.service.downgrade import CLUSTER_VERSION
from raftkv.service.maintenance import ETCD_VERSION

NOT_DECIDED = "not_decided"


class WebPages:
    """What a browser or a load balancer asks for."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.routes = {
            "/version": self.version,
            "/health": self.health,
            "/raftkv/v1/counters": self.counters,
        }

    async def version(self, query: str) -> web.Response:
        """Tell the etcd version whose API is spoken, the cluster's, and raftkv's own."""
        # the members are known from the log on, and only an elected leader lets it be applied
        decided = bool(self._node.machine.membership.members())
        body = b'{"etcdserver":%s,"etcdcluster":%s,"raftkv":%s}' % (
            quote(ETCD_VERSION),
            quote(CLUSTER_VERSION if decided else NOT_DECIDED),
            quote(raftkv.__version__),
        )
        return replies.json(body)

    async def health(self, query: str) -> web.Response:
        """Tell whether this member can serve a linearizable read now and no alarm is raised.

        ``?exclude=NOSPACE`` (repeatable) leaves an alarm out.
        """
        reason = await self._what_is_wrong(parse_qs(query.removeprefix("?")).get("exclude", []))
        if not reason:
            return replies.text(b'{"health":"true","reason":""}')
        return replies.text_error(503, f'{{"health":"false","reason":{quote(reason).decode()}}}')

    async def counters(self, query: str) -> web.Response:
        """Tell what this member did since it started: batches and fsyncs of its log, indexes, step times."""
        return replies.json(json.dumps(self._node.counters()).encode())

    async def _what_is_wrong(self, excluded: Sequence[str]) -> str:
        for alarm in self._node.machine.alarms.raised():
            if (name := AlarmType(alarm.alarm).name) not in excluded:
                return f"ALARM {name}"
        if not self._node.has_leader:
            return "RAFT NO LEADER"
        try:
            await self._node.read_barrier()
        except RaftKvError as error:
            return f"RANGE ERROR:{status_of(error).text}"
        return ""
