"""Puts over plain HTTP at a steady rate, or as fast as they are answered; every answer's time is kept.

    python bench/steady.py URL --keys N [--rate R] [--seconds S] [--connections C] [--stamp] --out FILE
    python bench/steady.py URL --keys N --load [--first M] --out FILE

The load is *open*: requests are due at fixed moments, and a latency counts from the moment at which the
request was due, not from the one at which a connection was free for it. So a stall of the server shows as
many late requests, as its clients would see it. Where this program itself was late, the moment at which it
came to the request counts as due; how late that was at most is reported as "behind".

With ``--stamp`` a value begins with the moment at which its put was sent, in nanoseconds, for those who
watch. ``--load`` writes every key once instead, in txns of 128 puts. It runs in a process of its own, so
that its garbage collector and its event loop are not those of what is measured. Moments are seconds of the
system's monotonic clock, which all processes of a machine share.
"""

import argparse
import asyncio
import gc
import json
import signal
import sys
from base64 import b64encode
from collections import deque
from functools import partial
from pathlib import Path
from time import monotonic, monotonic_ns
from typing import Any, cast
from urllib.parse import urlsplit

import uvloop

VALUE = "QUJD" * 85 + "QQ=="
"""256 bytes."""

TXN_PUTS = 128
LOAD_CONNECTIONS = 8
STRIDE, PRIME = 48_271, 2_147_483_647
DRAIN_SECONDS = 60.0


STAMP_BYTES = 24
"""A stamp is that many digits: 32 bytes in base64, without padding."""


