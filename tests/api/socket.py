"""A WebSocket client made of a bare socket, so that every frame is seen."""

import asyncio

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Socket:
    """One connection that was upgraded; ``head`` is the server's answer to that."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: str) -> None:
        self._reader = reader
        self._writer = writer
        self.head = head

    @staticmethod
    async def open(port: int, path: str, headers: str = "", method: str = "GET") -> "Socket":
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{headers}\r\n".encode()
        )
        return Socket(reader, writer, (await reader.readuntil(b"\r\n\r\n")).decode())

    def send(self, data: bytes, kind: int = TEXT) -> None:
        length = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
        self._writer.write(bytes([0x80 | kind]) + length + bytes(4) + data)

    async def receive(self) -> tuple[int, bytes]:
        """Return the next frame's kind and data."""
        async with asyncio.timeout(5):
            kind, length = await self._reader.readexactly(2)
            if length > 125:
                length = int.from_bytes(await self._reader.readexactly(2 if length == 126 else 8), "big")
            return kind & 15, await self._reader.readexactly(length)

    async def text(self) -> bytes:
        kind, data = await self.receive()
        assert kind == TEXT
        return data

    def abort(self) -> None:
        self._writer.transport.abort()

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()
