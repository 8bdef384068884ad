"""``/health`` as etcd 3.5.1 answers it (and ``serializable`` as 3.5.3), ``/livez`` and ``/readyz`` as 3.5.19.

``/health`` is about serving clients: alarms count, and that a linearizable read passes. ``/livez`` asks only
whether this process answers, so that nobody ends a member because others are down; ``/readyz`` whether it
should be sent requests.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence

from aiohttp import web

from raftkv.api import replies
from raftkv.api.status import status_of
from raftkv.errors import RaftKvError
from raftkv.node.node import Node
from raftkv.schema.json_codec import quote
from raftkv.schema.kv import RangeRequest
from raftkv.schema.maintenance import AlarmType

Query = Mapping[str, Sequence[str]]
"""The parameters of a request: name to values; one without a value has an empty one."""

Page = Callable[[web.BaseRequest, Query], Awaitable[web.StreamResponse]]

Check = Callable[[], Awaitable[str]]
"""Returns what is wrong, "" for nothing."""

LIVEZ = ("serializable_read",)
READYZ = ("data_corruption", "serializable_read", "linearizable_read", "non_learner")


class HealthPages:
    """Whether this member is well, and how often it was asked.

    ``answers`` counts answers of ``/health`` by whether it was well; ``checks`` the single checks by
    ("livez" or "readyz", name, whether it was passed); ``last`` has the newest result of each.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._checks: dict[str, Check] = {
            "data_corruption": self._data_corruption,
            "serializable_read": self._serializable_read,
            "linearizable_read": self._linearizable_read,
            "non_learner": self._non_learner,
        }
        self.answers: Counter[bool] = Counter()
        self.checks: Counter[tuple[str, str, bool]] = Counter()
        self.last: dict[tuple[str, str], bool] = {}
        self.routes: dict[str, Page] = {"/health": self.health}
        for kind, names in (("livez", LIVEZ), ("readyz", READYZ)):
            self.routes[f"/{kind}"] = self._page(kind, names)
            for name in names:
                self.routes[f"/{kind}/{name}"] = self._page(kind, (name,), fixed=True)

    async def health(self, request: web.BaseRequest, query: Query) -> web.Response:
        """Tell whether this member can serve a linearizable read now and no alarm is raised.

        ``?exclude=NOSPACE`` (repeatable) leaves an alarm out; ``?serializable=true`` asks neither for a
        leader nor for a linearizable read.
        """
        serializable = query.get("serializable", ("",))[0] == "true"
        reason = await self._what_is_wrong(query.get("exclude", ()), serializable=serializable)
        self.answers[not reason] += 1
        if not reason:
            return replies.text(b'{"health":"true","reason":""}')
        return replies.text_error(503, f'{{"health":"false","reason":{quote(reason).decode()}}}')

    async def _what_is_wrong(self, excluded: Sequence[str], *, serializable: bool) -> str:
        for alarm in self._node.machine.alarms.raised():
            if (name := AlarmType(alarm.alarm).name) not in excluded:
                return f"ALARM {name}"
        if serializable:
            return ""
        if not self._node.has_leader:
            return "RAFT NO LEADER"
        text = await self._linearizable_read()
        return f"RANGE ERROR:{text}" if text else ""

    # ---------------------------------------------------------------- livez, readyz

    def _page(self, kind: str, names: Sequence[str], *, fixed: bool = False) -> Page:
        """Return the page of some checks; of a ``fixed`` one nothing can be excluded."""

        async def page(request: web.BaseRequest, query: Query) -> web.Response:
            excluded = () if fixed else query.get("exclude", ())
            lines, well = [], True
            for name in names:
                if name in excluded:
                    continue
                reason = await self._checks[name]()
                well = well and not reason
                lines.append(f"[-]{name} failed: {reason}\n" if reason else f"[+]{name} ok\n")
                self.checks[kind, name, not reason] += 1
                self.last[kind, name] = not reason
            if not well:
                return replies.text_error(503, "".join(lines))
            shown = "".join(lines) if "verbose" in query else ""
            response = replies.text(f"{shown}ok\n".encode())
            response.headers["X-Content-Type-Options"] = "nosniff"
            return response

        return page

    async def _data_corruption(self) -> str:
        raised = {alarm.alarm for alarm in self._node.machine.alarms.raised()}
        return "alarm activated: CORRUPT" if AlarmType.CORRUPT in raised else ""

    async def _serializable_read(self) -> str:
        self._node.machine.store.range(RangeRequest(b"\0", b"\0", limit=1, serializable=True, keys_only=True))
        return ""

    async def _linearizable_read(self) -> str:
        try:
            await self._node.read_barrier()
        except RaftKvError as error:
            return status_of(error).text
        return ""

    async def _non_learner(self) -> str:
        is_learner = self._node.member_id in self._node.status().configuration.learners
        return "not supported for learner" if is_learner else ""