def stamped() -> str:
    """Return a value of 256 bytes, as base64, that begins with the time."""
    return b64encode(b"%0*d" % (STAMP_BYTES, monotonic_ns())).decode() + VALUE[4 * STAMP_BYTES // 3 :]


def key_of(number: int) -> str:
    """Return key ``number`` as base64: 12 bytes, in an order that is not that of the numbers."""
    return f"{number * STRIDE % PRIME:016x}"


def put(host: str, number: int, value: str = VALUE) -> bytes:
    return request(host, "/v3/kv/put", f'{{"key":"{key_of(number)}","value":"{value}"}}')


def txn(host: str, numbers: range) -> bytes:
    puts = ",".join(f'{{"request_put":{{"key":"{key_of(n)}","value":"{VALUE}"}}}}' for n in numbers)
    return request(host, "/v3/kv/txn", f'{{"success":[{puts}]}}')


def request(host: str, path: str, body: str) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()


class Connection(asyncio.Protocol):
    """One keep-alive connection: a request, its answer, the next request."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._received = b""
        self._waiter: asyncio.Future[bool] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def send(self, data: bytes) -> "asyncio.Future[bool]":
        """Send a request; the future is True once it was answered with 200."""
        self._waiter = asyncio.get_running_loop().create_future()
        if self._transport.is_closing():
            self._waiter.set_result(False)
        else:
            self._transport.write(data)
        return self._waiter

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, mark, body = self._received.partition(b"\r\n\r\n")
        if not mark or not is_complete(head.lower(), body):
            return
        self._received = b""
        self._answer(worked=head.startswith(b"HTTP/1.1 200"))

    def connection_lost(self, error: Exception | None) -> None:
        self._answer(worked=False)

    def close(self) -> None:
        self._transport.close()

    def _answer(self, *, worked: bool) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(worked)


def is_complete(head: bytes, body: bytes) -> bool:
    """Tell whether all of an answer is there."""
    if b"transfer-encoding: chunked" in head:
        return body.endswith(b"0\r\n\r\n")
    length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
    return len(body) >= int(length)


class Steady:
    """Puts on existing keys, one at each due moment, over a fixed number of connections."""

    def __init__(self, url: str, keys: int, *, stamp: bool = False) -> None:
        parts = urlsplit(url)
        self._host, self._port = str(parts.hostname), int(parts.port or 0)
        self._keys = keys
        self._value = stamped if stamp else lambda: VALUE
        self._free: deque[Connection] = deque()
        self._due: deque[float] = deque()
        self._under_way = 0
        self._sent = 0
        self.stopping = asyncio.Event()
        self.samples: list[tuple[float, float]] = []
        self.failed = 0
        self.behind = 0.0

    async def connect(self, count: int) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(count):
            _, connection = await loop.create_connection(Connection, self._host, self._port)
            self._free.append(connection)

    async def run(self, rate: float, seconds: float) -> None:
        """Send ``rate`` puts a second for ``seconds``, 0 = until ``stopping``; wait for the answers."""
        begin, count = monotonic(), 0
        while not self.stopping.is_set() and (not seconds or count < rate * seconds):
            due = begin + count / rate
            while (wait := due - monotonic()) > 0:  # noqa: ASYNC110 - a timer may be early
                await asyncio.sleep(wait)
            self._due.append(monotonic())
            self.behind = max(self.behind, self._due[-1] - due)
            self._send()
            count += 1
        deadline = monotonic() + DRAIN_SECONDS
        while (self._under_way or self._due) and monotonic() < deadline:  # noqa: ASYNC110 - has an end
            await asyncio.sleep(0.01)
        self.failed += self._under_way + len(self._due)
        for connection in self._free:
            connection.close()

    def _send(self) -> None:
        while self._free and self._due:
            connection, due = self._free.popleft(), self._due.popleft()
            number = self._sent * STRIDE % self._keys
            self._sent += 1
            self._under_way += 1
            answered = connection.send(put(self._host, number, self._value()))
            answered.add_done_callback(partial(self._done, connection, due))

    def _done(self, connection: Connection, due: float, answered: "asyncio.Future[bool]") -> None:
        self._under_way -= 1
        if answered.result():
            self.samples.append((due, monotonic() - due))
            self._free.append(connection)
        else:
            self.failed += 1
        self._send()


async def load(url: str, first: int, keys: int) -> dict[str, Any]:
    """Write the keys ``first`` to ``keys`` in large txns; return how long it took."""
    parts = urlsplit(url)
    host, port = str(parts.hostname), int(parts.port or 0)
    starts = iter(range(first, keys, TXN_PUTS))
    begin, loop = monotonic(), asyncio.get_running_loop()

    async def worker() -> None:
        _, connection = await loop.create_connection(Connection, host, port)
        try:
            for start in starts:
                if not await connection.send(txn(host, range(start, min(start + TXN_PUTS, keys)))):
                    raise SystemExit(f"steady.py: a txn of the load was not answered with 200 by {url}")
        finally:
            connection.close()

    await asyncio.gather(*(worker() for _ in range(LOAD_CONNECTIONS)))
    return {"keys": keys - first, "seconds": monotonic() - begin}


async def steady(arguments: argparse.Namespace) -> dict[str, Any]:
    generator = Steady(arguments.url, arguments.keys, stamp=arguments.stamp)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, generator.stopping.set)
    await generator.connect(arguments.connections)
    await generator.run(arguments.rate, arguments.seconds)
    return {"samples": generator.samples, "failed": generator.failed, "behind": generator.behind}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("url", help="a member's client URL")
    parser.add_argument("--keys", type=int, required=True, help="how many keys there are, or are to be")
    parser.add_argument("--first", type=int, default=0, help="with --load: the first key to write")
    parser.add_argument("--load", action="store_true", help="write every key once, fast")
    parser.add_argument("--stamp", action="store_true", help="let values tell when their put was sent")
    parser.add_argument("--rate", type=float, default=1000.0, help="puts a second (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=10.0, help="0: until SIGTERM (default %(default)s)")
    parser.add_argument("--connections", type=int, default=64, help="default %(default)s")
    parser.add_argument("--out", type=Path, required=True, help="a file for the result")
    arguments = parser.parse_args()
    gc.collect()
    gc.freeze()
    gc.disable()  # a pause of this process would count as one of the server's
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if arguments.load:
            result = runner.run(load(arguments.url, arguments.first, arguments.keys))
        else:
            result = runner.run(steady(arguments))
    arguments.out.write_text(json.dumps(result), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
