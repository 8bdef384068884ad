"""TCP ports of the loopback interface: is one free, and if not, who has it."""

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import SystemRandom

from raftkv.local.layout import DEFAULT_PORTS, HOST
from raftkv.local.processes import command_line

_LISTEN = "0A"
_CLOSING = "06"
_COMMAND_WIDTH = 120
_LOWEST_FREE, _HIGHEST_FREE = 10_000, 32_768
"""Where ``free_ports`` looks: outgoing connections get ports from 32768 (Linux) or 49152 (macOS) on."""


def is_free(port: int) -> bool:
    """Tell whether a server could listen on the port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As asyncio does it: connections that linger after a restart do not count as a user.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def free_ports(count: int) -> list[int]:
    """Return ports that nobody uses now; nothing keeps them free.

    They are below those that the system gives to outgoing connections. A port from there could become
    the local end of a client's connection while its member is down, and block the member's restart.
    """
    candidates = list(range(_LOWEST_FREE, _HIGHEST_FREE))
    SystemRandom().shuffle(candidates)
    found: list[int] = []
    while len(found) < count:
        port = candidates.pop()
        if port not in DEFAULT_PORTS and is_free(port):
            found.append(port)
    return found


def owner(port: int) -> str:
    """Say who uses a port: "pid 123 (etcd --name ...)", as far as the system shows it."""
    pid = _owner_linux(port) if sys.platform.startswith("linux") else _owner_lsof(port)
    if pid is None and _is_closing(port):
        return "a connection that is closing; try again in a minute"
    if pid is None:
        return "a process that this user can't see"
    command = command_line(pid) or "command not visible"
    if len(command) > _COMMAND_WIDTH:
        command = command[: _COMMAND_WIDTH - 3] + "..."
    return f"pid {pid} ({command})"


def holder(port: int, pids: Iterable[int]) -> int | None:
    """Return which process has the socket with the local port ``port``; None if the system hides it."""
    if not sys.platform.startswith("linux"):
        return None
    wanted = {f"socket:[{inode}]" for _, inode in _sockets(port) if inode != "0"}
    return next((pid for pid in pids if _holds(pid, wanted)), None) if wanted else None


def _owner_linux(port: int) -> int | None:
    sockets = list(_sockets(port))
    inodes = [inode for state, inode in sockets if state == _LISTEN] or [inode for _, inode in sockets]
    wanted = {f"socket:[{inode}]" for inode in inodes if inode != "0"}
    if not wanted:
        return None
    pids = (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())
    return next((pid for pid in pids if _holds(pid, wanted)), None)


def _sockets(port: int) -> Iterator[tuple[str, str]]:
    """State and inode of each socket whose local port is ``port``."""
    for table in ("tcp", "tcp6"):
        try:
            lines = Path("/proc/net", table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[3], fields[9]


def _is_closing(port: int) -> bool:
    states = [state for state, _ in _sockets(port)]
    return bool(states) and all(state == _CLOSING for state in states)


def _holds(pid: int, wanted: set[str]) -> bool:
    try:
        links = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False
    return any(_target(link) in wanted for link in links)


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""


def _owner_lsof(port: int) -> int | None:
    lsof = shutil.which("lsof")
    if lsof is None:
        return None
    command = [lsof, "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-t"]
    found = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()  # noqa: S603
    return int(found[0]) if found else None
