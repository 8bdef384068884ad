"""Start, stop, crash and watch the members of a local cluster."""

import os
import shutil
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from raftkv.local import launch, processes
from raftkv.local import layout as layouts
from raftkv.local.errors import (
    ClusterRunning,
    LocalError,
    MemberDied,
    NoCluster,
    NotHealthy,
    NotOurs,
    PortsInUse,
    WrongArguments,
    verb,
)
from raftkv.local.health import ClusterView, look, look_at
from raftkv.local.layout import Layout, MemberPlace
from raftkv.local.lock import exclusive, is_locked
from raftkv.local.ports import is_free, owner
from raftkv.local.processes import Process, wait_until

STOP_SECONDS = 5.0
START_SECONDS = 30.0
_LOOK_SECONDS = 2.0
_LAST_LINES = 15
_MAX_LOG_BYTES = 16 * 1024 * 1024

Say = Callable[[str], None]


def silent(text: str) -> None:
    """Take a progress line and drop it."""


class MemberProcess(NamedTuple):
    """One member as the system sees it. ``pid`` None = not running; ``uptime`` in seconds."""

    name: str
    pid: int | None
    uptime: float | None
    client_url: str
    peer_url: str
    data: Path


class LocalCluster:
    """The cluster in one folder. Every method may be called from any process at any time."""

    def __init__(self, layout: Layout, say: Say = silent) -> None:
        self.layout = layout
        self._say = say

    @classmethod
    def open(cls, root: Path, say: Say = silent) -> "LocalCluster":
        """Find the cluster in ``root``; raises ``NoCluster``."""
        return cls(layouts.load(root.resolve()), say)

    @classmethod
    def open_or_create(
        cls,
        root: Path,
        size: int | None = None,
        ports: Sequence[int] = (),
        flags: Sequence[str] = (),
        say: Say = silent,
    ) -> "LocalCluster":
        """Find the cluster in ``root``, or lay out a new one there; nothing is started.

        ``ports`` are the client and the peer port of each member in turn, by default etcd's usual
        ones. Raises ``WrongArguments`` when the cluster that is there has another size or other ports.
        """
        root = root.resolve()
        try:
            layout = layouts.load(root)
        except NoCluster:
            layout = layouts.plan(root, 3 if size is None else size, ports, flags)
            _check_ports(layout.members)
            layouts.make_folder(layout)
            with exclusive(root):
                if not (root / layouts.MARKER).exists():
                    layouts.save(layout)
                layout = layouts.load(root)
        _check_same(layout, size, ports)
        return cls(layout, say)

    def up(self, seconds: float = START_SECONDS) -> list[str]:
        """Start the members that do not run and wait until all are well; returns their names.

        Raises ``PortsInUse`` before anything is started, ``MemberDied`` or ``NotHealthy`` after what
        was started here has been ended again.
        """
        with exclusive(self.layout.root):
            idle = [member for member in self.layout.members if self._process(member) is None]
            if not idle:
                return []
            _check_ports(idle)
            started: list[MemberPlace] = []
            try:
                for member in idle:
                    started.append(member)
                    self._start(member)
                self._say(f"started {_names(idle)}, waiting for a leader")
                self._wait(started, lambda: look(self.layout.members, _LOOK_SECONDS).healthy, seconds)
            except BaseException:
                self._end(started)
                raise
            return [member.name for member in started]

    def down(self) -> list[str]:
        """Stop all members, keep their data; returns the names of those that ran."""
        with exclusive(self.layout.root):
            running = [member for member in self.layout.members if self._process(member) is not None]
            self._end(running)
            return [member.name for member in running]

    def kill(self, name: str) -> int | None:
        """End a member with SIGKILL, as a crash would; returns its pid, None when it did not run."""
        member = self.layout.member(name)
        with exclusive(self.layout.root):
            process = self._process(member)
            if process is None:
                return None
            process.send(signal.SIGKILL)
            if not process.wait_gone(STOP_SECONDS):
                raise LocalError(f"{name} (pid {process.pid}) did not end after SIGKILL")
            return process.pid

    def stop(self, name: str) -> int | None:
        """End a member with SIGTERM; returns its pid, None when it did not run."""
        member = self.layout.member(name)
        with exclusive(self.layout.root):
            process = self._process(member)
            self._end([member])
            return None if process is None else process.pid

    def restart(self, name: str, seconds: float = START_SECONDS) -> bool:
        """Stop a member if it runs, start it, and wait for it.

        Returns True once the member is well, False when it runs but too few others do for a leader.
        """
        member = self.layout.member(name)
        with exclusive(self.layout.root):
            self._end([member])
            _check_ports([member])
            self._start(member)
            running = sum(self._process(other) is not None for other in self.layout.members)
            quorum = running > len(self.layout.members) // 2
            try:
                self._wait([member], lambda: self._is_up(member, quorum=quorum), seconds)
            except MemberDied:
                self._end([member])
                raise
            return quorum

    def check_stopped(self) -> None:
        """Raise ``ClusterRunning`` when a member runs."""
        running = [
            member
            for member in self.layout.members
            if self._process(member) is not None or is_locked(self.layout.data(member) / "member/wal/lock")
        ]
        if running:
            raise ClusterRunning(f"still running: {_names(running)}; stop the cluster first: {verb('down')}")

    def clean(self) -> list[Path]:
        """Remove the cluster's data; returns what was left because raftkv did not make it.

        Raises ``ClusterRunning`` when a member runs.
        """
        root = self.layout.root
        with exclusive(root):
            self.check_stopped()
            for member in self.layout.members:
                folder = self.layout.folder(member)
                if folder.is_symlink():
                    raise NotOurs(
                        f"{folder} is a symbolic link, which raftkv did not make; nothing was removed"
                    )
            for member in self.layout.members:
                if self.layout.folder(member).exists():
                    shutil.rmtree(self.layout.folder(member))
            (root / layouts.MARKER).unlink()
            (root / layouts.LOCK).unlink()
        left = sorted(root.iterdir())
        if not left and self.layout.made_folder:
            root.rmdir()
        return left

    def processes(self) -> list[MemberProcess]:
        """Return which members run."""
        return [self._member_process(member) for member in self.layout.members]

    def look(self, timeout: float = _LOOK_SECONDS) -> ClusterView:
        """Ask every member for its state, at most ``timeout`` seconds for each step."""
        return look(self.layout.members, timeout)

    def wait_healthy(self, seconds: float = START_SECONDS) -> ClusterView:
        """Wait until one leader is followed by all and every member is well; raises ``NotHealthy``."""
        if not wait_until(lambda: self.look().healthy, seconds, 0.05):
            raise NotHealthy(self._why_not_healthy(seconds))
        return self.look()

    def _process(self, member: MemberPlace) -> Process | None:
        process = processes.load(self.layout.process_file(member))
        return process if process is not None and process.is_alive() else None

    def _member_process(self, member: MemberPlace) -> MemberProcess:
        process = self._process(member)
        pid, uptime = (None, None) if process is None else (process.pid, process.uptime())
        return MemberProcess(
            member.name, pid, uptime, member.client_url, member.peer_url, self.layout.data(member)
        )

    def _start(self, member: MemberPlace) -> None:
        folder = self.layout.folder(member)
        if folder.is_symlink():
            raise NotOurs(f"{folder} is a symbolic link, which raftkv did not make")
        folder.mkdir(mode=0o700, exist_ok=True)
        log = self.layout.log(member)
        if log.exists() and log.stat().st_size > _MAX_LOG_BYTES:
            log.replace(log.with_name("log.1"))
        command, environment = launch.command(self.layout, member), launch.environment(os.environ)
        with processes.uninterrupted():
            # A process that was started and not written down could be ended by nobody.
            process = processes.start(command, log, environment)
            processes.save(process, self.layout.process_file(member))

    def _wait(self, started: Sequence[MemberPlace], ready: Callable[[], bool], seconds: float) -> None:
        def settled() -> bool:
            for member in started:
                if self._process(member) is None:
                    raise MemberDied(f"{member.name} ended while it started\n{self._last_lines(member)}")
            return ready()

        if not wait_until(settled, seconds, 0.05):
            raise NotHealthy(self._why_not_healthy(seconds))

    def _is_up(self, member: MemberPlace, *, quorum: bool) -> bool:
        view = look_at(member, _LOOK_SECONDS)
        return view.healthy if quorum else bool(view.member_id)

    def _why_not_healthy(self, seconds: float) -> str:
        view = self.look()
        lines = [f"  {member.name}: {member.reason}" for member in view.members if member.reason]
        problem = f"led by {view.leader}" if view.leader else "without a leader"
        return "\n".join([f"the cluster is {problem} and not healthy after {seconds:g} s", *lines])

    def _last_lines(self, member: MemberPlace) -> str:
        log = self.layout.log(member)
        lines = launch.tail(log, _LAST_LINES).lines
        return "\n".join([f"the end of {log}:", *(f"  {line}" for line in lines)])

    def _end(self, members: Sequence[MemberPlace]) -> None:
        """SIGTERM to all at once, SIGKILL to those that are still there after the time allowed."""
        running = {member.name: process for member in members if (process := self._process(member))}
        for process in running.values():
            process.send(signal.SIGTERM)
        wait_until(lambda: not any(process.is_alive() for process in running.values()), STOP_SECONDS)
        for name, process in running.items():
            if process.send(signal.SIGKILL):
                self._say(f"{name} (pid {process.pid}) did not end within {STOP_SECONDS:g} s: killed it")
                process.wait_gone(STOP_SECONDS)


def _check_ports(members: Sequence[MemberPlace]) -> None:
    taken = [
        f"port {port} ({member.name}, {use}) is used by {owner(port)}"
        for member in members
        for use, port in (("clients", member.client_port), ("peers", member.peer_port))
        if not is_free(port)
    ]
    if taken:
        raise PortsInUse("\n".join([*taken, "end the owner, or choose other ports with --ports"]))


def _check_same(layout: Layout, size: int | None, ports: Sequence[int]) -> None:
    found = tuple(port for member in layout.members for port in (member.client_port, member.peer_port))
    if size is not None and size != len(layout.members):
        raise WrongArguments(
            f"the cluster in {layout.root} has {len(layout.members)} members, not {size}; "
            f"to make another one, choose a folder with --data or remove this one: {verb('clean')}"
        )
    if ports and tuple(ports) != found:
        raise WrongArguments(
            f"the cluster in {layout.root} uses the ports {','.join(map(str, found))}; "
            f"to make another one, choose a folder with --data or remove this one: {verb('clean')}"
        )


def _names(members: Sequence[MemberPlace]) -> str:
    return ", ".join(member.name for member in members)
