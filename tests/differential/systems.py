"""Two members as processes, one of a real etcd and one of raftkv, and requests to them."""

import http.client
import json
import re
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from select import select
from typing import NamedTuple

from tests.differential import normalise
from tests.differential.calls import ALL, call, delete
from tests.differential.steps import (
    SHARED,
    Call,
    Case,
    Drop,
    End,
    Open,
    Quiet,
    Read,
    ReadUntil,
    Restart,
    Step,
    Until,
)
from tests.e2e.members import ETCD, RAFTKV, Place, running, wait_healthy

SECONDS = 15.0
"""Longest wait for a reply or a line of one."""

QUIET_SECONDS = 0.3
POLL_SECONDS = 0.02
MARK = re.compile(r"@\{(\w+)([+-]\d+)?\}")


LEASING = ("/v3/lease/grant", "/v3/lock/", "/v3/election/")
"""What leaves leases behind."""


class Seen(NamedTuple):
    """A reply, or a part of one, as it is compared."""

    status: int
    headers: tuple[str, ...]
    body: str


class System:
    """One member that runs, and a connection to it."""

    def __init__(self, program: Sequence[str], place: Place, flags: dict[str, str]) -> None:
        self.place = place
        self.known = {"peer": flags["initial_advertise_peer_urls"], "client": flags["advertise_client_urls"]}
        """Name -> value that a mark may stand for, the same on both systems."""
        self._program = program
        self._flags = flags
        self._process = ExitStack()
        self._idle: http.client.HTTPConnection | None = None

    def start(self) -> None:
        self._process.enter_context(running(self._program, self.place, [self.place], **self._flags))

    def stop(self) -> None:
        self.close()
        self._process.close()

    def close(self) -> None:
        if self._idle is not None:
            self._idle.close()
            self._idle = None

    def connection(self) -> http.client.HTTPConnection:
        host = self.place.client_url.removeprefix("http://")
        return http.client.HTTPConnection(host, timeout=SECONDS)

    def ask(self, call: Call) -> tuple[int, list[tuple[str, str]], bytes]:
        """Send a request on the connection that is kept; a server may have closed it meanwhile."""
        connection = self._idle or self.connection()
        self._idle = None
        try:
            send(connection, call)
            reply = connection.getresponse()
        except ConnectionError:
            connection.close()
            connection = self.connection()
            send(connection, call)
            reply = connection.getresponse()
        found = reply.status, reply.getheaders(), reply.read()
        if reply.will_close:
            connection.close()
        else:
            self._idle = connection
        return found


def send(connection: http.client.HTTPConnection, call: Call) -> None:
    body = call.body.encode() if isinstance(call.body, str) else call.body
    headers = dict(call.headers)
    if "Transfer-Encoding" in headers:
        connection.request(call.method, call.path, iter([chunked(body)]), headers)
    else:
        connection.request(call.method, call.path, body or None, headers)


