"""Many watchers over plain HTTP: what arrives at each, and how late.

    python bench/watchers.py URL --watchers N [--each K] [--sampled M] --out FILE

Opens streams with K watches each (1) on all keys until there are N watches, prints "ready" when all are
created, and reads until SIGTERM and then until nothing comes any more. Events are only counted; the values of
the first M streams are looked at, which ``steady.py --stamp`` fills with the time of their put. It runs in a
process of its own and does as little as it can, so that the server and not the reading is what is measured.
The result: events of each stream, the lags of the sampled ones in seconds, and the moments of the first and
the last event.
"""

import argparse
import gc
import json
import selectors
import signal
import socket
import sys
from array import array
from base64 import b64decode
from pathlib import Path
from time import monotonic, monotonic_ns
from urllib.parse import urlsplit

from steady import STAMP_BYTES, request

READ_BYTES = 1 << 20
EVENT = b'"mod_revision":'
VALUE = b'"value":"'
STAMP_CHARACTERS = STAMP_BYTES * 4 // 3
CREATE = '{"create_request":{"key":"AA==","range_end":"AA=="}}'
POLL_SECONDS = 0.2
QUIET_SECONDS = 2.0
START_SECONDS = 60.0


class Stream:
    """One watch stream."""

    def __init__(self, host: str, port: int, watches: int, *, sampled: bool) -> None:
        self.socket = socket.create_connection((host, port))
        self.socket.sendall(request(f"{host}:{port}", "/v3/watch", watches * CREATE))
        self._watches = watches
        self.events = 0
        self.created = False
        self.sampled = sampled
        self._rest = b""

    def read(self, lags: "array[float]") -> None:
        """Take in what is there; raises ConnectionError at the end of the stream."""
        data = self.socket.recv(READ_BYTES)
        if not data:
            raise ConnectionError("the server ended a stream")
        if not self.created:
            self._rest += data
            self.created = self._rest.count(b'"created":true') == self._watches
            return
        data = self._rest + data
        # an event's name may be cut in two by the end of what was read
        end = data.rfind(b"\n") + 1
        self._rest, data = data[end:], data[:end]
        self.events += data.count(EVENT)
        if self.sampled and data:
            now = monotonic_ns()
            for piece in data.split(VALUE)[1:]:
                lags.append((now - int(b64decode(piece[:STAMP_CHARACTERS]))) / 1e9)


def watch(url: str, watchers: int, each: int, sampled: int) -> dict[str, object]:
    parts = urlsplit(url)
    host, port = str(parts.hostname), int(parts.port or 0)
    ended: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: ended.append(number))
    selector = selectors.DefaultSelector()
    streams = [Stream(host, port, each, sampled=number < sampled) for number in range(watchers // each)]
    for stream in streams:
        selector.register(stream.socket, selectors.EVENT_READ, stream)
    lags: array[float] = array("d")
    first = last = 0.0
    waiting, deadline = len(streams), monotonic() + START_SECONDS
    read = monotonic()
    while not ended or monotonic() - read < QUIET_SECONDS:
        for key, _ in selector.select(POLL_SECONDS):
            created, before = key.data.created, key.data.events
            key.data.read(lags)
            read = monotonic()
            if key.data.created and not created:
                waiting -= 1
                if not waiting:
                    print("ready", flush=True)
            if key.data.events > before:
                last = monotonic()
                first = first or last
        if waiting and monotonic() > deadline:
            raise SystemExit(f"watchers.py: {waiting} of {len(streams)} streams were not begun by {url}")
    events = [stream.events for stream in streams]
    return {"events": events, "lags": lags.tolist(), "first": first, "last": last}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("url", help="a member's client URL")
    parser.add_argument("--watchers", type=int, required=True, help="how many watches")
    parser.add_argument("--each", type=int, default=1, help="watches on a stream (default %(default)s)")
    parser.add_argument("--sampled", type=int, default=5, help="whose lags are kept (default %(default)s)")
    parser.add_argument("--out", type=Path, required=True, help="a file for the result")
    arguments = parser.parse_args()
    gc.disable()
    result = watch(arguments.url, arguments.watchers, arguments.each, arguments.sampled)
    arguments.out.write_text(json.dumps(result), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
