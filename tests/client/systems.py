"""Systems that the client is run against: a real etcd, alone, and a cluster of three raftkv."""

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from raftkv.local import LocalCluster, free_ports

ETCD = Path(sys.executable).parent / "etcd"


@contextmanager
def etcd(folder: Path, *flags: str) -> Iterator[list[str]]:
    """Run an etcd of one member; lend its client URLs."""
    client, peer = (f"http://127.0.0.1:{port}" for port in free_ports(2))
    command = [
        str(ETCD),
        *("--data-dir", str(folder / "data")),
        *("--listen-client-urls", client, "--advertise-client-urls", client),
        *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
        *("--initial-cluster", f"default={peer}"),
        *("--unsafe-no-fsync", "--log-level", "error"),
        *flags,
    ]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            wait_until_healthy(client, process)
            yield [client]
        finally:
            process.kill()  # it waits long for streams to end when it is asked nicely


def wait_until_healthy(url: str, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(300):
        assert process.poll() is None, "etcd ended at its start"
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=1) as answer:
                if b'"true"' in answer.read():
                    return
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.05)  # another process: nothing here is told when it is ready
    raise AssertionError("etcd does not become healthy")


@contextmanager
def raftkv(folder: Path) -> Iterator[list[str]]:
    """Run a cluster of three members; lend their client URLs."""
    cluster = LocalCluster.open_or_create(folder / "cluster", 3, free_ports(6))
    cluster.up()
    try:
        yield [member.client_url for member in cluster.layout.members]
    finally:
        cluster.down()