def chunked(body: bytes) -> bytes:
    """Return a body in two chunks; sent at once, since etcd loses what comes after its first reply."""
    halves = (body[: len(body) // 2], body[len(body) // 2 :])
    return b"".join(b"%x\r\n%s\r\n" % (len(half), half) for half in halves) + b"0\r\n\r\n"


class Pair(NamedTuple):
    """The judge and the judged."""

    etcd: System
    raftkv: System


@contextmanager
def pair(
    folder: Path, programs: Sequence[Sequence[str]] = (ETCD, RAFTKV), flags: Sequence[tuple[str, str]] = ()
) -> Iterator[Pair]:
    """Run a member of each, with an empty store and the same advertised URLs; stopped with the block."""
    advertised = Place.free(folder)
    same = {
        "advertise_client_urls": advertised.client_url,
        "initial_advertise_peer_urls": advertised.peer_url,
        "initial_cluster": f"{advertised.name}={advertised.peer_url}",
        **dict(flags),
    }
    systems = []
    with ExitStack() as stack:
        for number, program in enumerate(programs):
            (folder / str(number)).mkdir(parents=True)
            system = System(program, Place.free(folder / str(number)), same)
            stack.callback(system.stop)
            system.start()
            systems.append(system)
        wait_healthy(*(system.place for system in systems))
        yield Pair(*systems)


class Run:
    """One case on one system: sends its steps and writes down what came."""

    def __init__(self, system: System, *, fresh: bool) -> None:
        self._system = system
        self.base = 0 if fresh else self._begin()
        self._saved: dict[str, str] = {}
        self._streams: dict[str, Stream] = {}

    def _begin(self) -> int:
        """Remove all keys; return the revision."""
        status, _, body = self._system.ask(delete(ALL, ALL))
        assert status == 200, body
        found = re.search(rb'"revision":"(\d+)"', body)
        assert found is not None
        return int(found[1])

    def take(self, step: Step) -> Seen | None:
        """Do one step; None for one that has nothing to compare."""
        match step:
            case Call():
                return self._call(step)
            case Open():
                self._streams[step.stream] = Stream(self._system.connection(), self.filled(step.call))
                return self._read(step.stream, step.lines, any_order=step.any_order) if step.lines else None
            case Read():
                return self._read(step.stream, step.lines, any_order=step.any_order)
            case ReadUntil():
                return self._read_until(step.stream, step.text)
            case End():
                return self._end(step.stream)
            case Quiet():
                self._streams[step.stream].check_quiet()
            case Drop():
                self._streams.pop(step.stream).close()
            case Until():
                return self._until(step)
            case Restart():
                self._system.stop()
                self._system.start()
                wait_healthy(self._system.place)
        return None

    def close(self, *, leases: bool = False) -> None:
        """End what was begun; ``leases``: all leases too."""
        for stream in self._streams.values():
            stream.close()
        if leases:
            _, _, body = self._system.ask(call("lease/leases"))
            for lease in json.loads(body).get("leases", []):
                self._system.ask(call("lease/revoke", {"ID": lease["ID"]}))

    def filled(self, call: Call) -> Call:
        """Put values in for the marks."""
        headers = tuple((name, self._fill(value)) for name, value in call.headers)
        body = self._fill(call.body) if isinstance(call.body, str) else call.body
        return call._replace(path=self._fill(call.path), body=body, headers=headers)

    def _fill(self, text: str) -> str:
        def value(match: re.Match[str]) -> str:
            if match[1] == "r":
                return str(self.base + int(match[2] or 0))
            text = (self._system.known | self._saved)[match[1]]
            return str(int(text) + int(match[2])) if match[2] else text

        return MARK.sub(value, text)

    def _call(self, call: Call) -> Seen:
        status, headers, body = self._system.ask(self.filled(call))
        text = body.decode("utf-8", "surrogateescape")
        for name, member in call.saves:
            found = re.search(rf'"{member}":"([^"]+)"', text)
            assert found is not None, text
            self._saved[name] = found[1]
        return Seen(status, normalise.headers(headers, len(body), call.method), self._normal(text))

    def _until(self, step: Until) -> Seen:
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            seen = self._call(step.call)
            if (step.text in seen.body) is not step.absent:
                return seen
            time.sleep(POLL_SECONDS)  # what comes true does so in another process
        raise AssertionError(f"{step} never came true: {seen}")

    def _read(self, name: str, lines: int, *, any_order: bool) -> Seen:
        stream = self._streams[name]
        read = [self._normal(stream.line()) for _ in range(lines)]
        return Seen(stream.status, stream.headers, "".join(sorted(read) if any_order else read))

    def _read_until(self, name: str, text: str) -> Seen:
        stream = self._streams[name]
        read = [self._normal(stream.line())]
        while text not in read[-1]:
            read.append(self._normal(stream.line()))
        return Seen(stream.status, stream.headers, "".join(read))

    def _end(self, name: str) -> Seen:
        stream = self._streams.pop(name)
        try:
            rest = stream.rest()
            return Seen(stream.status, stream.headers, self._normal(rest))
        finally:
            stream.close()

    def _normal(self, text: str) -> str:
        return normalise.body(text, self.base, self._saved)


class Stream:
    """A request whose reply comes little by little."""

    def __init__(self, connection: http.client.HTTPConnection, call: Call) -> None:
        self._connection = connection
        self._reply: http.client.HTTPResponse | None = None
        send(connection, call)

    @property
    def reply(self) -> http.client.HTTPResponse:
        """The reply, whose head may come with its first line only."""
        if self._reply is None:
            self._reply = self._connection.getresponse()
        return self._reply

    @property
    def status(self) -> int:
        return self.reply.status

    @property
    def headers(self) -> tuple[str, ...]:
        return normalise.stream_headers(self.status, self.reply.getheaders())

    def check_quiet(self) -> None:
        """Raise AssertionError if a byte has come, or comes soon."""
        assert self._connection.sock is not None
        waiting, _, _ = select([self._connection.sock], [], [], QUIET_SECONDS)
        assert not waiting

    def line(self) -> str:
        return self.reply.readline().decode()

    def rest(self) -> str:
        return self.reply.read().decode()

    def close(self) -> None:
        self._connection.close()


def transcript(system: System, case: Case) -> list[Seen | None]:
    """Run a case on a system and return what was seen, a place for each step."""
    run = Run(system, fresh=case.where != SHARED)
    try:
        return [run.take(step) for step in case.steps]
    finally:
        run.close(
            leases=case.where == SHARED and any(path in str(step) for step in case.steps for path in LEASING)
        )


def transcripts(where: Pair, case: Case) -> list[list[Seen | None]]:
    """Run a case on both, side by side: some wait for time-outs."""
    with ThreadPoolExecutor(len(where)) as both:
        return list(both.map(lambda system: transcript(system, case), where))
