"""Processes of this machine: start one detached, recognise it later, signal it and nothing else.

A pid alone says little, for the system gives it to another process once the first is gone. So a
process is known by its pid *and* the moment it started *and* its command line, and a signal goes
through a handle that is opened before these are compared (Linux), so that the process can't be
exchanged in between.
"""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

_LINUX = sys.platform.startswith("linux")
_PROC = Path("/proc")
_DEAD_STATES = ("Z", "X", "x")


class Process(NamedTuple):
    """A process as it was when it started. ``started`` is an opaque text, unique with the pid.

    An empty ``command`` stands for any: a program may replace itself by another one (a script that runs one).
    """

    pid: int
    started: str
    command: tuple[str, ...]

    def is_alive(self) -> bool:
        """Tell whether exactly this process still runs."""
        reap(self.pid)
        return _identity(self.pid) == self.started and _has_command(self.pid, self.command)

    def is_stopped(self) -> bool:
        """Tell whether it runs but stands still, by SIGSTOP or a debugger."""
        return self.is_alive() and _state(self.pid) in ("T", "t")

    def send(self, number: signal.Signals) -> bool:
        """Signal the process; False when it is gone."""
        if not _LINUX:
            return self.is_alive() and _kill(self.pid, number)
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return False
        except OSError as error:
            # Kernels before 5.3, and sandboxes that filter the call.
            if error.errno not in (errno.ENOSYS, errno.EPERM):
                raise
            return self.is_alive() and _kill(self.pid, number)
        try:
            if not self.is_alive():
                return False
            signal.pidfd_send_signal(handle, number)
            return True
        except ProcessLookupError:
            return False
        finally:
            os.close(handle)

    def wait_gone(self, seconds: float) -> bool:
        """Wait until the process has ended; False when it still runs after ``seconds``."""
        return wait_until(lambda: not self.is_alive(), seconds)

    def uptime(self) -> float | None:
        """Seconds since the start, or None where the system does not tell."""
        if not _LINUX:
            return None
        ticks = int(self.started.rpartition(":")[2])
        now = float((_PROC / "uptime").read_text(encoding="ascii").split()[0])
        return max(0.0, now - ticks / os.sysconf("SC_CLK_TCK"))


def wait_until(condition: Callable[[], bool], seconds: float, interval: float = 0.02) -> bool:
    """Ask ``condition`` again and again; False when it did not hold within ``seconds``."""
    deadline = time.monotonic() + seconds  # noqa: TID251  a command has no event loop
    while not condition():
        if time.monotonic() >= deadline:  # noqa: TID251
            return False
        time.sleep(interval)  # the end of a process that is not our child can only be asked for
    return True


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold back the signals that end a command until the body is done."""
    held = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, held)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def start(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> Process:
    """Start a process in a session of its own, with its output appended to ``log``.

    It does not end with the shell, the terminal or the caller, and inherits no open file.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    pid = os.posix_spawn(
        command[0],
        list(command),
        dict(environment),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
            *((os.POSIX_SPAWN_CLOSE, descriptor) for descriptor in _handed_down()),
        ],
        setsid=True,
        setsigmask=[],
        setsigdef=[signal.SIGINT, signal.SIGTERM, signal.SIGQUIT],
    )
    return Process(pid, _identity(pid, dead_too=True), tuple(command))


def _handed_down() -> list[int]:
    """Open files, beyond the first three, that a new process would get from this one.

    Python's own are not among them, but what the caller's shell had open is: a lock or a pipe of a
    script would stay open as long as the process lives.
    """
    found = []
    for name in os.listdir("/dev/fd"):  # noqa: PTH208  numbers, not paths
        try:
            inherited = os.get_inheritable(int(name))
        except OSError:
            continue  # the one with which the folder was read
        if inherited and int(name) > 2:
            found.append(int(name))
    return found


def reap(pid: int) -> None:
    """Collect the exit status if the process is an ended child of this one."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


def save(process: Process, path: Path) -> None:
    """Write down a process, whole or not at all."""
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(process._asdict()) + "\n", encoding="utf-8")
    draft.replace(path)


def load(path: Path) -> Process | None:
    """Read a process written down by ``save``; None when there is none or it can't be read."""
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        pid, started, command = fields["pid"], fields["started"], fields["command"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    if not isinstance(pid, int) or pid <= 1 or not isinstance(started, str) or not isinstance(command, list):
        return None
    return Process(pid, started, tuple(str(word) for word in command))


def command_line(pid: int) -> str | None:
    """Return the command line of any process for a message, or None when it is not visible."""
    if not _LINUX:
        return _ps(pid, "command=") or None
    try:
        words = (_PROC / str(pid) / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    except OSError:
        return None
    return b" ".join(words).decode("utf-8", "replace") or None


def _identity(pid: int, *, dead_too: bool = False) -> str:
    """Return what tells this process from every other with its pid; "" when it is gone."""
    if not _LINUX:
        state = _ps(pid, "stat=")
        return "" if not state or (state.startswith("Z") and not dead_too) else _ps(pid, "lstart=")
    try:
        stat = (_PROC / str(pid) / "stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    # The second field is the program's name in parentheses and may hold anything, spaces included.
    fields = stat.rpartition(")")[2].split()
    # A zombie with other threads is still ending: its files, and so its ports, are still open.
    ended = fields[0] in _DEAD_STATES and int(fields[17]) <= 1
    if ended and not dead_too:
        return ""
    boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot}:{fields[19]}"


def _state(pid: int) -> str:
    """Return the letter of a process's state, "" when it is gone."""
    if not _LINUX:
        return _ps(pid, "stat=")[:1]
    try:
        stat = (_PROC / str(pid) / "stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[0]


def _has_command(pid: int, command: tuple[str, ...]) -> bool:
    if not _LINUX or not command:
        return True  # ps cuts and re-quotes; the start time has to do
    try:
        words = (_PROC / str(pid) / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    except OSError:
        return False
    # For a moment between spawn and exec, and again while it ends, a process has no command line.
    return words in ([b""], [os.fsencode(word) for word in command])


def _kill(pid: int, number: signal.Signals) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def _ps(pid: int, column: str) -> str:
    command = ["/bin/ps", "-o", column, "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603
