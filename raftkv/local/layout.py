"""Where a local cluster lives: its folder, the marker in it, its members' names and ports."""

import json
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from raftkv.local.errors import NoCluster, NotOurs, UnknownMember, WrongArguments, verb

DEFAULT_FOLDER = ".raftkv"
MARKER = "raftkv-cluster.json"
LOCK = "lock"
FORMAT = 1
HOST = "127.0.0.1"
DEFAULT_PORTS = (2379, 2380, 22379, 22380, 32379, 32380, 42379, 42380, 52379, 52380)
"""Client and peer port of n1, n2, ...: the convention of etcd's own local cluster."""
MAX_MEMBERS = len(DEFAULT_PORTS) // 2


class MemberPlace(NamedTuple):
    """One member: its name and its two TCP ports on the loopback interface."""

    name: str
    client_port: int
    peer_port: int

    @property
    def client_url(self) -> str:
        """URL that clients use."""
        return f"http://{HOST}:{self.client_port}"

    @property
    def peer_url(self) -> str:
        """URL that the other members use."""
        return f"http://{HOST}:{self.peer_port}"


class Layout(NamedTuple):
    """A cluster on disk. ``flags`` are handed to each member as they are."""

    root: Path
    members: tuple[MemberPlace, ...]
    token: str
    flags: tuple[str, ...]
    made_folder: bool

    def folder(self, member: MemberPlace) -> Path:
        """Everything that belongs to one member."""
        return self.root / member.name

    def data(self, member: MemberPlace) -> Path:
        """Return the member's ``--data-dir``."""
        return self.folder(member) / "data"

    def log(self, member: MemberPlace) -> Path:
        """Return the file of the member's stdout and stderr."""
        return self.folder(member) / "log"

    def process_file(self, member: MemberPlace) -> Path:
        """Which process runs the member."""
        return self.folder(member) / "process.json"

    def member(self, name: str) -> MemberPlace:
        """Find a member by name; raises ``UnknownMember``."""
        for member in self.members:
            if member.name == name:
                return member
        names = ", ".join(member.name for member in self.members)
        raise UnknownMember(f"there is no member {name!r} in this cluster; its members are {names}")

    def initial_cluster(self) -> str:
        """Return the value of ``--initial-cluster``."""
        return ",".join(f"{member.name}={member.peer_url}" for member in self.members)


def default_root(environ: Mapping[str, str], cwd: Path) -> Path:
    """Return the cluster's folder when no ``--data`` is given: ``RAFTKV_DATA``, else ``.raftkv``."""
    chosen = environ.get("RAFTKV_DATA", "")
    return cwd / chosen if chosen else cwd / DEFAULT_FOLDER


def parse_ports(text: str) -> tuple[int, ...]:
    """Read ``CLIENT,PEER,CLIENT,PEER,...``; raises ``WrongArguments`` that says what is wrong."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and 0 < int(part) < 65536 for part in parts):
        raise WrongArguments(f"--ports {text}: expected numbers from 1 to 65535 with commas between them")
    ports = tuple(int(part) for part in parts)
    if len(set(ports)) != len(ports):
        raise WrongArguments(f"--ports {text}: a port is named twice")
    return ports


def plan(root: Path, size: int, ports: Sequence[int] = (), flags: Sequence[str] = ()) -> Layout:
    """Lay out a new cluster of ``size`` members; nothing is written yet."""
    ports = tuple(ports) or DEFAULT_PORTS[: 2 * size]
    if not 1 <= size <= MAX_MEMBERS:
        raise WrongArguments(f"a local cluster has 1 to {MAX_MEMBERS} members, not {size}")
    if len(ports) != 2 * size:
        raise WrongArguments(
            f"{size} members need {2 * size} ports (a client port and a peer port each), got {len(ports)}"
        )
    members = tuple(MemberPlace(f"n{i + 1}", ports[2 * i], ports[2 * i + 1]) for i in range(size))
    # The token goes into the cluster's id, so a member left over from an earlier cluster on the same
    # ports is refused by the others instead of mixing two histories.
    return Layout(root, members, f"local-{secrets.token_hex(6)}", tuple(flags), not root.exists())


def make_folder(layout: Layout) -> None:
    """Create the cluster's folder, or accept an empty one; raises ``NotOurs`` for any other."""
    root = layout.root
    if root.exists() and not root.is_dir():
        raise NotOurs(f"{root} is not a folder; choose another one with --data")
    if root.is_dir() and any(path.name != LOCK for path in root.iterdir()):
        raise NotOurs(
            f"{root} is not empty and raftkv did not make it (it holds no {MARKER}); "
            f"choose another folder with --data"
        )
    root.mkdir(mode=0o700, parents=True, exist_ok=True)


def save(layout: Layout) -> None:
    """Write the marker, whole or not at all."""
    content = {
        "format": FORMAT,
        "token": layout.token,
        "flags": list(layout.flags),
        "made_folder": layout.made_folder,
        "members": [member._asdict() for member in layout.members],
    }
    draft = layout.root / f"{MARKER}.new"
    draft.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    draft.replace(layout.root / MARKER)


def load(root: Path) -> Layout:
    """Read the marker; raises ``NoCluster`` when there is none, ``NotOurs`` when it makes no sense."""
    marker = root / MARKER
    try:
        content = json.loads(marker.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise NoCluster(f"there is no cluster in {root}; start one with: {verb('up')}") from None
    except ValueError as error:
        raise NotOurs(
            f"{marker} can't be read: {error}; look into the folder and remove it yourself"
        ) from None
    try:
        members = tuple(_member(fields) for fields in content["members"])
        if content["format"] != FORMAT or not members:
            raise ValueError(f"format {content['format']!r}")
        flags = tuple(str(flag) for flag in content["flags"])
        return Layout(root, members, str(content["token"]), flags, bool(content["made_folder"]))
    except (KeyError, TypeError, ValueError) as error:
        raise NotOurs(
            f"{marker} was not written by this version of raftkv ({type(error).__name__}: {error})"
        ) from None


def _member(fields: Mapping[str, object]) -> MemberPlace:
    name = str(fields["name"])
    # A name becomes a folder that `clean` removes: nothing but n1, n2, ... may get that far.
    if not (name.startswith("n") and name[1:].isascii() and name[1:].isdigit()):
        raise ValueError(f"member name {name!r}")
    return MemberPlace(name, _port(fields["client_port"]), _port(fields["peer_port"]))


def _port(value: object) -> int:
    if not isinstance(value, int) or not 0 < value < 65536:
        raise ValueError(f"port {value!r}")
    return value
