"""A client made of a bare socket, so that every byte of a reply is seen."""

import asyncio
from typing import NamedTuple

CORS = (
    "Access-Control-Allow-Headers: accept, content-type, authorization",
    "Access-Control-Allow-Methods: POST, GET, OPTIONS, PUT, DELETE",
    "Access-Control-Allow-Origin: *",
)


class Reply(NamedTuple):
    """A reply: status line, header lines (without Date and Server), body."""

    status: str
    headers: frozenset[str]
    body: bytes


async def exchange(port: int, data: bytes) -> bytes:
    """Send ``data`` and return everything that comes until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


def parse(data: bytes) -> Reply:
    head, _, body = data.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    kept = frozenset(line for line in lines if not line.startswith(("Date: ", "Server: ")))
    return Reply(status, kept, body)


def encode(path: str, body: bytes = b"", method: str = "POST", headers: str = "") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def call(port: int, path: str, body: bytes = b"", method: str = "POST", headers: str = "") -> Reply:
    """Send one request on a connection of its own."""
    return parse(await exchange(port, encode(path, body, method, "Connection: close\r\n" + headers)))
