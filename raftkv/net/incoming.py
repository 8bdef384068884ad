"""The peer port: streams of the others, snapshots, questions to the node, and /version and /members as etcd.

A stream is the body of one long request. The answer's headers are sent at once and say that the
stream was taken; its body stays empty unless this member has a reason to end the stream.
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from aiohttp import ClientError, web
from aiohttp.http_exceptions import HttpProcessingError

from raftkv.errors import PeerProtocolError
from raftkv.mvcc.membership import MemberInfo
from raftkv.net.bootstrap import CLUSTER_LEVEL_HEADER, ETCD_CLUSTER_HEADER
from raftkv.net.frames import FrameReader
from raftkv.net.handshake import STREAM_PATH, Hello, Refused, check_hello, read_hello
from raftkv.net.listener import Listener
from raftkv.net.local import Local, Refusals
from raftkv.net.ping import PING_PATH, answer_ping
from raftkv.net.questions import ASK_PATH, QuestionServer
from raftkv.net.snapshots import SNAPSHOT_PATH, SnapshotServer
from raftkv.node.transport import Receiver
from raftkv.raft.codec import decode_message

MAX_STREAMS: Final = 64
"""Streams at a time, one for each member that sends; bounds what strangers can occupy."""

SHUTDOWN_S: Final = 1.0
_TEXT: Final = {"Content-Type": "text/plain; charset=utf-8"}

Members = Callable[[], Sequence[MemberInfo]]
Version = Callable[[], Mapping[str, str]]


class PeerPort:
    """The listening side: every peer's stream into this member."""

    def __init__(
        self, local: Local, members: Members, version: Version, cluster_level: Callable[[], int]
    ) -> None:
        self._local = local
        self._members = members
        self._version = version
        self._cluster_level = cluster_level
        self._refusals = Refusals(local.emit)
        self._streams: dict[int, asyncio.Task[None]] = {}
        self._snapshots = SnapshotServer(local)
        self._questions = QuestionServer(local)
        self._receiver: Receiver | None = None
        self._arrived: Callable[[Hello], None] = lambda hello: None
        self._left: Callable[[int], None] = lambda peer: None
        self._runner: web.ServerRunner | None = None

    async def listen(self, urls: Sequence[str]) -> list[str]:
        """Bind every URL and return them with the ports bound; raises OSError where one is in use."""
        listener = Listener(self._handle, first_request_s=self._local.timing.connect)
        self._runner = web.ServerRunner(listener, shutdown_timeout=SHUTDOWN_S)
        await self._runner.setup()
        bound = []
        for url in urls:
            parts = urlsplit(url)
            await web.TCPSite(self._runner, parts.hostname, parts.port or 0).start()
            bound.append(f"{parts.scheme}://{parts.hostname}:{self._runner.addresses[-1][1]}")
        return bound

    def start(
        self, receiver: Receiver, arrived: Callable[[Hello], None], left: Callable[[int], None]
    ) -> None:
        """Take streams from now on; ``arrived`` is told of each one taken, ``left`` whose last one ended."""
        self._receiver = receiver
        self._arrived = arrived
        self._left = left

    async def close(self) -> None:
        """End every stream and stop listening."""
        self._receiver = None
        for task in self._streams.values():
            task.cancel()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        match request.method, request.path:
            case "POST", path if path == STREAM_PATH:
                return await self._take_stream(request)
            case "GET", path if path.startswith(SNAPSHOT_PATH):
                return await self._snapshots.answer(request, self._receiver)
            case "POST", path if path == ASK_PATH:
                return await self._questions.answer(request, self._receiver)
            case "GET", path if path == PING_PATH:
                return answer_ping(request, self._local)
            case "GET", "/version":
                return _json_answer(dict(self._version()))
            case "GET", "/members":
                answer = _json_answer([_member_fields(member) for member in self._members()])
                answer.headers[ETCD_CLUSTER_HEADER] = f"{self._local.cluster_id:x}"
                answer.headers[CLUSTER_LEVEL_HEADER] = str(self._cluster_level())
                return answer
            case _, path if path in ("/version", "/members", PING_PATH):
                return web.Response(status=405, text="Method Not Allowed\n", headers={"Allow": "GET"})
            case _, path if path in (STREAM_PATH, ASK_PATH):
                return web.Response(status=405, text="Method Not Allowed\n", headers={"Allow": "POST"})
        if request.path.startswith(SNAPSHOT_PATH):
            return web.Response(status=405, text="Method Not Allowed\n", headers={"Allow": "GET"})
        return web.Response(status=404, text="404 page not found\n")

    async def _take_stream(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            hello = self._greet(request)
        except Refused as refused:
            self._refusals.tell(refused.peer, refused.reason)
            answer = web.Response(status=refused.status, text=refused.reason)
            answer.force_close()
            return answer
        response = web.StreamResponse(headers=_TEXT | self._local.hello(hello.source).headers())
        response.force_close()
        await response.prepare(request)
        farewell = await self._carry(request, hello)
        if farewell:
            await response.write(farewell.encode())
        return response

    def _greet(self, request: web.BaseRequest) -> Hello:
        """Return the hello of a peer that may send to this member, or raise Refused."""
        hello = read_hello(request.headers)
        check_hello(hello, self._local.cluster_id, self._local.member_id)
        if self._receiver is None:
            raise Refused(503, "this member is starting or stopping", hello.source)
        if hello.source not in self._streams and len(self._streams) >= MAX_STREAMS:
            raise Refused(503, f"{MAX_STREAMS} streams are open already", hello.source)
        return hello

    async def _carry(self, request: web.BaseRequest, hello: Hello) -> str:
        """Deliver what a stream brings until it ends; return why this member ends it, or ""."""
        task = asyncio.current_task()
        assert task is not None
        if (older := self._streams.get(hello.source)) is not None:
            older.cancel()  # the peer has a new stream because it has given that one up
        self._streams[hello.source] = task
        self._arrived(hello)
        try:
            await self._deliver_all(request, hello)
        except PeerProtocolError as error:
            self._refusals.tell(hello.source, str(error))
            return str(error)
        except (HttpProcessingError, ClientError, web.PayloadAccessError, OSError):
            pass  # cut off in the middle of a frame; the sender knows, and connects again
        finally:
            if self._streams.get(hello.source) is task:
                del self._streams[hello.source]
                self._left(hello.source)
        self._refusals.forget(hello.source)
        return ""

    async def _deliver_all(self, request: web.BaseRequest, hello: Hello) -> None:
        reader, traffic = FrameReader(), self._local.traffic.of(hello.source)
        while piece := await request.content.readany():
            traffic.received_bytes += len(piece)
            for payload in reader.feed(piece):
                message = decode_message(payload)
                if message.source != hello.source or message.target != hello.target:
                    raise PeerProtocolError(
                        f"a message from {message.source:x} to {message.target:x} in the stream from "
                        f"{hello.source:x} to {hello.target:x}"
                    )
                if self._receiver is not None:
                    self._receiver.receive(message)


def _json_answer(value: object) -> web.Response:
    return web.Response(text=json.dumps(value, separators=(",", ":")) + "\n", content_type="application/json")


def _member_fields(member: MemberInfo) -> dict[str, object]:
    """Return a member as etcd's /members shows it: what is empty or false is left out."""
    optional = {
        "isLearner": member.is_learner,
        "name": member.name,
        "clientURLs": list(member.client_urls),
    }
    return {
        "id": member.id,
        "peerURLs": list(member.peer_urls),
        **{name: value for name, value in optional.items() if value},
    }
