"""A member that does what a test tells it: answers, is silent, hangs up at any byte."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

HEADER = {"cluster_id": "7", "member_id": "1", "revision": "5", "raft_term": "2"}


class Asked(NamedTuple):
    """A request that came in."""

    path: str
    body: dict[str, Any]


class Reply:
    """Where an answer goes. ``cut`` bytes are sent at most, then the connection ends."""

    def __init__(self, writer: asyncio.StreamWriter, cut: int | None) -> None:
        self._writer = writer
        self._left = cut

    async def send(self, data: bytes) -> None:
        if self._left is not None:
            data, self._left = data[: self._left], self._left - len(data[: self._left])
        self._writer.write(data)
        await self._writer.drain()
        if self._left == 0:
            raise ConnectionAbortedError

    async def json(self, body: object, status: int = 200) -> None:
        await self.text(json.dumps(body), status)

    async def text(self, text: str, status: int = 200, headers: str = "") -> None:
        body = text.encode()
        head = f"HTTP/1.1 {status} x\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
        await self.send(head.encode() + body)

    async def refuse(self, message: str, code: int = 14, status: int = 503) -> None:
        await self.json({"error": message, "code": code, "message": message}, status)

    async def begin_stream(self) -> None:
        await self.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")

    async def chunk(self, data: bytes) -> None:
        await self.send(b"%x\r\n%s\r\n" % (len(data), data))

    async def result(self, body: object) -> None:
        await self.chunk(json.dumps({"result": body}, separators=(",", ":")).encode() + b"\n")

    async def end_stream(self) -> None:
        await self.send(b"0\r\n\r\n")


Act = Callable[[Asked, Reply], Awaitable[None]]


class Member:
    """A listening member. ``act`` answers each request; it may be replaced at any time."""

    def __init__(self, act: Act) -> None:
        self.act = act
        self.asked: list[Asked] = []
        self.cut: int | None = None
        self.url = ""
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def paths(self) -> list[str]:
        return [asked.path for asked in self.asked]

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Member"]:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                fields = head.decode().split("\r\n")
                length = next(
                    int(f.partition(":")[2]) for f in fields if f.lower().startswith("content-length")
                )
                body = await reader.readexactly(length)
                asked = Asked(fields[0].split()[1], json.loads(body))
                self.asked.append(asked)
                await self.act(asked, Reply(writer, self.cut))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


async def succeeds(asked: Asked, reply: Reply) -> None:
    await reply.json({"header": HEADER})


async def hangs_up(asked: Asked, reply: Reply) -> None:
    raise ConnectionAbortedError


async def is_silent(asked: Asked, reply: Reply) -> None:
    await asyncio.Event().wait()


def refuses(message: str, code: int = 14, status: int = 503) -> Act:
    async def act(asked: Asked, reply: Reply) -> None:
        await reply.refuse(message, code, status)

    return act


def answers(text: str, status: int = 200, headers: str = "") -> Act:
    async def act(asked: Asked, reply: Reply) -> None:
        await reply.text(text, status, headers)

    return act
